"""Reading an option's letter out of a response as MMMU's authors do. No part of it is visreason's own opinion.

Source: MMMU-Benchmark/MMMU@bb0b95a9, mmmu/utils/eval_utils.py and mmmu-pro/evaluate.py.
"""

import hashlib
import re

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ENDS = ",.!?;:'"


def pick_letter(response: str, texts: tuple[str, ...]) -> str | None:
    """MMMU: `(B)`, else ` B `, else an option's text; the one that stands last where there are several.

    >>> pick_letter("Not (A). So it is (B).", ("red", "blue")), pick_letter("It is a cat.", ("red", "blue"))
    ('B', None)
    """
    return _pick(_trimmed(response), texts, ("({})", " {} "))


def pick_letter_pro(response: str, texts: tuple[str, ...]) -> str | None:
    """MMMU-Pro: what follows the last "Answer:" if that has one letter alone; else as MMMU, but `B ` and `B.`.

    >>> pick_letter_pro("So A or B. Answer: B", ("red", "blue"))
    'B'
    """
    letters = LETTERS[: len(texts)]
    if "Answer:" in response:
        found = [c for c in letters if c in response.split("Answer:")[-1].strip()]
        if len(found) == 1:
            return found[0]
    return _pick(_trimmed(response), texts, ("({})", "{} ", "{}."))


def by_chance(problem_id: str, n: int, seed: int) -> str:
    """A letter drawn for this problem alone, so that no order of problems changes it.

    >>> by_chance("p1", 4, 0) == by_chance("p1", 4, 0) in "ABCD"
    True
    """
    digest = hashlib.sha256(f"{seed}:{problem_id}".encode()).digest()
    return LETTERS[int.from_bytes(digest[:8]) % n]


def _trimmed(response: str) -> str:
    for mark in ENDS:
        response = response.strip(mark)
    return f" {response} "


def _pick(text: str, texts: tuple[str, ...], marks: tuple[str, ...]) -> str | None:
    letters = LETTERS[: len(texts)]
    for mark in marks:
        found = [c for c in letters if mark.format(c) in text]
        if found:
            # "(B)" is looked up as such; every other form as a letter between spaces, wherever it was seen.
            place = "({})" if mark == "({})" else " {} "
            return _last(found, [text.rfind(place.format(c)) for c in found])
    if len(re.split(r"\s+", text.strip())) > 5:
        lowered = text.lower()
        found = [c for c, option in zip(letters, texts, strict=True) if option.lower() in lowered]
        if found:
            return _last(found, [lowered.rfind(texts[letters.index(c)].lower()) for c in found])
    return None


def _last(letters: list[str], places: list[int]) -> str:
    return letters[max(range(len(letters)), key=lambda i: places[i])]
