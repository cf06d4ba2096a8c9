"""Problems taken out by rules that ask nobody: doubles, what a benchmark holds too, what can't be checked, too many
of a kind."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from visreason.answer import check
from visreason.answer.check import SUPPORTED
from visreason.data.decontaminate import ALIKE_PICTURE, edges, overlaps
from visreason.data.near import near_duplicates
from visreason.errors import DataError
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
    """Within each cluster of like questions with one answer, pictures are compared with those of the problems that
    stay."""
    places = [i for i in range(len(problems)) if i not in known]
    texts = [" ".join((problems[i].question, *problems[i].choices)) for i in places]
    clusters: dict[tuple[int, int, str | None], list[int]] = {}
    like = near_duplicates(texts, near)
    for k, i in enumerate(places):
        key = (places[like.get(k, k)], len(problems[i].images), problems[i].answer)
        clusters.setdefault(key, []).append(i)
    drops: Drops = {}
    for (_, pictures, _), cluster in clusters.items():
        if len(cluster) > 1:
            twins = _twins(problems, cluster) if pictures else dict.fromkeys(cluster[1:], cluster[0])
            drops |= {i: ("near duplicate", f"of {problems[j].id}") for i, j in twins.items()}
    return drops


def _twins(problems: Sequence[Problem], cluster: Sequence[int]) -> dict[int, int]:
    """Problems whose pictures look like those of an earlier one that stays, with that one. A blank picture, or one that
    can't be opened, looks like no other."""
    found: dict[int, int] = {}
    kept: list[int] = []
    table_KNW = np.empty((0, 0, 0), dtype=np.uint64)
    for i in cluster:
        shown = [e for image in problems[i].images if (e := edges(image.path)) is not None]
        if len(shown) < len(problems[i].images):
            continue
        row_NW = np.stack(shown)
        if not kept:
            table_KNW = np.empty((len(cluster), *row_NW.shape), dtype=row_NW.dtype)
        alike = _alike(table_KNW[: len(kept)], row_NW)
        if alike.any():
            found[i] = kept[int(alike.argmax())]
        else:
            table_KNW[len(kept)] = row_NW
            kept.append(i)
    return found


def _alike(table_KNW: np.ndarray, row_NW: np.ndarray) -> np.ndarray:
    """Of K problems, which show the same N pictures to the eye, each W words of edges."""
    both_KN = np.bitwise_count(table_KNW & row_NW).sum(-1)
    either_KN = np.bitwise_count(table_KNW | row_NW).sum(-1)
    return (both_KN >= ALIKE_PICTURE * either_KN).all(-1)


def unverifiable(problems: Sequence[Problem]) -> Drops:
    """Problems whose answer is not right by its own check, so that no completion can be; those for a judge, and those
    without an answer, are left to others."""
    drops: Drops = {}
    for i, p in enumerate(problems):
        if p.answer is None or p.check not in SUPPORTED:
            continue
        try:
            right = check(p, p.answer).correct
        except DataError as e:
            drops[i] = ("unverifiable", str(e))
            continue
        if not right:
            drops[i] = ("unverifiable", f"the answer {p.answer[:80]!r} is not right by its own check")
    return drops


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
