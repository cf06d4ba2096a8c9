"""Agreement with the recorded verdicts of public graders and benchmarks, and the verdicts we believe to be wrong.

`contested.json`: reason to sources of rows that are recorded wrong and that we find right.
"""

import json
from pathlib import Path

import pytest

from tests.data.shared import shared
from visreason.answer import check
from visreason.answer.recorded import check_extraction
from visreason.data import read_samples
from visreason.reward.agreement import agreement, verdict
from visreason.reward.on_file import score_block

CONTESTED = json.loads((Path(__file__).parent / "cases" / "contested.json").read_text(encoding="utf-8"))


def judged(every):
    samples = list(read_samples(shared("cases/answers.jsonl"), []))[::every]
    meta = [s.problem.meta for s in samples]
    return [s for s, m in zip(samples, meta, strict=True) if not m.get("convention") and not m.get("suspect")]


def assert_agreement(samples, kind_size):
    found = agreement(score_block("correct", "awaker", samples))
    assert found["value"] >= 0.97, found["value"]
    assert found["wrong_accepts"] < 0.01 * found["negatives"] or len(samples) < 5_000, found
    for kind, part in found["by_kind"].items():
        assert part["n"] < kind_size or part["value"] >= 0.93, (kind, part)


def test_a_share_of_the_recorded_verdicts():
    assert_agreement(judged(9), kind_size=60)


@pytest.mark.slow
def test_all_recorded_verdicts():
    assert_agreement(judged(1), kind_size=100)


def test_contested_verdicts_are_as_stated():
    cases = {s.problem.meta["source"]: s for s in judged(1)}
    for reason, sources in CONTESTED.items():
        for sample in (cases[source] for source in sources):
            assert verdict(sample.problem) is False, (reason, sample)
            assert check(sample.problem, sample.completion.text).correct, (reason, sample)


def test_mathvista_extractions_score_as_published():
    rows = [s for s in judged(1) if s.problem.meta.get("kind") == "model-output/mathvista"]
    extracted = [s for s in rows if s.problem.meta.get("extraction") is not None]
    right = [check_extraction(s.problem, str(s.problem.meta["extraction"])).correct for s in extracted]
    agree = [ours == verdict(s.problem) for ours, s in zip(right, extracted, strict=True)]
    assert sum(agree) >= 0.99 * len(agree)
