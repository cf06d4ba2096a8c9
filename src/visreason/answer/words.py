"""Numbers written as words: cardinals and ordinals, English and Chinese."""

import re
from fractions import Fraction

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth",
)  # fmt: skip
CHINESE = "零一二三四五六七八九"
SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
VALUES = {
    **{w: i for i, w in enumerate(SMALL)},
    **{w: 10 * i for i, w in enumerate(TENS, 2)},
    **{w: i for i, w in enumerate(ORDINALS, 1)},
    "no": 0, "none": 0, "a": 1, "once": 1, "twice": 2, "dozen": 12,
}  # fmt: skip
ALONE = ("no", "a", "second")
"""Words that are numbers only beside other words of number."""
SCALED = re.compile(r"(-?\d+(?:\.\d+)?) ?(thousand|million|billion|trillion)")
SUFFIXED = re.compile(r"(\d+)(?:st|nd|rd|th)", re.IGNORECASE)


def number_in_words(text: str) -> Fraction | int | None:
    """The number that a text says in words, or None.

    >>> [number_in_words(t) for t in ("twenty-five", "Two hundred and one", "3rd", "third", "十二", "a cat")]
    [25, 201, 3, 3, 12, None]
    >>> number_in_words("1.5 million")
    Fraction(1500000, 1)
    """
    text = text.strip().lower().rstrip(".")
    if len(text) > 80:
        return None
    if suffixed := SUFFIXED.fullmatch(text):
        return int(suffixed.group(1))
    if scaled := SCALED.fullmatch(text):
        return Fraction(scaled[1]) * SCALES[scaled[2]]
    if text and all(c in CHINESE + "十两" for c in text):
        return _chinese(text)
    words = [w for w in re.split(r"[\s-]+", text) if w and w != "and"]
    if not words or text in ALONE or not all(w in VALUES or w in SCALES for w in words):
        return None
    total = part = 0
    for word in words:
        if word in SCALES:
            part = max(part, 1) * SCALES[word]
            if SCALES[word] > 100:
                total, part = total + part, 0
        else:
            part += VALUES[word]
    return total + part


def _chinese(text: str) -> int | None:
    tens, ten, ones = text.replace("两", "二").partition("十")
    if len(tens) > 1 or len(ones) > 1 or tens not in CHINESE or ones not in CHINESE:
        return None
    if not ten:
        return CHINESE.index(tens)
    return (CHINESE.index(tens) if tens else 1) * 10 + (CHINESE.index(ones) if ones else 0)
