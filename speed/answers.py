"""Answer checking on recorded verdicts: agreement, wrong accepts, wrong rejects and time of us, Math-Verify, MathRuler.

python speed/answers.py CASES.jsonl [EVERY]      kept in docs/speed.md; EVERY takes each n-th case

Rows marked convention or suspect are set aside. One process, one core, one case after the other, all on the same input:
the response (or pred), against the gold answer; for a multiple-choice row the peers get the gold letter and are also
right with the gold option's text. `with extraction` judges the row's recorded extraction where nothing was read.
"""

import contextlib
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from math_verify import parse, verify
from mathruler.grader import extract_boxed_content, grade_answer
from table import keep

from visreason.answer import check, sandbox
from visreason.answer.recorded import check_extraction
from visreason.data import read_samples
from visreason.errors import DataError
from visreason.record import Problem, Sample
from visreason.reward.agreement import verdict

SMALL = 100
"""Kinds with fewer cases are shown together."""
Verdict = bool | None
"""True or False; None where nothing was read."""


@dataclass(frozen=True)
class Timed:
    """What a checker said of a sample, after how long."""

    kind: str
    recorded: bool
    said: bool
    extracted: bool
    seconds: float


def ours(problem: Problem, response: str) -> Verdict:
    try:
        score = check(problem, response)
    except DataError:
        return None
    return None if score.reason == "unparsed" else score.correct


def golds(problem: Problem) -> list[str]:
    """The gold answer as peers can take it: its text, and for a letter the text of its option."""
    gold = problem.answer or ""
    at = ord(gold) - ord("A") if len(gold) == 1 else -1
    return [gold, *([problem.choices[at]] if 0 <= at < len(problem.choices) else [])]


def math_verify(problem: Problem, response: str) -> Verdict:
    found = parse(response, parsing_timeout=5)
    bare = lambda text: parse(text, parsing_timeout=5) or parse(f"${text}$", parsing_timeout=5)  # noqa: E731
    found = found or bare(response)
    if not found:
        return None
    return any(verify(bare(gold), found, timeout_seconds=5) for gold in golds(problem))


def mathruler(problem: Problem, response: str) -> Verdict:
    found = extract_boxed_content(response)
    found = response if found == "None" else found
    return any(grade_answer(found, gold) for gold in golds(problem))


CHECKERS: dict[str, Callable[[Problem, str], Verdict]] = {
    "visreason": ours,
    "math-verify": math_verify,
    "mathruler": mathruler,
}


def measure(checker: Callable[[Problem, str], Verdict], samples: list[Sample], own: bool) -> list[Timed]:
    timed = []
    for sample in samples:
        problem, response = sample.problem, sample.completion.text
        start = time.perf_counter()
        said = _say(checker, problem, response)
        seconds = time.perf_counter() - start
        extraction = problem.meta.get("extraction")
        extracted = said
        if said is None and extraction is not None:
            extracted = (
                _extracted(problem, str(extraction)) if own else _say(checker, problem, str(extraction))
            )
        kind = str(problem.meta.get("kind", "all"))
        timed.append(Timed(kind, bool(verdict(problem)), bool(said), bool(extracted), seconds))
    return timed


def _say(checker: Callable[[Problem, str], Verdict], problem: Problem, response: str) -> Verdict:
    try:
        return checker(problem, response)
    except Exception:  # a peer that raises has not accepted the answer
        return None


def _extracted(problem: Problem, extraction: str) -> bool:
    with contextlib.suppress(DataError):
        return check_extraction(problem, extraction).correct
    return False


def row(name: str, kind: str, timed: list[Timed]) -> list[str]:
    n = len(timed)
    times = sorted(t.seconds for t in timed)
    return [
        name,
        kind,
        str(n),
        f"{sum(t.said == t.recorded for t in timed) / n:.4f}",
        f"{sum(t.extracted == t.recorded for t in timed) / n:.4f}",
        str(sum(t.said and not t.recorded for t in timed)),
        str(sum(t.extracted and not t.recorded for t in timed)),
        str(sum(t.recorded and not t.said for t in timed)),
        f"{1000 * statistics.fmean(times):.2f}",
        f"{1000 * times[min(n - 1, int(0.99 * n))]:.1f}",
        f"{1000 * times[-1]:.0f}",
    ]


def main() -> None:
    path, every = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    logging.disable(logging.CRITICAL)
    samples = [
        s
        for s in list(read_samples(path, []))[::every]
        if verdict(s.problem) is not None
        and not s.problem.meta.get("convention")
        and not s.problem.meta.get("suspect")
    ]
    sandbox.same(("sym", "x"), ("sym", "x"))  # the child process starts once
    rows = []
    for name, checker in CHECKERS.items():
        timed = measure(checker, samples, own=name == "visreason")
        kinds: dict[str, list[Timed]] = {}
        for t in timed:
            kinds.setdefault(t.kind, []).append(t)
        small = [t for group in kinds.values() if len(group) * every < SMALL for t in group]
        rows.append(row(name, "all", timed))
        rows += [row(name, kind, g) for kind, g in sorted(kinds.items()) if len(g) * every >= SMALL]
        rows += [row(name, "all smaller kinds", small)] if small else []
    negatives = sum(not verdict(s.problem) for s in samples)
    keep(
        "Answers: agreement with recorded verdicts",
        f"{len(samples)} cases ({negatives} recorded wrong) of published graders' tests and model outputs, every "
        f"{every}. of the file. Times in milliseconds, one core.",
        ["checker", "kind", "n", "agreement", "with extraction", "wrong accepts", "with extraction", "wrong rejects",
         "mean", "p99", "max"],
        rows,
    )  # fmt: skip
    print(json.dumps({"cases": len(samples), "negatives": negatives}))


if __name__ == "__main__":
    main()
