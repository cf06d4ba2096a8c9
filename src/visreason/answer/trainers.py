"""Answer checking for other people's training scripts: the reward functions that TRL and EasyR1 call, and one call."""

from collections.abc import Sequence
from typing import Any

from visreason.answer.check import check
from visreason.answer.solution import solution
from visreason.errors import DataError
from visreason.record import Finish, Problem, Score

GOLDS = ("answer", "solution", "ground_truth", "gold")
"""Columns that may hold the gold answer; the first that is there."""


def grade(
    response: str, answer: str, choices: Sequence[str] = (), finish: Finish = "stop", **meta: Any
) -> Score:
    """The verdict on one response. Raises DataError for an answer that can't be checked.

    >>> grade(r"So it is \\boxed{\\frac{1}{2}}.", "0.5").reason, grade("(B)", "A", ("red", "blue")).reason
    ('numeric', 'wrong')
    """
    return check(Problem("response", "", answer=answer, choices=tuple(choices), meta=meta), response, finish)


def accuracy_reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
    """1.0 for a right completion and 0.0 for any other, with the signature of TRL's reward functions.

    `completions` are texts or lists of messages. The data set's column `answer`, `solution`, `ground_truth` or `gold`
    holds the gold answers, `choices` the options. None, which TRL leaves out, where a gold answer can't be checked.

    >>> accuracy_reward([[{"role": "assistant", "content": "<answer>4</answer>"}], "5"], solution=["4", "4"])
    [1.0, 0.0]
    """
    name = next((n for n in GOLDS if n in columns), None)
    if name is None:
        raise DataError(
            f"expected gold answers in a column {', '.join(GOLDS)}, found {', '.join(columns) or 'no columns'}; rename "
            "the data set's column"
        )
    choices = columns.get("choices") or [()] * len(completions)
    rows = zip(completions, columns[name], choices, strict=True)
    return [_reward(_text(completion), str(gold), options or ()) for completion, gold, options in rows]


def compute_score(reward_inputs: list[dict[str, Any]], format_weight: float = 0.1) -> list[dict[str, float]]:
    """EasyR1's batch reward: {"overall", "format", "accuracy"} of every {"response", "ground_truth"}.

    `format` is 1 for a response that states its answer after its thought. A gold answer that can't be checked scores 0.

    >>> compute_score([{"response": r"<think>2+2</think> \\boxed{4}", "ground_truth": "4"}])
    [{'overall': 1.0, 'format': 1.0, 'accuracy': 1.0}]
    """
    if not isinstance(reward_inputs, list):
        raise DataError(
            f"expected a list of rows, found {type(reward_inputs).__name__}; set `reward_type: batch` in EasyR1"
        )
    scores = []
    for row in reward_inputs:
        accuracy = _reward(row["response"], str(row["ground_truth"]), ()) or 0.0
        layout = float(
            "</think>" in row["response"]
            and any(m in solution(row["response"]) for m in ("\\boxed", "<answer>"))
        )
        overall = (1 - format_weight) * accuracy + format_weight * layout
        scores.append({"overall": overall, "format": layout, "accuracy": accuracy})
    return scores


def _reward(response: str, gold: str, choices: Sequence[str]) -> float | None:
    try:
        return grade(response, gold, choices).value
    except DataError:
        return None


def _text(completion: Any) -> str:
    return completion if isinstance(completion, str) else str(completion[-1]["content"])
