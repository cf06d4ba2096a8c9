"""Which options an answer names: by letter, by text, or by value. Naming several is the caller's to judge."""

import re
from functools import lru_cache

from visreason.answer import letters
from visreason.answer.budget import spend
from visreason.answer.equal import equal
from visreason.answer.figures import SAID
from visreason.answer.normalize import normalize, spell, split_unit, unwrap
from visreason.answer.phrases import SO

READ_CHARS = 2_000
STEPS = 10
"""What looking for an option in a text costs."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OUTSIDE = -1
"""Stands for a letter that no option has."""
LEADING_WORDS = 12
FORMULA = "0123456789\\"
"""What an option begins with that is mathematics."""


def pick(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Indices of the options that a short answer names; OUTSIDE for a letter beyond them; empty for none.

    >>> colours = ("red", "blue", "green")
    >>> [sorted(pick(t, colours)) for t in ("(B)", "B. blue", "blue", "A or B", "E", "a cat")]
    [[1], [1], [1], [0, 1], [-1], []]
    """
    if len(bare := text.strip()) > 1 and bare in choices:  # options may be called (a), (b) in another order
        return frozenset(i for i, choice in enumerate(choices) if choice == bare)
    text = unwrap(text[:READ_CHARS])
    if (said := SAID.match(text) or SO.fullmatch(text)) and (first := _by_text(said.group(1), choices)):
        return first
    if (labelled := letters.LABELLED.fullmatch(text)) and (other := _by_text(labelled.group(2), choices)):
        return _index(labelled.group(1), choices) | other
    if small := letters.SMALL.fullmatch(text):
        text = small.group(1).upper()
    if not _by_text(text, choices):
        text = _without_reason(letters.DENIED_LETTER.sub("", text).strip())
    text = text.upper() if letters.LISTED.fullmatch(text.upper()) else text
    if alone := letters.ALONE.fullmatch(text):
        letter = _index(alone.group(1), choices)
        return letter if OUTSIDE not in letter else _by_text(text, choices) or letter
    if found := _by_text(text, choices):
        return found
    if letters.RUN.fullmatch(text) and "".join(sorted(set(text))) == text:  # ABD
        return frozenset().union(*(_index(letter, choices) for letter in text))
    if listed := letters.LISTED.match(text):
        return frozenset().union(
            *(_index(c, choices) for c in re.findall(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", listed.group()))
        )
    if leading := letters.LEADING.match(text):
        rest = "" if letters.ANOTHER.match(leading.group(2)) else leading.group(2)
        return (
            _index(leading.group(1), choices)
            | _by_text(rest, choices)
            | _letters(letters.STRONG, rest, choices)
        )
    weak = _letters(letters.WEAK, text, choices)
    return (
        _letters(letters.STRONG, text, choices)
        or weak - {OUTSIDE}
        or by_value(text, choices)
        or _mentioned(text, choices)
        or weak
    )


def pick_from_prose(sentences: list[str], choices: tuple[str, ...]) -> frozenset[int]:
    """The options that running text settles on: its first line when that is `B` or `B. text`, else what its last
    sentence names, else the last sentence that names any by letter, else the only one that sentences name by a text of
    some length. Sentences that deny or compare options name none, nor do those that announce something (":").
    """
    first = sentences[0][:READ_CHARS]
    headed = [m.group(1) if (m := letters.LISTING.match(f"{sentence} ")) else "" for sentence in sentences]
    if len({*headed} - {""}) > 1:  # options gone through one by one
        sentences = [s for s, head in zip(sentences, headed, strict=True) if not head or s is sentences[-1]]
        first = ""
    leads = letters.ALONE.fullmatch(first) or (
        letters.LEADING.match(first) and len(first.split()) <= LEADING_WORDS
    )
    if leads and len(sentences) > 1 and OUTSIDE not in (named := pick(first, choices)):
        return named
    if closing := _closing(sentences[-1], choices):
        return closing
    last, said = sentences[-1], [s for s in reversed(sentences) if not s.endswith(":")]
    undenied = letters.DENIED_LETTER.sub("", last[:READ_CHARS])
    if found := _letters(letters.STRONG, letters.DENIED.split(undenied)[0], choices):
        return found
    if last in said[:1] and (found := _affirmed(last, choices)):
        return found
    for sentence in said:
        affirmed = "" if letters.DENIED.search(sentence) else letters.CONTRAST.split(sentence)[0]
        if found := _letters(letters.STRONG, affirmed, choices):
            return found
    long = tuple(c if len(c) > 3 and not c[0].isdigit() else "" for c in choices)
    texts = {found for s in said if len(found := _affirmed(s, long)) == 1}
    return texts.pop() if len(texts) == 1 else frozenset()


def ticked(lines: list[str], choices: tuple[str, ...]) -> frozenset[int]:
    """The options that a list of them marks as right, where it marks every other one as wrong.

    >>> sorted(ticked(["A. 3 ❌", "B. 4 ✅", "C. 5 ❌"], ("3", "4", "5")))
    [1]
    """
    listed = [m for line in lines if (m := letters.OPTION.fullmatch(line))]
    found = [
        m for m in listed if not _by_text(m.group(3), choices)
    ]  # options may be True and False themselves
    right, wrong = (
        [bool(mark.search(m.group(1) or "") or mark.search(m.group(3))) for m in found]
        for mark in (letters.TICKED, letters.CROSSED)
    )
    if not any(right) or not any(wrong) or any(r == w for r, w in zip(right, wrong, strict=True)):
        return frozenset()
    return frozenset().union(*(_index(m.group(2), choices) for m, r in zip(found, right, strict=True) if r))


def _closing(sentence: str, choices: tuple[str, ...]) -> frozenset[int]:
    """The option whose letter, or text of one letter, ends the sentence; none where it denies or has no such option."""
    kept = letters.DENIED_LETTER.sub("", sentence)
    if (said := SO.fullmatch(sentence)) and (named := _by_text(said.group(1), choices)):
        return named
    found = letters.LEFT.search(sentence) or (
        letters.CLOSING.search(kept) if not letters.DENIED.search(kept) else None
    )
    letter = next(filter(None, found.groups())) if found else ""
    return (_by_text(letter, choices) or _index(letter, choices)) - {OUTSIDE} if letter else frozenset()


def _affirmed(sentence: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Options that a sentence names by their texts. One that denies or compares names what it starts with ("No"), an
    option that is a denial itself, or what stands before the comparison.
    """
    if (said := SAID.match(f"{sentence} ")) and (first := _by_text(said.group(1), choices)):
        return first
    sentence = letters.CONTRARY.split(sentence)[0]
    if letters.DENIED.search(sentence):
        return _mentioned(sentence, tuple(c if letters.DENIED.search(c) else "" for c in choices))
    return _mentioned(sentence, choices) and _mentioned(letters.CONTRAST.split(sentence)[0], choices)


def without_options(lines: list[str]) -> list[str]:
    """Sentences without options that are listed again: lines that start with consecutive letters, of which the last may
    have broken off behind its letter.
    """
    heads = [m.group(1) if (m := letters.LISTING.match(line)) else "" for line in lines]
    if lines and re.fullmatch("[A-Z]", lines[-1]):
        heads[-1] = lines[-1]

    def listed(i: int) -> bool:
        neighbours = (heads[i - 1] if i else "", heads[i + 1] if i + 1 < len(lines) else "")
        before, after = (ord(n) - ord(heads[i]) if n else 0 for n in neighbours)
        return before == -1 or after == 1

    return [line for i, line in enumerate(lines) if not heads[i] or not listed(i)]


def _without_reason(text: str) -> str:
    """What stands before the reason for a letter, unless that names a further answer."""
    if (reason := letters.REASON.search(text)) is None:
        return text
    head, tail = text[: reason.start()], text[reason.end() :]
    return head if letters.WEAK.search(head) and not letters.MORE.search(tail) else text


def _index(letter: str, choices: tuple[str, ...]) -> frozenset[int]:
    i = LETTERS.index(letter.upper())
    return frozenset({i if i < len(choices) else OUTSIDE})


def _letters(pattern: re.Pattern[str], text: str, choices: tuple[str, ...]) -> frozenset[int]:
    named = (next(g for g in m.groups() if g) for m in pattern.finditer(text))
    return frozenset().union(*(_index(letter, choices) for letter in named if letter in LETTERS))


def _by_text(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    spelling = normalize(text)
    return frozenset(i for i, choice in enumerate(choices) if spelling and normalize(choice) == spelling)


def _mentioned(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Options whose text stands in the text as whole words, not denied, and not only within a longer option's text."""
    spend(STEPS * len(choices))
    where = spell(text).lower()
    options = sorted(((spell(c).lower(), i) for i, c in enumerate(choices)), key=lambda pair: -len(pair[0]))
    found = set()
    for option, i in options:
        if len(option) < 2 and not option.isdigit():
            continue
        where, times = _standing(option).subn(" # ", where)
        if times:
            found.add(i)
    return frozenset(found)


@lru_cache(maxsize=1024)
def _standing(option: str) -> re.Pattern[str]:
    """An option's text as whole words, not denied; a number or formula not as part of another. Chinese has no words."""
    if "\u4e00" <= option[0] <= "\u9fff":
        return re.compile(f"(?<!不是){re.escape(option)}")
    before, after = (r"+*/^_{\\-", r"\\}^*/") if option[0] in FORMULA else ("", "")
    denied = "".join(
        rf"(?<!\b{word} {article})" for word in ("not", "except") for article in ("", "a ", "an ", "the ")
    )
    return re.compile(rf"{denied}(?<![\w.{before}]){re.escape(option)}(?![\w{after}]|\.\d)")


def by_value(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """The option whose value a text gives, if it is one alone; one with a unit wants it."""
    bare = not split_unit(spell(text))[1]
    found = frozenset(
        i
        for i, choice in enumerate(choices)
        if equal(choice, text) and not (bare and split_unit(spell(choice))[1])
    )
    return found if len(found) == 1 else frozenset()
