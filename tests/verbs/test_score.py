"""`visreason score`: any row format, self-test, agreement with recorded verdicts, resume, report."""

import json

import pytest

from visreason import cli
from visreason.answer import budget
from visreason.record import Sample, Score
from visreason.reward import on_file
from visreason.store import read_json, read_records
from visreason.verbs import score

ROWS = [
    {"id": "a", "question": "1+1?", "answer": "2", "response": r"\boxed{2}", "kind": "sum", "expected": True},
    {"id": "b", "question": "Which?", "choices": ["red", "blue"], "answer": "B", "response": "<answer>A</answer>",
     "kind": "choice", "judged": True},
    {"id": "c", "gold": "5", "pred": "The answer is 5.", "kind": "sum", "expected": False},
    {"id": "d", "gold": "7", "response": "n = 3\nprint(n + 4)\nprint(n)", "extraction": "7", "kind": "sum",
     "expected": True},
    {"id": "e", "gold": "7", "pred": "8", "expected": True, "convention": "off by one"},
    {"id": "f", "gold": "", "pred": "8"},
]  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\nno json\n", encoding="utf-8")
    return path


def run(file, out, *words):
    return cli.main(["score", f"samples={file}", f"out={out}", *words])


def test_rows_of_every_kind_are_scored_and_add_up(file, tmp_path):
    out = tmp_path / "run"
    assert run(file, out) == 0
    manifest = read_json(out / "manifest.json")
    assert manifest["counts"] == {
        "n": 6, "correct": 3, "wrong": 2, "unparsed": 0, "truncated": 0, "errored": 1, "rejected": 1,
    }  # fmt: skip
    reasons = {s.problem.id: s.score.reason for s in read_records(out / "samples.jsonl", Sample)}
    assert reasons == {"a": "exact", "b": "wrong", "c": "exact", "d": "exact", "e": "wrong", "f": "errored"}
    assert manifest["summary"]["by_kind"]["sum"]["n"] == 3


def test_agreement_counts_what_was_accepted_or_refused_against_the_record(file, tmp_path):
    run(file, tmp_path / "run")
    found = read_json(tmp_path / "run" / "manifest.json")["summary"]["agreement"]
    assert (found["n"], found["value"], found["wrong_accepts"], found["wrong_rejects"]) == (4, 0.5, 1, 1)
    assert found["by_kind"]["choice"]["wrong_rejects"] == 1
    assert found["responses_alone"]["value"] == 0.25


built = []


def mine(samples):
    return [Score(1.0, reason="exact") for _ in samples]


def test_a_reward_is_made_once_for_all_blocks(file, tmp_path, monkeypatch):
    made = on_file.from_names
    monkeypatch.setattr(on_file, "BLOCK", 2)
    for module in (score, on_file):
        monkeypatch.setattr(module, "from_names", lambda *a: built.append(a) or made(*a))
    assert run(file, tmp_path / "run", "reward=tests.verbs.test_score:mine") == 0
    assert len(built) == 2, "to look at it before anything is read, and to score"


def judges_none(samples):
    return [Score(0.5) for _ in samples]


def test_rules_say_what_a_reward_does_not_judge(file, tmp_path):
    assert run(file, tmp_path / "run", "reward=tests.verbs.test_score:judges_none") == 0
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert (manifest["counts"]["correct"], manifest["summary"]["reward"]) == (2, 0.5)


def test_a_field_that_no_row_has_divides_no_summary(file, tmp_path, capsys):
    assert run(file, tmp_path / "run", "by=[kind, colour]") == 2
    assert "found colour; these rows have convention, expected" in " ".join(capsys.readouterr().err.split())


def test_samples_of_other_rows_are_not_gone_on_with(file, tmp_path, capsys):
    out = tmp_path / "run"
    run(file, out)
    (out / "manifest.json").unlink()
    file.write_text(file.read_text().replace('"id": "a"', '"id": "z"'))
    assert run(file, out) == 1
    assert "the data changed since the run began" in " ".join(capsys.readouterr().err.split())


def test_gold_answers_that_can_not_be_checked_are_listed_before_the_run(file, tmp_path, capsys):
    run(file, tmp_path / "run")
    [failure] = [json.loads(line) for line in (tmp_path / "run" / "golds.jsonl").read_text().splitlines()]
    assert failure["id"] == "f"
    assert "1 gold answers can't be checked" in capsys.readouterr().err


def test_what_was_not_read_is_said_on_the_terminal(file, tmp_path, capsys):
    file.write_text(file.read_text() + '{"id": "g", "gold": "7", "pred": "7", "expected": "seven"}\n')
    run(file, tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert "1 rows set aside, kept with their reasons in" in said
    assert "1 of them, line 7 first: expected JSON" in said
    assert "1 recorded verdict is neither true nor false" in said
    assert read_json(tmp_path / "run" / "manifest.json")["summary"]["unread_verdicts"] == 1


def test_a_run_that_failed_before_it_began_is_given_again(tmp_path):
    path, out = tmp_path / "rows.jsonl", tmp_path / "run"
    assert run(path, out) == 1
    path.write_text("[]\n")
    assert run(path, out, "limit=5") == 1
    path.write_text(json.dumps(ROWS[0]) + "\n")
    assert run(path, out) == 0
    assert read_json(out / "manifest.json")["counts"]["correct"] == 1


def test_no_row_behind_the_limit_is_read(file, tmp_path):
    out = tmp_path / "run"
    assert run(file, out, "limit=2") == 0
    assert read_json(out / "manifest.json")["counts"]["rejected"] == 0


def test_why_a_sample_is_errored_is_counted(file, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "MAX_STEPS", 0)
    run(file, tmp_path / "run")
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert manifest["counts"]["errored"] == 5
    assert manifest["summary"]["overrun"] == 4  # the fifth has no gold answer


def test_disagreements_have_a_page(file, tmp_path):
    run(file, tmp_path / "run")
    page = (tmp_path / "run" / "report" / "disagreements.html").read_text(encoding="utf-8")
    assert "1 of 1 responses that are recorded wrong were accepted" in page
    assert "Which?" in page


def test_a_killed_run_goes_on_after_its_last_whole_block(file, tmp_path, monkeypatch):
    monkeypatch.setattr(on_file, "BLOCK", 2)
    whole = tmp_path / "whole"
    run(file, whole)
    asked = []
    out = tmp_path / "killed"
    run(file, out)
    (out / "manifest.json").unlink()
    lines = (out / "samples.jsonl").read_text().splitlines(keepends=True)
    (out / "samples.jsonl").write_text("".join(lines[:3]) + '{"cut')
    once = on_file.correct_or_extracted
    monkeypatch.setattr(on_file, "correct_or_extracted", lambda s: asked.append(len(s)) or once(s))
    assert run(file, out) == 0
    assert asked == [2, 2]
    assert (out / "samples.jsonl").read_text() == (whole / "samples.jsonl").read_text()


def test_many_samples_are_scored_by_several_processes_in_order(tmp_path):
    path = tmp_path / "many.jsonl"
    rows = [
        {"id": str(i), "question": "Q?", "answer": str(i), "response": str(i)}
        for i in range(on_file.ALONE + 50)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert run(path, tmp_path / "run") == 0
    scored = list(read_records(tmp_path / "run" / "samples.jsonl", Sample))
    assert [s.problem.id for s in scored] == [r["id"] for r in rows]
    assert all(s.score.correct for s in scored)


def test_another_reward_and_a_filter(file, tmp_path):
    assert run(file, tmp_path / "run", "reward=format", "where={kind: sum}", "limit=2") == 0
    assert read_json(tmp_path / "run" / "manifest.json")["counts"]["n"] == 2


def test_a_file_without_samples_is_an_error(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "Q?"}\n', encoding="utf-8")
    assert run(path, tmp_path / "run") == 1
    assert "expected samples" in capsys.readouterr().err
