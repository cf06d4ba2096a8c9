"""The verbs one after the other, as they are typed: on the world, and on the real pictures of MathVision."""

import json
import re

from tests.data.shared import shared
from tests.model.world import STYLE
from visreason import cli
from visreason.record import Sample
from visreason.store import manifest, model_path, read_records


def obey(capsys, *words):
    """Run a command that must succeed; returns what it printed."""
    status = cli.main([str(w) for w in words])
    shown = capsys.readouterr()
    assert status == 0, shown.err[-1000:]
    return shown.out


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def report(capsys, folder, *runs):
    out = obey(capsys, "report", f"runs=[{', '.join(map(str, runs))}]", f"out={folder}")
    assert str(folder / "index.html") in out
    return (folder / "index.html").read_text()


def pictures(page):
    """How many embedded pictures of problems a page shows."""
    return len(re.findall(r"data:image/(?:png|jpeg|webp)", page))


def test_sft_grpo_evaluate_ask_and_report_follow_each_other(world, tmp_path, capsys):
    common = [f"style={STYLE}", "device=cpu"]
    sft, grpo, before, after, adapted = (tmp_path / n for n in ("sft", "grpo", "before", "after", "adapted"))
    train = f"data={world}/train.jsonl"
    obey(
        capsys, "sft", f"model={world}/model", train, *common, "steps=3", "problems_per_step=4", f"out={sft}"
    )
    obey(capsys, "grpo", f"model={sft}", train, *common, "steps=2", "problems_per_step=2", "completions_per_problem=3",
         "max_completion_tokens=8", "rewards={correct: 1.0, tests.train.rewards:even: 1.0}", f"out={grpo}")  # fmt: skip
    obey(
        capsys,
        "sft",
        f"model={sft}",
        train,
        *common,
        "steps=1",
        "problems_per_step=2",
        "lora_rank=2",
        f"out={adapted}",
    )
    for model, out in ((sft, before), (grpo, after), (adapted, tmp_path / "lora")):
        obey(capsys, "evaluate", f"model={model}", f"data={world}/heldout.jsonl", *common, "limit=6", "samples=2",
             "temperature=1.0", "max_completion_tokens=8", f"out={out}")  # fmt: skip
    assert manifest(grpo)["summary"] == {"steps": 2, "checkpoint": "checkpoint/step_000002"}
    assert [row["step"] for row in metrics(grpo)] == [1, 2]
    assert {s.completion.model for s in read_records(grpo / "samples.jsonl", Sample)} == {
        f"hf:{model_path(str(sft))}"
    }
    assert {s.completion.model for s in read_records(after / "samples.jsonl", Sample)} == {
        f"hf:{model_path(str(grpo))}"
    }
    for run, shown in ((sft, "Loss by step"), (grpo, "Reward, mean by step"), (after, "accuracy of all")):
        assert shown in (run / "report" / "index.html").read_text()  # each run ends with a page of its own
    counts = manifest(after)["counts"]
    assert (
        counts["n"] == 12 == sum(counts[k] for k in ("correct", "wrong", "unparsed", "truncated", "errored"))
    )
    assert set(manifest(after)["summary"]["by_family"]) == {"bars", "geometry", "counting", "tables"}

    picture = next(iter((world / "images").iterdir()))
    out = obey(
        capsys,
        "ask",
        f"model={grpo}",
        "question=How many?",
        f"image={picture}",
        *common,
        "max_completion_tokens=8",
    )
    assert "answer" in out
    page = report(capsys, tmp_path / "report", sft, grpo, before, after)
    assert pictures(page) >= 6
    for words in (
        "sft",
        "grpo",
        "before",
        "after",
        "bars",
        "geometry",
        "counting",
        "tables",
        "problems_per_step",
    ):
        assert words in page


def test_a_report_of_a_run_in_which_nothing_was_learned(world, tmp_path, capsys):
    obey(capsys, "grpo", f"model={world}/small", f"data={world}/train.jsonl", f"style={STYLE}", "device=cpu", "steps=2",
         "problems_per_step=2", "completions_per_problem=2", "max_completion_tokens=4", "zero_spread=drop",
         "rewards={tests.train.rewards:constant: 1.0}", f"out={tmp_path / 'grpo'}")  # fmt: skip
    assert "loss" not in metrics(tmp_path / "grpo")[0]
    assert "constant" in report(capsys, tmp_path / "report", tmp_path / "grpo")


def test_real_pictures_go_the_same_way_to_the_end(world, tmp_path, capsys):
    folder = shared("data/mathvision")
    data = f"data={folder}/data/testmini.jsonl"
    common = ["device=cpu", "max_pixels=12544", "limit=8"]
    sft, grpo, evaluated = (tmp_path / n for n in ("sft", "grpo", "evaluated"))
    obey(
        capsys,
        "sft",
        f"model={world}/model",
        data,
        "style=direct",
        *common,
        "steps=2",
        "problems_per_step=3",
        f"out={sft}",
    )
    obey(capsys, "grpo", f"model={sft}", data, f"style={STYLE}", *common, "steps=1", "problems_per_step=3",
         "completions_per_problem=2", "max_completion_tokens=6", f"out={grpo}")  # fmt: skip
    obey(
        capsys,
        "evaluate",
        f"model={grpo}",
        data,
        f"style={STYLE}",
        *common,
        "max_completion_tokens=6",
        f"out={evaluated}",
    )
    counts = manifest(evaluated)["counts"]
    assert (counts["n"], counts["rejected"], counts["errored"]) == (8, 0, 0)
    found = list(read_records(evaluated / "samples.jsonl", Sample))
    assert all(s.problem.images and s.completion.token_ids for s in found)
    question, picture = found[0].problem.question, found[0].problem.images[0].path
    words = [
        f"question={question}",
        f"image={picture}",
        f"style={STYLE}",
        "max_completion_tokens=6",
        "max_pixels=12544",
    ]
    assert "answer" in obey(capsys, "ask", f"model={grpo}", *words, "device=cpu")
    page = report(capsys, tmp_path / "report", sft, grpo, evaluated)
    assert pictures(page) >= 8
