"""Answer checking for other people's training scripts: the reward functions that TRL and EasyR1 call, and one call."""

import warnings
from collections.abc import Sequence
from typing import Any

from visreason.answer.check import check
from visreason.answer.solution import solution
from visreason.errors import DataError, UsageError
from visreason.record import Finish, Problem, Score

GOLDS = ("answer", "solution", "ground_truth", "gold")
"""Columns that may hold the gold answer; the first that is there."""


def grade(
    response: str | None,
    answer: str | int | float,
    choices: Sequence[str] = (),
    finish: Finish = "stop",
    **meta: Any,
) -> Score:
    """The verdict on one response; None, as an engine gives that made nothing, is unparsed. Raises DataError for an
    answer that can't be checked.

    >>> grade(r"So it is \\boxed{\\frac{1}{2}}.", "0.5").reason, grade("(B)", "A", ("red", "blue")).reason
    ('numeric', 'wrong')
    """
    if response is None:
        response = ""
    elif not isinstance(response, str):
        raise DataError(f"expected a response as text, found {type(response).__name__}; give the text alone")
    if isinstance(choices, str) or not all(isinstance(c, str) for c in choices):
        raise DataError(f"expected choices as a list of texts, found {choices!r:.80}; give one text for each")
    problem = Problem("response", "", answer=_gold(answer), choices=tuple(choices), meta=meta)
    return check(problem, response, finish)


def accuracy_reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
    """1.0 for a right completion and 0.0 for any other, with the signature of TRL's reward functions.

    `completions` are texts or lists of messages. The data set's column `answer`, `solution`, `ground_truth` or `gold`
    holds the gold answers, `choices` the options. A gold answer that is missing or can't be checked is warned of, and
    its completions get None, which TRL leaves out. Raises DataError for columns that don't fit the completions.

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
    for column, values in ((name, columns[name]), ("choices", choices)):
        if isinstance(values, str) or len(values) != len(completions):
            raise DataError(
                f"expected {len(completions)} values in column {column}, one for each completion, found {values!r:.80}"
            )
    rows = zip(completions, columns[name], choices, strict=True)
    return [_reward(_text(completion), gold, options or ()) for completion, gold, options in rows]


def compute_score(reward_inputs: list[dict[str, Any]], format_weight: float = 0.1) -> list[dict[str, float]]:
    """EasyR1's batch reward: {"overall", "format", "accuracy"} of every {"response", "ground_truth"}.

    `format` is 1 for a response that closes its thought with </think> and states its answer behind it, in \\boxed{} or
    <answer>. Accuracy is 0, with a warning, where the gold answer can't be checked. Raises DataError for rows that lack
    a column, UsageError for a weight that is not between 0 and 1.

    >>> compute_score([{"response": r"<think>2+2</think> \\boxed{4}", "ground_truth": "4"}])
    [{'overall': 1.0, 'format': 1.0, 'accuracy': 1.0}]
    """
    if not isinstance(reward_inputs, list):
        raise DataError(
            f"expected a list of rows, found {type(reward_inputs).__name__}; set `reward_type: batch` in EasyR1"
        )
    if not isinstance(format_weight, int | float) or not 0 <= format_weight <= 1:
        raise UsageError(
            f"expected a format_weight from 0 to 1, found {format_weight!r}; give the format's share"
        )
    scores = []
    for i, row in enumerate(reward_inputs):
        if not isinstance(row, dict) or row.get("ground_truth") is None or "response" not in row:
            raise DataError(
                f"expected response and ground_truth in row {i}, found {row!r:.200}; name the gold answers' column in "
                "EasyR1's data.answer_key"
            )
        response = _text(row["response"])
        accuracy = _reward(response, row["ground_truth"], ()) or 0.0
        laid_out = "</think>" in response and any(m in solution(response) for m in ("\\boxed", "<answer>"))
        overall = (1 - format_weight) * accuracy + format_weight * laid_out
        scores.append({"overall": overall, "format": float(laid_out), "accuracy": accuracy})
    return scores


def _reward(response: str, gold: Any, choices: Sequence[str]) -> float | None:
    """The value of a response; None, with a warning that says why, where its gold answer can't be checked."""
    try:
        return grade(response, gold, choices).value
    except DataError as e:
        warnings.warn(f"no reward: {e}", RuntimeWarning, stacklevel=3)
        return None


def _gold(answer: Any) -> str | None:
    if isinstance(answer, bool) or not isinstance(answer, str | int | float | None):
        raise DataError(f"expected an answer as text or a number, found {answer!r:.80}; give one text")
    return str(answer) if answer is not None else None


def _text(completion: Any) -> str:
    """The text of a completion: text, a list of messages, whose last one counts, or a content of several parts."""
    if completion is None or isinstance(completion, str):
        return completion or ""
    if isinstance(completion, list) and completion and all(isinstance(part, dict) for part in completion):
        if "content" in completion[-1]:
            return _text(completion[-1]["content"])
        return "".join(str(part.get("text", "")) for part in completion)
    raise DataError(f"expected a completion as text or messages, found {completion!r:.80}")
