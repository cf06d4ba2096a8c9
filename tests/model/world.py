"""Fixtures of the rooms above `model`: a few drawn problems and two untrained models that read them, built once."""

import shutil
from pathlib import Path

import pytest
from transformers import AutoConfig

from visreason.model.load import create, load
from visreason.model.policy import Policy
from visreason.prompt import messages, style
from visreason.record import Problem
from visreason.store import read_records
from visreason.world import problems, vlm

STYLE = "r1_onevision"
TRAIN, HELDOUT = 24, 12
SEED = 3


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """A folder with train.jsonl, heldout.jsonl, their images, model/ (the world's own) and small/ (a fiftieth of it).

    Tests read it and leave it as it is.
    """
    folder = tmp_path_factory.getbasetemp() / "world"
    if not folder.exists():
        drawn = problems.write(folder, "train", TRAIN)
        problems.write(folder, "heldout", HELDOUT)
        vlm.build(folder / "model", _texts(drawn), vocabulary=400)
        _shrink(folder / "model", folder / "small")
    return folder


@pytest.fixture
def policy(world) -> Policy:
    """The small model, loaded anew. It passes for checked, so that no forward runs that a test did not ask for."""
    found = load(str(world / "small"), device="cpu")
    found.checked = True
    return found


@pytest.fixture(scope="session")
def drawn(world) -> list[Problem]:
    """The training problems."""
    return list(read_records(world / "train.jsonl", Problem))


def _shrink(model: Path, target: Path) -> None:
    """The same processor before a model of a few ten thousand random weights, for tests that load and save a lot."""
    shutil.copytree(model, target, ignore=shutil.ignore_patterns("*.safetensors"))
    config = AutoConfig.from_pretrained(model)
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "layer_types": ["full_attention"] * 2}  # fmt: skip
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
              "fullatt_block_indexes": [0, 1]}  # fmt: skip
    for part, values in ((config.text_config, text), (config.vision_config, vision)):
        for name, value in values.items():
            setattr(part, name, value)
    config.text_config.rope_parameters = {**config.text_config.rope_parameters, "mrope_section": [1, 1, 2]}
    create(config, target, SEED)


def _texts(path: Path) -> list[str]:
    """What the tokenizer learns from: every prompt and every written solution."""
    texts = []
    for p in read_records(path, Problem):
        parts = [part for m in messages(p, style(STYLE)) for part in m["content"]]
        texts += [part["text"] for part in parts if part["type"] == "text"]
        texts.append(style(STYLE).target(p.thought or "", p.answer or ""))
    return texts
