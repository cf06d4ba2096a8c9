"""Geometry3K, test: accuracy of choice among four options. Source: lupantech/InterGPS@99e6b529, symbolic_solver."""

from visreason.answer import check
from visreason.bench.columns import given as given_by_columns
from visreason.bench.columns import identity, need, options, pictures
from visreason.bench.kind import ALL, Bench, Given, Published, Row, Rules
from visreason.errors import DataError
from visreason.record import Problem, Sample, Score
from visreason.stats import Interval, accuracy, by_problem

CHANCE = 0.25


def problem(row: Row) -> Problem:
    """A problem, or a row of the solver's results, which holds neither question nor answer."""
    if "correctness" in row.value:
        return Problem(str(row.value["num"]), "")
    return Problem(
        identity(row), need(row, "problem_text", "question", "problem"), pictures(row), need(row, "answer"),
        options(row, "compact_choices", "choices", "options"),
    )  # fmt: skip


def given(row: Row) -> Given | None:
    """A solver's result has a verdict, and a guess unless it gave up; a model's output is a response."""
    if not isinstance(row.value, dict) or "correctness" not in row.value:
        return given_by_columns(row)
    guess = row.value.get("guess")
    return Given(str(row.value["num"]), extraction=None if guess is None else str(guess),
                 correct=row.value["correctness"] == "yes")  # fmt: skip


def score(problem: Problem, extraction: str, rules: Rules) -> Score:
    if problem.answer is None:
        judged = problem.meta.get("judged")
        if judged is None:
            raise DataError(f"problem {problem.id!r}: expected a gold answer or a verdict, found neither")
        return Score(1.0, extraction, "judged") if judged else Score(0.0, extraction, "wrong")
    return check(problem, extraction)


def aggregate(samples: list[Sample]) -> dict[str, Interval]:
    """A problem that a solver gave up counts a quarter: what guessing among four options is worth."""
    values = [[_value(s) for s in group] for group in by_problem(samples).values()]
    solved = [[float(s.score.correct) for s in group] for group in by_problem(samples).values()]
    return {ALL: accuracy(values), "solved": accuracy(solved)}


def _value(sample: Sample) -> float:
    gave_up = sample.problem.answer is None and "extraction" not in sample.problem.meta
    return CHANCE if gave_up and not sample.score.correct else float(sample.score.correct)


LOGS = "lupantech/InterGPS@99e6b529 logs (mean of three runs)"
BENCH = Bench(
    name="geometry3k",
    title="Geometry3K",
    source="lupantech/InterGPS@99e6b529",
    sizes={"test": 601},
    files={"test": ("test*.json*", "data/test*.parquet", "test*.parquet")},
    outputs="**/*.json*",
    headline=(ALL, "solved"),
    problem=problem,
    given=given,
    score=score,
    aggregate=aggregate,
    published=(Published("Inter-GPS (predict + low-first)", {ALL: 78.26}, LOGS),),
)
