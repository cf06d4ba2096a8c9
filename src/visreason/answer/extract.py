r"""Finding the answer in a response: past the thought, then <answer>, \boxed{}, "the answer is", or a bare last value.

Nothing is compared here. Only the last 20,000 characters of a solution are read, so that the time is bounded.
"""

import re
from dataclasses import dataclass
from typing import Literal

READ_CHARS = 20_000
FEW_WORDS = 6
BOX_CHARS, MAX_BOXES = 2_000, 20
THOUGHTS = (("<think>", "</think>"), ("<|begin_of_thought|>", "<|end_of_thought|>"))
SOLUTIONS = ("<answer>", "<|begin_of_solution|>")

PHRASE = re.compile(
    r"(?:\b(?:answers?|option|choice|result)(?: is| are|'s| would be| should be| must be| will be| =)?\s*[:：]"
    r"|\b(?:answer|correct option|correct choice)s?(?: to [^.\n]{1,60})?"
    r" (?:is|are|would be|should be|must be|will be)\b"
    r"|####|答案(?:是|为|[:：])|故选|应选|选择)[ \t]*[:：]?",
    re.IGNORECASE,
)
FINAL = re.compile(r"\b(?:(?:final|correct|the) answer|Answer)(?: is\b|\s*[:：=])\s*[:：]?", re.IGNORECASE)
STATES = re.compile(r"\s*[$(\\]*(?:[A-J]\b|[-−]?[\d\\])")
"""How a value or a letter begins, so that "the answer is right" states none."""
NUMBER = re.compile(
    r"(?<![\w.])[-−]?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.?\d+)(?:/\d+(?![\d.]))?(?:\s?\\?[%°])?"
)
MATH = re.compile(r"\$\$?([^$]{1,300})\$\$?|\\\(([^\n]{1,300}?)\\\)|\\\[(.{1,300}?)\\\]", re.DOTALL)
WORD = re.compile(r"(?<![\\A-Za-z{])[^\W\d_]{3,}")
VALUED = re.compile(r"\d|\\pi|\\infty|\\emptyset")
ENDED = re.compile(r"<\|(?:im_end|im_start|endoftext|eot_id)\|>|</s>")
INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff]")
HEDGE = re.compile(r"\b(?:or|either)\b|或", re.IGNORECASE)
DENIAL = re.compile(r"\b(?:not|neither|nor)\b|n't\b|不", re.IGNORECASE)


@dataclass(frozen=True)
class Extraction:
    """What a solution states as its answer. Several texts are several different statements of one kind.

    >>> extract("So it is <answer>(B)</answer>")
    Extraction(texts=('(B)',), kind='tag')
    >>> extract(r"First \\boxed{\\frac{1}{2}}, then \\boxed{3}.").texts
    ('\\\\frac{1}{2}', '3')
    """

    texts: tuple[str, ...]
    kind: Literal["tag", "box", "phrase", "bare"]


def solution(response: str) -> str:
    """The response without its thoughts, up to the end of the turn. A thought that is never closed hides everything
    but an answer block after it.

    >>> solution("<think>maybe 7</think>It is 8.")
    'It is 8.'
    >>> solution("<think>maybe 7")
    ''
    """
    response = ENDED.split(response, maxsplit=1)[0]
    for begin, end in THOUGHTS:
        response = _without(response, begin, end)
    return INVISIBLE.sub("", response[-READ_CHARS:]).strip()


def extract(text: str, cut: bool = False) -> Extraction | None:
    """The answer a solution states. With `cut` (it broke off at the length limit) only closed statements count."""
    if "<answer>" in text:
        blocks = _blocks(text, cut)
        return Extraction(_distinct(blocks), "tag") if blocks else None
    text = plain(text)
    if boxes := _final_boxes(text):
        return Extraction(_distinct(boxes), "box")
    if stated := _stated(text[: text.rfind("\n") + 1] if cut else text):
        return Extraction((stated,), "phrase")
    if not cut and (value := bare(text)):
        return Extraction((value,), "bare")
    return None


def plain(text: str) -> str:
    """The text without the marks of bold type."""
    return text.replace("**", "").replace("__", "").strip()


def inside(text: str) -> str:
    r"""The value within an answer that is a sentence: its boxes, what follows "is", or the only number in it.

    >>> inside("Therefore the answer is 45 cm."), inside("It has 7 sides."), inside("3 or 4"), inside("x + 5")
    ('45 cm', '7', '3 or 4', 'x + 5')
    """
    if boxes := _boxes(text):
        return ", ".join(_distinct(boxes))
    if stated := _stated(text):
        return stated
    values = set(_values(text))
    return values.pop() if len(values) == 1 and not HEDGE.search(text) and not DENIAL.search(text) else text


def bare(text: str) -> str | None:
    """A few words as they are; of a longer text the last formula or number of its last sentence that has one.

    >>> bare("We add 3 and 4, so there are 7 of them in all.")
    '7'
    """
    if len(text.split()) <= FEW_WORDS or (WORD.search(text) is None and "\n" not in text):
        return text.strip() or None
    for sentence in reversed(_sentences(text)[-3:]):
        if values := _values(sentence):
            return sentence if len(set(values)) > 1 and HEDGE.search(sentence) else values[-1]
    return None


def _values(sentence: str) -> list[str]:
    """Formulas with a number in them, and numbers that are not part of an expression, in order."""
    found = [(m.start(), next(g for g in m.groups() if g).strip()) for m in MATH.finditer(sentence)]
    found = [(at, formula) for at, formula in found if VALUED.search(formula)]
    prose = MATH.sub(lambda m: " " * len(m.group()), sentence)
    found += [
        (m.start(), m.group().strip()) for m in NUMBER.finditer(prose) if _stands_alone(prose, *m.span())
    ]
    return [text for _, text in sorted(found)]


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start].strip()[-1:], text[end : end + 2].strip()[:1]
    return before not in tuple("+-*/^<>_{\\") and after not in tuple("+*/^<>_{=(")


def last_sentence(text: str) -> str:
    """The end of a text, from its last full stop or line break on."""
    sentences = _sentences(text)
    return sentences[-1] if sentences else ""


def _sentences(text: str) -> list[str]:
    return [s.strip() for s in re.split(r"(?<=[.!?])\s+(?=[A-Z$\\])|\n+|(?<=[。！？])", text) if s.strip()]


def _without(text: str, begin: str, end: str) -> str:
    """Text outside begin..end. A stray end closes a thought that the prompt opened; a stray begin hides the rest."""
    kept: list[str] = []
    at = 0
    while (start := text.find(begin, at)) >= 0:
        kept.append(text[at:start])
        stop = text.find(end, start)
        if stop < 0:
            marks = [m for m in (text.find(s, start) for s in SOLUTIONS) if m >= 0]
            kept.append(text[min(marks) :] if marks else "")
            break
        at = stop + len(end)
    else:
        kept.append(text[at:])
    return "".join(kept).rpartition(end)[2]


def _blocks(text: str, cut: bool) -> list[str]:
    """Contents of <answer> blocks; the last may lack its end unless the text was cut there."""
    parts = text.split("<answer>")[1:]
    closed = [p.partition("</answer>")[0].strip() for p in parts if cut is False or "</answer>" in p]
    return [p for p in closed if p]


def _boxes(text: str) -> list[str]:
    """What stands in boxes, in order."""
    return [content for _, content in _boxes_at(text)]


def _boxes_at(text: str) -> list[tuple[int, str]]:
    r"""Start and content of the last \boxed{...} with balanced braces; \fbox counts too."""
    found: list[tuple[int, str]] = []
    for mark in list(re.finditer(r"\\(?:boxed|fbox)\s*\{", text))[-MAX_BOXES:]:
        depth, start = 1, mark.end()
        for i in range(start, min(len(text), start + BOX_CHARS)):
            depth += (text[i] == "{") - (text[i] == "}")
            if depth == 0:
                found.append((mark.start(), text[start:i].strip()))
                break
    return [(at, content) for at, content in found if content]


def _final_boxes(text: str) -> list[str]:
    """The boxes that state the answer: all of them, or the last alone where it is announced as the final one.

    None of them when a few words after the last box announce something else.
    """
    boxes = _boxes_at(text)
    if not boxes:
        return []
    at, content = boxes[-1]
    after = FINAL.split(text[at:])
    if len(after) > 1 and len(after[-1].split()) <= FEW_WORDS and STATES.match(after[-1]):
        return []
    announced = FINAL.search(text, max(0, at - 40), at)
    return [content] if announced else [c for _, c in boxes]


def _stated(text: str) -> str | None:
    """What follows the last "the answer is": the rest of that sentence, or the next line when the line ends there."""
    for mark in reversed(list(PHRASE.finditer(text))):
        tail = text[mark.end() :].lstrip(" \t:：*\n")
        if tail.startswith(("\\[", "$$", "\\(")) and (formula := MATH.match(tail)):
            return next(g for g in formula.groups() if g).strip()
        line = tail.partition("\n")[0].strip()
        if line:
            return _first_sentence(line)
    return None


def _first_sentence(line: str) -> str:
    """Up to a full stop that ends a sentence: not the one of `B.`, `3.5` or `e.g.`."""
    stop = re.search(r"(?<=[^\s.][^\s.])[.。](?:\s+(?=[A-Z])|$)|(?<=\w\))[.。](?:\s|$)", line[2:])
    return line[: stop.start() + 2].strip() if stop else line


def _distinct(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
