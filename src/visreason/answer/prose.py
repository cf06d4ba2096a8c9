"""The last value that running text states, where nothing marks it as the answer."""

import re

from visreason.answer.figures import (
    ASIDE,
    BECAUSE,
    CHINESE,
    CHINESE_WORDED,
    COMPARED,
    COMPARED_CHARS,
    CONDITION,
    COUNTED,
    COUNTS,
    DECLINED,
    DENIED_NUMBER,
    FACTOR,
    FENCE,
    FEW_WORDS,
    HEDGE,
    MATH,
    NUMBER,
    NUMBER_STOP,
    POINT,
    QUOTED,
    RANGE,
    SAID,
    STEP,
    STOP,
    VALUED,
    WORD,
    WORDED,
)


def bare(text: str) -> str | None:
    """A few words as they are; of a longer text the last formula or number of its last sentence that has one.

    >>> bare("We add 3 and 4, so there are 7 of them in all.")
    '7'
    """
    if is_short(text) or (WORD.search(text) is None and "\n" not in text):
        said = sentences(text)
        stated = [s for s in said if not ASIDE.search(s)]
        return "\n".join(stated) if 0 < len(stated) < len(said) else text.strip() or None
    steps = STEP.sub("", text)
    text = steps if len(STEP.findall(text)) > 1 else text
    said = SAID.match(text)
    for sentence in [s for s in reversed(sentences(text)[-3:]) if not ASIDE.search(s)]:
        if DECLINED.search(sentence) or COUNTS.search(sentence):
            return None
        if len(values(head := BECAUSE.split(sentence)[0])) == 1:
            sentence = head
        sentence = CONDITION.sub(r"\1", sentence)
        stated = undenied(sentence)
        worded = [] if said else in_words(stated)
        if found := values(stated, compared=False) or worded or values(stated):
            return stated if len(set(found)) > 1 and HEDGE.search(stated) else found[-1]
        if stated != sentence:
            return None
    return said.group(1) if said else None


def is_short(text: str) -> bool:
    """Whether a text is of a few words; two Chinese signs are one."""
    return len(text.split()) + len(CHINESE.findall(text)) // 2 <= FEW_WORDS


def in_words(sentence: str) -> list[str]:
    """Counts in words, of a sentence that has no other ones.

    >>> in_words("There are three apples."), in_words("There are three apples, and with the pears four.")
    (['three'], [])
    """
    found = WORDED.findall(sentence) or CHINESE_WORDED.findall(sentence)
    return found if len(found) >= len(COUNTED.findall(sentence)) else []


def undenied(text: str) -> str:
    """The text without the numbers that it denies.

    >>> undenied("It is 45 degrees, not 60"), undenied("It can't be 12."), undenied("9 is not the answer")
    ('It is 45 degrees,  ', 'It ca ', ' ')
    """
    return DENIED_NUMBER.sub(" ", text)


def values(sentence: str, compared: bool = True) -> list[str]:
    """Formulas with a number in them, and numbers that are not part of an expression, in order; without `compared`
    those that others are only compared with ("greater than 60") are left out.
    """
    found = [(m.start(), next(g for g in m.groups() if g).strip()) for m in MATH.finditer(sentence)]
    found = [(at, formula) for at, formula in found if VALUED.search(formula)]
    prose = MATH.sub(lambda m: " " * len(m.group()), sentence)
    found += [(m.start(), m.group()) for m in POINT.finditer(prose)]
    prose = POINT.sub(lambda m: " " * len(m.group()), prose)
    if not compared:
        found = [(at, text) for at, text in found if not _is_compared(sentence, at)]
    found += [
        (m.start(), m.group().strip())
        for m in NUMBER.finditer(prose)
        if _stands_alone(prose, *m.span()) and (compared or not _is_compared(prose, m.start()))
    ]
    return [text for _, text in sorted(found)]


def _is_compared(text: str, at: int) -> bool:
    """Whether something is only compared with what begins there."""
    return COMPARED.search(text, max(0, at - COMPARED_CHARS), at) is not None


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start].strip()[-1:], text[end : end + 2].strip()[:1]
    if (
        RANGE.match(text, end)
        or FACTOR.match(text, end)
        or (text[start] == "-" and text[start - 1 : start].isdigit())
    ):
        return False
    if re.search(r"[A-Za-z]\($", text[max(0, start - 2) : start]):  # f(0)
        return False
    return (
        before not in tuple("+-*/^<>≤≥≠±_{\\")
        and after not in tuple("+*/^<>_{=")
        and text[end : end + 1] != "("
    )


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [s.strip() for s in re.split(r"(?<=[.!?])\s+(?=[A-Z$\\])|\n+|(?<=[。！？])", text) if s.strip()]


def first_sentence(line: str) -> str:
    """The first sentence of a line, with the next one where that takes it back.

    >>> first_sentence("12. It is even."), first_sentence("12. However, it could be 13.")
    ('12', '12. However, it could be 13')
    """
    if value := NUMBER_STOP.match(line):
        return value.group(1)
    stop = STOP.search(line[2:])
    return line[: stop.start() + 2].strip() if stop else line


def plain(text: str) -> str:
    """The text without the marks of bold type and code, and the quotes round a letter."""
    return QUOTED.sub(r"\1", FENCE.sub("", text).replace("**", "").replace("__", "").strip())
