"""The rule-based accuracy reward: 1 for a right answer, 0 for any other, with the reason."""

from dataclasses import replace

from visreason.answer import check
from visreason.answer.recorded import check_extraction
from visreason.errors import DataError
from visreason.record import Sample, Score


def correct(samples: list[Sample]) -> list[Score]:
    """Scores of `answer.check`, which reads the part of a completion that follows its thought. Raises DataError for a
    problem that can't be checked.

    >>> from visreason.record import Completion, Problem
    >>> sample = Sample(Problem("p", "1+1?", answer="2"), Completion("<think>3?</think><answer>2</answer>"), Score(0))
    >>> correct([sample])
    [Score(value=1.0, answer='2', reason='exact', parts={})]
    """
    return [_checked(sample) for sample in samples]


def correct_on_file(samples: list[Sample]) -> list[Score]:
    """Like `correct`, for responses on file, of which a problem that can't be checked must not stop the others: it is
    errored. The value is kept as the part `correct` too.
    """
    return [_on_file(sample, extracted=False) for sample in samples]


def rules_verdict(sample: Sample) -> Score:
    """What rules say of a completion that something else scores: a problem without an answer, or for a judge, has no
    verdict and is unparsed."""
    if sample.problem.answer is None or sample.problem.check == "judge":
        return Score(0.0, reason="unparsed")
    return _on_file(sample, extracted=False)


def correct_or_extracted(samples: list[Sample]) -> list[Score]:
    """Like `correct_on_file`; a response that states no answer is judged by the `extraction` of its row, where there is
    one, and then has the part `by_extraction`.
    """
    return [_on_file(sample, extracted=True) for sample in samples]


def _checked(sample: Sample) -> Score:
    return check(sample.problem, sample.completion.text, sample.completion.finish)


def _on_file(sample: Sample, extracted: bool) -> Score:
    extraction = sample.problem.meta.get("extraction") if extracted else None
    by = {}
    try:
        score = _checked(sample)
        if score.reason == "unparsed" and extraction is not None:
            score, by = check_extraction(sample.problem, str(extraction)), {"by_extraction": 1.0}
    except DataError:
        return Score(0.0, reason="errored")
    return replace(score, parts={**score.parts, "correct": score.value, **by})
