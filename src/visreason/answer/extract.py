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
    r"(?<![\w.])[-−]?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.?\d+)(?:/\d+(?![\d.])|(?::\d+)+)?(?:\s?\\?[%°])?"
)
BOX = re.compile(r"\\(?:begin)?(?:boxed|fbox)\s*\{")
JOINED = re.compile(
    r"(?:[\s$,;:.()*|&+]|\\[()\[\],;!]|\\\\|\\q?quad|\\text\{\s*(?:and|or)\s*\}|\band\b|\bor\b|\w{1,4}\s*=|或|和|、){0,40}"
)
"""What stands between boxes that state one answer together."""
MATH = re.compile(r"\$\$?([^$]{1,300})\$\$?|\\\(([^\n]{1,300}?)\\\)|\\\[(.{1,300}?)\\\]", re.DOTALL)
LEADING = re.compile(
    r"\s*[$*]*([-−]?\d[\d,.]*?)\**[.,]? (?:with|because|since|for|as|which|where|when|from|given|due|after)\b"
)
"""A number and the reason behind it."""
COMPARED = re.compile(r"\b(?:than|exactly|least|most|above|below|under|over|beyond)\s+[$]?$")
WORDED = re.compile(
    r"\b(?:are|is|has|have|were|was|only|total of) (one|two|three|four|five|six|seven|eight|nine|ten|no)\b"
)
RANGE = re.compile(r"\s?[-–~]\s?\d")
WORD = re.compile(r"(?<![\\A-Za-z{])[^\W\d_]{3,}")
VALUED = re.compile(r"\d|\\pi|\\infty|\\emptyset")
PROGRAM = re.compile(
    r"(?:\A|\n)[ \t]*(?:print\(.*|return\b.*|\w+ = .*\)|[A-Za-z_]\w*(?:\(.*\))?)[ \t]*(?:\n\s*```\s*)?\Z"
)
CODE = re.compile(r"^[ \t]*(?:def \w+\(|import \w|from \w+ import|print\(|for \w+ in|\w+ = )", re.MULTILINE)
"""A text that ends in a line of a program states no answer: its output would."""
SPACED = re.compile(r"<[ \n]{0,3}(/?)[ \n]{0,3}(think|answer)[ \n]{0,3}>")
"""Tags as Qwen2.5-VL-32B writes them, with spaces."""
IMPORT = re.compile(r"^[ \t]*(?:import|from|def) \w+", re.MULTILINE)
ENDED = re.compile(r"<\|(?:im_end|im_start|endoftext|eot_id)\|>|</s>")
INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff]")
QUOTED = re.compile("[\"'“”‘’\x91-\x94]([A-Z])[\"'“”‘’\x91-\x94]")
HEDGE = re.compile(r"\b(?:or|either)\b|\b(?:between|from) \S+ (?:and|to) \S+$|或", re.IGNORECASE)
DECLINED = re.compile(
    r"\b(?:impossible|unable|insufficient|(?:can ?not|can['’]t|could ?n['’]t|unable to) (?:\w+ ){0,2}(?:determine|find|tell|know|calculate|answer|say|give|provide)"
    r"|(?:not|without) (?:\w+ ){0,2}(?:enough|sufficient|additional|further|more) (?:\w+ )?(?:information|data|context|details))\b",
    re.IGNORECASE,
)
"""A sentence that says that there is no answer: a number in it is none."""
ANOTHER = re.compile(
    r"\n\s*(?:hint|question|q|human|user|problem|prompt|instruction)s?\s*\d*\s*[:：]|\n\s*\d+[.)] [^\n]{10,}\?\s*\n",
    re.IGNORECASE,
)
"""The start of another question."""
COUNTS = re.compile(r"\d[\d,.]* [a-z]+(?: [a-z]+){0,2},? and \d[\d,.]* [a-z]")
"""Several things counted, of which none is the answer."""
OPTION = re.compile(r"(?:^|\n)[ \t]*\(?[A-J](?:\)|\. |$|\n)")
DENIAL = re.compile(r"\b(?:not|neither|nor)\b|n't\b|不", re.IGNORECASE)


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


def solution(response: str) -> str:
    """The response without its thoughts, up to the end of the turn. A thought that is never closed hides everything
    but an answer block after it.

    >>> solution("<think>maybe 7</think>It is 8.")
    'It is 8.'
    >>> solution("<think>maybe 7")
    ''
    """
    response = SPACED.sub(r"<\1\2>", ENDED.split(response, maxsplit=1)[0])
    for begin, end in THOUGHTS:
        response = _without(response, begin, end)
    return INVISIBLE.sub("", response[-READ_CHARS:]).strip()


def is_program(text: str) -> bool:
    """Whether a text ends in the last line of a program, whose output it does not show.

    >>> is_program("x = 3\\nprint(x + 1)"), is_program("So x = 3")
    (True, False)
    """
    last = PROGRAM.search(text[-500:])
    if last is None or len(CODE.findall(text[-4000:])) < 2:
        return False
    return "(" in last.group() or "return" in last.group() or IMPORT.search(text) is not None


def runs_on(text: str) -> bool:
    """Whether a text goes on to another question once it has answered one: to which it answers last is not known.

    >>> runs_on("The answer is B.\\n\\nQuestion: How many apples?"), runs_on("Question: How many?\\nThe answer is B.")
    (True, False)
    """
    mark = ANOTHER.search(text)
    head = text[: mark.start()] if mark else ""
    return any(pattern.search(head) for pattern in (PHRASE, BOX, OPTION))


def extract(text: str, cut: bool = False) -> Extraction | None:
    """The answer a solution states. With `cut` (it broke off at the length limit) only closed statements count."""
    if "<answer>" in text:
        blocks = _blocks(text, cut)
        return Extraction(_distinct(blocks), "tag") if blocks else None
    text = plain(text)
    earlier, boxes = _final_boxes(text)
    if boxes:
        return Extraction(_distinct(boxes), "box", _distinct(earlier))
    if stated := _stated(text[: text.rfind("\n") + 1] if cut else text):
        return Extraction((stated,), "phrase")
    if not cut and (value := bare(text)):
        return Extraction((value,), "bare")
    return None


def plain(text: str) -> str:
    """The text without the marks of bold type and the quotes round a letter."""
    return QUOTED.sub(r"\1", text.replace("**", "").replace("__", "").strip())


def inside(text: str) -> str:
    r"""The value within an answer that is a sentence: its boxes, what follows "is", or the only number in it.

    >>> inside("Therefore the answer is 45 cm."), inside("It has 7 sides."), inside("3 or 4"), inside("x + 5")
    ('45 cm', '7', '3 or 4', 'x + 5')
    """
    if boxes := _boxes(text):
        return ", ".join(_distinct(boxes))
    if stated := _stated(text):
        return stated
    if (leading := LEADING.match(text)) and WORD.search(text):
        return leading.group(1)
    values = set(_values(text))
    return values.pop() if len(values) == 1 and not HEDGE.search(text) and not DENIAL.search(text) else text


def bare(text: str) -> str | None:
    """A few words as they are; of a longer text the last formula or number of its last sentence that has one.

    >>> bare("We add 3 and 4, so there are 7 of them in all.")
    '7'
    """
    if len(text.split()) <= FEW_WORDS or (WORD.search(text) is None and "\n" not in text):
        return text.strip() or None
    for sentence in reversed(sentences(text)[-3:]):
        if DECLINED.search(sentence) or COUNTS.search(sentence):
            return None
        if values := _values(sentence, compared=False) or WORDED.findall(sentence) or _values(sentence):
            return sentence if len(set(values)) > 1 and HEDGE.search(sentence) else values[-1]
    return None


def _values(sentence: str, compared: bool = True) -> list[str]:
    """Formulas with a number in them, and numbers that are not part of an expression, in order; without `compared`
    those that others are only compared with ("greater than 60") are left out.
    """
    found = [(m.start(), next(g for g in m.groups() if g).strip()) for m in MATH.finditer(sentence)]
    found = [(at, formula) for at, formula in found if VALUED.search(formula)]
    prose = MATH.sub(lambda m: " " * len(m.group()), sentence)
    if not compared:
        found = [(at, text) for at, text in found if not COMPARED.search(sentence[:at])]
    found += [
        (m.start(), m.group().strip())
        for m in NUMBER.finditer(prose)
        if _stands_alone(prose, *m.span()) and (compared or not COMPARED.search(prose[: m.start()]))
    ]
    return [text for _, text in sorted(found)]


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start].strip()[-1:], text[end : end + 2].strip()[:1]
    if RANGE.match(text, end) or (text[start] == "-" and text[start - 1 : start].isdigit()):
        return False
    if re.search(r"[A-Za-z]\($", text[max(0, start - 2) : start]):  # f(0)
        return False
    return before not in tuple("+-*/^<>_{\\") and after not in tuple("+*/^<>_{=(")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
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
    return [content for _, _, content in _boxes_at(text)]


def _boxes_at(text: str) -> list[tuple[int, int, str]]:
    r"""Start, end and content of every \boxed{...} with balanced braces; \fbox counts too."""
    found: list[tuple[int, int, str]] = []
    for mark in list(BOX.finditer(text))[-MAX_BOXES:]:
        depth, start = 1, mark.end()
        for i in range(start, min(len(text), start + BOX_CHARS)):
            depth += (text[i] == "{") - (text[i] == "}")
            if depth == 0:
                found.append((mark.start(), i + 1, text[start:i].strip()))
                break
    return [(at, end, content) for at, end, content in found if content]


def _final_boxes(text: str) -> tuple[list[str], list[str]]:
    """Earlier boxes, and those that state the answer: the last, with the ones that "and", "or" or a comma join to it.

    None of them when a few words after the last box announce something else.
    """
    boxes = _boxes_at(text)
    if not boxes:
        return [], []
    last_at, _, content = boxes[-1]
    after = FINAL.split(text[last_at:])
    if len(after) > 1 and len(after[-1].split()) <= FEW_WORDS and STATES.match(after[-1]):
        return ([], []) if inside(after[-1]) != content else ([], [content])
    first = len(boxes) - 1
    while first and JOINED.fullmatch(text[boxes[first - 1][1] : boxes[first][0]]):
        first -= 1
    contents = [c for _, _, c in boxes]
    return contents[:first], contents[first:]


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
