import json
import shutil
from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoProcessor

from tests.model import tiny
from visreason.errors import ModelError
from visreason.model import load as loading
from visreason.model.check import self_check
from visreason.model.load import load
from visreason.model.policy import Policy


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("model.safetensors", 1000), ("model.safetensors", 0), ("model.safetensors", None), ("config.json", 50),
        ("config.json", None), ("tokenizer.json", 100), ("processor_config.json", 10),
    ],
)  # fmt: skip
def test_a_damaged_model_is_named_with_what_was_expected(world, tmp_path, name, left):
    shutil.copytree(world / "small", tmp_path / "model")
    file = tmp_path / "model" / name
    file.unlink() if left is None else file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(
        ModelError, match=r"can't load a vision-language model from .*model'.* Expected a Hugging Face"
    ):
        load(str(tmp_path / "model"), device="cpu")


@pytest.mark.parametrize("instead", [None, torch.zeros(7, 5)])
def test_a_model_that_lacks_a_weight_is_refused_where_a_random_one_would_stand_for_it(
    world, tmp_path, instead
):
    shutil.copytree(world / "small", tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "layers.1.mlp.down_proj" in name)
    save_file({k: v for k, v in (tensors | {name: instead}).items() if v is not None}, file, {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"1 of its weights are missing or of another shape, .*layers\.1\.mlp\.down_proj"
    ):
        load(str(tmp_path / "model"), device="cpu")


def test_code_beside_a_model_is_not_run_whatever_is_answered(world, tmp_path, monkeypatch):
    folder = shutil.copytree(world / "small", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    odd = {"model_type": "odd", "auto_map": {"AutoConfig": "odd.Odd"}}
    (folder / "config.json").write_text(json.dumps(config | odd))
    (folder / "odd.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ModelError, match="can't load a vision-language model"):
        load(str(folder), device="cpu")
    assert not (tmp_path / "ran").exists()


def test_a_model_is_loaded_in_the_precision_that_is_asked_for(world):
    assert {p.dtype for p in load(str(world / "small"), "bfloat16", "cpu").model.parameters()} == {
        torch.bfloat16
    }
    assert {p.dtype for p in load(str(world / "small"), "float32", "cpu").model.parameters()} == {
        torch.float32
    }


def test_the_same_seed_creates_the_same_weights_and_leaves_the_generator(world, tmp_path):
    config = AutoConfig.from_pretrained(world / "small")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        loading.create(config, tmp_path / name, seed)
    assert torch.rand(1) == expected
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert (a == b, a == c) == (True, False)


@pytest.mark.parametrize("size", [(40, 40), (10, 30), (100, 50), (20, 60), (200, 200)])
def test_max_pixels_holds_below_the_processors_own_minimum(world, size):
    processor = AutoProcessor.from_pretrained(world / "small")
    images = processor.image_processor
    images.size = {**dict(images.size), "shortest_edge": 8 * (images.patch_size * images.merge_size) ** 2}
    most = images.size["shortest_edge"] // 2
    loading.limit_pixels(processor, None, most)
    grid = images(PIL.Image.new("RGB", size), return_tensors="pt")["image_grid_thw"][0]
    assert 0 < int(grid.prod()) * images.patch_size**2 <= most


def test_min_pixels_holds_above_the_processors_own_maximum(world):
    processor = AutoProcessor.from_pretrained(world / "small")
    images = processor.image_processor
    cell = (images.patch_size * images.merge_size) ** 2
    images.size = {**dict(images.size), "longest_edge": 4 * cell}
    loading.limit_pixels(processor, 16 * cell, None)
    for size in ((56, 56), (560, 560)):
        grid = images(PIL.Image.new("RGB", size), return_tensors="pt")["image_grid_thw"][0]
        assert int(grid.prod()) * images.patch_size**2 == 16 * cell


def test_only_full_attention_shares_a_trunk(world):
    config = AutoConfig.from_pretrained(world / "small")
    assert loading.shares_trunk(config)
    config.text_config.layer_types = ["full_attention", "sliding_attention"]
    assert not loading.shares_trunk(config)
    config.text_config.layer_types = ["linear_attention", "full_attention"]
    assert not loading.shares_trunk(config)


def test_the_self_check_refuses_attention_that_leaks_between_branches(monkeypatch):
    policy = Policy(tiny.build("qwen2_5_vl"), None, None, "tiny", "segments")  # type: ignore[arg-type]
    tree = tiny.forest_trees(policy.model)[0]
    assert self_check(policy, tree) < 1e-5

    def leaky(q, k, v, layout, scale):
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=scale
        ).transpose(1, 2)

    monkeypatch.setitem(loading.attention.PATHS, "segments", leaky)
    with pytest.raises(ModelError, match=r"differ by .*, allowed are 1e-04.* give share_trunk=false"):
        self_check(policy, tree)


def test_a_saved_policy_is_a_directory_that_loads_again(policy, tmp_path):
    policy.save(tmp_path / "saved")
    again = load(str(tmp_path / "saved"), device="cpu")
    assert all(
        torch.equal(p, q) for p, q in zip(policy.model.parameters(), again.model.parameters(), strict=True)
    )
    assert {p.name for p in Path(tmp_path / "saved").iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
