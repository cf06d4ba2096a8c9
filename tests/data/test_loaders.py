"""What `convert` writes, read by LLaMA-Factory's and EasyR1's own loaders.

Both ask for older libraries than this package, so no extra brings them: in an environment of its own, install
llamafactory without its dependencies, and datasets, put a checkout of EasyR1 on PYTHONPATH, and run with -m peers.
"""

import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import PIL.Image
import pytest

from tests.data.test_convert import foreign
from visreason.cli import main

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def rows(tmp_path):
    """Rows with one, two and no pictures."""
    for name in ("a.png", "b.png"):
        PIL.Image.effect_noise((60, 40), 80).save(tmp_path / name)
    one = {"question": "How many?", "answer": "4", "images": ["a.png"]}
    two = {"question": "Is <image> like <image>?", "answer": "no", "images": ["a.png", "b.png"]}
    none = {"question": "1+1?", "answer": "2"}
    return put(tmp_path, one, two, none)


def put(folder, *rows):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def converted(path, to):
    out = path.parent / to
    assert main(["convert", f"data={path}", f"to={to}", "name=mine", "style=direct", f"out={out}"]) == 0
    return out


def llama_factory(folder):
    """The rows as LLaMA-Factory aligns them, by dataset_info.json."""
    silent = ModuleType("torchaudio")  # imported there for sounds
    silent.__spec__ = ModuleSpec("torchaudio", None)
    sys.modules.setdefault("torchaudio", silent)
    loader = pytest.importorskip("llamafactory.data.loader")
    model = SimpleNamespace(cache_dir=str(folder / "cache"), hf_hub_token=None)
    data = SimpleNamespace(dataset_dir=str(folder), media_dir=str(folder), streaming=False, max_samples=None,
                           preprocessing_num_workers=None, overwrite_cache=True)  # fmt: skip
    (attributes,) = loader.get_dataset_list(["mine"], str(folder))
    training = SimpleNamespace(local_process_index=0)
    return list(loader._load_single_dataset(attributes, model, data, training))


@pytest.mark.parametrize("name", ["sharegpt", "messages"])
def test_llama_factory_reads_conversations(name, rows):
    one, two, none = llama_factory(converted(rows, name))
    assert [m["content"] for m in one["_prompt"]] == ["<image>\nHow many?"]
    assert [m["content"] for m in one["_response"]] == ["4"]
    assert [len(r["_images"] or []) for r in (one, two, none)] == [1, 2, 0]
    assert all(PIL.Image.open(p).size == (60, 40) for r in (one, two) for p in r["_images"])
    assert two["_prompt"][0]["content"].count("<image>") == 2


def test_llama_factory_reads_rankings(tmp_path):
    PIL.Image.effect_noise((60, 40), 80).save(tmp_path / "a.png")
    (row,) = llama_factory(converted(put(tmp_path, foreign(tmp_path / "a.png")["ranking"]), "ranking"))
    assert [m["content"] for m in row["_response"]] == ["4", "5"]
    assert len(row["_images"]) == 1


def test_easyr1_reads_its_rows(rows, tmp_path):
    dataset = pytest.importorskip("verl.utils.dataset")
    from transformers import AutoProcessor

    from visreason.prompt import style
    from visreason.world.source import model_folder

    model = model_folder("world", tmp_path, style("direct"), 0)
    processor = AutoProcessor.from_pretrained(model)
    out = converted(rows, "easyr1")
    found = dataset.RLHFDataset(
        str(out / "easyr1.jsonl"), processor.tokenizer, processor, prompt_key="problem", answer_key="answer",
        image_key="images", image_dir=str(out), max_prompt_length=512, filter_overlong_prompts_workers=1,
    )  # fmt: skip
    assert [found[i]["ground_truth"] for i in range(3)] == ["4", "no", "2"]
    assert [len(found[i]["multi_modal_data"]["images"]) for i in range(3)] == [1, 2, 0]
    image = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert [bool((found[i]["input_ids"] == image).any()) for i in range(3)] == [True, True, False]
