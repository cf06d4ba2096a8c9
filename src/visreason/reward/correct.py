"""The rule-based accuracy reward: 1 for a right answer, 0 for any other, with the reason."""

from visreason.answer import check
from visreason.record import Sample, Score


def correct(samples: list[Sample]) -> list[Score]:
    """Scores of `answer.check`, which reads the part of a completion that follows its thought.

    >>> from visreason.record import Completion, Problem
    >>> sample = Sample(Problem("p", "1+1?", answer="2"), Completion("<think>3?</think><answer>2</answer>"), Score(0))
    >>> correct([sample])
    [Score(value=1.0, answer='2', reason='exact', parts={})]
    """
    return [check(s.problem, s.completion.text, s.completion.finish) for s in samples]
