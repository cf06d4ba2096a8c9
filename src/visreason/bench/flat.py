"""Problems of one's own, one a row, with the answers of models: no benchmark's rules, only `answer/`.

Rows as `data.columns` reads them; a row whose response, prediction and reward are lists holds several samples.
"""

from dataclasses import replace

from visreason.answer import check
from visreason.bench.columns import EXTRACTIONS, RESPONSES, REWARDS, VERDICTS, given
from visreason.bench.judging import EXTRACT, VERDICT, reply
from visreason.bench.kind import Bench, Judging, Row, Rules
from visreason.data.columns import flat_problem
from visreason.errors import DataError
from visreason.record import Problem, Score

OUTPUT = frozenset((*RESPONSES, *EXTRACTIONS, *VERDICTS, *REWARDS, "finish")) - {"problem", "completion"}


def problem(row: Row) -> Problem:
    if not isinstance(row.value, dict):
        raise DataError(f"{row.where}: expected an object, found {type(row.value).__name__}")
    asked = {k: v for k, v in row.value.items() if k not in OUTPUT and not isinstance(v, bytes)}
    if "idx" in asked and "id" not in asked:
        asked["id"] = asked.pop("idx")
    return flat_problem(asked, row.key or str(row.line))


def unfold(row: Row) -> list[Row]:
    """One row for each of the samples that a row lists."""
    values = row.value if isinstance(row.value, dict) else {}
    lists = {k: v for k, v in values.items() if k in OUTPUT and isinstance(v, list)}
    if not lists:
        return [row]
    if len({len(v) for v in lists.values()}) > 1:
        found = ", ".join(f"{len(v)} in {k}" for k, v in lists.items())
        raise DataError(f"{row.where}: expected lists of one length, a value for every sample, found {found}")
    parts = [dict(zip(lists, part, strict=True)) for part in zip(*lists.values(), strict=True)]
    return [replace(row, value={**values, **{k: _one(v) for k, v in part.items()}}) for part in parts]


def _one(value: object) -> object:
    """The value of a list of one, as rewards come."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    return check(problem, extraction)


BENCH = Bench(
    name="flat",
    title="Rows of one's own",
    source="",
    sizes={"all": 0},
    files={"all": ("*.json*",)},
    problem=problem,
    unfold=unfold,
    given=given,
    score=score,
    columns=lambda p: [str(p.meta[k]) for k in ("subject", "level", "category", "source") if k in p.meta],
    judging=Judging(EXTRACT, reply, VERDICT),
)
