"""Outputs produced elsewhere, brought together with a benchmark's problems as samples that wait for their scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visreason.bench.columns import IDS, is_numbered
from visreason.bench.files import find, rows
from visreason.bench.kind import Bench, Given, Row, taken
from visreason.bench.problems import Source, short
from visreason.errors import DataError
from visreason.record import Completion, Problem, Sample, Score

SHOWN = 5


@dataclass(frozen=True)
class Outputs:
    """Samples in the order of the problems, ids that are short of samples, the files read, and what was set aside."""

    samples: list[Sample]
    missing: tuple[str, ...]
    files: tuple[Path, ...]
    rejected: list[dict[str, Any]]


def read_outputs(
    bench: Bench, path: Path, source: Source | None, samples: int = 1, partial: bool = False
) -> Outputs:
    """The outputs of a file or folder. An extraction, a verdict and a reward that a row carries go to the meta of its
    problem as `extraction`, `judged` and `reward`.

    Rows may carry their problems; without `source` they must. Metadata that a row carries is used (figures of older
    runs rest on older metadata), and its gold answer must be that of `source`. Raises DataError for ids that repeat
    more than `samples` times, and, unless `partial`, for unknown ones and rows that can't be used.
    """
    known = {p.id: p for p in source.problems} if source else {}
    found: dict[str, list[tuple[Problem, Given]]] = {}
    rejected: list[dict[str, Any]] = []
    unknown: list[str] = []
    files = _files(bench, path)
    for row, given, problem in _read(bench, files, known, rejected):
        if source and given.id not in known:
            unknown.append(given.id)
            rejected.append({"line": row.line, "reason": "not among the problems", "row": short(row.value)})
        else:
            found.setdefault(given.id, []).append((problem, given))
    repeated = [i for i, group in found.items() if len(group) > samples]
    if repeated:
        raise DataError(
            f"expected {samples} output(s) a problem in {path}, found {len(found[repeated[0]])} of {some(repeated)}; "
            f"give samples={max(map(len, found.values()))} if they are samples, else drop one"
        )
    fewer = [i for i, group in found.items() if len(group) < samples]
    if not partial:
        _refuse(path, unknown, rejected)
        if fewer:
            raise DataError(
                f"expected {samples} outputs a problem in {path}, found {len(found[fewer[0]])} of {some(fewer)}; "
                "partial=true scores what is there"
            )
    if not found:
        why = f"; the first that was rejected: {rejected[0]['reason']}" if rejected else ""
        raise DataError(f"expected outputs for {bench.title} in {path}, found none{why}")
    ordered = [i for i in known if i in found] if source else list(found)
    missing = (*(i for i in known if i not in found), *fewer)
    return Outputs([_sample(p, g) for i in ordered for p, g in found[i]], missing, tuple(files), rejected)


def _read(
    bench: Bench, files: Sequence[Path], known: dict[str, Problem], rejected: list[dict[str, Any]]
) -> Iterator[tuple[Row, Given, Problem]]:
    """What every row gives for which problem; rows that can't be used are rejected, those of other splits left out."""
    for whole in (row for file in files for row in rows(file)):
        try:
            found = []
            for row in taken(bench.unfold, whole):
                given = taken(bench.given, row)
                problem = _problem(bench, row, given, known) if given else None
                if given and problem:
                    found.append((row, given, problem))
        except DataError as e:
            rejected.append({"line": whole.line, "reason": str(e), "row": short(whole.value)})
        else:
            yield from found


def _files(bench: Bench, path: Path) -> list[Path]:
    """The file, or the files of a folder that hold outputs of this benchmark."""
    found = sorted(p for p in path.glob(bench.outputs) if p.is_file()) if path.is_dir() else []
    return found or find(path, (bench.outputs,), f"outputs for {bench.title}")


def _problem(bench: Bench, row: Row, given: Given, known: dict[str, Problem]) -> Problem | None:
    """The problem of a row, from the data, from the row itself, or from both; None for a row of another split."""
    if known and given.id == str(row.line) and is_numbered(row):
        raise DataError(
            f"{row.where}: expected an id in column {', '.join(IDS[:4])}, found none; its line does not say which "
            "problem it answers"
        )
    own = known.get(given.id)
    if own is not None and not isinstance(row.value, dict):
        return own
    try:
        carried = taken(bench.problem, row)
    except DataError:
        if known:
            return own or Problem(given.id, "")
        raise
    if own is None or carried is None:
        return carried or own
    if carried.answer not in (None, own.answer):
        raise DataError(
            f"{row.where}: expected the gold answer {own.answer!r} of the data, found {carried.answer!r}; they are of "
            "different versions"
        )
    return replace(own, choices=carried.choices or own.choices, meta={**own.meta, **carried.meta})


def _refuse(path: Path, unknown: list[str], rejected: list[dict[str, Any]]) -> None:
    """Raise DataError unless every row was used."""
    if unknown:
        raise DataError(
            f"expected ids of the problems in {path}, found {len(unknown)} unknown: {some(unknown)}. Another split? "
            "partial=true sets them aside"
        )
    if rejected:
        raise DataError(
            f"expected rows that can be used in {path}, found {len(rejected)} that can't, the first: "
            f"{rejected[0]['reason']}; correct them, or set them aside with partial=true"
        )


def _sample(problem: Problem, given: Given) -> Sample:
    said = {"extraction": given.extraction, "judged": given.correct, "reward": given.reward}
    meta = {**problem.meta, **{k: v for k, v in said.items() if v is not None}}
    text = given.response if given.response is not None else given.extraction or ""
    if given.response is None:
        meta["no_response"] = True
    return Sample(replace(problem, meta=meta), Completion(text, given.finish), Score(0.0))


def some(ids: Sequence[str]) -> str:
    """The first of them, and how many more."""
    return ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
