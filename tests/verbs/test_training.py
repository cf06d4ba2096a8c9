"""What the training verbs do with bad input and a full disk; that they learn is shown in tests/train."""

import json
import resource
import shutil
import sys
from pathlib import Path

import PIL.Image
import pytest

from tests.model.world import STYLE
from visreason import cli, store
from visreason.model.load import load
from visreason.recipe import fill
from visreason.record import Sample, to_json
from visreason.store import checkpoints, manifest, read_records, read_rows
from visreason.train import checkpoint

VERBS = ("sft", "grpo")


def command(capsys, verb, world, out, data, *words):
    """Exit status and the paragraph that the command line prints as its error."""
    common = [
        f"style={STYLE}",
        "device=cpu",
        "steps=2",
        "save_every=1",
        "problems_per_step=2",
        f"model={world}/small",
    ]
    rollout = ["completions_per_problem=2", "max_completion_tokens=4"] if verb == "grpo" else []
    status = cli.main([verb, *common, *rollout, f"data={data}", f"out={out}", *words])
    lines = capsys.readouterr().err.splitlines()
    return status, lines[-1] if lines else ""


def rows(drawn, folder):
    """Good problems with pictures in a folder, as JSON objects."""
    shutil.copy(drawn[0].images[0].path, folder / "a.png")
    row = {"answer": "2", "thought": "One and one.", "image": "a.png"}
    return [{"id": f"p{i}", "question": f"What is {i} + 1?", **row} for i in range(4)]


def write(path, objects):
    path.write_text("".join(json.dumps(o) + "\n" for o in objects))
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_rows_that_can_not_be_learned_are_counted_and_kept_and_the_others_are_learned(
    verb, world, drawn, tmp_path, capsys
):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "half.png").write_bytes(Path(drawn[0].images[0].path).read_bytes()[:100])
    PIL.Image.new("RGB", (1, 4000)).save(tmp_path / "strip.png")
    good = rows(drawn, tmp_path)
    bad = {
        "found no file": {"image": "none.png"},
        "0 bytes": {"image": "empty.png"},
        "can't be decoded": {"image": "half.png"},
        "1 x 4000": {"image": "strip.png"},
        "found none": {"answer": None},
        "found an empty one": {"question": " "},
        "the prompt has": {"question": "What is this? " * 500},
    }
    if verb == "grpo":
        bad["a second time"] = {"id": "p0"}
    broken = [good[0] | {"id": reason} | change for reason, change in bad.items()]
    data = write(tmp_path / "data.jsonl", [*broken[:3], *good, *broken[3:]])
    status, _ = command(capsys, verb, world, tmp_path / "run", data, "max_prompt_tokens=400")
    assert status == 0
    assert manifest(tmp_path / "run")["counts"] == {"problems": 4, "rejected": len(bad)}
    kept = [row for _, row in read_rows(tmp_path / "run" / "rejected.jsonl")]
    assert len(kept) == len(bad)
    for reason in bad:
        assert sum(reason in row["reason"] for row in kept) == 1, reason


def test_problems_without_a_thought_can_be_learned_in_direct_style_only(world, drawn, tmp_path, capsys):
    data = write(
        tmp_path / "data.jsonl",
        [{k: v for k, v in r.items() if k != "thought"} for r in rows(drawn, tmp_path)],
    )
    status, line = command(capsys, "sft", world, tmp_path / "a", data)
    assert (status, "give style=direct" in line) == (1, True)
    assert command(capsys, "sft", world, tmp_path / "b", data, "style=direct")[0] == 0


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("", [], "found no rows"),
        ('{"question": "?"}\n', [], "rejected rows; the first: "),
        (None, [], "none that can be read"),
        ("good", ["max_prompt_tokens=16"], "the prompt has"),
        ("good", ["device=tpu"], "expected device cpu, cuda or auto, found 'tpu'"),
        ("good", ["model=no/model/here"], "expected a model or a run at no/model/here, found nothing there"),
    ],
)
def test_nothing_to_learn_is_a_paragraph(verb, world, drawn, tmp_path, capsys, content, words, message):
    data = write(tmp_path / "data.jsonl", rows(drawn, tmp_path))
    if content is None:
        data.unlink()
    elif content != "good":
        data.write_text(content)
    status, line = command(capsys, verb, world, tmp_path / "run", data, *words)
    assert status == 1
    assert message in line
    assert "unexpected" not in line


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("stf", [], "unknown verb 'stf'; did you mean 'sft'?"),
        ("sft", ["step=3"], "unknown field 'step'; did you mean 'steps'?"),
        ("sft", ["completions_per_problem=3"], "unknown field 'completions_per_problem'"),
        ("grpo", ["completions_per_problem=1"], "completions_per_problem: "),
        ("grpo", ["rewards={corect: 1.0}"], "unknown reward 'corect'; did you mean 'correct'?"),
        ("grpo", ["rewards={}"], "expected at least one reward"),
        ("grpo", ["rewards={nothing.here:f: 1.0}"], "expected a reward at 'nothing.here:f'"),
        ("sft", ["freeze=[eyes]"], "freeze"),
        (
            "sft",
            ["freeze=[vision, merger, language]"],
            "expected parameters to train, found none left by freeze=",
        ),
        (
            "sft",
            ["lora_rank=2", "freeze=[language]"],
            "freeze has no effect without lora_rank left out (lora_parts says what is trained)",
        ),
        ("sft", ["seed=99999999999999999999"], "seed: "),
    ],
)
def test_wrong_words_end_with_status_2(verb, words, message, world, tmp_path, capsys):
    status, line = command(capsys, verb, world, tmp_path / "run", world / "train.jsonl", *words)
    assert status == 2
    assert message in line


def test_a_tensorboard_that_is_not_installed_is_named(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    status, line = command(capsys, "sft", world, tmp_path / "run", world / "train.jsonl", "tensorboard=true")
    assert status == 2
    assert "install visreason[tensorboard]" in line


# A full disk, by the limit that a process has for the size of its files


@pytest.fixture
def limited():
    """Sets the largest file this process can write; taken back at the end."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("file", ["model.safetensors", "trainer.pt"])
def test_a_disk_that_is_full_at_a_checkpoint_keeps_the_one_before(world, tmp_path, capsys, limited, file):
    save, calls = checkpoint.Keeper.save, []

    def save_to_a_full_disk(keeper, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            weights = checkpoints(keeper.run)[0] / "model.safetensors"
            limited(weights.stat().st_size + (-1000 if file == "model.safetensors" else 1000))
        try:
            return save(keeper, *args, **kwargs)
        finally:
            limited(resource.RLIM_INFINITY)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.Keeper, "save", save_to_a_full_disk)
        status, line = command(capsys, "sft", world, tmp_path / "run", world / "train.jsonl", "steps=3")
    assert status == 1
    assert "can't write the checkpoint" in line
    assert "make room and give the same command again" in line
    assert [p.name for p in (tmp_path / "run" / "checkpoint").iterdir()] == ["step_000001"]
    load(str(tmp_path / "run" / "checkpoint" / "step_000001"), device="cpu")
    assert command(capsys, "sft", world, tmp_path / "run", world / "train.jsonl", "steps=3")[0] == 0
    assert manifest(tmp_path / "run")["summary"]["checkpoint"] == "checkpoint/step_000003"


def test_a_disk_that_is_full_at_the_records_keeps_the_earlier_ones(world, tmp_path, capsys, limited):
    append = store.Run.append

    def append_to_a_full_disk(run, name, records):
        path = run.path / name
        if name == "samples.jsonl" and path.exists() and path.stat().st_size:
            limited(path.stat().st_size + 100)
        try:
            return append(run, name, records)
        finally:
            limited(resource.RLIM_INFINITY)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.Run, "append", append_to_a_full_disk)
        status, line = command(capsys, "grpo", world, tmp_path / "run", world / "train.jsonl")
    assert status == 1
    assert "samples.jsonl: File too large. Earlier records are kept; make room" in line
    assert len(list(read_records(tmp_path / "run" / "samples.jsonl", Sample))) == 4
    assert command(capsys, "grpo", world, tmp_path / "run", world / "train.jsonl")[0] == 0
    assert len(list(read_records(tmp_path / "run" / "samples.jsonl", Sample))) == 8


# Recipes that come with the package

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*/*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_recipe_is_one_of_its_verb(path):
    module = cli._verb(path.parent.name)
    needed = [
        f"{n}=x"
        for n, f in module.Recipe.model_fields.items()
        if f.is_required() and f"{n}:" not in path.read_text()
    ]
    assert fill(module.Recipe, [str(path), *needed])


def test_samples_are_learned_as_they_stand(world, drawn, tmp_path, capsys):
    problem = drawn[0]
    made = [
        {"problem": to_json(problem), "completion": {"text": t}, "score": {"value": 1.0}}
        for t in ("aa", "bb", "cc")
    ]
    data = write(tmp_path / "data.jsonl", made)
    assert command(capsys, "sft", world, tmp_path / "run", data, "steps=1", "problems_per_step=1")[0] == 0
    metrics = [row for _, row in read_rows(tmp_path / "run" / "metrics.jsonl")]
    tokenizer = load(str(world / "small"), device="cpu").encoder
    lengths = [len(tokenizer.completion(t)) for t in ("aa", "bb", "cc")]
    assert metrics[0]["completion_length"] == pytest.approx(sum(lengths) / 3)
    assert metrics[0]["tokens_saved"] > 0


def test_completions_that_can_not_be_taught_are_set_aside(world, drawn, tmp_path, capsys):
    texts = {
        "found the control token '<|image_pad|>'": {"text": "see <|image_pad|>"},
        "found the control token '<|im_end|>'": {"text": "4<|im_end|>4"},
        "finish 'length'": {"text": "<think>and so", "finish": "length"},
        "finish 'error'": {"text": "no such image", "finish": "error"},
    }
    good = {"text": "<|begin_of_thought|>\n\n4\n\n<|end_of_thought|>"}
    made = [
        {"problem": to_json(drawn[0]), "completion": completion, "score": {"value": 1.0}}
        for completion in (*texts.values(), good)
    ]
    flat = {"question": "How many?", "answer": "4", "thought": "I count.", "completion": "4"}
    data = write(tmp_path / "data.jsonl", [*made, flat])
    assert command(capsys, "sft", world, tmp_path / "run", data)[0] == 0
    assert manifest(tmp_path / "run")["counts"] == {"problems": 2, "rejected": len(texts)}
    kept = [row["reason"] for _, row in read_rows(tmp_path / "run" / "rejected.jsonl")]
    assert all(reason in found for reason, found in zip(texts, kept, strict=True))


@pytest.mark.parametrize("verb", VERBS)
def test_several_data_files_are_learned_as_one(verb, world, drawn, tmp_path, capsys):
    good = rows(drawn, tmp_path)
    files = [write(tmp_path / "a.jsonl", good[:2]), write(tmp_path / "b.jsonl", good[2:])]
    out = tmp_path / "run"
    assert command(capsys, verb, world, out, f"[{files[0]}, {files[1]}]")[0] == 0
    found = manifest(out)
    assert found["counts"] == {"problems": 4, "rejected": 0}
    assert list(found["inputs"])[:2] == list(map(str, files))
