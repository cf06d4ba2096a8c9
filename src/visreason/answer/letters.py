"""How prose names the letters of options, lists them, and denies them: patterns, each branch with what it reads."""

import re

from visreason.answer.pattern import LETTER, either, word

# An answer that begins with a letter, or is nothing else

ALONE = re.compile(
    r"\(?\s*([A-Za-z])\s*(?:[).:、．。]\s*)?"  # B   (b)   B.
    r"(?:\(?\1[).:]?\s*)*"  # B. B   (said again)
)
LEADING = re.compile(r"\(?([A-Z])[).:、．。]\s*(\S.*)", re.DOTALL)
"""B. 12 cm"""
LISTING = re.compile(r"(?:[-*] )?\(?([A-Z])[).:] ")
"""- (B) 12 cm, a line of options that are listed again"""
LABELLED = re.compile(
    r"(?:(?i:option|choice|answer)\s+)?\(?([A-Z])\)?"  # Option B
    r"\s*[,:(]\s*(.+?)\)?"  # , 12 cm   (12 cm)
)
"""A letter and what may be the text of an option."""
SMALL = re.compile(r"(?i:the )?(?i:option|choice|answer)(?i: is)?:? ?\(?([a-j])\)?\.?")
"""option b, choice (b): a small letter that a word calls an option's"""
RUN = re.compile(r"[A-J]{2,10}")
"""ABD: letters of several options without anything between them, in alphabetical order."""

_JOIN = either(",", "/", "&", r"(?i:\bor\b|\band\b|\bas well as\b)", "或", "和", "、")
LISTED = re.compile(
    r"(?:(?i:options|choices|answers):?\s+)?\(?[A-Z]\)?\.?"  # Options A
    rf"(?:\s*{_JOIN}\s*(?:(?i:\bor\b|\band\b)\s*)?"  # , and
    r"\(?[A-Z]\)?\.?(?![\w']))+"  # (C)
)
"""A, B, and (C)"""

# A letter within a sentence

STRONG = re.compile(
    either(
        r"\(([A-Z])\)",  # (B)
        r"\b(?:option|choice|answer|figure|picture)s? ?(?:is )?:? ?\(?([A-Z])\b(?!')",  # option B   answer is: (B)
        r"(?:^|\n)[ \t]*([A-Z])[.):。](?=\s|$|不)",  # B) at the start of a line
        r"选项? ?[（(]?([A-Z])(?![A-Z])",  # 选B   选项 (B)
        r"\b(?:go with|choose|pick|select|opt for) \(?((?-i:[A-HJ-Z]))\b(?!')",  # I choose B, but not: I choose I
    ),
    re.IGNORECASE,
)
"""A letter that can only be an option's."""
WEAK = re.compile(
    either(
        r"(?<![A-Za-z\d\\])([B-HJ-Z])(?![A-Za-z'’])",  # B anywhere
        r"(?<![A-Za-z\d\\])([AI])(?=[).:,/]|\s*$|\s+(?:or|and)\b)",  # A and I, which are words, before a mark
    )
)
"""A letter that is probably an option's."""
CLOSING = re.compile(
    either(
        r"(?:^|\b(?:is|be|by):? |\bit['’]s |\b(?:[Tt]herefore|[Tt]hus|[Hh]ence|[Ss]o),? )"  # Hence,
        r"\(?([A-Z])\)?\.?$",  # (B).
        r"\b([A-Z]) is (?:the |thus )?(?:only )?(?:correct|right|best|answer|option|choice|one)\b",  # B is the only one
    )
)
"""How the last sentence names an option by its letter alone."""
LEFT = re.compile(
    r"\b(?:left with|leav(?:es|ing)(?: us with)?|remain(?:s|ing)(?: \w+)? is"  # leaving us with   the remaining one is
    r"|(?<=, )(?:so|hence|thus|therefore)(?:,? it(?: is|['’]s))?)"  # It isn't A, so it's
    r"(?: only)?(?: (?:option|choice))? \(?([A-Z])\)?\.?$"  # only option B.
)
"""How a sentence that rules options out names the one that is left."""
OPTION = re.compile(
    r"(?:[-*] )?(\[.?\] ?|[✓✔✅☑✗✘❌✖]️? ?)?"  # - [x]   ✅
    r"\(?([A-Z])(?:[).:]|(?= ?[✓✔✅☑✗✘❌✖])|$)(.*)"  # (B) 12 cm - correct   B ✓
)
"""A line of options that are listed again, with what is said of it before and behind its letter."""
TICKED = re.compile(r"[✓✔✅☑]|\[[xX]\]|(?<!not )\b(?:correct|right|true)[.!)]*$", re.IGNORECASE)
CROSSED = re.compile(
    r"[✗✘❌✖]|\[ ?\]|\b(?:incorrect|wrong|false|not (?:correct|right|true))[.!)]*$", re.IGNORECASE
)

# Sentences that deny options, compare them, or give a reason

DENIED = re.compile(
    either(
        word(
            "not",
            "neither",
            "nor",
            "never",
            "cannot",
            "none",
            "unlikely",
            "less likely",
            "incorrect",
            "wrong",
        ),
        word("rule[sd]? out", "eliminated?", "doubt"),
        r"n['’]t\b",  # isn't
        "[不错]",
        "排除",
    ),
    re.IGNORECASE,
)
"""Words of a sentence that denies something."""
CONTRAST = re.compile(
    word(
        r"other(?= (?:options?|choices?|answers?)\b)", "others", "rather than", "instead of", "unlike", "except",
        "whereas", "while", "although", "compared (?:to|with)", "than",
    )
    + "|比",
    re.IGNORECASE,
)  # fmt: skip
"""Where a sentence begins to speak of what it compares its option with."""
CONTRARY = re.compile(r",\s(?:and |but )?not\b")
"""Where a sentence ends its answer and begins with what it is not."""
REASON = re.compile(
    either(
        r",?\s+(?:since|because|(?<!well )as(?! well)|which|while|whereas)\b",  # B, as it ...; not: A as well as B
        "[,，]?因为",
        r"\s\((?!\s*[A-Z]\s*\))",  # B (it ...; not: B (C)
    )
)
"""Where the reason for a letter begins."""
MORE = re.compile(
    either(
        r"\b(?:also|too|both|equally|as well)"  # D is right too
        r"(?! (?:\w+ly\b|small|large|big|high|low|long|short|few|many))\b",  # but not: D is too small
        r"\bor(?: (?:maybe|perhaps|possibly))? \(?(?-i:[A-HJ-Z])\b",  # or maybe D
    ),
    re.IGNORECASE,
)
"""Words by which a reason names a further answer."""
ANOTHER = re.compile(
    r"(?:Option|Choice) \(?[A-Z]\)? (?!.*\b(?:also|too|both|equally|correct|right|true|answer)\b)[a-z]"
)
"""A sentence behind a letter that says something of another option ("Option C shows"), but not that it is right."""

# Letters that are denied

_DENYING = either(
    r"(?i:"
    + word(
        "not", "non", "never", "neither", "nor", "cannot", "doubt", "except(?: for)?", "excluding", "exclude[sd]?",
        "anything but", "all but", "other than", "rather than", "instead of",
        "eliminat(?:e[sd]?|ing)", "reject(?:s|ed|ing)?", "rul(?:e[sd]?|ing) out",
    )
    + r"|n['’]t\b)",
    r"不(?:应|能|要|可能)?[是选]?",  # 不是B   不应选B
    "排除",
    "除了",
)  # fmt: skip
_FILLING = r"(?i:(?:be|is|it|that|choose|pick|select|the|option|choice|answer|correct|选?项)\b:?\s*)*"
_FURTHER = rf"(?:\s*(?:,?\s*\b(?:or|nor)\b|/|或)\s*{LETTER})*"
_BEFORE = rf"{_DENYING}\s*{_FILLING}{LETTER}{_FURTHER}"  # it can't be the option B or C

_SEVERAL = (
    r"(?i:\b(?:option|choice)s?\s*)?\(?(?<![A-Za-z\\])"  # options
    r"(?:[A-HJ-Z]\)?\s*(?:[,/、，]|(?i:,?\s*\band\b)|和)\s*\(?){0,8}[A-HJ-Z]"  # A, B and C; not I, which is a word
)
_AUXILIARY = either(
    "is", "are", "was", "be", "can", "could", "would", "should", "must", "does", "did", "do", "seems", "looks", "also",
    "all", "both", "therefore", "thus",
)  # fmt: skip
_REFUSED = either(
    "(?:is|was|does|did|could|would|should)n['’]t",
    "(?<=[a-z] )(?:not|incorrect|wrong|false|impossible|eliminated|excluded|rejected|ruled out)",
)
_BEHIND = _SEVERAL + either(
    r"\)?\s*[都均]?是?(?:不(?:对|正确|符合|成立|可能)|错误?|被?排除)的?",  # A和B都不对   B是错误的
    r"\s+(?:\w*n['’]t|cannot|never)\b",  # B can't be right
    rf"\)?\s+(?:{_AUXILIARY}\s+)*{_REFUSED}\b(?!\s*{LETTER})",  # A and B are both wrong, but not: B is not C
)
DENIED_LETTER = re.compile(f"{_BEFORE}|{_BEHIND}")
"""A letter that is denied, with the words that deny it."""
