"""Supervised examples: a problem and the completions to learn, from samples or from problems with a worked solution."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visreason.data.files import Paths, shown
from visreason.data.formats import read_usable
from visreason.data.rows import problem_of
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.prompt.layouts import control_token
from visreason.record import Completion, Pair, Problem, Sample


@dataclass(frozen=True)
class Example:
    """What supervised training shows: the problem as it is put to the model, and the completions to learn."""

    problem: Problem
    completions: tuple[Completion, ...]


def read_examples(
    paths: Paths, style: Style, rejected: list[dict[str, Any]], seen: Path | None = None
) -> list[Example]:
    """The examples of a file, or of several: a sample's completion as it stands, or a problem's thought and answer in
    `style`.

    Completions of one problem make one example. Problems without a thought can be learned in style "direct" alone;
    elsewhere they go to `rejected`, with the rows that can't be read, completions that were cut off or failed, and
    those with control tokens. Pictures that the file `seen` knows are not read again. Raises DataError when nothing is
    left.
    """
    problems: dict[str, Problem] = {}
    completions: dict[str, list[Completion]] = {}
    for line, row, record in read_usable(paths, rejected, seen=seen):
        problem = problem_of(record)
        try:
            sampled = isinstance(record, Sample)
            completion = _sampled(record) if sampled else Completion(_written(record, style))
            if problems.setdefault(problem.id, problem) != problem:
                raise DataError(f"expected another problem to have another id, found {problem.id!r} again")
        except DataError as e:
            rejected.append({"line": line, "reason": str(e), "row": row})
            continue
        completions.setdefault(problem.id, []).append(completion)
    if not problems:
        why = f"{len(rejected)} rejected rows; the first: {rejected[0]['reason']}" if rejected else "no rows"
        raise DataError(f"expected examples in {shown(paths)}, found {why}")
    return [Example(p, tuple(completions[p.id])) for p in problems.values()]


def _sampled(sample: Sample) -> Completion:
    completion = sample.completion
    if completion.finish != "stop":
        raise DataError(f"expected a whole completion to learn, found one with finish {completion.finish!r}")
    if mark := control_token(completion.text):
        raise DataError(f"expected plain text to learn, found the control token {mark!r} in the completion")
    return completion


def _written(problem: Problem | Pair, style: Style) -> str:
    if isinstance(problem, Pair):
        raise DataError("expected a completion to learn, found a pair; mpo and reward_model learn pairs")
    if problem.answer is None:
        raise DataError("expected an answer to learn, found none")
    if problem.thought is None and style.name != "direct":
        raise DataError(
            f"expected a thought, which style {style.name!r} writes, found none; give style=direct"
        )
    return style.target(problem.thought or "", problem.answer)
