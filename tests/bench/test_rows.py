"""Rows unlike those that authors publish: named and kept aside, never a traceback, never a silent zero."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.bench.rows import mathvision
from visreason import cli
from visreason.bench import BENCHES, bench
from visreason.bench.columns import options
from visreason.bench.files import revision, rows
from visreason.bench.kind import Row, Rules
from visreason.bench.outputs import read_outputs
from visreason.bench.problems import read_problems
from visreason.bench.scoring import by_rule, by_stored
from visreason.errors import DataError
from visreason.record import Completion, Problem, Sample, Score

ODD = (None, 3, "text", [1, 2], {"question": {}, "answer": "1"}, {"correctness": "yes", "response": "1"},
       {"id": "1", "question": "q", "answer": "1", "metadata": 1.5, "human_ranking": [0, {}], "response": "1"},
       {"id": "1", "response": "1", "reward": "high", "subset": "math-prm", "mark": []},
       {"id": "1", "response": "1", "chosen_score": 1.0, "subset": "math-prm", "model_output": {"m": 1}})  # fmt: skip


def lines(path, values):
    path.write_text("".join(json.dumps(v) + "\n" for v in values))
    return path


def command(capsys, *words):
    status = cli.main(["evaluate", *map(str, words)])
    return status, " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_a_row_unlike_any_is_rejected_with_its_line(name, tmp_path):
    path = lines(tmp_path / "o.jsonl", ODD)
    with pytest.raises(DataError, match=r"found [1-9] that can't"):
        read_outputs(bench(name), path, None, len(ODD))
    with contextlib.suppress(DataError):  # of some none can be used
        assert read_problems(bench(name), path, None, tmp_path, images=False).rejected


@pytest.mark.parametrize("reward", ["high", {"a": 1}, float("nan")])
def test_a_reward_that_is_no_number_is_said(reward, tmp_path, capsys):
    row = {"id": "0", "question": "What is 0?", "answer": "0", "response": "0", "reward": reward}
    status, said = command(
        capsys, "bench=flat", f"completions={lines(tmp_path / 'o.jsonl', [row])}", f"out={tmp_path / 'r'}"
    )
    assert status == 1
    assert "expected a reward as a number" in said


@pytest.mark.parametrize(
    "row", [[1.0, 2.0], {"problem": {}, "score": {"value": 1.0}}, {"id": "p", "reward": float("nan")}]
)
def test_a_file_of_rewards_that_holds_none_is_said(row, tmp_path, capsys):
    own = lines(tmp_path / "o.jsonl", [{"id": "p", "question": "1+1?", "answer": "2", "response": "2"}])
    rewards = lines(tmp_path / "r.jsonl", [row])
    status, said = command(
        capsys, "bench=flat", f"completions={own}", f"rewards={rewards}", f"out={tmp_path / 'r'}"
    )
    assert (status, "r.jsonl line 1: expected a r" in said) == (1, True)


def test_rewards_without_completions_are_refused(tmp_path, capsys):
    status, said = command(
        capsys, "bench=mathvision", "model=m", "data=d", "rewards=r.jsonl", f"out={tmp_path / 'r'}"
    )
    assert (status, "rewards has no effect without completions" in said) == (2, True)


def test_scores_of_a_pair_that_are_no_numbers_decide_nothing(tmp_path):
    path = lines(tmp_path / "o.jsonl", [{"id": "1", "chosen_score": float("nan"), "rejected_score": 0.0}])
    with pytest.raises(DataError, match="nan"):
        read_outputs(bench("vl_rewardbench"), path, None)


def test_rows_of_another_split_are_left_out_and_not_right(tmp_path):
    row = {
        "index": 1,
        "id": "dev_Art_1",
        "split": "dev",
        "question": "?",
        "answer": "A",
        "prediction": "anything",
    }
    val = {
        "index": 2,
        "id": "validation_Art_1",
        "split": "validation",
        "question": "?",
        "answer": "7",
        "prediction": "8",
    }
    found = read_outputs(bench("mmmu"), lines(tmp_path / "o.jsonl", [row, val]), None)
    assert [s.problem.id for s in found.samples] == ["validation_Art_1"]


def test_outputs_without_ids_are_not_matched_by_their_line(tmp_path, capsys):
    path = lines(tmp_path / "o.jsonl", [{"response": f"The answer is {i}"} for i in range(1, 6)])
    words = [
        "bench=mathvision",
        f"data={mathvision(tmp_path / 'b')}",
        f"completions={path}",
        f"out={tmp_path / 'r'}",
    ]
    status, said = command(capsys, *words)
    assert status == 1
    assert "o.jsonl line 1: expected an id in column id, pid" in said


def test_a_table_whose_line_has_other_cells_than_its_head_is_refused(tmp_path):
    (tmp_path / "o.tsv").write_text("id\tresponse\n1\ta\n2\tb\tc\n")
    with pytest.raises(DataError, match="line 3: expected 2 cells, found 3"):
        list(rows(tmp_path / "o.tsv"))


def test_samples_of_a_row_are_as_many_in_every_list(tmp_path):
    path = lines(
        tmp_path / "o.jsonl",
        [{"id": "1", "question": "q", "answer": "1", "response": ["1", "2"], "reward": [0.5]}],
    )
    with pytest.raises(DataError, match="lists of one length"):
        read_outputs(bench("flat"), path, None, 2)


@pytest.mark.parametrize("name", ["wemath", "mathverse", "dynamath", "counting"])
def test_a_request_that_failed_is_errored_and_not_wrong(name, tmp_path):
    row = {"ID": "2steps_1", "key": "2steps_1", "question": "?", "answer": "A", "option": "A. x; B. y", "qid": "1",
           "image_path": "a/1.png", "ground_truth": "A", "problem_version": "Vision Only", "problem_index": "1",
           "response": "A server's words", "finish": "error"}  # fmt: skip
    found = read_outputs(bench(name), lines(tmp_path / "o.jsonl", [row]), None)
    assert [s.reason for s in by_rule(bench(name), Rules())(found.samples)] == ["errored"]


@pytest.mark.parametrize("name", ["logicvista", "wemath", "mmmu", "vl_rewardbench"])
def test_an_empty_extraction_is_unparsed_and_not_wrong(name):
    meta = {"extraction": " ", "question_type": "multiple-choice"}
    empty = Sample(Problem("p", "?", answer="A", choices=("x", "y"), meta=meta), Completion("Hm"), Score(0.0))
    assert by_stored(bench(name), Rules())([empty])[0].reason == "unparsed"


def test_an_error_that_is_none_is_the_usual_one(tmp_path):
    row = {"id": 1, "question": "q", "final_answer": ["28"], "error": "nan", "answer_type": "Numerical"}
    (problem,) = read_problems(
        bench("olympiadbench"), lines(tmp_path / "d.jsonl", [row]), None, tmp_path
    ).problems
    assert bench("olympiadbench").score(problem, "28.0", Rules()).correct


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("olympiadbench", {"final_answer": ["1"], "error": "small"}, "expected an error as a number"),
        ("dynamath", {"answer": "three", "answer_type": "float"}, "expected an answer as a number"),
    ],
)  # fmt: skip
def test_a_gold_that_nothing_can_be_compared_with_is_rejected_before_anything_is_asked(
    name, row, said, tmp_path
):
    row = {"id": 1, "qid": 1, "question": "q", **row}
    good = row | {"id": 2, "qid": 2, "error": "0.1", "answer": "3"}
    path = lines(tmp_path / "d.jsonl", [row, good])
    found = read_problems(bench(name), path, None, tmp_path)
    assert [said in r["reason"] for r in found.rejected] == [True]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vl_rewardbench", "Therefore" + " " * 3000 + "it is so"),
        ("vl_rewardbench", "Therefore, " * 3000),
        ("olympiadbench", "\\boxed{" * 20000 + "}" * 20000),
        ("mmmu", "so it is " + "1" * 30000),
    ],
)
def test_a_response_that_repeats_itself_does_not_take_minutes_or_for_ever(name, text):
    meta = {"question_type": "open"}
    problem = Problem("p", "?", answer="1", meta=meta)
    (found,) = by_rule(bench(name), Rules())([Sample(problem, Completion(text), Score(0.0))])
    assert not found.correct


def test_options_of_an_object_stand_in_their_order_and_empty_ones_are_none():
    numbered = {str(i): f"option {i}" for i in range(12)}
    row = Row({"options": dict(reversed(numbered.items()))}, "", Path("d.json"), 1)
    assert options(row) == tuple(numbered.values())
    assert options(Row({"options": {"A": "red", "B": "blue", "C": None}}, "", Path("d.json"), 1)) == (
        "red",
        "blue",
    )


@pytest.mark.parametrize(
    ("written", "golds"), [("[\"it's\", 'so']", ["it's", "so"]), ("[0, 1)", ["[0, 1)"]), ("['7']", ["7"])]
)
def test_open_answers_written_as_a_list_are_several(written, golds, tmp_path):
    row = {"id": "validation_Math_1", "question": "?", "answer": written, "question_type": "open"}
    (problem,) = read_problems(bench("mmmu"), lines(tmp_path / "d.jsonl", [row]), None, tmp_path).problems
    assert [problem.answer, *problem.meta.get("accepted", ())[1:]] == golds


def test_only_a_commit_in_the_hubs_cache_is_a_revision():
    commit = "0123456789abcdef" * 2 + "01234567"
    assert revision(Path(f"hub/snapshots/{commit}/test.jsonl")) == commit
    assert revision(Path("data/snapshots/mathvision/test.jsonl")) is None
