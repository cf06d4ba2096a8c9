"""Pairs of a chosen and a rejected completion, read from the files people have. Unusable rows are handed back."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from visreason.answer import check
from visreason.data.columns import COLUMNS, flat_problem
from visreason.data.embedded import Embedded
from visreason.data.files import Paths, each, read_rows, shown
from visreason.data.pictures import Pictures, Seen, usable
from visreason.data.turns import other_part, refuse_media, unseen
from visreason.errors import DataError
from visreason.prompt.layouts import control_token
from visreason.record import Completion, Pair, Problem, from_json
from visreason.stats import Interval, accuracy

SIDES = ("chosen", "rejected")
PROMPTS = ("prompt", "conversations", "messages", "query")
"""Columns that hold what was asked, as text or as turns, beside those of a flat row (`columns.COLUMNS`)."""
TEXTS = ("content", "value", "text")


def read_pairs(
    paths: Paths, rejected: list[dict[str, Any]], kept: Path | None = None, seen: Path | None = None
) -> list[Pair]:
    """The pairs of a .jsonl, .json (or either with .gz), .parquet or .tsv file, or of several in order, images found
    and checked; those that rows hold themselves are written to `kept`, and without it refused.

    Rows are our Pair records; rows with `chosen` and `rejected` (text, a turn, or all turns) beside a prompt, as in
    Hugging Face and LLaMA-Factory ranking files; or rows with two responses and their ranks, as in VL-RewardBench.
    A row goes to `rejected` as {"line", "reason", "row"} where its two sides are equal, one is empty, failed or spells
    a control token, the chosen one was cut off, one answers another prompt or was written without its images, or its
    problem can't be asked (`read_problems`).
    Pictures that the file `seen` knows are not read again. Raises DataError when the file can't be read and when no
    pair is left.
    """
    with Seen(seen) as known:
        pairs = [
            pair
            for path, name in each(paths, rejected)
            for pair in _pairs_of(path, name, rejected, kept, known)
        ]
    if not pairs:
        why = f"{len(rejected)} rejected rows; the first: {rejected[0]['reason']}" if rejected else "no rows"
        raise DataError(f"expected pairs in {shown(paths)}, found {why}")
    return pairs


def _pairs_of(
    path: Path, name: str, rejected: list[dict[str, Any]], kept: Path | None, known: Seen
) -> Iterator[Pair]:
    with Pictures(path.parent, "pixels", known) as pictures:
        rows = _lines(path, name, rejected, Embedded(kept) if kept else None)
        for line, row, pair in pictures.ahead(rows, lambda found: found[2].problem.images):
            try:
                yield _checked(replace(pair, problem=usable(pair.problem, pictures)))
            except DataError as e:
                rejected.append({"line": line, "reason": str(e), "row": row})


def _lines(
    path: Path, name: str, rejected: list[dict[str, Any]], store: Embedded | None
) -> Iterator[tuple[int, dict[str, Any], Pair]]:
    """Line, row and pair of every row that can be read, its pictures aside."""
    for line, row in read_rows(path, rejected):
        try:
            yield line, row, pair_of(row if store is None else store.unpacked(row), f"{name}-{line}")
        except DataError as e:
            rejected.append({"line": line, "reason": str(e), "row": row})


def is_pair(row: dict[str, Any]) -> bool:
    """Whether a row compares two completions."""
    return set(SIDES) <= row.keys() or {"response", "human_ranking"} <= row.keys()


def pair_of(row: dict[str, Any], fallback_id: str) -> Pair:
    own = isinstance(row.get("problem"), dict)
    pair = from_json(Pair, row) if own else _compared(row, fallback_id)
    refuse_media(pair.problem, marks=not own)
    return pair


def _compared(row: dict[str, Any], fallback_id: str) -> Pair:
    if not is_pair(row):
        raise DataError(f"expected columns chosen and rejected, found the columns {', '.join(row)}")
    if "human_ranking" in row:
        row = _ranked(row)
    (before, chosen), (other, refused) = (_side(row[name], name) for name in SIDES)
    if before != other:
        lost = next((n for n, p, q in zip(SIDES, (before, other), (other, before), strict=True)
                     if p.count("<image>") < q.count("<image>")), None)  # fmt: skip
        raise DataError(
            f"expected both sides to answer the prompt with its images, found {lost} without them"
            if lost
            else f"expected both sides to answer one prompt, found {before[:40]!r} and {other[:40]!r}"
        )
    rest = {k: v for k, v in row.items() if k not in (*SIDES, *PROMPTS, "margin")}
    asked = before or next((_prompt(row[name]) for name in PROMPTS if row.get(name)), "")
    empty = next((name for name in PROMPTS if name in row), None)
    if not asked and empty and not any(rest.get(name) for name in COLUMNS["question"]):
        raise DataError(f"expected a prompt in column {empty}, found an empty one; drop the row")
    problem = flat_problem({**rest, **({"question": asked} if asked else {})}, fallback_id)
    return Pair(problem, Completion(chosen), Completion(refused), _margin(row.get("margin")))


def _margin(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError, OverflowError) as e:
        raise DataError(f"expected a number in column margin, found {str(value)[:80]!r}") from e


def _ranked(row: dict[str, Any]) -> dict[str, Any]:
    """A row of two responses and their ranks as one of chosen and rejected; rank 0 is the better one."""
    responses, ranks = row["response"], row["human_ranking"]
    if not isinstance(responses, list) or len(responses) != 2 or ranks not in ([0, 1], [1, 0]):
        raise DataError(f"expected two responses with ranks 0 and 1, found the ranks {ranks!r}")
    best = ranks.index(0)
    rest = {k: v for k, v in row.items() if k not in ("response", "human_ranking")}
    return {**rest, "chosen": responses[best], "rejected": responses[1 - best]}


def _side(value: Any, column: str) -> tuple[str, str]:
    """What a side was asked (empty where it is the reply alone) and the reply."""
    if isinstance(value, list) and value:
        return _prompt(value[:-1]) if len(value) > 1 else "", _text(value[-1], column)
    return "", _text(value, column)


def _prompt(value: Any) -> str:
    """The question of a prompt: text, or a single turn of the user's."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise DataError(f"expected a prompt as text or turns, found {str(value)[:80]!r}")
    if len(value) > 1 or _role(value[0]) not in ("user", "human"):
        roles = ", ".join(str(_role(turn)) for turn in value)
        raise DataError(f"expected one question of the user, found the turns {roles}")
    return _text(value[0], "prompt")


def _role(turn: Any) -> Any:
    return turn.get("role", turn.get("from")) if isinstance(turn, dict) else None


def _text(value: Any, column: str) -> str:
    """Text, the text of a turn, or of its parts, where a picture leaves its mark."""
    if kind := other_part(value):
        raise unseen(f"a part of type {kind}")
    if isinstance(value, dict):
        value = (
            "<image>" if value.get("type") == "image" else next((value[k] for k in TEXTS if k in value), None)
        )
    if isinstance(value, list):
        return "".join(_text(part, column) for part in value)
    if not isinstance(value, str):
        raise DataError(f"expected text in {column}, found {str(value)[:80]!r}")
    return value


def _checked(pair: Pair) -> Pair:
    for name in SIDES:
        completion: Completion = getattr(pair, name)
        if completion.finish == "error" or not completion.text.strip():
            raise DataError(
                f"expected a completion as {name}, found {'an error' if completion.text else 'none'}"
            )
        if mark := control_token(completion.text):
            raise DataError(f"expected plain text as {name}, found the control token {mark!r} in it")
    if pair.chosen.finish != "stop":
        raise DataError(
            f"expected a whole completion as chosen, found one with finish {pair.chosen.finish!r}"
        )
    if pair.chosen.text.strip() == pair.rejected.text.strip():
        raise DataError(f"expected two different completions, found {pair.chosen.text[:80]!r} twice")
    return pair


def longest_pair(pairs: Iterable[Pair]) -> Pair:
    """The pair with the most text, both sides together."""
    return max(pairs, key=lambda p: len(p.chosen.text) + len(p.rejected.text))


def split(pairs: list[Pair], one_in: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn and pairs held out: about one problem in `one_in` with all its pairs, by a hash of its question
    and images, so that the same problem under another id stays on its side."""
    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in pairs:
        digest = hashlib.sha256("\0".join(content(pair.problem)).encode()).digest()
        sides[int.from_bytes(digest[:8]) % one_in == 0].append(pair)
    return sides


def content(problem: Problem) -> tuple[str, ...]:
    """A problem's question and images, whatever its id."""
    return problem.question, *(i.sha256 or i.path for i in problem.images)


def chosen_is_right(pairs: list[Pair], most: int = 500) -> Interval | None:
    """Share of the pairs with just one right side, by the problem's own answer, in which that is the chosen one.

    Looks at the first pairs that can be judged by rules; None where there are none.
    """
    found: list[list[float]] = []
    for pair in pairs[:most]:
        if pair.problem.answer is None or pair.problem.check == "judge":
            continue
        try:
            chosen, rejected = (check(pair.problem, getattr(pair, name).text) for name in SIDES)
        except DataError:  # an answer that can't be checked
            continue
        if chosen.correct != rejected.correct and "errored" not in (chosen.reason, rejected.reason):
            found.append([float(chosen.correct)])
    return accuracy(found) if found else None
