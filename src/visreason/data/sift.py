"""Problems taken out before anything is made of them: doubles, what a benchmark holds too, too many of a kind."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from visreason.data.decontaminate import ALIKE_PICTURE, edges, overlaps
from visreason.data.near import near_duplicates
from visreason.record import Problem

Drops = dict[int, tuple[str, str]]
"""Places of problems, with the rule that takes each out and the reason."""


def duplicates(problems: Sequence[Problem], near: float | None) -> Drops:
    """Problems that are as an earlier one: the same question, choices and picture files ("duplicate"); or questions of
    which `near` of the word triples are the same, about pictures that look alike ("near duplicate")."""
    drops: Drops = {}
    first: dict[tuple, str] = {}
    for i, p in enumerate(problems):
        key = (p.question, p.choices, *(image.sha256 or image.path for image in p.images))
        if key in first:
            drops[i] = ("duplicate", f"of {first[key]}")
        first.setdefault(key, p.id)
    return drops if near is None else drops | _near(problems, near, drops)


def _near(problems: Sequence[Problem], near: float, known: Drops) -> Drops:
    """Within each cluster of like questions, pictures are compared with those of the problems that stay."""
    places = [i for i in range(len(problems)) if i not in known]
    texts = [" ".join((problems[i].question, *problems[i].choices)) for i in places]
    clusters: dict[int, list[int]] = {}
    like = near_duplicates(texts, near)
    for k, i in enumerate(places):
        clusters.setdefault(places[like.get(k, k)], []).append(i)
    drops: Drops = {}
    for cluster in (c for c in clusters.values() if len(c) > 1):
        kept: list[int] = []
        for i in cluster:
            twin = next((j for j in kept if _alike(problems[i], problems[j])), None)
            if twin is None:
                kept.append(i)
            else:
                drops[i] = ("near duplicate", f"of {problems[twin].id}")
    return drops


def _alike(one: Problem, other: Problem) -> bool:
    """Whether two problems show the same pictures to the eye; two without any do."""
    if len(one.images) != len(other.images):
        return False
    return all(_same(a.path, b.path) for a, b in zip(one.images, other.images, strict=True))


def _same(one: str, other: str) -> bool:
    a, b = edges(one), edges(other)
    if a is None or b is None:
        return False
    either = np.bitwise_count(a | b).sum()
    return bool(np.bitwise_count(a & b).sum() >= max(ALIKE_PICTURE, 0.95) * either)


def contaminated(problems: Sequence[Problem], benchmark: Sequence[Problem]) -> Drops:
    """Problems that meet one of the benchmark's."""
    found = {o.id: o for o in overlaps(problems, benchmark)}
    return {
        i: ("benchmark", f"{found[p.id].kind} of {found[p.id].benchmark_id}, {found[p.id].likeness:.2f}")
        for i, p in enumerate(problems)
        if p.id in found
    }


def surplus(problems: Sequence[Problem], most: Mapping[str, int]) -> Drops:
    """Problems beyond the first `most[name]` with the same value of `meta[name]`.

    >>> surplus([Problem(str(i), "Q?", meta={"source": "a"}) for i in range(3)], {"source": 2})
    {2: ('balance', 'more than 2 of source a')}
    """
    seen: Counter[tuple[str, str]] = Counter()
    drops: Drops = {}
    for i, p in enumerate(problems):
        values = [(name, str(p.meta.get(name))) for name in most]
        over = next((v for v in values if seen[v] >= most[v[0]]), None)
        if over is not None:
            drops[i] = ("balance", f"more than {most[over[0]]} of {over[0]} {over[1]}")
        else:
            seen.update(values)
    return drops
