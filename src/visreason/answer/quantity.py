"""What no single number stands for: dates, times, durations, measures of several units, ranges, money with its sign."""

import re
from fractions import Fraction
from itertools import pairwise

from visreason.answer.dates import date
from visreason.answer.normalize import split_unit, unwrap
from visreason.answer.units import measure, ratio

READ_CHARS = 100
CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?:\s*([ap])(?:\.?\s?m)?\.?)?", re.IGNORECASE)
HOUR = re.compile(r"(\d{1,2})\s*(?:([ap])\.?\s?m\.?|o['’]?clock)", re.IGNORECASE)
PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+|[\u4e00-\u9fff]{1,2})\.?(?:\s*,?\s*(?:and\b)?\s*|$)")
FEET = re.compile(r"(\d+)\s*['′]\s*(\d+)\s*[\"″]")
MONEY = re.compile(r"(?:US)?(\\?\$|€|£|¥|￥|₹)\s?(\d[\d,]*(?:\.\d+)?)\.?")
TEMPERATURE = re.compile(
    r"(-?\d+(?:\.\d+)?)\s*(?:°|\^?\s*\{?\s*\\circ\s*\}?|degrees?)[\s~\\]*(?:(?:text|mathrm)\s*\{)?\s*"
    r"(c(?:elsius)?|f(?:ahrenheit)?)\}?\.?",
    re.IGNORECASE,
)
DEGREES = {"c": "celsius", "f": "fahrenheit"}
DEGREES_OF = re.compile(r"(-?\d+(?:\.\d+)?) (celsius|fahrenheit)")
SIGNS = {
    "$": "dollars",
    "\\$": "dollars",
    "€": "euros",
    "£": "pounds",
    "¥": "yuan",
    "￥": "yuan",
    "₹": "rupees",
}
RATIO = re.compile(r"\d+(?:\.\d+)?(?:(?:\s*:\s*|\s+to\s+)\d+(?:\.\d+)?){1,5}")
WHOLE = re.compile(r"\d+")
EVEN = re.compile(r"\b(\d+) ?: ?\1\b")
JOINED = re.compile(r"\d+(?:\.\d+)?(?: ?%)?(?: ?(?:[-/*x]|by|to) ?\d+(?:\.\d+)?(?: ?%)?)+")
BETWEEN = re.compile(r"\A(?:from|between) (.+?) (?:to|and) (.+)", re.IGNORECASE)
JOINS = {"-": "-", "to": "-", "/": "/", "*": "*", "x": "*", "by": "*"}
HALF_DAY_S = 12 * 3600


def worded(text: str) -> str:
    r"""An amount of money or a temperature with its unit as a word behind it; anything else as it is.

    >>> worded("$1,000"), worded(r"\$5"), worded("$5$"), worded("5 dollars"), worded("25°C")
    ('1,000 dollars', '5 dollars', '$5$', '5 dollars', '25 celsius')
    """
    if len(text) > READ_CHARS:
        return text
    bare = unwrap(text)
    if amount := MONEY.fullmatch(bare):
        return f"{amount[2]} {SIGNS[amount[1]]}"
    degrees = TEMPERATURE.fullmatch(bare)
    return f"{degrees[1]} {DEGREES[degrees[2][0].lower()]}" if degrees else text


def unit_word(unit: str) -> str:
    """A unit as a word: the sign of a currency is one too."""
    return SIGNS.get(unit.strip(), unit)


def same_quantity(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same date, time, duration, measure, temperature, range, size or ratio of several
    terms; None where neither is a date, and the gold answer or the answer none of the others.

    >>> same_quantity("1:02:03", "1 h 2 min 3 s"), same_quantity("2:30 pm", "14:30"), same_quantity("2:30", "1:15")
    (True, True, False)
    >>> same_quantity("5 feet 3 inches", "63 in"), same_quantity("1:2:3", "2:4:6"), same_quantity("12", "12:1")
    (True, True, False)
    >>> same_quantity("25 celsius", "77 fahrenheit"), same_quantity("20-29", "30-39"), same_quantity("2-5", "2 to 5")
    (True, False, True)
    """
    if max(len(gold), len(answer)) > READ_CHARS:
        return None
    dates = date(gold), date(answer)
    if any(dates):
        return dates[0] == dates[1]
    spans = _terms(gold), _terms(answer)
    if spans[0] and spans[1]:
        return _same_terms(spans[0], spans[1])
    times = tuple(CLOCK.fullmatch(HOUR.sub(_full_hour, text)) for text in (gold, answer))
    if times[0] and times[1]:
        return _same_time(times[0], times[1])
    if (":" in gold or WHOLE.fullmatch(gold)) and (same_ratio := _same_ratio(gold, answer)) is not None:
        return same_ratio
    degrees = DEGREES_OF.fullmatch(gold), DEGREES_OF.fullmatch(answer)
    if degrees[0] and degrees[1]:
        return _celsius(degrees[0]) == _celsius(degrees[1])
    size, other = _size(gold), _size(answer)
    if size is None or other is None or not (size[2] or other[2]):
        return None
    return size[:2] == other[:2]


def _terms(text: str) -> tuple[str, list[Fraction], str] | None:
    """Sign, numbers and unit of a range, a size or a date in digits, which beside its like is no calculation."""
    joined, unit = split_unit(BETWEEN.sub(r"\1 to \2", text))
    signs = {JOINS[sign] for sign in re.findall(r"[-/*x]|by|to", joined)}
    if JOINED.fullmatch(joined) is None or len(signs) > 1:
        return None
    numbers = [Fraction(number) for number in re.findall(r"\d+(?:\.\d+)?", joined)]
    return None if signs == {"/"} and len(numbers) < 3 else (signs.pop(), numbers, unit)


def _same_terms(gold: tuple[str, list[Fraction], str], answer: tuple[str, list[Fraction], str]) -> bool:
    """Number by number; the sides of a size in any order."""
    (sign, numbers, unit), (other_sign, others, other_unit) = gold, answer
    scale = ratio(other_unit, unit)
    if sign != other_sign or scale is None:
        return False
    others = [scale * number for number in others]
    return numbers == others or (sign == "*" and sorted(numbers) == sorted(others))


def _full_hour(hour: re.Match[str]) -> str:
    return f"{hour[1]}:00 {hour[2]}m" if hour[2] else f"{hour[1]}:00"


def _same_time(gold: re.Match[str], answer: re.Match[str]) -> bool:
    """By the second; modulo half a day where the answer alone says whether it is before noon."""
    difference = _seconds(gold) - _seconds(answer)
    either = answer[4] and not gold[4] and int(gold[1]) <= 12
    return difference % HALF_DAY_S == 0 if either else difference == 0


def _seconds(time: re.Match[str]) -> int:
    hours, minutes, seconds = int(time[1]), int(time[2]), int(time[3] or 0)
    if time[4]:
        hours = hours % 12 + (12 if time[4].lower() == "p" else 0)
    return 3600 * hours + 60 * minutes + seconds


def _celsius(degrees: re.Match[str]) -> Fraction:
    number = Fraction(degrees[1])
    return number if degrees[2] == "celsius" else (number - 32) * 5 / 9


def _same_ratio(gold: str, answer: str) -> bool | None:
    """Whether two ratios are the same; a whole number is none (12 is not 12:1), but 1:1 is 1. None for others."""
    ratios = [RATIO.fullmatch(text) is not None for text in (gold, answer)]
    if not all(ratios):
        whole = any(WHOLE.fullmatch(text) for text in (gold, answer))
        return False if whole and any(ratios) and not EVEN.search(f"{gold} {answer}") else None
    terms, others = ([Fraction(t) for t in re.split(r"\s*:\s*|\s+to\s+", text)] for text in (gold, answer))
    if 0 in (terms[0], others[0]):  # nothing to measure the other terms by
        return terms == others
    return len(terms) == len(others) and all(
        a * others[0] == b * terms[0] for a, b in zip(terms, others, strict=True)
    )


def _size(text: str) -> tuple[str, Fraction, bool] | None:
    """Dimension, size in its base unit, and whether it has several parts: `1 h 30 min` and `1:30:00`, not `90 min`."""
    if time := CLOCK.fullmatch(text):
        return ("time", Fraction(_seconds(time)), True) if not time[4] else None
    text = FEET.sub(r"\1 ft \2 in", text)
    sizes: list[tuple[str, Fraction, Fraction]] = []
    at = 0
    while at < len(text):
        part = PART.match(text, at)
        unit = measure(part[2]) if part else None
        if part is None or unit is None:
            return None
        dimension, factor = unit
        sizes.append((dimension, factor, Fraction(part[1]) * factor))
        at = part.end()
    descending = all(a[0] == b[0] and a[1] > b[1] for a, b in pairwise(sizes))
    return (
        (sizes[0][0], sum((s for *_, s in sizes), Fraction(0)), len(sizes) > 1)
        if sizes and descending
        else None
    )
