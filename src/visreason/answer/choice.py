"""Which options an answer names: by letter, by text, or by value. Naming several is the caller's to judge."""

import re

from visreason.answer.equal import equal
from visreason.answer.normalize import normalize, spell, unwrap

READ_CHARS = 2_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OUTSIDE = -1
"""Stands for a letter that no option has."""
ALONE = re.compile(r"\(?\s*([A-Za-z])\s*[).:、．]?")
LEADING = re.compile(r"\(?([A-Z])[).:、．]\s*(\S.*)", re.DOTALL)
LISTED = re.compile(
    r"\(?[A-Z]\)?\.?(?:\s*(?:,|/|&|\bor\b|\band\b|或|和|、)\s*(?:\bor\b|\band\b)?\s*\(?[A-Z]\)?\.?(?![\w']))+"
)
STRONG = re.compile(
    r"\(([A-Z])\)|\b(?:option|choice|answer|figure|picture)s? ?(?:is )?:? ?\(?([A-Z])\b(?!')"
    r"|(?:^|\n)[ \t]*([A-Z])[.):](?=\s|$)|选 ?([A-Z])",
    re.IGNORECASE,
)
WEAK = re.compile(
    r"(?<![A-Za-z\\])([B-HJ-Z])(?![A-Za-z'’])|(?<![A-Za-z\\])([AI])(?=[).:,/]|\s*$|\s+(?:or|and)\b)"
)


def pick(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Indices of the options that a short answer names; OUTSIDE for a letter beyond them; empty for none.

    >>> colours = ("red", "blue", "green")
    >>> [sorted(pick(t, colours)) for t in ("(B)", "B. blue", "blue", "A or B", "E", "a cat")]
    [[1], [1], [1], [0, 1], [-1], []]
    """
    text = unwrap(text[:READ_CHARS])
    if alone := ALONE.fullmatch(text):
        letter = _index(alone.group(1), choices)
        return letter if OUTSIDE not in letter else _by_text(text, choices) or letter
    if found := _by_text(text, choices):
        return found
    if listed := LISTED.match(text):
        return frozenset().union(
            *(_index(c, choices) for c in re.findall(r"(?<![a-z])[A-Z](?![a-z])", listed.group()))
        )
    if leading := LEADING.match(text):
        rest = leading.group(2)
        return _index(leading.group(1), choices) | _by_text(rest, choices) | _letters(STRONG, rest, choices)
    return (
        _letters(STRONG, text, choices)
        or _letters(WEAK, text, choices)
        or _by_value(text, choices)
        or _mentioned(text, choices)
    )


def pick_from_prose(text: str, last: str, choices: tuple[str, ...]) -> frozenset[int]:
    """The options that running text settles on: its first line when that is `B` or `B. text`, else those its last
    sentence names, else the only one named at all (by its letter, or by a text of some length).
    """
    first = text.partition("\n")[0].strip()
    leads = ALONE.fullmatch(first) or (LEADING.match(first) and len(first.split()) <= 12)
    if leads and len(first) < len(text):
        return pick(first, choices)
    long = tuple(c if len(c) > 3 and not c[0].isdigit() else "" for c in choices)
    if found := _letters(STRONG, last, choices) or _mentioned(last, choices):
        return found
    for named in (_letters(STRONG, text, choices), _mentioned(text, long)):
        if len(named) == 1:
            return named
    return frozenset()


def _index(letter: str, choices: tuple[str, ...]) -> frozenset[int]:
    i = LETTERS.index(letter.upper())
    return frozenset({i if i < len(choices) else OUTSIDE})


def _letters(pattern: re.Pattern[str], text: str, choices: tuple[str, ...]) -> frozenset[int]:
    named = (next(g for g in m.groups() if g) for m in pattern.finditer(text))
    return frozenset().union(*(_index(letter, choices) for letter in named if letter.isupper()))


def _by_text(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    spelling = normalize(text)
    return frozenset(i for i, choice in enumerate(choices) if spelling and normalize(choice) == spelling)


def _mentioned(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Options whose text stands in the text as whole words, and not only within a longer option's text."""
    where = spell(text)
    options = sorted(((spell(c), i) for i, c in enumerate(choices)), key=lambda pair: -len(pair[0]))
    found = set()
    for option, i in options:
        if len(option) < 2 and not option.isdigit():
            continue
        pattern = rf"(?<![\w.]){re.escape(option)}(?![\w]|\.\d)"
        where, times = re.subn(pattern, " # ", where)
        if times:
            found.add(i)
    return frozenset(found)


def _by_value(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    found = frozenset(i for i, choice in enumerate(choices) if equal(choice, text))
    return found if len(found) == 1 else frozenset()
