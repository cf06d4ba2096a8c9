"""A reward of one's own that may hang, called in a thread that is given up after some seconds."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from visreason.errors import RunError
from visreason.record import Sample, Score


def bounded(
    name: str, reward: Callable[[list[Sample]], list[Score]], seconds: float
) -> Callable[[list[Sample]], list[Score]]:
    """The reward; it raises RunError where a call takes longer. The thread ends with the process at the latest."""

    def called(samples: list[Sample]) -> list[Score]:
        given: SimpleQueue[tuple[list[Score], BaseException | None]] = SimpleQueue()

        def call() -> None:
            try:
                given.put((reward(samples), None))
            except BaseException as e:  # handed on to who waits
                given.put(([], e))

        threading.Thread(target=call, name=name, daemon=True).start()
        try:
            scores, error = given.get(timeout=seconds)
        except Empty:
            raise RunError(
                f"expected the scores of reward {name!r} for {len(samples)} completions within reward_timeout_s="
                f"{seconds:g}, found none. Look at what it waits for; the same command goes on from the last checkpoint"
            ) from None
        if error is not None:
            raise error
        return scores

    return called
