"""A run as the report sees it, finished or still going; nothing in its directory is changed."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from visreason.errors import RunError
from visreason.record import Problem, Sample
from visreason.stats import TRIAL_OF, by_problem
from visreason.store import MANIFEST, METRICS, RECIPE, SAMPLES, read_json, read_records, read_rows


@dataclass(frozen=True)
class RunView:
    """Recipe, metrics (one object a step), samples and manifest (empty while unfinished) of a run, and its label.

    >>> run = RunView("GRPO", {"verb": "grpo"}, metrics=[{"step": 1, "reward": 0.4}])
    >>> run.verb, run.finished
    ('grpo', False)
    """

    label: str
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, float]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def verb(self) -> str:
        """Which verb made the run."""
        return str(self.recipe.get("verb") or self.manifest.get("verb") or "run")

    @property
    def rollouts(self) -> bool:
        """Whether its samples are completions of a policy in training, which changes from one to the next."""
        return self.verb not in ("evaluate", "score")

    @property
    def finished(self) -> bool:
        """Whether the run was sealed."""
        return bool(self.manifest)


def _light(sample: Sample) -> Sample:
    """Without token ids and log-probs, which no page shows and which take most of the memory."""
    return replace(sample, completion=replace(sample.completion, token_ids=(), logps=()))


def shared(first: RunView, second: RunView) -> list[tuple[list[Sample], list[Sample]]]:
    """The samples of both runs for every problem that both answered; another problem may have the same id."""
    others = by_problem(second.samples)
    pairs = ((group, others.get(name, [])) for name, group in by_problem(first.samples).items())
    return [(a, b) for a, b in pairs if b and _same(a[0].problem, b[0].problem)]


def _same(a: Problem, b: Problem) -> bool:
    """Whether two problems of one id are one, as far as they say; trials of a pair ask in orders of their own."""
    asked = (a.question, b.question) if TRIAL_OF not in a.meta else ("", "")
    return all(x == y or not x or not y for x, y in (asked, (a.answer, b.answer)))


def load_run(path: Path, label: str) -> RunView:
    """Read a run directory. Raises RunError when it holds no run."""
    if not (path / RECIPE).is_file():
        raise RunError(
            f"expected a run in {path}, found no {RECIPE}; give a directory that a verb wrote (out=...)"
        )
    metrics, samples = path / METRICS, path / SAMPLES
    return RunView(
        label,
        read_json(path / RECIPE),
        [row for _, row in read_rows(metrics, growing=True)] if metrics.exists() else [],
        [_light(s) for s in read_records(samples, Sample, growing=True)] if samples.exists() else [],
        read_json(path / MANIFEST) if (path / MANIFEST).exists() else {},
        path,
    )
