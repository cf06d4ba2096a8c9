"""Figures against what one counts by hand, and against the authors' formulas."""

import json
import math
from dataclasses import replace
from itertools import combinations

import pytest

from tests.data.shared import shared
from visreason import cli
from visreason.bench import bench, pairs
from visreason.bench.dynamath import aggregate as dynamath
from visreason.bench.figures import sampling
from visreason.bench.kind import Rules
from visreason.bench.olympiadbench import score as olympiad
from visreason.bench.rewardbench import aggregate as rewardbench
from visreason.bench.scoring import by_rule
from visreason.bench.vl_rewardbench import aggregate as vl_rewardbench
from visreason.bench.wemath import dimension
from visreason.errors import UsageError
from visreason.prompt import style
from visreason.record import Completion, Problem, Sample, Score
from visreason.store import manifest


def sample(name: str, right: bool | None, answer: str = "", **meta) -> Sample:
    reason = {True: "exact", False: "wrong", None: "unparsed"}[right]
    return Sample(
        Problem(name, "?", answer="1", meta=meta),
        Completion(answer),
        Score(float(right or 0), answer, reason),
    )


def test_pass_at_k_is_the_share_of_k_draws_with_a_right_one():
    verdicts = [True, False, False, True, False]
    found = sampling([sample("p", v) for v in verdicts])
    for k in (1, 2, 4):
        draws = list(combinations(verdicts, k))
        assert found[f"pass@{k}"].value == pytest.approx(sum(map(any, draws)) / math.comb(5, k))
    assert found["average@5"].value == pytest.approx(0.4)


def test_majority_takes_the_largest_group_and_best_of_n_the_highest_reward():
    made = [sample("p", False, "7"), sample("p", True, "8"), sample("p", True, "8"), sample("p", False, "9")]
    found = sampling(made, [0.1, 0.3, 0.2, 0.9])
    assert found["majority@4"].value == 1.0
    assert found["best@4"].value == 0.0


def test_rewards_from_a_file_choose_the_best(tmp_path):
    rows = [
        {"id": "p", "question": "1+1?", "answer": "2", "response": [r], "reward": [0.5]} for r in ("2", "3")
    ]
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "r.jsonl").write_text(json.dumps({"id": "p", "rewards": [0.1, 0.9]}) + "\n")
    words = ["evaluate", "bench=flat", f"completions={tmp_path / 'o.jsonl'}", "samples=2"]
    for name, more, best in (("own", [], 100.0), ("file", [f"rewards={tmp_path / 'r.jsonl'}"], 0.0)):
        assert cli.main([*words, *more, f"out={tmp_path / name}"]) == 0
        assert manifest(tmp_path / name)["summary"]["sampling"]["best@2"]["value"] == best


def test_no_answer_has_no_vote_and_problems_of_one_sample_are_left_out():
    made = [sample("p", False, ""), sample("p", False, ""), sample("p", True, "8")]
    made[:2] = [replace(s, score=Score(0.0, None, "unparsed")) for s in made[:2]]
    assert sampling([*made, sample("q", False)])["majority@3"].value == 1.0
    assert sampling(made[:2])["majority@2"].value == 0.0


def test_every_problem_counts_with_as_many_samples_as_the_one_with_the_fewest():
    right = [sample("q", i > 1, "8" if i > 1 else "7") for i in range(8)]
    found = sampling([sample("p", True, "8"), sample("p", True, "8"), *right])
    assert {name: f.value for name, f in found.items()} == dict.fromkeys(
        ("average@2", "pass@1", "pass@2", "majority@2"), 0.5
    )


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([{"id": "p", "reward": -1.5}, {"id": "p", "reward": -2}], 100.0),
        ([{"problem": {"id": "p"}, "score": {"value": -1.5, "reason": "exact"}},
          {"problem": {"id": "p"}, "score": {"value": 0.0, "reason": "errored"}}], 100.0),
        ([{"id": "p"}, {"id": "p", "reward": 1}], "expected a reward as a number, found None"),
        ([{"id": "p", "rewards": [1, 2, 3, 4]}], "expected one reward a sample"),
        ([{"id": "p", "rewards": [1]}], "expected a reward for every sample"),
    ],
)  # fmt: skip
def test_an_errored_sample_is_under_every_other_and_rewards_fit_the_samples(rows, best, tmp_path, capsys):
    made = [{"id": "p", "question": "1+1?", "answer": "2", "response": r} for r in ("2", "3")]
    for name, lines in (("o", made), ("r", rows)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    words = [
        "evaluate",
        "bench=flat",
        f"completions={tmp_path / 'o.jsonl'}",
        "samples=2",
        f"out={tmp_path / 'run'}",
    ]
    status = cli.main([*words, f"rewards={tmp_path / 'r.jsonl'}"])
    if isinstance(best, str):
        assert (status, best in " ".join(capsys.readouterr().err.split())) == (1, True)
    else:
        assert manifest(tmp_path / "run")["summary"]["sampling"]["best@2"]["value"] == best


def test_a_cut_reply_without_a_verdict_counts_a_half_and_one_with_a_verdict_what_it_says():
    pair = Problem("x", "?", answer="1", meta={"subset": "math-prm"})
    cut = [Sample(pair, Completion(t, "length"), Score(0.0)) for t in ("Well, answer", "[[B]] since")]
    scores = by_rule(bench("rewardbench"), Rules())(cut)
    assert [s.reason for s in scores] == ["truncated", "truncated"]
    assert [
        rewardbench([replace(s, score=x)])["math-prm"].value for s, x in zip(cut, scores, strict=True)
    ] == [0.5, 0]


def test_worst_case_is_right_in_every_variant():
    made = [
        sample(f"q{q}:{v}", q == 0 or v == 0, seed=f"q{q}", subject="algebra")
        for q in range(2)
        for v in range(4)
    ]
    found = dynamath(made)
    assert (found["ALL"].value, found["worst ALL"].value, found["worst AL"].n) == (5 / 8, 0.5, 2)


@pytest.mark.parametrize(
    ("first", "second", "whole", "strict", "loose"),
    [
        (True, True, True, "CM", "CM"),
        (True, False, True, "RM", "CM"),
        (False, False, True, "RM", "RM"),
        (True, True, False, "IG", "IG"),
        (True, False, False, "IK", "IK"),
    ],
)
def test_the_four_dimensions_of_wemath(first, second, whole, strict, loose):
    steps = {"2steps_1": first, "2steps_2": second, "2steps_multi": whole}
    assert (dimension(steps, "strict"), dimension(steps, "loose")) == (strict, loose)


def test_undecided_pairs_are_left_out_and_places_are_told_apart():
    votes = [("a", True), ("a", True), ("a", False), ("b", None), ("b", True), ("c", False)]
    made = [sample(n, v, source="povid", swapped=i % 2 == 0) for i, (n, v) in enumerate(votes)]
    found = vl_rewardbench(made)
    assert (found["ALL"].value, found["ALL"].n) == (0.5, 2)  # a right, c wrong, b undecided
    assert found["position 1"].n + found["position 2"].n == 5


def test_pairs_are_put_in_both_orders():
    row = Problem("x", "Which?", answer="1", meta={"responses": ["good", "bad"], "source": "povid"})
    trials = pairs.trials(row, bench("vl_rewardbench").trial, Rules(trials=12))
    firsts = {t.question.partition("Answer 1: ")[2].partition("\n")[0] for t in trials}
    assert firsts == {"good", "bad"}
    read = bench("vl_rewardbench").read
    for trial in trials:
        said = "Overall Judgment: Answer 1 is better."
        assert read(trial, said, Rules()) == ("2" if trial.meta["swapped"] else "1")


def test_the_judge_of_olympiadbench_passes_its_own_examples():
    wrong = []
    for example in json.loads(shared("data/olympiadbench/eval/scoring_examples.json").read_text()):
        for answer in example["Ans"]:
            precision = answer.get("precision", example.get("precision"))
            problem = Problem(
                "p", "?", answer=example["GT"], meta={"error": str(precision or "").strip("[]")}
            )
            if olympiad(problem, answer["answer"], Rules()).correct != answer["equal"]:
                wrong.append((example["GT"], answer))
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "gold", "meta", "answer"),
    [
        ("mmmu", "B", {"question_type": "multiple-choice"}, "B"),
        ("mmmu_pro", "B", {}, r"\boxed{B}"),
        ("dynamath", "2.5", {"answer_type": "float"}, "2.5"),
        ("dynamath", "B", {"answer_type": "multiple choice"}, r"\boxed{B}"),
        ("wemath", "B", {}, "B"),
        ("mathvision", "B", {}, r"\boxed{B}"),
    ],
)
def test_answers_in_the_layout_of_a_style_are_read_by_every_rule(name, gold, meta, answer):
    problem = Problem("p", "?", answer=gold, choices=("red", "blue"), meta=meta)
    text = f"<think>A or C?</think>\n<answer>{answer}</answer>"
    waiting = Sample(problem, Completion(text), Score(0.0))
    assert by_rule(bench(name), Rules(), style("awaker"))([waiting])[0].correct


def test_an_unknown_benchmark_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'mathvista'"):
        bench("mathvist")


def test_a_benchmark_of_ones_own_is_one_object_in_one_file(tmp_path):
    """README: a benchmark is a file with BENCH, and a line in BENCHES; or module:object and no line at all."""
    rows = [{"id": i, "frage": f"{i}?", "loesung": str(i), "art": "x" if i else "y"} for i in range(2)]
    (tmp_path / "fragen.json").write_text(json.dumps(rows))
    (tmp_path / "o.jsonl").write_text(
        "".join(json.dumps({"id": i, "response": f"It is {i * 2}"}) + "\n" for i in range(2))
    )
    words = [
        "evaluate",
        "bench=tests.bench.rows:OWN",
        f"data={tmp_path}",
        f"completions={tmp_path / 'o.jsonl'}",
    ]
    assert cli.main([*words, f"out={tmp_path / 'run'}"]) == 0
    found = manifest(tmp_path / "run")["summary"]["figures"]
    assert {name: f["value"] for name, f in found.items()} == {"ALL": 50.0, "y": 100.0, "x": 0.0}
