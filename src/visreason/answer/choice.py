"""Which options an answer names: by letter, by text, or by value. Naming several is the caller's to judge."""

import re
from functools import lru_cache

from visreason.answer.budget import spend
from visreason.answer.equal import equal
from visreason.answer.normalize import normalize, spell, split_unit, unwrap
from visreason.answer.prose import SAID

READ_CHARS = 2_000
STEPS = 10
"""What looking for an option in a text costs."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OUTSIDE = -1
"""Stands for a letter that no option has."""
ALONE = re.compile(r"\(?\s*([A-Za-z])\s*(?:[).:、．。]\s*)?(?:\(?\1[).:]?\s*)*")
LEADING = re.compile(r"\(?([A-Z])[).:、．。]\s*(\S.*)", re.DOTALL)
LISTED = re.compile(
    r"\(?[A-Z]\)?\.?(?:\s*(?:,|/|&|(?i:\bor\b|\band\b|\bas well as\b)|或|和|、)\s*"
    r"(?:(?i:\bor\b|\band\b)\s*)?\(?[A-Z]\)?\.?(?![\w']))+"
)
RUN = re.compile(r"[A-J]{2,10}")
"""Letters of several options without anything between them, in alphabetical order."""
STRONG = re.compile(
    r"\(([A-Z])\)|\b(?:option|choice|answer|figure|picture)s? ?(?:is )?:? ?\(?([A-Z])\b(?!')"
    r"|(?:^|\n)[ \t]*([A-Z])[.):。](?=\s|$|不)|选项? ?[（(]?([A-Z])(?![A-Z])"
    r"|\b(?:go with|choose|pick|select|opt for) \(?((?-i:[A-HJ-Z]))\b(?!')",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"(?:^|\b(?:is|be|by):? |\b(?:[Tt]herefore|[Tt]hus|[Hh]ence|[Ss]o),? )\(?([A-Z])\)?\.?$"
    r"|\b([A-Z]) is (?:the |thus )?(?:correct|right|best)\b"
)
"""How the last sentence names an option by its letter alone."""
LABELLED = re.compile(r"(?:(?i:option|choice|answer)\s+)?\(?([A-Z])\)?\s*[,:(]\s*(.+?)\)?")
"""A letter and what may be the text of an option."""
LEFT = re.compile(
    r"\b(?:left with|leav(?:es|ing)(?: us with)?|remain(?:s|ing)(?: \w+)? is)(?: only)?(?: (?:option|choice))? "
    r"\(?([A-Z])\)?\.?$"
)
"""How a sentence that rules options out names the one that is left."""
LISTING = re.compile(r"(?:[-*] )?\(?([A-Z])[).:] ")
LEADING_WORDS = 12
FORMULA = "0123456789\\"
"""What an option begins with that is mathematics."""
DENIED = re.compile(
    r"\b(?:not|neither|nor|never|cannot|unlikely|less likely|incorrect|wrong|rule[sd]? out|eliminated?|none)\b"
    r"|n['’]t\b|\bdoubt\b|不|错|排除",
    re.IGNORECASE,
)
CONTRAST = re.compile(
    r"\b(?:other(?= (?:options?|choices?|answers?)\b)|others|rather than|instead of|unlike|except|whereas|while"
    r"|although|compared (?:to|with)|than)\b",
    re.IGNORECASE,
)
CONTRARY = re.compile(r",\s(?:and |but )?not\b")
"""Where a sentence ends its answer and begins with what it is not."""
DENIED_LETTER = re.compile(
    r"(?:(?i:\b(?:not|non|never|neither|nor|cannot|except(?: for)?|excluding|exclude[sd]?|anything but|all but"
    r"|other than|rather than|instead of|doubt|eliminat(?:e[sd]?|ing)|reject(?:s|ed|ing)?"
    r"|rul(?:e[sd]?|ing) out)\b|n['’]t\b)"
    r"|不(?:应|能|要|可能)?[是选]?|排除|除了)\s*"
    r"(?i:(?:be|is|it|that|choose|pick|select|the|option|choice|answer|correct|选?项)\b:?\s*)*"
    r"\(?[A-Z]\)?(?![\w'’])(?:\s*(?:,?\s*\b(?:or|nor)\b|/|或)\s*\(?[A-Z]\)?(?![\w'’]))*"
    r"|(?i:\b(?:option|choice)s?\s*)?\(?(?<![A-Za-z\\])"
    r"(?:[A-HJ-Z]\)?\s*(?:[,/、，]|(?i:,?\s*\band\b)|和)\s*\(?){0,8}[A-HJ-Z]"
    r"(?:\)?\s*[都均]?是?(?:不(?:对|正确|符合|成立|可能)|错误?|被?排除)的?|\s+(?:\w*n['’]t|cannot|never)\b"
    r"|\)?\s+(?:(?:is|are|was|be|can|could|would|should|must|does|did|do|seems|looks|also|all|both|therefore|thus)\s+)*"
    r"(?:(?:is|was|does|did|could|would|should)n['’]t|(?<=[a-z] )(?:not|incorrect|wrong|false|impossible|eliminated"
    r"|excluded|rejected|ruled out))\b(?!\s*\(?[A-Z]\)?(?![\w'’])))"
)
"""A letter that is denied, with the words that deny it."""
REASON = re.compile(
    r",?\s+(?:since|because|(?<!well )as(?! well)|which|while|whereas)\b|[,，]?因为|\s\((?!\s*[A-Z]\s*\))"
)
"""Where the reason for a letter begins."""
MORE = re.compile(
    r"\b(?:also|too|both|equally|as well)(?! (?:\w+ly\b|small|large|big|high|low|long|short|few|many))\b"
    r"|\bor(?: (?:maybe|perhaps|possibly))? \(?(?-i:[A-HJ-Z])\b",
    re.IGNORECASE,
)
"""Words by which a reason names a further answer."""
ANOTHER = re.compile(
    r"(?:Option|Choice) \(?[A-Z]\)? (?!.*\b(?:also|too|both|equally|correct|right|true|answer)\b)[a-z]"
)
"""A sentence behind a letter that says something of another option, but not that it is right."""
WEAK = re.compile(
    r"(?<![A-Za-z\d\\])([B-HJ-Z])(?![A-Za-z'’])|(?<![A-Za-z\d\\])([AI])(?=[).:,/]|\s*$|\s+(?:or|and)\b)"
)


def pick(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Indices of the options that a short answer names; OUTSIDE for a letter beyond them; empty for none.

    >>> colours = ("red", "blue", "green")
    >>> [sorted(pick(t, colours)) for t in ("(B)", "B. blue", "blue", "A or B", "E", "a cat")]
    [[1], [1], [1], [0, 1], [-1], []]
    """
    if len(bare := text.strip()) > 1 and bare in choices:  # options may be called (a), (b) in another order
        return frozenset(i for i, choice in enumerate(choices) if choice == bare)
    text = unwrap(text[:READ_CHARS])
    if (said := SAID.match(text)) and (first := _by_text(said.group(1), choices)):
        return first
    if (labelled := LABELLED.fullmatch(text)) and (other := _by_text(labelled.group(2), choices)):
        return _index(labelled.group(1), choices) | other
    if not _by_text(text, choices):
        text = _without_reason(DENIED_LETTER.sub("", text).strip())
    text = text.upper() if LISTED.fullmatch(text.upper()) else text
    if alone := ALONE.fullmatch(text):
        letter = _index(alone.group(1), choices)
        return letter if OUTSIDE not in letter else _by_text(text, choices) or letter
    if found := _by_text(text, choices):
        return found
    if RUN.fullmatch(text) and "".join(sorted(set(text))) == text:  # ABD
        return frozenset().union(*(_index(letter, choices) for letter in text))
    if listed := LISTED.match(text):
        return frozenset().union(
            *(_index(c, choices) for c in re.findall(r"(?<![A-Za-z])[A-Z](?![A-Za-z])", listed.group()))
        )
    if leading := LEADING.match(text):
        rest = "" if ANOTHER.match(leading.group(2)) else leading.group(2)
        return _index(leading.group(1), choices) | _by_text(rest, choices) | _letters(STRONG, rest, choices)
    return (
        _letters(STRONG, text, choices)
        or _letters(WEAK, text, choices)
        or by_value(text, choices)
        or _mentioned(text, choices)
    )


def pick_from_prose(sentences: list[str], choices: tuple[str, ...]) -> frozenset[int]:
    """The options that running text settles on: its first line when that is `B` or `B. text`, else what its last
    sentence names, else the last sentence that names any by letter, else the only one that sentences name by a text of
    some length. Sentences that deny or compare options name none, nor do those that announce something (":").
    """
    first = sentences[0][:READ_CHARS]
    headed = [m.group(1) if (m := LISTING.match(f"{sentence} ")) else "" for sentence in sentences]
    if len({*headed} - {""}) > 1:  # options gone through one by one
        sentences = [s for s, head in zip(sentences, headed, strict=True) if not head or s is sentences[-1]]
        first = ""
    leads = ALONE.fullmatch(first) or (LEADING.match(first) and len(first.split()) <= LEADING_WORDS)
    if leads and len(sentences) > 1 and OUTSIDE not in (named := pick(first, choices)):
        return named
    if closing := _closing(sentences[-1], choices):
        return closing
    last, said = sentences[-1], [s for s in reversed(sentences) if not s.endswith(":")]
    if found := _letters(STRONG, DENIED.split(DENIED_LETTER.sub("", last[:READ_CHARS]))[0], choices):
        return found
    if last in said[:1] and (found := _affirmed(last, choices)):
        return found
    for sentence in said:
        if not DENIED.search(sentence) and (found := _letters(STRONG, CONTRAST.split(sentence)[0], choices)):
            return found
    long = tuple(c if len(c) > 3 and not c[0].isdigit() else "" for c in choices)
    affirmed = {found for s in said if len(found := _affirmed(s, long)) == 1}
    return affirmed.pop() if len(affirmed) == 1 else frozenset()


def _closing(sentence: str, choices: tuple[str, ...]) -> frozenset[int]:
    """The option whose letter, or text of one letter, ends the sentence; none where it denies or has no such option."""
    kept = DENIED_LETTER.sub("", sentence)
    found = LEFT.search(sentence) or (CLOSING.search(kept) if not DENIED.search(kept) else None)
    letter = next(filter(None, found.groups())) if found else ""
    return (_by_text(letter, choices) or _index(letter, choices)) - {OUTSIDE} if letter else frozenset()


def _affirmed(sentence: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Options that a sentence names by their texts. One that denies or compares names what it starts with ("No"), an
    option that is a denial itself, or what stands before the comparison.
    """
    if (said := SAID.match(f"{sentence} ")) and (first := _by_text(said.group(1), choices)):
        return first
    sentence = CONTRARY.split(sentence)[0]
    if DENIED.search(sentence):
        return _mentioned(sentence, tuple(c if DENIED.search(c) else "" for c in choices))
    return _mentioned(sentence, choices) and _mentioned(CONTRAST.split(sentence)[0], choices)


def without_options(lines: list[str]) -> list[str]:
    """Sentences without options that are listed again: lines that start with consecutive letters, of which the last may
    have broken off behind its letter.
    """
    letters = [m.group(1) if (m := LISTING.match(line)) else "" for line in lines]
    if lines and re.fullmatch("[A-Z]", lines[-1]):
        letters[-1] = lines[-1]

    def listed(i: int) -> bool:
        neighbours = (letters[i - 1] if i else "", letters[i + 1] if i + 1 < len(lines) else "")
        before, after = (ord(n) - ord(letters[i]) if n else 0 for n in neighbours)
        return before == -1 or after == 1

    return [line for i, line in enumerate(lines) if not letters[i] or not listed(i)]


def _without_reason(text: str) -> str:
    """What stands before the reason for a letter, unless that names a further answer."""
    head, tail = text[: m.start()] if (m := REASON.search(text)) else text, text[m.end() :] if m else ""
    return head if WEAK.search(head) and not MORE.search(tail) else text


def _index(letter: str, choices: tuple[str, ...]) -> frozenset[int]:
    i = LETTERS.index(letter.upper())
    return frozenset({i if i < len(choices) else OUTSIDE})


def _letters(pattern: re.Pattern[str], text: str, choices: tuple[str, ...]) -> frozenset[int]:
    named = (next(g for g in m.groups() if g) for m in pattern.finditer(text))
    return frozenset().union(*(_index(letter, choices) for letter in named if letter in LETTERS))


def _by_text(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    spelling = normalize(text)
    return frozenset(i for i, choice in enumerate(choices) if spelling and normalize(choice) == spelling)


def _mentioned(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """Options whose text stands in the text as whole words, not denied, and not only within a longer option's text."""
    spend(STEPS * len(choices))
    where = spell(text).lower()
    options = sorted(((spell(c).lower(), i) for i, c in enumerate(choices)), key=lambda pair: -len(pair[0]))
    found = set()
    for option, i in options:
        if len(option) < 2 and not option.isdigit():
            continue
        where, times = _standing(option).subn(" # ", where)
        if times:
            found.add(i)
    return frozenset(found)


@lru_cache(maxsize=1024)
def _standing(option: str) -> re.Pattern[str]:
    """An option's text as whole words, not denied; a number or formula not as part of another."""
    before, after = (r"+*/^_{\\-", r"\\}^*/") if option[0] in FORMULA else ("", "")
    denied = "".join(
        rf"(?<!\b{word} {article})" for word in ("not", "except") for article in ("", "a ", "an ", "the ")
    )
    return re.compile(rf"{denied}(?<![\w.{before}]){re.escape(option)}(?![\w{after}]|\.\d)")


def by_value(text: str, choices: tuple[str, ...]) -> frozenset[int]:
    """The option whose value a text gives, if it is one alone; one with a unit wants it."""
    bare = not split_unit(spell(text))[1]
    found = frozenset(
        i
        for i, choice in enumerate(choices)
        if equal(choice, text) and not (bare and split_unit(spell(choice))[1])
    )
    return found if len(found) == 1 else frozenset()
