"""Angles in degrees beside angles in radians, and beside what is no angle."""

import math
import re

from visreason.answer.normalize import spell, unwrap
from visreason.answer.value import close, value

READ_CHARS = 60
SIGN = re.compile("°|circ|deg|度")
DEGREES = re.compile(r"(.+?)\s*(?:°|\^?\s*\{?\s*\\circ\s*\}?|\\degree|\bdeg(?:rees?)?|度)")
RADIANS = re.compile(r"(.+?)(?:[\s\\,]|text\{|mathrm\{)*\brad(?:ians?)?\}?")
PI = re.compile(r"\\pi(?![A-Za-z])|π|\bpi\b")
PERCENT = re.compile(r"(?:%|\bper ?cent)\Z")


def same_angle(text: str, other: str) -> bool | None:
    r"""Whether an angle in degrees is the other in radians, or with a \pi in it; a percentage is none. None for others.

    >>> same_angle("45°", r"\frac{\pi}{4}"), same_angle("5 rad", "5°"), same_angle("20°", "20%"), same_angle("5°", "5")
    (True, False, False, None)
    """
    if max(len(text), len(other)) > READ_CHARS or not SIGN.search(text + other):
        return None
    text, other = unwrap(text), unwrap(other)
    if (degrees := DEGREES.fullmatch(text)) is None:
        return same_angle(other, text) if DEGREES.fullmatch(other) else None
    if PERCENT.search(other):
        return False
    radians = RADIANS.fullmatch(other)
    if DEGREES.fullmatch(other) or not (radians or PI.search(other)):
        return None
    angle, arc = value(spell(degrees[1])), value(spell(radians[1] if radians else other))
    return None if angle is None or arc is None else close(angle * math.pi / 180, arc, None, None, None)
