r"""What a solution states as its answer: <answer>, \boxed{}, "the answer is", or a bare last value."""

import re
from dataclasses import dataclass
from typing import Literal

from visreason.answer.figures import ASIDE, COUNTS, DECLINED, FEW_WORDS, HEDGE, MATH, SAID, WORD
from visreason.answer.normalize import COMMAND, unwrap
from visreason.answer.phrases import (
    BOLD,
    BOX,
    DENIAL,
    DOUBTED,
    EXPLAINED,
    FIELD,
    FINAL,
    IS,
    IS_CHINESE,
    JOINED,
    LEADING,
    LETTER,
    PHRASE,
    PROSE,
    RELATED,
    SO,
    STATES,
    SUPPOSED,
    VERB,
    WITHDRAWN,
)
from visreason.answer.prose import (
    bare,
    first_sentence,
    in_words,
    is_short,
    plain,
    sentences,
    undenied,
    values,
)

BOX_CHARS, MAX_BOXES = 2_000, 20
BEFORE_CHARS = 200
"""How far before "the answer is" a doubt may stand."""


@dataclass(frozen=True)
class Extraction:
    """What a solution states as its answer. Several texts are one statement of several values; `earlier` are boxes that
    stood before it, in case the answer is a list.

    >>> extract("So it is <answer>(B)</answer>").texts
    ('(B)',)
    >>> extract(r"\\boxed{\\frac{1}{2}} or \\boxed{3}.").texts, extract(r"From \\boxed{2} follows \\boxed{3}.").texts
    (('\\\\frac{1}{2}', '3'), ('3',))
    """

    texts: tuple[str, ...]
    kind: Literal["tag", "box", "phrase", "bare"]
    earlier: tuple[str, ...] = ()


def extract(text: str, cut: bool = False) -> Extraction | None:
    """The answer a solution states. With `cut` (it broke off at the length limit) only closed statements count."""
    if "<answer>" in text:
        blocks = _blocks(text, cut)
        return Extraction(_distinct(blocks), "tag") if blocks else None
    whole, text = text, plain(text)
    earlier, boxes = _final_boxes(text)
    if boxes:
        return Extraction(_distinct(boxes), "box", _distinct(earlier))
    if stated := _stated(text[: text.rfind("\n") + 1] if cut else text):
        return Extraction((stated,), "phrase")
    head = EXPLAINED.split(text)[0]
    if not cut and (emphasized := _emphasized(whole)):
        return Extraction((emphasized,), "bare")
    if not cut and (value := bare(head if is_short(head) else text) or _described(text)):
        return Extraction((value,), "bare")
    return None


def _described(text: str) -> str | None:
    """The word that the last sentence says of something."""
    last = sentences(text)[-1:]
    return _said(last[0]) if last and not DECLINED.search(last[0]) else None


def _said(sentence: str) -> str | None:
    """What a sentence says of something: a word, or yes or no."""
    found = next((m for p in (SO, IS, IS_CHINESE) if (m := p.fullmatch(sentence))), None)
    return found.group(1) if found else None


def _emphasized(text: str) -> str | None:
    """The only number in bold type in the last line, where several numbers stand."""
    line = text.rpartition("\n")[2]
    bold = {m.strip(" :.,") for m in BOLD.findall(line)}
    if len(bold) != 1 or any(
        p.search(plain(line)) for p in (ASIDE, COUNTS, DECLINED, DENIAL, HEDGE, RELATED)
    ):
        return None
    number = bold.pop()
    return number if not is_short(line) and values(number) == [number] else None


def inside(text: str) -> str:
    r"""The value within an answer that is a sentence: its boxes, what follows "is", the only number in it, or the yes
    or no that it begins with.

    >>> inside("Therefore the answer is 45 cm."), inside("It has 7 sides."), inside("3 or 4"), inside("Yes, it is.")
    ('45 cm', '7', '3 or 4', 'Yes')
    """
    text = unwrap(text)
    if boxes := boxed(text):
        return ", ".join(_distinct(boxes))
    if stated := _stated(text):
        return stated
    if (leading := LEADING.match(text)) and WORD.search(text):
        return leading.group(1)
    kept = undenied(text)
    found = set(values(kept))
    if not found:
        return _word(text) or text
    if not PROSE.search(_spelled(text)):
        return text
    if len(found) == 1 and _states(kept):
        return found.pop()
    said = VERB.split(kept)
    last = _only(said[1]) if len(said) == 2 and not (HEDGE.search(kept) or DENIAL.search(kept)) else None
    return last or text


def _only(text: str) -> str | None:
    """The number that is the whole text."""
    text = text.strip(" .")
    return text if values(text) == [text] else None


def _word(text: str) -> str | None:
    """What a text without a number says: yes or no, a count in words, or a word of something."""
    if said := SAID.match(text):
        return said.group(1)
    if (counted := in_words(text)) and _states(text):
        return counted[-1]
    return _said(text)


def _states(text: str) -> bool:
    """Whether a text says of its number that it is the answer, not what it has to do with it."""
    return not any(p.search(_spelled(text)) for p in (HEDGE, DENIAL, RELATED))


def _spelled(text: str) -> str:
    return COMMAND.sub(r" \1 ", text)


def _blocks(text: str, cut: bool) -> list[str]:
    """Contents of <answer> blocks; the last may lack its end unless the text was cut there."""
    parts = text.split("<answer>")[1:]
    closed = [p.partition("</answer>")[0].strip() for p in parts if cut is False or "</answer>" in p]
    return [p for p in closed if p]


def boxed(text: str) -> list[str]:
    """What stands in boxes, in order."""
    return [content for _, _, content in _boxes_at(text)]


def _boxes_at(text: str) -> list[tuple[int, int, str]]:
    r"""Start, end and content of every \boxed{...} with balanced braces, \fbox too; a value taken back is left out."""
    found: list[tuple[int, int, str]] = []
    for mark in list(BOX.finditer(text))[-MAX_BOXES:]:
        depth, start = 1, mark.end()
        for i in range(start, min(len(text), start + BOX_CHARS)):
            depth += (text[i] == "{") - (text[i] == "}")
            if depth == 0:
                found.append((mark.start(), i + 1, text[start:i].strip()))
                break
    return [
        (at, end, content)
        for at, end, content in found
        if content and (LETTER.fullmatch(content) or not WITHDRAWN.match(text, end))
    ]


def _final_boxes(text: str) -> tuple[list[str], list[str]]:
    """Earlier boxes, and those that state the answer: the last, with the ones that "and", "or" or a comma join to it.

    None of them when a few words after the last box announce something else.
    """
    boxes = _boxes_at(text)
    if not boxes:
        return [], []
    _, last_end, content = boxes[-1]
    after = FINAL.split(text[last_end:])
    if len(after) > 1 and len(after[-1].split()) <= FEW_WORDS and STATES.match(after[-1]):
        return ([], []) if inside(after[-1]) != content else ([], [content])
    first = len(boxes) - 1
    while first and JOINED.fullmatch(text[boxes[first - 1][1] : boxes[first][0]]):
        first -= 1
    contents = [c for _, _, c in boxes]
    return contents[:first], contents[first:]


def _stated(text: str) -> str | None:
    """What follows the last "the answer is" that is not doubted, nor said of another case where one is not: the rest of
    that sentence, or the next line when the line ends there.
    """
    if field := FIELD.findall(text):
        return next(filter(None, field[-1]), None)
    marks = [m for m in reversed(list(PHRASE.finditer(text))) if not _preceded(DOUBTED, text, m)]
    marks.sort(key=lambda m: "would" in m.group().lower() and _preceded(SUPPOSED, text, m))
    for mark in marks:
        tail = text[mark.end() :].lstrip(" \t:：*\n")
        if tail.startswith(("\\[", "$$", "\\(")) and (formula := MATH.match(tail)):
            return next(g for g in formula.groups() if g).strip()
        line = tail.partition("\n")[0].strip()
        if line:
            return first_sentence(line)
    return None


def _preceded(pattern: re.Pattern[str], text: str, mark: re.Match[str]) -> bool:
    return pattern.search(text[max(0, mark.start() - BEFORE_CHARS) : mark.start()]) is not None


def _distinct(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
