"""What the manifest of an evaluation on a benchmark says: figures, what was not read, and the protocol card."""

from dataclasses import asdict
from typing import Any

from visreason.bench.figures import by_column, figures, percent, sampling
from visreason.bench.files import revision
from visreason.bench.kind import ALL, Bench, Rules
from visreason.bench.problems import Source
from visreason.prompt import Style
from visreason.record import Problem, Sample

NOT_READ = ("unparsed", "truncated", "errored")


def summarize(bench: Bench, samples: list[Sample], extraction: str, missing: int) -> dict[str, Any]:
    """`figures` maps every published column to {"value", "n", "low", "high"} in percent. Beside them: `not_read`, the
    percentages of unparsed, truncated and errored answers; `by_answer_room`, the share that `answer/` finds right in
    the responses; and figures of several answers to a problem."""
    found = figures(bench, samples)
    summary: dict[str, Any] = {
        "bench": bench.name,
        "extraction": extraction,
        "primary": bench.primary if bench.primary in found else ALL,
        "partial": missing > 0,
        "missing": missing,
        "headline": [name for name in bench.headline if name in found],
        "figures": {name: percent(interval) for name, interval in found.items()},
        "published": [asdict(p) for p in bench.published],
        "not_read": _not_read(bench, samples),
    }
    if all("answer" in s.score.parts for s in samples):
        other = by_column(samples, lambda p: (), lambda s: s.score.parts["answer"])[ALL]
        summary["by_answer_room"] = percent(other)
    labelled = [s for s in samples if "judged" in s.problem.meta]
    if labelled:
        agreed = sum(s.score.correct == s.problem.meta["judged"] for s in labelled)
        summary["recorded_verdicts"] = {"n": len(labelled), "agree": agreed}
    rewards = [s.problem.meta.get("reward") for s in samples]
    known = [float(r) for r in rewards if r is not None]
    several = sampling(samples, known if len(known) == len(samples) else None)
    if several:
        summary["sampling"] = {name: percent(interval) for name, interval in several.items()}
    return summary


def _not_read(bench: Bench, samples: list[Sample]) -> dict[str, dict[str, float]]:
    """For every column the percentages of answers that were not read, by reason; columns without any are left out."""
    shares = {
        r: by_column(samples, bench.columns, lambda s, r=r: float(s.score.reason == r)) for r in NOT_READ
    }
    columns = {name for found in shares.values() for name, share in found.items() if share.value > 0}
    order = [name for name in shares["errored"] if name in columns]
    return {name: {r: 100 * shares[r][name].value for r in NOT_READ} for name in order}


def card(
    bench: Bench,
    source: Source | None,
    problems: list[Problem],
    rules: Rules,
    extraction: dict[str, Any],
    asked: dict[str, Any],
    style: Style | None,
) -> dict[str, Any]:
    """The protocol: what was asked of what, how it was decoded, and how answers were read and scored."""
    data = source or Source("", (), problems)
    return {
        "bench": bench.name,
        "source": bench.source,
        "split": data.split or None,
        "revision": revision(data.files[0]) if data.files else None,
        "problems": len({p.id for p in problems}),
        "data_sha256": data.sha256,
        "extraction": extraction,
        "rules": asdict(rules),
        "prompt": {"style": style.name, "system": style.system, "user": style.user} if style else None,
        "asked": asked,
    }
