"""Benchmarks from the command line with an engine: killed and resumed, as a suite, and side by side in a report."""

import json

import PIL.Image
import pytest

from tests.bench.rows import mathvision, outputs
from tests.verbs.test_evaluate import Killed, die_within_the_records_of_the_third_block
from visreason import cli
from visreason.bench import suites
from visreason.engine.script import Script
from visreason.store import manifest
from visreason.verbs import evaluate

PLUS = "script:tests.bench.rows:plus"


def with_pictures(folder, n):
    data = mathvision(folder, n, images=True)
    (folder / "images").mkdir()
    for i in range(n):
        PIL.Image.effect_noise((40, 40), 40 + i).save(folder / "images" / f"{i}.png")
    return data


def run(out, **fields):
    evaluate.run(evaluate.Recipe(**{"bench": "mathvision", "style": "hint", "partial": True, **fields}), out)


def test_a_killed_run_on_a_benchmark_asks_nothing_twice_and_ends_with_the_same_figures(tmp_path):
    fields = {"data": str(with_pictures(tmp_path / "bench", 9)), "model": PLUS, "block": 2}
    run(tmp_path / "whole", **fields)
    with pytest.MonkeyPatch.context() as patch:
        die_within_the_records_of_the_third_block(patch)
        with pytest.raises(Killed):
            run(tmp_path / "killed", **fields)
    generate, asked = Script.generate, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Script, "generate", lambda self, c, s: asked.extend(c) or generate(self, c, s))
        run(tmp_path / "killed", **fields)
    assert len(asked) == 5
    whole, killed = (manifest(tmp_path / name) for name in ("whole", "killed"))
    assert whole["summary"] == killed["summary"]
    assert whole["summary"]["figures"]["ALL"]["value"] == pytest.approx(100 * 6 / 9)
    assert (whole["summary"]["missing"], whole["summary"]["partial"]) == (3040 - 9, True)


def test_figures_of_fewer_problems_than_the_split_holds_are_labelled(tmp_path, capsys):
    data = with_pictures(tmp_path / "bench", 9)
    (data / "images" / "7.png").unlink()
    words = ["evaluate", "bench=mathvision", "style=hint", f"data={data}", f"model={PLUS}"]
    for name, more, missing in (("limited", ["limit=3"], 3040 - 3), ("run", [], 3040 - 8)):
        assert cli.main([*words, *more, f"out={tmp_path / name}"]) == 0
        summary = manifest(tmp_path / name)["summary"]
        assert (summary["partial"], summary["missing"]) == (True, missing)
    assert "PARTIAL: 3032 problems" in capsys.readouterr().err


def test_completions_that_lack_a_problems_output_are_refused(tmp_path, capsys):
    path = outputs(tmp_path / "o.jsonl", {str(i): f"The answer is {i}" for i in range(5)})
    words = ["evaluate", "bench=mathvision", f"data={mathvision(tmp_path / 'bench')}", f"completions={path}"]
    assert cli.main([*words, f"out={tmp_path / 'run'}"]) == 1
    assert "expected an output for every problem" in " ".join(capsys.readouterr().err.split())
    assert cli.main([*words, f"out={tmp_path / 'run'}", "partial=true"]) == 0
    assert manifest(tmp_path / "run")["summary"]["partial"]


def test_the_official_prompt_is_the_benchmarks_own(tmp_path):
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        generate = Script.generate
        patch.setattr(Script, "generate", lambda self, c, s: seen.extend(c) or generate(self, c, s))
        evaluate.run(
            evaluate.Recipe(
                bench="mathvision",
                style="official",
                model=PLUS,
                data=str(mathvision(tmp_path / "b")),
                partial=True,
            ),
            tmp_path / "run",
        )
    assert "only one letter is allowed" in seen[0][0]["content"][0]["text"]
    assert "only one letter is allowed" in manifest(tmp_path / "run")["summary"]["protocol"]["prompt"]["user"]


def test_a_suite_is_one_command_with_its_average(tmp_path, monkeypatch):
    monkeypatch.setitem(suites.SUITES, "pair", {"mathvision": "ALL", "mathvista": "ALL"})
    folder = tmp_path / "data"
    mathvision(folder / "mathvision")
    rows = {str(i): {"question": f"What is {i}?", "answer": str(i), "answer_type": "integer",
                     "question_type": "free_form"} for i in range(4)}  # fmt: skip
    (folder / "mathvista").mkdir()
    (folder / "mathvista" / "testmini.json").write_text(json.dumps(rows))
    run(tmp_path / "run", bench="pair", data=str(folder), model=PLUS)
    summary = manifest(tmp_path / "run")["summary"]
    assert summary["figures"]["mathvision"]["value"] == pytest.approx(100 * 4 / 6)
    assert summary["figures"]["mathvista"]["value"] == pytest.approx(100 * 2 / 4)
    assert summary["figures"]["average"]["value"] == pytest.approx((100 * 4 / 6 + 50) / 2)
    assert (summary["rounded"], summary["truncated"]) == (58.3, 58.3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=m", "data=d", "split=test"], "split has no effect without bench"),
        (["completions=c", "data=d"], "completions has no effect without bench"),
        (["bench=mathvision", "data=d"], "model is needed"),
        (["bench=mathvision", "model=m"], "data is needed"),
        (["bench=mathvision", "model=m", "completions=c", "data=d"], "found both"),
        (["bench=mathvision", "completions=c", "temperature=1"], "temperature has no effect without a model"),
        (["bench=mathvision", "model=m", "data=d", "extraction=stored"], "extraction=stored reads released"),
        (["model=m", "data=d", "style=official"], "give bench=..."),
        (["bench=mathvison", "model=m", "data=d"], "did you mean 'mathvision'"),
        (["bench=mathvision", "model=m", "data=.", "split=dev"], "its splits are test, testmini"),
        (["bench=mathvision", "model=m", "data=.", "trials=3"], "trials makes no difference to MATH-Vision"),
        (["bench=mmmu", "model=m", "data=.", "integer=float"], "integer makes no difference to MMMU"),
        (["bench=vl_rewardbench", "completions=c", "trials=3"], "trials has no effect without a model"),
    ],
)
def test_wrong_words_end_with_status_2(tmp_path, capsys, words, message):
    assert cli.main(["evaluate", *words, f"out={tmp_path / 'run'}"]) == 2
    assert message in capsys.readouterr().err


def compared(tmp_path, capsys, **second):
    data = with_pictures(tmp_path / "bench", 9)
    evil = "<script>alert(1)</script> The answer is"
    right = {str(i): f"{evil} {i}" for i in range(9)}
    wrong = {i: text if int(i) < 5 else f"{evil} 99" for i, text in right.items()}
    for name, answers in (("a", right), ("b", wrong)):
        path = outputs(tmp_path / f"{name}.jsonl", answers)
        run(tmp_path / name, data=str(data), completions=path, **(second if name == "b" else {}))
    words = ["report", f"runs=[{tmp_path / 'a'},{tmp_path / 'b'}]", f"out={tmp_path / 'page'}"]
    assert cli.main(words) == 0
    capsys.readouterr()
    return {
        p.name: p.read_text() for p in (tmp_path / "page").iterdir() if p.suffix in (".md", ".csv", ".html")
    }


def test_a_report_compares_two_runs_on_the_same_problems(tmp_path, capsys):
    found = compared(tmp_path, capsys)
    said = "b over a: -44.44 points [-78.88, -10.01], p = 0.1250, n = 9; better on 0 problems, worse on 4"
    assert said in found["comparison.md"]
    assert said in found["index.html"]
    assert "| a | rule | 9 | 100.00 [70.1, 100.0] |" in found["comparison.md"]
    assert "Gemini Pro" in found["comparison.md"]
    lost = [line.split(",") for line in found["comparison.csv"].splitlines() if ",lost," in line]
    assert [line[4] for line in lost] == ["5", "6", "7", "8"]
    assert "<script>" not in found["index.html"]
    assert "<script>" not in found["comparison.md"]
    assert found["index.html"].count('alt="Picture of problem') == 9
    assert "Not the same protocol" not in found["index.html"]


def test_runs_under_different_protocols_are_shown_with_where_they_differ(tmp_path, capsys):
    found = compared(tmp_path, capsys, style="awaker")
    assert "not the same protocol: extraction.style: hint and awaker" in found["comparison.md"]
    assert "Not the same protocol" in found["index.html"]


# From the hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub's cache on disk that holds one data set, and no network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    stored = tmp_path / "hub" / "datasets--someone--small"
    mathvision(stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return commit


@pytest.mark.parametrize("revision", ["", "@main"])
def test_a_data_set_of_the_hub_is_read_at_its_revision(hub, tmp_path, revision):
    run(tmp_path / "run", bench="tests.bench.rows:SMALL", data=f"hub:someone/small{revision}", model=PLUS)
    sealed = manifest(tmp_path / "run")
    card = sealed["summary"]["protocol"]
    assert (card["revision"], card["split"], card["problems"]) == (hub, "test", 6)
    assert sealed["summary"]["figures"]["ALL"]["n"] == 6
    assert next(iter(sealed["inputs"])).endswith(f"snapshots/{hub}/data/test.jsonl")


def test_a_data_set_that_can_not_be_fetched_is_a_paragraph(hub, tmp_path, capsys):
    words = [
        "evaluate",
        "bench=mathvision",
        "data=hub:someone/else",
        f"model={PLUS}",
        f"out={tmp_path / 'run'}",
    ]
    assert cli.main(words) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "expected the data set someone/else on the hub, found none that can be fetched" in said
    assert "give a path instead" in said


# Provenance


def test_a_run_that_is_resumed_when_all_is_answered_says_where_it_was_answered(tmp_path):
    fields = {"data": str(mathvision(tmp_path / "b")), "model": PLUS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Script, "device", "cuda:7")
        run(tmp_path / "run", **fields)
    (tmp_path / "run" / "manifest.json").unlink()
    run(tmp_path / "run", **fields)
    assert manifest(tmp_path / "run")["device"] == "cuda:7"


def test_a_suite_says_where_it_was_answered_and_which_column_it_lacks(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "data"
    mathvision(folder / "mathvision")
    for column, status in (("ALL", 0), ("level9", 1)):
        monkeypatch.setitem(suites.SUITES, "one", {"mathvision": column})
        words = [
            "evaluate",
            "bench=one",
            f"data={folder}",
            f"model={PLUS}",
            "style=hint",
            f"out={tmp_path / column}",
        ]
        assert cli.main(words) == status
    assert manifest(tmp_path / "ALL")["device"] == Script.device
    assert "expected the column 'level9' of mathvision" in " ".join(capsys.readouterr().err.split())


def test_the_card_says_how_long_prompts_may_be(tmp_path):
    run(tmp_path / "run", data=str(mathvision(tmp_path / "b")), model=PLUS)
    assert "max_prompt_tokens" in manifest(tmp_path / "run")["summary"]["protocol"]["asked"]
