"""The last value that running text states, where nothing marks it as the answer."""

import re

from visreason.answer.pattern import either, word

# Numbers and formulas in prose

NUMBER = re.compile(
    r"(?<![^\W\u4e00-\u9fff])(?<!\.)"  # not in a name (B12) nor behind a point, but close behind Chinese
    r"[-−]?[$€£]?"
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"  # 1,234.5   12.5   .5
    r"(?:/\d+(?!\d|\.\d)|(?::\d+)+)?"  # 3/4   2:30
    r"(?:\s?\\?[%°])?"
    r"(?: (?:thousand|million|billion|trillion)\b)?"
)
MATH = re.compile(r"\$\$?([^$]{1,300})\$\$?|\\\(([^\n]{1,300}?)\\\)|\\\[(.{1,300}?)\\\]", re.DOTALL)
"""$x$ or $$x$$, \\(x\\), \\[x\\]"""
POINT = re.compile(
    r"[\[(](?!\d{1,3}(?:,\d{3})+\))"  # not (1,234)
    r"[-−]?\d[\d./]{0,9}(?:, ?[-−]?\d[\d./]{0,9}){1,3}[\])]"  # (3, -1/2)   [0, 5)
)
"""A point by its coordinates, or an interval."""
COMPARED = re.compile(r"\b(?:than|exactly|least|most|above|below|under|over|beyond)\s{1,3}[$]?$")
COMPARED_CHARS = 12
"""How far before a number COMPARED may begin."""
RANGE = re.compile(r"\s?[-–~]\s?\d")
FACTOR = re.compile(
    either(
        r"(?:[abceiknpqrtuxyz](?![A-Za-z])|[π√∠]|\\(?:pi|sqrt|frac|times|cdot|left)(?![A-Za-z]))",  # 3x   3π   3\pi
        r"\s?[-−] ?[a-z]\b",  # 3 - x
    )
)
"""What makes a number behind which it stands a part of an expression."""
WORD = re.compile(r"(?<![\\A-Za-z{])(?!and\b)[^\W\d_]{3,}")
VALUED = re.compile(r"\d|\\pi|\\infty|\\emptyset")

# Answers in words

DIGIT_WORDS = "one|two|three|four|five|six|seven|eight|nine|ten"
WORDED = re.compile(
    r"\b(?:are|is|has|have|were|was|only|total of|shows?|contains?|counts?|counted|sees?) "
    rf"({DIGIT_WORDS}|no)\b(?! (?:times|of)\b)"
)
"""There are three cubes; not: three of them, three times"""
COUNTED = re.compile(r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", re.IGNORECASE)
SAID = re.compile(
    r"\s*(yes|no|true|false)[,.!;:]\s"
    r"(?!.*(?:[,.!;:]|\b(?:or|and))\s(?:yes|no|true|false)\b)",  # not: No, wait, yes.
    re.IGNORECASE,
)
"""A word that is the answer, and its reason behind it."""

# Sentences whose number is no answer

DECLINED = re.compile(
    word(
        "impossible",
        "unable",
        "insufficient",
        r"(?:can ?not|can['’]t|could ?n['’]t) (?:\w+ ){0,2}"  # can't be
        "(?:determine|find|tell|know|calculate|answer|say|give|provide)",
        r"(?:not|without) (?:\w+ ){0,2}(?:enough|sufficient|additional|further|more) (?:\w+ )?"  # not have enough
        "(?:information|data|context|details)",
    ),
    re.IGNORECASE,
)
"""It says that there is no answer."""
ASIDE = re.compile(
    either(
        r"[?？][\s\"'”’)\]*]*$",  # Is it 7?
        r"\bif\b[^.]*\bwould\b|\bwould\b[^.]*\bif\b",  # If x were 3, it would be 9.
        r"^\W*confidence\b|\b(?:am|['’]m) \S+ (?:confident|sure|certain)\b",  # I'm 90% sure.
    ),
    re.IGNORECASE,
)
"""It asks, speaks of another case, or of how sure it is."""
COUNT = rf"(?:\d[\d,.]{{0,20}}|\b(?:{DIGIT_WORDS}))"
COUNTS = re.compile(
    either(
        rf"{COUNT} [a-z]+(?: [a-z]+){{0,4}},? and {COUNT} [a-z]",  # 3 red cubes and two spheres
        r"\d\),? and \([-−]?\d",  # (0, 1) and (2, 3)
    )
)
"""Several things counted, of which none is the answer."""
HEDGE = re.compile(
    r"\b(?:or|either)\b|\b(?:between|from) \S+ (?:and|to) \S+$|或",  # 3 or 4   between 3 and 4
    re.IGNORECASE,
)

# Numbers that are denied

_DIGITS = r"[$\\(]{0,3}[-−]?\d[\d,.]{0,20}[$\\)]{0,3}"
_DENYING = either(
    word(
        "not", "never", "neither", "nor", "cannot", "doubt", "rather than", "instead of",
        "rul(?:e[sd]?|ing) out", "exclud(?:e[sd]?|ing)",
    ),
    r"n['’]t\b",
)  # fmt: skip
_FILLING = either(
    "be", "is", "are", "was", "has", "have", "the", "a", "it", "its", "that", "think", "believe", "say", "value",
    "answer", "number", "result", "equals?", "to", "of",
)  # fmt: skip
_BEFORE = rf"\(?{_DENYING}(?: {_FILLING}\b)* ?{_DIGITS}(?:(?: or| nor|,) {_DIGITS}){{0,10}}"  # (not the number 12 or 13
_BEHIND = (
    rf"(?<![\w.]){_DIGITS} (?:is|was|are|were|would be|must be|can|could)(?: ?(?:not|n['’]t))?(?: be)?(?: the| an?)? "
    + either(
        "incorrect|wrong|false|impossible|invalid|ruled out|excluded",  # 12 would be impossible
        "(?<=n[o'’]t )(?:correct|right|possible|valid|it)",  # 12 can't be right
        r"(?<=n[o'’]t the )(?:\w+ )?(?:answer|solution|value|number)",  # 12 is not the final answer
    )
    + r"\b"
)
DENIED_NUMBER = re.compile(f"{_BEFORE}|{_BEHIND}", re.IGNORECASE)
"""A number that is denied, with the words that deny it."""

# Where sentences end

STEP = re.compile(r"^[ \t]*(?:step )?\d{1,2}[.):][ \t]+(?=\S)", re.MULTILINE | re.IGNORECASE)
"""Step 2: or 2. of a list of steps."""
GOES_ON = (
    r"(?=[A-Z])(?!(?:Actually|Wait|No|Hmm|But|However|Or|Alternatively|On second|Let me|Correction|Sorry|Oops|I made)"
    r"\b)"
)
"""How a sentence begins that does not take back what the one before states."""
STOP = re.compile(
    either(
        rf"(?<=[^\s.][^\s.])[.。](?:\s+{GOES_ON}|$)",
        r"(?<=\w\))[.。](?:\s|$)",  # (B). But
    )
)
"""A full stop that ends a sentence: not the one of `B.`, `3.5` or `e.g.`."""
NUMBER_STOP = re.compile(rf"([$(\\]*[-−]?\d[\d,.]*[%)$]*)[.。]\s+{GOES_ON}")
"""A number that is a sentence, before another one."""
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
    said = SAID.match(text)
    for sentence in [s for s in reversed(sentences(text)[-3:]) if not ASIDE.search(s)]:
        if DECLINED.search(sentence) or COUNTS.search(sentence):
            return None
        stated = undenied(sentence)
        worded = [] if said else in_words(stated)
        if found := values(stated, compared=False) or worded or values(stated):
            return stated if len(set(found)) > 1 and HEDGE.search(stated) else found[-1]
        if stated != sentence:
            return None
    return said.group(1) if said else None


def in_words(sentence: str) -> list[str]:
    """Counts in words, of a sentence that has no other ones.

    >>> in_words("There are three apples."), in_words("There are three apples, and with the pears four.")
    (['three'], [])
    """
    found = WORDED.findall(sentence)
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
