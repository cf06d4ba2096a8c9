"""The format reward: 1 for a completion laid out as its style asks, right or wrong; 0 for any other."""

from collections.abc import Callable

from visreason.prompt import Style
from visreason.record import Sample, Score


def format_reward(style: Style) -> Callable[[list[Sample]], list[Score]]:
    """A reward by the style's own definition of well formed (see `prompt.layouts`); its reason is exact or wrong.

    >>> from visreason.prompt import style
    >>> from visreason.record import Completion, Problem
    >>> reward = format_reward(style("wethink"))
    >>> texts = ("<think>3?</think><answer>2</answer>", "2")
    >>> [s.value for s in reward([Sample(Problem("p", "1+1?"), Completion(t), Score(0)) for t in texts])]
    [1.0, 0.0]
    """

    def well_formed(samples: list[Sample]) -> list[Score]:
        flags = [style.parse(s.completion.text).well_formed for s in samples]
        return [Score(1.0, reason="exact") if flag else Score(0.0, reason="wrong") for flag in flags]

    return well_formed
