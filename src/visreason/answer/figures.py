"""How prose gives numbers, and denies them, and where its sentences end: patterns, their branches one a line."""

import re

from visreason.answer.pattern import either, word
from visreason.answer.words import SMALL, TENS

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

NUMBER_WORDS = either(*SMALL[1:], *TENS, "hundred", "thousand", "million")
DIGIT_WORDS = "one|two|three|four|five|six|seven|eight|nine|ten"
WORDED = re.compile(
    r"\b(?:are|is|has|have|were|was|only|total of|shows?|contains?|counts?|counted|sees?) "  # There are
    rf"({NUMBER_WORDS}(?:(?:[ -]| and ){NUMBER_WORDS})*|no)\b"  # two hundred and five
    r"(?! (?:times|of|point|half|halves|thirds?|quarters?|\w+ths?)\b)"  # not: three of them, three times, one half
)
CHINESE_WORDED = re.compile(
    r"[有是为共](?!一[个只条张种])([零一二两三四五六七八九十百千万]+(?:分之[零一二三四五六七八九十百千万]+)?)"
    r"(?=[个只条张本名位种辆件次]|[。.]?\s*$)"
)
"""共有十二个   概率是三分之一。"""
CONDITION = re.compile(
    r"(\b(?:is|was|equals|value of) [$(\\]{0,3}[-−]?\d[\d.,/]{0,20}[$)\\]{0,3},?(?: (?:attained|reached|achieved))?)"
    r" (?:at|when|where|for|if|with) [$(\\]{0,3}[A-Za-z] ?= ?[-−]?\d[\d./]{0,20}[$)\\]{0,3}(?!\s*[-+*/^])"
)
"""The minimum is -5 at x = 2: the value, and when it holds."""
BECAUSE = re.compile(r",? \b(?:because|since)\b", re.IGNORECASE)
COUNTED = re.compile(r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", re.IGNORECASE)
SAID = re.compile(
    r"\s*(yes|no|true|false|是的|不是|是|不|否)(?:(?<=[a-z])[,.!;:]\s|(?<=[^a-z])[,，。](?=.))"
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
        r"^\W*(?:(?:to|let['’]?s|double)[ -])*(?:check|verif(?:y|ication))\b",  # Check: 6 + 4 = 10
    ),
    re.IGNORECASE,
)
"""It asks, speaks of another case, of how sure it is, or checks what another states."""
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
        "rul(?:e[sd]?|ing) out", "exclud(?:e[sd]?|ing)", "(?:wrong|incorrect|mistaken?) to",
    ),
    r"n['’]t\b",
    "不(?:是|为|等于)",
)  # fmt: skip
_FILLING = either(
    "be", "is", "are", "was", "has", "have", "the", "a", "it", "its", "that", "think", "believe", "say", "claim",
    "conclude", "value", "answer", "number", "result", "equals?", "to", "of",
)  # fmt: skip
_BEFORE = (
    rf"\(?{_DENYING}(?: {_FILLING}\b)* ?{_DIGITS}"  # (not the number 12
    rf"(?:(?: or| nor|,) {_DIGITS}){{0,10}}(?:,? but\b)?"  # or 13 but
)
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
CHINESE = re.compile(r"[\u4e00-\u9fff]")
FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.MULTILINE)
QUOTED = re.compile("[\"'“”‘’\x91-\x94]([A-Z])[\"'“”‘’\x91-\x94]")
