"""How a solution announces its answer, takes it back, or only speaks of it: patterns, their branches one a line."""

import re

from visreason.answer.pattern import either, word

# Announced answers

PHRASE = re.compile(
    either(
        r"\b(?:answers?|option|choice|result|correction)"
        r"(?: is| are|'s| would be| should be| must be| will be| =)?\s*[:：]",  # the result is:
        r"\b(?:answer|correct option|correct choice)s?(?: to [^.\n]{1,60})?"
        r" (?:is|are|would be|should be|must be|will be)\b",  # the answer to this question is
        "####",
        "答案(?:是|为|[:：])|【答案】|(?:^|\n)答[:：]",
        "[故应所以此就则]选|选择|(?:^|[\n，,。])选(?=[A-J])",
    )
    + r"[ \t]*[:：]?",
    re.IGNORECASE,
)
FIELD = re.compile(
    r'"(?:final_)?answer"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(\[[^\]\n]*\]|[^\s",}\]]+))', re.IGNORECASE
)
"""The answer as a field of JSON: {"answer": "12"}"""
FINAL = re.compile(r"\b(?:(?:final|correct|the) answer|Answer)(?: is\b|\s*[:：=])\s*[:：]?", re.IGNORECASE)
STATES = re.compile(r"\s*[$(\\]*(?:[A-J]\b|[-−]?[\d\\])")
"""How a value or a letter begins, so that "the answer is right" states none."""
IS = re.compile(
    r"\s*(?:it|this|that|these|they|the (?:\w+ ){1,12}?)\s?"  # the animal in the picture
    r"(?:is|are|was|were|['’]s|(?:appears?|seems?|looks?)(?: to be)?)"  # seems to be
    r"(?: (?:probably|likely|clearly|mainly|mostly))?(?: (?:a|an|the))? "
    r"([^\W\d_][\w '’-]{0,40})\.?\s*",  # cat
    re.IGNORECASE,
)
"""A sentence and the word it says."""
IS_CHINESE = re.compile(r"[^，,。；是不]{0,20}是([^，,。；？?]{1,30})。?")
"""这辆车是红色的。"""
SO = re.compile(r"(?:.*\b(?:so|hence|thus|therefore),? )?(yes|no)[.!]?", re.IGNORECASE)
"""They are equal, so yes."""
VERB = re.compile(r"\b(?:is|was|are|were)\b")
LEADING = re.compile(
    r"\s*(?:(?:probably|likely|perhaps|maybe) )?[$*]*([-−]?\d[\d,.]*?)\**[.,]? "  # probably **12**,
    + either(
        r"(?:though|although|with|because|since|for|as|which|where|when|from|given|due|after)\b",  # because 3 * 4 is
        r"I(?:['’]m| am| think)\b",  # I'm not sure
        r"\((?!or\b|and\b)[^()]*\)\W*$",  # (3 rows of 4), but not: (or 13)
    )
)
"""A number and the reason behind it, which may stand in brackets."""

# Boxes

BOX = re.compile(r"(?:\\(?:begin)?(?:boxed|fbox)\s*|(?<![A-Za-z\\])boxed)\{")
BOLD = re.compile(r"\*\*([^*\n]{1,40})\*\*")
JOINED = re.compile(
    either(
        r"[\s$,;:.()*|&+]",
        r"\\[()\[\],;!]|\\\\|\\q?quad",
        r"\\text\{\s*(?:and|or)\s*\}",
        r"\band\b|\bor\b|或|和|、",
        r"\w{1,4}\s*=",  # x =
    )
    + "{0,40}"
)
"""What stands between boxes that state one answer together."""
LETTER = re.compile(r"(?:\\text\{)?\(?[A-J]\)?\}?")

# Answers that are doubted or taken back

WITHDRAWN = re.compile(
    r"[$*.,;)\s]{0,4}(?:but |and )?(?:(?:this|that|it|which) )?"  # , but that
    r"(?:is|was|would be|seems) (?:clearly |also )?"
    r"(?:wrong|incorrect|not (?:right|correct|possible|the answer))\b",
    re.IGNORECASE,
)
"""What takes a value back that stands before it; of a letter it may be what was asked ("Which is incorrect?")."""
DOUBTED = re.compile(
    either(
        r"\b(?:not|never|doubt|(?:wrong|incorrect|mistaken?) to (?:say|think|claim|conclude))",
        r"\b(?:might|may|could|would) (?:say|think|assume|guess|believe)",
        r"n['’]t",
    )
    + r"(?: (?:think|believe|say|claim|mean|sure|certain|that|the|correct|final))*\s*$",  # don't think that the
    re.IGNORECASE,
)
"""What stands before "the answer is" in a sentence that doubts it."""
SUPPOSED = re.compile(r"\bif\b[^.!?\n]*$", re.IGNORECASE)
"""What stands before "the answer would be" where it is said of another case."""
DENIAL = re.compile(
    either(
        word(
            "not", "never", "cannot", "neither", "nor", "doubt", "rul(?:e[sd]?|ing) out", "wrong", "incorrect"
        ),
        r"n['’]t\b",
        "[不?？]",
    ),
    re.IGNORECASE,
)
"""Words by which a text denies its number, or asks about it."""
RELATED = re.compile(
    word(
        "than", "least", "most", "above", "below", "under", "over", "beyond", "up to",
        "multiples? of", "factors? of", "divisors? of", "divisible by", "powers? of", "the power", "root of", "half of",
        "base", "except", "but", "mod", "modulo", "plus", "minus", "negative",
        "sin", "cos", "tan", "log", "ln", "sqrt",
    )
    + r"[\s$:}(]*[-−]?\d",
    re.IGNORECASE,
)  # fmt: skip
"""Words that say what a number has to do with the answer, which it is not: more than 12, a multiple of 12"""
EXPLAINED = re.compile(
    r"\n[ \t]*(?:explanation|reason(?:ing)?|justification|解释|理由|解析)\s*[:：]", re.IGNORECASE
)
"""Where the explanation behind a short answer begins."""
PROSE = re.compile(r"(?<![\\\w{])[^\W\d_]{2,}")
"""A word, not a command, nor letters behind a number."""
