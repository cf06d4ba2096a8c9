"""Rewards that runs name as `tests.train.rewards:NAME`: dense ones that a random model can earn, and broken ones."""

import os
import time

from visreason.record import Sample, Score


def even(samples: list[Sample]) -> list[Score]:
    """Share of even token ids."""
    return [
        Score(sum(i % 2 == 0 for i in s.completion.token_ids) / len(s.completion.token_ids)) for s in samples
    ]


def unread(samples: list[Sample]) -> list[Score]:
    """No answer is found in any."""
    return [Score(i % 2, None, "unparsed") for i, _ in enumerate(samples)]


def hangs(samples: list[Sample]) -> list[Score]:
    time.sleep(3600)
    return []


def raises(samples: list[Sample]) -> list[Score]:
    raise ZeroDivisionError("nothing to divide by")


def nan(samples: list[Sample]) -> list[Score]:
    return [Score(float("nan")) for _ in samples]


def first_even(samples: list[Sample]) -> list[Score]:
    """1 where the first token id is even: groups of two often have no spread. Slow where a process is to be killed."""
    time.sleep(float(os.environ.get("SECONDS_A_REWARD", "0")))
    return [Score(float(s.completion.token_ids[0] % 2 == 0)) for s in samples]


def too_few(samples: list[Sample]) -> list[Score]:
    return constant(samples)[1:]


def constant(samples: list[Sample]) -> list[Score]:
    return [Score(1.0) for _ in samples]
