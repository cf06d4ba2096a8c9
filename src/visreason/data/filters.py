r"""What makes a teacher's completion unfit to learn from, found in its text; and one layout rewritten as another.

Whether the answer is right is not judged here. Every rule has a name, under which its drops are counted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from visreason.answer.extract import boxed
from visreason.data.near import shingles, similarity
from visreason.errors import DataError
from visreason.prompt import Parsed, Style
from visreason.prompt.chat import IMAGE_MARK
from visreason.prompt.layouts import MARKERS, SPECIAL_TOKEN, TAGS, parse_markers, parse_tags
from visreason.record import Completion, Sample

Keep = Literal["shortest", "varied", "all"]
TRACES = re.compile(
    r"\b(?:caption(?:s|ed|ing)?|descriptions?|described|revised|rewritten|visuali[sz](?:e|es|ed|ing)|ocr|netlist|csv|json"
    r"|bounding box(?:es)?|logic forms?|matplotlib|plantuml|lilypond|mermaid (?:code|chart|diagram|syntax))\b"
    r"|(?:图片|图像)?描述|修改后|重写",
    re.IGNORECASE,
)
"""Words that show that the thought was written from a description, or rewritten (R1-Onevision, issue 5); those that the
question uses itself show nothing."""
RUN = 6
"""Words in a row whose coming again is repetition."""
WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’]\w+)?")
CJK = re.compile(r"[\u3400-\u9fff]")
FORMULA = re.compile(r"\$[^$]*\$|\\[A-Za-z]+")
LATIN = re.compile(r"[A-Za-z]{2,}")


@dataclass(frozen=True)
class Limits:
    """Length of a thought in words (a Chinese character is one), its language (`question`: the question's), the
    largest share of word runs that stood there before, and whether words that show a description are refused."""

    min_words: int = 1
    max_words: int = 8000
    language: Literal["question", "en", "zh"] | None = "question"
    repetition: float = 0.3
    traces: bool = True


def unlaid(text: str) -> Parsed:
    """Thought and answer of a completion in whichever layout it is: Virgo's markers, or tags.

    >>> unlaid("<think>2 + 2</think>It is 4.").answer
    'It is 4.'
    """
    return parse_markers(text) if _in_markers(text) else parse_tags(text)


def _in_markers(text: str) -> bool:
    return any(m in text for m in MARKERS)


def relaid(sample: Sample, style: Style) -> Sample:
    r"""The sample with its completion laid out as the style does. Raises DataError for one that can't be taken apart.

    >>> from visreason.prompt import STYLES
    >>> from visreason.record import Problem, Score
    >>> tagged = Sample(Problem("p", "1+1?"), Completion("<think>1 + 1</think>\n<answer>2</answer>"), Score(1.0))
    >>> relaid(relaid(tagged, STYLES["virgo"]), STYLES["awaker"]) == tagged
    True
    """
    thought, answer = content(sample.completion.text)
    text = style.target(thought, answer)
    return replace(sample, completion=replace(sample.completion, text=text, token_ids=(), logps=()))


def content(text: str) -> tuple[str, str]:
    r"""Thought and answer without their layout; a solution that is a box alone gives what is in it."""
    parsed = unlaid(text)
    if fault := misplaced(text, parsed):
        raise DataError(f"expected a completion with one thought and one answer, found {fault}")
    assert parsed.answer is not None
    return parsed.thought or "", _unboxed(parsed.answer)


def misplaced(text: str, parsed: Parsed) -> str | None:
    """What is wrong with the marks of a completion: each of a layout's marks stands once and in order, or is left out
    as DeepSeek leaves the answer's and its chat template the first one, and no other mark stands there."""
    marks = MARKERS if _in_markers(text) else TAGS
    others = TAGS if marks is MARKERS else MARKERS
    if found := next((m for m in others if m in text), None):
        return f"marks of two layouts ({found})"
    used = [m for m in marks if m in text]
    if twice := next((m for m in used if text.count(m) > 1), None):
        return f"{twice} more than once"
    whole = [list(marks[i:j]) for i in (0, 1) for j in (2, 4)]
    if used not in whole or [text.index(m) for m in used] != sorted(map(text.index, used)):
        return f"the marks {' '.join(used) or 'none'}"
    if text.partition(marks[0])[0].strip() and marks[0] in text:
        return f"words before {marks[0]}"
    if parsed.thought is None:
        return "no thought"
    return "no answer" if parsed.answer is None else None


def fault(completion: Completion, question: str, limits: Limits) -> tuple[str, str] | None:
    """The first rule that a completion breaks, and how; None for one that can be learned.

    >>> fault(Completion("<think>The caption says 4.</think><answer>4</answer>"), "How many?", Limits())
    ('trace', "found 'caption'")
    """
    text, parsed = completion.text, unlaid(completion.text)
    if completion.finish != "stop":
        return ("errored", text[:200]) if completion.finish == "error" else ("truncated", "cut off")
    if not text.strip():
        return "empty", "no text"
    if text.count(TAGS[2]) > 1 or text.count(MARKERS[2]) > 1 or len(set(boxed(parsed.answer or ""))) > 1:
        return "two answers", "more than one answer block or box"
    if broken := misplaced(text, parsed):
        return "layout", f"found {broken}"
    if mark := IMAGE_MARK.search(text):
        return "image mark", f"found {mark.group()!r}"
    if token := next((t for t in SPECIAL_TOKEN.findall(text) if t not in MARKERS), None):
        return "control token", f"found {token!r}"
    return _wording(f"{parsed.thought}\n{parsed.answer}", parsed.thought or "", question, limits)


def _wording(whole: str, thought: str, question: str, limits: Limits) -> tuple[str, str] | None:
    traces = (m.group() for m in TRACES.finditer(whole) if m.group().lower() not in question.lower())
    if limits.traces and (trace := next(traces, None)):
        return "trace", f"found {trace!r}"
    words = WORD.findall(thought)
    if not limits.min_words <= len(words) <= limits.max_words:
        return "length", f"{len(words)} words"
    wanted = language(question) if limits.language == "question" else limits.language
    if wanted and len(words) > RUN and language(thought) != wanted:
        return "language", f"expected {wanted}, found {language(thought)}"
    share = repeated(words)
    return (
        ("repetition", f"{share:.2f} of its word runs stood there before")
        if share > limits.repetition
        else None
    )


def language(text: str) -> str:
    """`zh` where Chinese characters are at least as many as Latin words, `en` where most letters are Latin, else
    `other`; formulas aside.

    >>> language("圆的面积是多少？"), language("What is the area?"), language("Какова площадь?")
    ('zh', 'en', 'other')
    """
    text = FORMULA.sub(" ", text)
    signs = len(CJK.findall(text))
    words = [w for w in LATIN.findall(text) if not w.isupper()]  # the others are points and unknowns
    if signs and signs >= len(words):
        return "zh"
    letters = [c for c in text if c.isalpha() and not CJK.match(c)]
    return "other" if 2 * sum(c < "\u0250" for c in letters) < len(letters) else "en"


def repeated(words: Sequence[str]) -> float:
    """Share of the runs of RUN words that stood in the text before.

    >>> repeated("so it is four or five and so it is four or five and".split())
    0.2222222222222222
    """
    runs = [tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def chosen(samples: list[Sample], keep: Keep, most: int) -> list[int]:
    """Places of the samples to keep: all, the shortest, or those most unlike each other; at most `most` of them."""
    places = sorted(range(len(samples)), key=lambda i: (len(samples[i].completion.text), i))
    if keep != "varied":
        return places[:most]
    sets = [shingles(s.completion.text) for s in samples]
    found = places[:1]
    while len(found) < min(most, len(places)):
        rest = [i for i in places if i not in found]
        found.append(min(rest, key=lambda i: max(similarity(sets[i], sets[j]) for j in found)))
    return found


def _unboxed(solution: str) -> str:
    inside = solution.strip().removeprefix(r"\boxed{")
    if inside == solution.strip() or not inside.endswith("}"):
        return solution
    depth = 0
    for i, c in enumerate(inside):
        depth += {"{": 1, "}": -1}.get(c, 0)
        if depth < 0:
            return inside[:i] if i == len(inside) - 1 else solution
    return solution
