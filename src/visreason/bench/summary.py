"""What the manifest of an evaluation on a benchmark says: figures, what was not read, and the protocol card."""

import hashlib
import json
import math
from dataclasses import asdict
from typing import Any

from visreason.bench.figures import by_column, figures, percent, sampling
from visreason.bench.files import revision
from visreason.bench.judging import LAST_CHARS, MAX_TOKENS, TRIES
from visreason.bench.kind import ALL, GUESSED, Bench
from visreason.bench.problems import Source
from visreason.bench.task import Reading, Task, layout
from visreason.record import Sample
from visreason.stats import TRIAL_OF, accuracies

META = ("family", "category", "subject", "source", "level")
"""Fields of `meta` by which a summary divides problems that belong to no benchmark."""
MAX_GROUPS = 40
NOT_READ = ("unparsed", "truncated", "errored")


def overview(samples: list[Sample], by_meta: bool = True) -> dict[str, Any]:
    """What every evaluation says of its samples: both accuracies, format and length where they are known; with
    `by_meta` accuracy by family, category, subject, source and level."""
    both = accuracies(samples)
    formats = [s.score.parts["format"] for s in samples if "format" in s.score.parts]
    lengths = [len(s.completion.token_ids) for s in samples if s.completion.token_ids]
    summary: dict[str, Any] = {
        "accuracy": both["all"].as_dict(),
        "accuracy_of_completed": both["completed"].as_dict() if "completed" in both else None,
        "format": sum(formats) / len(formats) if formats else None,
        "completion_tokens": sum(lengths) / len(lengths) if lengths else None,
    }
    for name in META if by_meta else ():
        values = sorted({str(s.problem.meta[name]) for s in samples if name in s.problem.meta})
        if 1 < len(values) <= MAX_GROUPS:
            groups = {v: [s for s in samples if str(s.problem.meta.get(name)) == v] for v in values}
            summary[f"by_{name}"] = {v: accuracies(g)["all"].as_dict() for v, g in groups.items()}
    return summary


def summarize(bench: Bench, samples: list[Sample], extraction: str, missing: int) -> dict[str, Any]:
    """`figures` maps every published column to {"value", "n", "low", "high"} in percent. Beside them: `not_read`, the
    percentages of unparsed, truncated and errored answers; `guessed`, answers that were drawn or are the option spelled
    most alike; `by_answer_room`, the share that `answer/` finds right in the responses; and figures of several answers
    to a problem."""
    found = figures(bench, samples)
    summary: dict[str, Any] = {
        "bench": bench.name,
        "title": bench.title,
        "extraction": extraction,
        "primary": bench.primary if bench.primary in found else ALL,
        "partial": missing > 0,
        "missing": missing,
        "headline": [name for name in bench.headline if name in found],
        "figures": {name: percent(interval) for name, interval in found.items()},
        "published": [asdict(p) for p in bench.published],
        "not_read": _not_read(bench, samples),
    }
    if guessed := _guessed(samples):
        summary["guessed"] = guessed
    if all("answer" in s.score.parts for s in samples):
        other = by_column(samples, lambda p: (), lambda s: s.score.parts["answer"])[ALL]
        summary["by_answer_room"] = percent(other)
    labelled = [s for s in samples if "judged" in s.problem.meta]
    if labelled:
        agreed = sum(s.score.correct == s.problem.meta["judged"] for s in labelled)
        summary["recorded_verdicts"] = {"n": len(labelled), "agree": agreed}
    rewards = [_reward(s.problem.meta["reward"]) for s in samples if "reward" in s.problem.meta]
    trials = any(TRIAL_OF in s.problem.meta for s in samples)  # other questions, not other answers to one
    several = {} if trials else sampling(samples, rewards if len(rewards) == len(samples) else None)
    if several:
        summary["sampling"] = {name: percent(interval) for name, interval in several.items()}
    return summary


def _reward(given: Any) -> float:
    """An errored sample's reward is None, and under every other."""
    return -math.inf if given is None else float(given)


def _guessed(samples: list[Sample]) -> dict[str, dict[str, float]]:
    """How many answers no one gave, by the rule that took one all the same, and how many of those are right."""
    found = {part: [s.score.correct for s in samples if part in s.score.parts] for part in GUESSED}
    return {
        part: {"n": len(right), "right": sum(right), "percent": 100 * len(right) / len(samples)}
        for part, right in found.items()
        if right
    }


def _not_read(bench: Bench, samples: list[Sample]) -> dict[str, dict[str, float]]:
    """For every column the percentages of answers that were not read, by reason; columns without any are left out."""
    shares = {
        r: by_column(samples, bench.columns, lambda s, r=r: float(s.score.reason == r)) for r in NOT_READ
    }
    columns = {name for found in shares.values() for name, share in found.items() if share.value > 0}
    order = [name for name in shares["errored"] if name in columns]
    return {name: {r: 100 * shares[r][name].value for r in NOT_READ} for name in order}


def card(task: Task, reading: Reading, asked: dict[str, Any] | None) -> dict[str, Any]:
    """The protocol: what was asked of what and how it was decoded (None: answers made elsewhere), how answers were read
    and scored."""
    data = task.source or Source("", (), task.problems)
    found = {
        "bench": task.bench.name,
        "source": task.bench.source,
        "split": data.split or None,
        "revision": revision(data.files[0]) if data.files else None,
        "problems": len(task.problems),
        "data_sha256": data.sha256,
        "extraction": {"kind": reading.kind, "style": reading.style, **_judge(task.bench, reading)},
        "rules": asdict(task.rules),
    }
    if asked is None:
        return {**found, "prompt": None, "asked": {"made": "elsewhere"}}
    style = layout(task.bench, reading.style)
    prompt = {"style": style.name, "system": style.system, "user": style.user, "trial": task.bench.trial}
    return {**found, "prompt": prompt, "asked": {**asked, "pictures_sha256": data.pictures_sha256}}


def _judge(bench: Bench, reading: Reading) -> dict[str, Any]:
    """Who judges, how it is decoded, and in which words it is asked; a hash of those is their version."""
    if reading.kind != "judge" or bench.judging is None:
        return {}
    texts = {"extract": bench.judging.extract, "verdict": bench.judging.verdict}
    if bench.judging_open:
        texts["extract_open"] = bench.judging_open.extract
    version = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:12]
    decoding = {"tries": TRIES, "max_tokens": MAX_TOKENS, "last_chars": LAST_CHARS}
    return {"judge": reading.judge, **decoding, "prompts_version": version, "prompts": texts}
