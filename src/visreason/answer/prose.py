"""The last value that running text states, where nothing marks it as the answer."""

import re

NUMBER = re.compile(
    r"(?<![^\W\u4e00-\u9fff])(?<!\.)[-−]?[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:/\d+(?![\d.])|(?::\d+)+)?(?:\s?\\?[%°])?"
)
MATH = re.compile(r"\$\$?([^$]{1,300})\$\$?|\\\(([^\n]{1,300}?)\\\)|\\\[(.{1,300}?)\\\]", re.DOTALL)
COMPARED = re.compile(r"\b(?:than|exactly|least|most|above|below|under|over|beyond)\s{1,3}[$]?$")
COMPARED_CHARS = 12
"""How far before a number COMPARED may begin."""
WORDED = re.compile(
    r"\b(?:are|is|has|have|were|was|only|total of) (one|two|three|four|five|six|seven|eight|nine|ten|no)\b"
    r"(?! (?:times|of)\b)"
)
RANGE = re.compile(r"\s?[-–~]\s?\d")
FACTOR = re.compile(
    r"(?:[abceiknpqrtuxyz](?![A-Za-z])|[π√∠]|\\(?:pi|sqrt|frac|times|cdot|left)(?![A-Za-z]))|\s?[-−] ?[a-z]\b"
)
"""What makes a number behind which it stands a part of an expression."""
WORD = re.compile(r"(?<![\\A-Za-z{])[^\W\d_]{3,}")
VALUED = re.compile(r"\d|\\pi|\\infty|\\emptyset")
DECLINED = re.compile(
    r"\b(?:impossible|unable|insufficient"
    r"|(?:can ?not|can['’]t|could ?n['’]t) (?:\w+ ){0,2}(?:determine|find|tell|know|calculate|answer|say|give|provide)"
    r"|(?:not|without) (?:\w+ ){0,2}(?:enough|sufficient|additional|further|more) (?:\w+ )?"
    r"(?:information|data|context|details))\b",
    re.IGNORECASE,
)
"""A sentence that says that there is no answer: a number in it is none."""
DIGITS = r"[$\\(]{0,3}[-−]?\d[\d,.]{0,20}[$\\)]{0,3}"
DENIED_NUMBER = re.compile(
    r"\(?(?:\b(?:not|never|neither|nor|cannot|doubt|rul(?:e[sd]?|ing) out|exclud(?:e[sd]?|ing)|rather than"
    r"|instead of)\b|n['’]t\b)"
    r"(?: (?:be|is|are|was|has|have|the|a|it|its|that|think|believe|say|value|answer|number|result|equals?|to|of)\b)*"
    rf" ?{DIGITS}(?:(?: or| nor|,) {DIGITS}){{0,10}}"
    rf"|(?<![\w.]){DIGITS} (?:is|was|are|were|would be|must be|can|could)(?: ?(?:not|n['’]t))?(?: be)?(?: the| an?)? "
    r"(?:incorrect|wrong|false|impossible|invalid|ruled out|excluded|(?<=n[o'’]t )(?:correct|right|possible|valid|it)"
    r"|(?<=n[o'’]t the )(?:\w+ )?(?:answer|solution|value|number))\b",
    re.IGNORECASE,
)
"""A number that is denied, with the words that deny it."""
ASKED = re.compile(r"[?？][\s\"'”’)\]*]*$")
STEP = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]+(?=\S)", re.MULTILINE)
"""The number of a step in a list of them."""
COUNTS = re.compile(r"\d[\d,.]{0,20} [a-z]+(?: [a-z]+){0,2},? and \d[\d,.]* [a-z]")
"""Several things counted, of which none is the answer."""
HEDGE = re.compile(r"\b(?:or|either)\b|\b(?:between|from) \S+ (?:and|to) \S+$|或", re.IGNORECASE)
FEW_WORDS = 6
FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.MULTILINE)
QUOTED = re.compile("[\"'“”‘’\x91-\x94]([A-Z])[\"'“”‘’\x91-\x94]")


def bare(text: str) -> str | None:
    """A few words as they are; of a longer text the last formula or number of its last sentence that has one.

    >>> bare("We add 3 and 4, so there are 7 of them in all.")
    '7'
    """
    if len(text.split()) <= FEW_WORDS or (WORD.search(text) is None and "\n" not in text):
        return text.strip() or None
    steps = STEP.sub("", text)
    text = steps if len(STEP.findall(text)) > 1 else text
    for sentence in [s for s in reversed(sentences(text)[-3:]) if not ASKED.search(s)]:
        if DECLINED.search(sentence) or COUNTS.search(sentence):
            return None
        stated = undenied(sentence)
        if found := values(stated, compared=False) or WORDED.findall(stated) or values(stated):
            return stated if len(set(found)) > 1 and HEDGE.search(stated) else found[-1]
        if stated != sentence:
            return None
    return None


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
    return before not in tuple("+-*/^<>≤≥≠±_{\\") and after not in tuple("+*/^<>_{=(")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [s.strip() for s in re.split(r"(?<=[.!?])\s+(?=[A-Z$\\])|\n+|(?<=[。！？])", text) if s.strip()]


def plain(text: str) -> str:
    """The text without the marks of bold type and code, and the quotes round a letter."""
    return QUOTED.sub(r"\1", FENCE.sub("", text).replace("**", "").replace("__", "").strip())
