"""Training problems that a benchmark holds too: pictures alike by perceptual hash, questions alike by n-grams.

Nothing is removed here: `overlaps` says which problem meets which, how, and how closely; `without` takes them out.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import PIL.Image

from visreason.errors import DataError
from visreason.prompt import open_image
from visreason.record import Image, Problem

NGRAM = 8
"""Words in a row. Shorter questions ("Find x.") are everybody's: they say nothing without their picture."""
ALIKE_QUESTION, ALIKE_PICTURE = 0.5, 0.8
SIDE, STEP, MIN_EDGES = 32, 6, 24
"""Pictures are compared at SIDE x SIDE; a STEP between neighbours (of 255) is an edge; fewer edges than MIN_EDGES are a
blank."""


@dataclass(frozen=True)
class Overlap:
    """A training problem, the benchmark problem it meets, by what, and how closely (0 to 1).

    >>> Overlap("mine-7", "mathvision-12", "picture", 0.93).kind
    'picture'
    """

    id: str
    benchmark_id: str
    kind: Literal["picture", "question"]
    likeness: float


def overlaps(train: Sequence[Problem], benchmark: Sequence[Problem], pictures: bool = True) -> list[Overlap]:
    """Every training problem with the closest problem of the benchmark it meets, once for each kind.

    Questions meet when half of the n-grams of either are the other's (mathematics and case aside), pictures when four
    fifths of the edges of both, at 32 x 32, coincide. Pictures that can't be opened meet nothing.
    """
    found = _questions(train, benchmark)
    return found + (_pictures(train, benchmark) if pictures else [])


def without(train: Iterable[Problem], found: Iterable[Overlap]) -> list[Problem]:
    """The training problems that meet nothing."""
    ids = {o.id for o in found}
    return [p for p in train if p.id not in ids]


def _questions(train: Sequence[Problem], benchmark: Sequence[Problem]) -> list[Overlap]:
    grams = {p.id: ngrams(p.question) for p in benchmark}
    holders: dict[str, list[str]] = {}
    for name, own in grams.items():
        for gram in own:
            holders.setdefault(gram, []).append(name)
    found = []
    for problem in train:
        own = ngrams(problem.question)
        shared: dict[str, int] = {}
        for gram in own:
            for name in holders.get(gram, ()):
                shared[name] = shared.get(name, 0) + 1
        if shared:
            likeness, name = max((n / min(len(own), len(grams[name])), name) for name, n in shared.items())
            if likeness >= ALIKE_QUESTION:
                found.append(Overlap(problem.id, name, "question", likeness))
    return found


def ngrams(question: str) -> frozenset[str]:
    """Runs of NGRAM words and numbers of a question, without marks of images and options; empty for a short one.

    >>> len(ngrams("What is the sum of the first ten odd numbers?")), ngrams("Find x.")
    (3, frozenset())
    """
    text = re.sub(r"<image ?\d*>|\(?[A-J][).:]\s", " ", question)
    words = re.findall(r"[a-z]+|\d+(?:\.\d+)?|[\u4e00-\u9fff]", text.lower())
    return frozenset(" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1))


def _pictures(train: Sequence[Problem], benchmark: Sequence[Problem]) -> list[Overlap]:
    theirs = [(p.id, found) for p in benchmark for i in p.images if (found := edges(i.path)) is not None]
    ours = [(p.id, found) for p in train for i in p.images if (found := edges(i.path)) is not None]
    if not theirs or not ours:
        return []
    theirs_NW = np.stack([e for _, e in theirs])
    count_N = np.bitwise_count(theirs_NW).sum(1)
    best: dict[str, Overlap] = {}
    for name, edge_W in ours:
        both_N = np.bitwise_count(theirs_NW & edge_W).sum(1)
        likeness_N = both_N / (count_N + np.bitwise_count(edge_W).sum() - both_N)
        i = int(likeness_N.argmax())
        found = Overlap(name, theirs[i][0], "picture", float(likeness_N[i]))
        if found.likeness >= ALIKE_PICTURE and (name not in best or found.likeness > best[name].likeness):
            best[name] = found
    return list(best.values())


@lru_cache(maxsize=65_536)
def edges(path: str) -> np.ndarray | None:
    """Where a picture gets lighter or darker, as bits in 64-bit words: its perceptual hash. None for a blank one, or
    one that can't be opened."""
    try:
        picture = open_image(Image(path))
    except DataError:
        return None
    size = (SIDE + 1, SIDE + 1)
    grey = np.asarray(picture.convert("L").resize(size, PIL.Image.Resampling.BOX), dtype=np.int16)
    across, down = np.diff(grey, axis=1)[:SIDE], np.diff(grey, axis=0)[:, :SIDE]
    bits = np.stack([across > STEP, across < -STEP, down > STEP, down < -STEP])
    if bits.sum() < MIN_EDGES:
        return None
    return np.packbits(bits).view(np.uint64)
