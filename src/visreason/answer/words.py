"""Numbers written as words: cardinals, ordinals and fractions, English and Chinese."""

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
CHINESE_SCALES = {"亿": 10**8, "万": 10**4, "千": 1_000, "百": 100, "十": 10}
CHINESE_NUMBER = re.compile(
    rf"(?=.*[{CHINESE}两亿万千百十])[{CHINESE}两亿万千百十\d.点又分之]+[个只条张本位名]?"
)
ROMAN = re.compile(r"(?=[IVX]{2})X{0,3}(?:IX|IV|V?I{0,3})")
ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10}
SCALES = {
    "dozen": 12,
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
    "no": 0, "none": 0, "a": 1, "once": 1, "twice": 2,
}  # fmt: skip
PARTS = {
    "half": 2, "halves": 2, "quarter": 4, "quarters": 4,
    **{w + s: i for i, w in enumerate(ORDINALS[2:], 3) for s in ("", "s")},
}  # fmt: skip
ALONE = ("no", "a", "second")
"""Words that are numbers only beside other words of number."""
SCALED = re.compile(r"(-?\d+(?:\.\d+)?) ?(dozen|thousand|million|billion|trillion)")
SUFFIXED = re.compile(r"(\d+)(?:st|nd|rd|th)", re.IGNORECASE)


def number_in_words(text: str) -> Fraction | int | None:
    """The number that a text says in words, or None.

    >>> [number_in_words(t) for t in ("twenty-five", "Two hundred and one", "3rd", "third", "十二", "a cat")]
    [25, 201, 3, 3, 12, None]
    >>> [number_in_words(t) for t in ("XIV", "两个", "二点五")]
    [14, 2, Fraction(5, 2)]
    >>> number_in_words("1.5 million"), number_in_words("三分之一"), number_in_words("3.5万")
    (Fraction(1500000, 1), Fraction(1, 3), Fraction(35000, 1))
    >>> number_in_words("minus two thirds"), number_in_words("one and a half"), number_in_words("two five")
    (Fraction(-2, 3), Fraction(3, 2), None)
    """
    if ROMAN.fullmatch(text):
        return _roman(text)
    text = text.strip().lower().rstrip(".")
    if len(text) > 80:
        return None
    if (sign := text.partition(" "))[0] in ("minus", "negative"):
        size = number_in_words(sign[2])
        return None if size is None else -size
    if suffixed := SUFFIXED.fullmatch(text):
        return int(suffixed.group(1))
    if scaled := SCALED.fullmatch(text):
        return Fraction(scaled[1]) * SCALES[scaled[2]]
    if CHINESE_NUMBER.fullmatch(text):
        return _chinese(text.rstrip("个只条张本位名").replace("两", "二"))
    if " point " in text:
        return _decimal(*text.split(" point ", 1))
    words = [w for w in re.split(r"[\s-]+", text) if w]
    return None if not words or text in ALONE else _fraction(words) or _whole(words)


def _decimal(ones: str, places: str) -> Fraction | None:
    """`two point five`: its digits are said one by one."""
    whole, digits = _whole(ones.split()), [str(SMALL.index(w)) for w in places.split() if w in SMALL[:10]]
    return (
        None
        if whole is None or len(digits) < len(places.split())
        else whole + Fraction(f"0.{''.join(digits)}")
    )


def _fraction(words: list[str]) -> Fraction | None:
    """`half`, `two thirds`, `one and three quarters`; `twenty third` and `third` are ordinals."""
    if words == ["half"]:
        return Fraction(1, 2)
    *whole, top, bottom = ["", *words]
    if bottom not in PARTS or top not in ("a", *SMALL[1:10]) or whole[-1:] not in ([""], ["and"]):
        return None
    ones = _whole(whole[1:-1]) if len(whole) > 1 else 0
    return None if ones is None else ones + Fraction(VALUES[top], PARTS[bottom])


def _roman(text: str) -> int:
    """A Roman number below 40: a smaller digit before a larger one is taken off."""
    digits = [ROMAN_DIGITS[c] for c in text]
    return sum(-d if d < after else d for d, after in zip(digits, [*digits[1:], 0], strict=True))


def is_plural(word: str, singular: str) -> bool:
    """Whether a word is the regular plural of another.

    >>> is_plural("boxes", "box"), is_plural("cities", "city"), is_plural("cats", "cat"), is_plural("cat", "car")
    (True, True, True, False)
    """
    if singular.endswith("y") and word == singular[:-1] + "ies":
        return True
    return word == singular + "s" or (
        singular.endswith(("s", "x", "z", "h", "o")) and word == singular + "es"
    )


def _whole(words: list[str]) -> int | None:
    """A cardinal or an ordinal, its words in falling order of size: `two five` is none."""
    total = part = 0
    room, scale = 100, 10**15  # what the next word, the next scale, has to be less than
    words = [w for w in words if w != "and"]
    for word in words:
        if word in SCALES:
            size = SCALES[word]
            if size >= scale or (size <= 100 <= part):
                return None
            part, room = max(part, 1) * size, size
            if size > 100:
                total, part, room, scale = total + part, 0, 100, size
        elif word in VALUES and VALUES[word] < room:
            part += VALUES[word]
            room = 10 if VALUES[word] >= 20 else 0
        else:
            return None
    return total + part if words else None


def _chinese(text: str) -> Fraction | int | None:
    """A Chinese number: by its fraction (三分之一, 二又三分之一), else by its largest scale, else its one digit."""
    whole, _, part = text.rpartition("又")
    bottom, divided, top = part.partition("分之")
    if divided:
        ones, numerator, denominator = _chinese(whole) if whole else 0, _chinese(top), _chinese(bottom)
        return (
            None
            if ones is None or numerator is None or not denominator
            else ones + Fraction(numerator) / denominator
        )
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return Fraction(text)
    ones, point, places = text.partition("点")
    if point:
        whole, digits = _chinese(ones), [str(CHINESE.find(c)) for c in places]
        return (
            None
            if whole is None or not places or "-1" in digits
            else whole + Fraction(f"0.{''.join(digits)}")
        )
    for scale, size in CHINESE_SCALES.items():
        left, found, right = text.partition(scale)
        if found:
            times = _chinese(left) if left else 1 if size < 10_000 else None
            rest = _chinese(right.lstrip("零")) if right else 0
            return times * size + rest if times is not None and rest is not None and rest < size else None
    return CHINESE.index(text) if len(text) == 1 and text in CHINESE else None
