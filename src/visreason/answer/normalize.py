r"""One spelling for answers that mean the same: LaTeX wrappers, fractions, units, thousands, percent, case.

`normalize` is what strings are compared by; `split_unit`, `split_percent` and `split_name` take off what stands round
a value. No arithmetic here.
"""

import re
import unicodedata
from functools import lru_cache

READ_CHARS = 2_000

TRAILING = re.compile(r"(?<!\\)[.。,;，；]+$|\\$")
WRAPPERS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
)
COMMAND = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|operatorname|underline|ce|rm|bf)"
    r"\s*\{([^{}]*)\}"
)
UNESCAPED = {8: "\\b", 12: "\\f"}
"""Control characters that \\boxed and \\frac begin with once their backslash was read as an escape."""
WRAPPING = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf|mbox|underline|ce)\s*\{")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n")
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+")
SPELLINGS: tuple[tuple[str, str], ...] = (
    (r",\s*\\!\s*", ","),  # 1,\!000
    (r"(?<!\\)\\[,!;: ]|\\$|~|\\(?:q?quad|displaystyle|left|right|[bB]igg?[lr]?)(?![A-Za-z])", " "),  # 5\,cm
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),  # \frac12
    (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),  # \frac1{2}
    (r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),  # \sqrt2
    (r"(?:√|(?<![\\A-Za-z])sqrt)\s*\(([^()]*)\)", r"\\sqrt{\1}"),  # √(x+1)   sqrt(2)
    (r"√\s*(\d+)", r"\\sqrt{\1}"),  # √2
    (r"√\s*\{", r"\\sqrt{"),
    (
        r"(\\?(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc)) *\(? *(\d+(?:\.\d+)?) *(?:\^ *\{? *\\circ *\}?|°) *\)?",
        r"\1(\2*\\pi/180)",  # sin 30°
    ),
    (r"(?<=\d) ?[xX] ?(?=10 ?\^)", "*"),  # 3 x 10^8
    (r"\A(?:(?:\.\.\.|…) ?(?==))?(?:∴|=>|=(?![=>])|→|⇒|#(?=\d)|\\therefore(?![A-Za-z])) *", ""),  # = 12   #12
    (r"\b(?:minus|negative) (?=[\d.\\])", "-"),  # minus 5
    (r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])|°|\bdegrees?\b", " "),  # 90^\circ
    (r"\\?%|\bper ?cent(?:age(?: points?)?)?\b|\bpct\b", "%"),
    (r"\\\$|\$|€|£|¥", " "),
    (r"\{,\}", ","),  # 1{,}000
    (r"\\(?:cdot|times|ast)(?![A-Za-z])|[×·⋅∙]", "*"),
    (r"\\div(?![A-Za-z])|÷|(?<=\d) out of (?:the )?(?=\d)", "/"),  # 3 out of 4
    (r"\\le(?:q|qslant)?(?![A-Za-z])|≤", "<="),
    (r"\\ge(?:q|qslant)?(?![A-Za-z])|≥", ">="),
    (r"\\neq?(?![A-Za-z])|≠|!=", r"\\neq "),
    (r"\\lt(?![A-Za-z])", "<"),
    (r"\\gt(?![A-Za-z])", ">"),
    (r"π|(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
    (r"\+?(?:∞|\\infty(?![A-Za-z])|(?<![\\A-Za-z])inf(?:inity)?(?![A-Za-z]))", r"\\infty "),
    (r"\\(?:approx|simeq|doteq)(?![A-Za-z])", "≈"),
    (
        r"\\(?:limits|nolimits|hline|middle|mleft|mright|Bigg?|bigg?|textstyle|thinspace|medspace|space|hspace\{[^{}]*\})"
        r"(?![A-Za-z])",
        " ",
    ),
    (r"\\(?:Longrightarrow|longrightarrow|Rightarrow|rightarrow|implies)(?![A-Za-z])|-+>|→|⟶", r"\\to "),
    (
        r"ø|∅|\\varnothing(?![A-Za-z])|\A(?:there (?:is|are) )?no (?:real )?solutions?\Z|\A(?:the )?empty set\Z",
        r"\\emptyset ",
    ),
    (r"\\(begin|end)\s*\{(?:[bpB]|small)matrix\}", r"\\\1{matrix}"),
    (r"[−–—]", "-"),
    (r"\s+", " "),
    (r"(?<=\d) ?M(W|Pa|V|J|Hz|eV)(?![A-Za-z])", r" mega\1"),  # 5 MW, which case alone tells from milli
    (r"(?<=\d) ?N ?\*? ?m(?![A-Za-z])", " newtonmeter"),  # 5 Nm, not nm
    (r"(?<=\d) ?([kKMGT])b(?![A-Za-z])", r" \1bits"),  # 5 Mb, not MB
    (r"(?<=\d) ?([kM]?)(?:\\Omega(?![A-Za-z])|[ΩΩ])", r" \1Ω"),
    (r" ?([_^]) ?(?:\{(\w)\}|(?=\S))", r"\1\2"),  # x ^ {2}
)
"""Pattern and replacement, in this order. A LaTeX command ends where letters end, so a digit may follow it."""
RULES = tuple((re.compile(pattern), new) for pattern, new in SPELLINGS)
ESCAPED = re.compile(
    r"(?<!\\)\\\\(?:d?frac|sqrt|left|right|text|pi|cup|infty|begin|boxed|in|circ|leq?|geq?|pm|cdot|times)(?![A-Za-z])"
)
"""A command with its backslash doubled, as in text that was escaped once too often."""
THOUSANDS = re.compile(r"(?<![\d.,(])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d.,])\d{1,3}(?: \d{3})+(?! ?\d)")
NAME = re.compile(r"([\\A-Za-z(|][\w\\ {}(),:|'°∠△]{0,40}?)\s*(?:=|\\in\b)\s*([^=]+)")
MIXED = re.compile(r"(?<![\w.^/*)}] )(?<![\w.^/*)}])(\d+) (\d+/\d+)(?![\d.])")
NO_UNIT = re.compile(
    r"\b(?:hundred|thousand|[mbtr]+illion|bn|mn|dozen|or|and|to|is|was|not|pi|(?-i:[abceiknpqrtuxyzBEIPQRUXYZ])|sin|cos|tan"
    r"|log|ln|sqrt)\b"
    r"|^(?!千[米克瓦]|分[钟米])[亿万千百十又分]",
    re.IGNORECASE,
)
"""Words behind a number that are no unit: they change it, join another to it, or are a variable."""
FACTOR = re.compile(r"(?<=\d)[A-Z]$|\b(?:19|20)\d0s$")
"""What is no unit close behind a number: a capital, which is a variable more often, and the s of 1990s."""
UNIT_WORD = r"(?:[A-Za-zΩμ¢][A-Za-zΩ./]*|[\u4e00-\u9fff]{1,6})(?:\^[23])?"
UNIT = re.compile(rf"(.*?(?:[\d}})!]|\\pi)[亿万]?)\s*({UNIT_WORD}(?: {UNIT_WORD}){{0,3}})")
UNIT_CHARS = 100


def normalize(text: str) -> str:
    r"""The common spelling of an answer, lower case and without spaces.

    >>> normalize(r"$\dfrac{1}{2}$."), normalize("1,234.50 %"), normalize(r"\text{Red}")
    ('\\frac{1}{2}', '1234.50%', 'red')
    """
    spelled = "".join(spell(text).split()).lower()
    return spelled.replace("\\{", "{").replace("\\}", "}")


@lru_cache(maxsize=8192)
def spell(text: str) -> str:
    r"""Like `normalize`, with capitals, single spaces between words, and \{ \} of sets left."""
    text = text[:READ_CHARS].translate(UNESCAPED)
    if ESCAPED.search(text):
        text = text.replace("\\\\", "\\")
    text = unwrap(text)
    if not text.isascii():
        text = _unicode(text)
        text = RAISED.sub(lambda m: f"^{{{m.group().translate(SUPERSCRIPTS)}}}", text)
        text = LOWERED.sub(lambda m: f"_{{{m.group().translate(SUBSCRIPTS)}}}", text)
    for _ in range(3 if "\\" in text else 0):
        text = COMMAND.sub(r" \1 ", text)
    for pattern, new in RULES:
        text = pattern.sub(new, text)
    text = THOUSANDS.sub(lambda m: re.sub(r"[, ]", "", m.group()), text)
    text = MIXED.sub(r"(\1+\2)", text.strip())
    return " ".join(unwrap(text).split())


def unwrap(text: str) -> str:
    r"""Without what stands round an answer: spaces, final full stop, $...$, \(...\), **...**, quotes, \boxed{...}.

    >>> unwrap(r"$\boxed{\text{B}}$.")
    'B'
    """
    for _ in range(8):
        before = text
        text = TRAILING.sub("", text.strip()).strip()
        for left, right in WRAPPERS:
            if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
                inner = text[len(left) : -len(right)]
                text = inner if left not in inner else text
        text = _uncommand(text)
        if text == before:
            break
    return text


def split_name(spelled: str) -> tuple[str, str]:
    r"""Name and value of `x = 5`, `5 = x` or `x \in S`; the name is empty when there is none.

    >>> split_name("x = 5"), split_name("2x + 1")
    (('x', '5'), ('', '2x + 1'))
    """
    match = NAME.fullmatch(spelled)
    if match is None or not _balanced(match.group(1)):
        value, _, name = spelled.partition("=")
        return (name.strip(), value.strip()) if re.fullmatch(r"\s*[a-z]\s*", name) else ("", spelled)
    return match.group(1).strip(), match.group(2).strip()


def split_unit(spelled: str) -> tuple[str, str]:
    """Value and unit of a number with words behind it; the unit is empty when there is none.

    >>> split_unit("5 cm^2"), split_unit("12 red cubes"), split_unit("5 million"), split_unit("3x")
    (('5', 'cm^2'), ('12', 'red cubes'), ('5 million', ''), ('3x', ''))
    """
    match = UNIT.fullmatch(spelled) if len(spelled) <= UNIT_CHARS else None
    if match is None or NO_UNIT.search(match.group(2)) or FACTOR.search(spelled):
        return spelled, ""
    unit = match.group(2).strip()
    return match.group(1).strip(), unit


def split_percent(spelled: str) -> tuple[str, bool]:
    """Value and whether a percent sign stood behind it."""
    return (spelled[:-1].strip(), True) if spelled.endswith("%") else (spelled, False)


def _uncommand(text: str) -> str:
    r"""The content of a \boxed{...} or \text{...} that is the whole text."""
    match = WRAPPING.match(text)
    if match and text.endswith("}") and _balanced(text[match.end() : -1]):
        return text[match.end() : -1]
    return text


def _balanced(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return depth == 0


def _unicode(text: str) -> str:
    """Full-width forms and vulgar fractions in ASCII; superscripts are left to the spellings."""
    return "".join(_plain(c) for c in text)


def _plain(char: str) -> str:
    kind = unicodedata.decomposition(char).partition(" ")[0]
    if kind == "<fraction>":
        return " " + unicodedata.normalize("NFKC", char).replace("\u2044", "/")
    return unicodedata.normalize("NFKC", char) if kind in ("<wide>", "<noBreak>", "<compat>") else char
