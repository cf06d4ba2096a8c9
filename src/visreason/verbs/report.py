"""Write an HTML page about one or several runs, finished or not: numbers, curves, problems with answers, settings."""

from pathlib import Path

from pydantic import Field

from visreason import recipe
from visreason.errors import UsageError


class Recipe(recipe.Recipe):
    """What the page shows. The page lies in RUN/report when there is one run and no `out`."""

    runs: recipe.Paths = Field(
        min_length=1, description="Run directories, in the order they are shown.", examples=["[runs/grpo/a]"]
    )
    labels: list[str] = Field(
        [], description="What to call the runs; their directories' names when not given."
    )
    title: str = Field("Report", description="Heading of the page.")
    problems: int = Field(24, ge=0, description="Problems shown, with the runs' answers.")


def run(recipe: Recipe, out: Path) -> None:
    """Write the page and print where it is. Raises RunError for a directory that holds no run."""
    from visreason.view.report import write_report
    from visreason.view.runs import load_run

    labels = recipe.labels or _names(recipe.runs)
    if len(labels) != len(recipe.runs) or len(set(labels)) != len(labels):
        raise UsageError(f"expected {len(recipe.runs)} different labels, one for each run, found {labels}")
    runs = {label: load_run(path, label) for label, path in zip(labels, recipe.runs, strict=True)}
    folder = recipe.out or (recipe.runs[0] / "report" if len(recipe.runs) == 1 else out)
    page = write_report(folder, recipe.title, runs, problems=recipe.problems)
    for view in runs.values():
        print(f"{view.label}: {view.verb}, {'finished' if view.finished else 'unfinished'}")
    print(page)


def _names(runs: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    parts = [path.resolve().parts for path in runs]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise UsageError(f"expected different runs, found one twice: {', '.join(map(str, runs))}")
