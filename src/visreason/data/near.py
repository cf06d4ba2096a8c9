"""Near-duplicate texts by their word triples: MinHash signatures in bands, checked by the exact Jaccard similarity."""

import hashlib
import random
import re
from collections.abc import Sequence

HASHES, BAND = 64, 4
"""Numbers of a signature, and how many of them make a band: texts of similarity 0.8 share one of the 16 bands with a
probability of 0.9998, of 0.5 with 0.64 (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4)."""
PRIME = (1 << 61) - 1
WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")
_rng = random.Random(0)
_TURNS = [(_rng.randrange(1, PRIME), _rng.randrange(PRIME)) for _ in range(HASHES)]


def near_duplicates(texts: Sequence[str], threshold: float) -> dict[int, int]:
    """For each text that is like an earlier kept one (Jaccard similarity of word triples at least `threshold`), its
    place and that one's.

    >>> near_duplicates(["a b c d e f", "x y z", "A b c, d e f"], 0.9)
    {2: 0}
    """
    kept: dict[int, frozenset[int]] = {}
    bands: dict[tuple, list[int]] = {}
    found: dict[int, int] = {}
    for i, text in enumerate(texts):
        triples = shingles(text)
        signature = [min((a * t + b) % PRIME for t in triples) for a, b in _TURNS]
        keys = [(k, *signature[k : k + BAND]) for k in range(0, HASHES, BAND)]
        near = dict.fromkeys(j for key in keys for j in bands.get(key, ()))
        like = next((j for j in near if similarity(triples, kept[j]) >= threshold), None)
        if like is not None:
            found[i] = like
            continue
        kept[i] = triples
        for key in keys:
            bands.setdefault(key, []).append(i)
    return found


def shingles(text: str) -> frozenset[int]:
    """Hashes of a text's word triples, or of the whole where it is shorter; case and punctuation don't count, and a
    Chinese character is a word."""
    words = WORD.findall(text.lower())
    triples = (" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2)))
    return frozenset(int.from_bytes(hashlib.blake2b(t.encode(), digest_size=7).digest()) for t in triples)


def similarity(a: frozenset[int], b: frozenset[int]) -> float:
    """Jaccard similarity: what both hold, of what either holds."""
    return len(a & b) / len(a | b)
