r"""Finding and comparing the answers of OlympiadBench as its authors do: parts, each within an error of its own.

Source: OpenBMB/OlympiadBench@ba5b26a7, inference/judge.py and eval/auto_scoring_judge.py. Whether two parts are the
same mathematics is told by `answer/` in place of sympy.
"""

import re
from collections.abc import Sequence

from visreason.answer.equal import Rules, equal
from visreason.record import Reason

PHRASE = re.compile(r"(?:So the final answer is |所以最终答案是)(.*)")
ERROR, SLACK = 1e-8, 1.01
"""Allowed where a problem states no error, and by how much more than stated."""
BOXED = "\\boxed{"
MAX_BOXES = 100
"""More than any gold answer has parts; a model that repeats itself writes thousands."""
SPELLED = (
    ("\\left", ""), ("\\right", ""), ("∶", ":"), ("，", ","), ("$", ""), ("\\approx", "="), ("\\simeq", "="),
    ("\\sim", "="), ("^\\prime", "'"), ("^{\\prime}", "'"), ("^\\circ", ""), ("%", ""),
)  # fmt: skip
"""What is replaced by what, in this order."""
ENDS = "\n$,.:;^_=+`!@#$%^&*~，。"


def find_answer(response: str) -> str:
    r"""What follows the last announcement, else the whole response.

    >>> find_answer(r"Thus. So the final answer is $\boxed{2}$."), find_answer("It is $x$.")
    ('$\\boxed{2}$.', 'It is $x$.')
    """
    announced = PHRASE.findall(response)
    return announced[-1].strip() if announced else response


def stated(text: str) -> str:
    r"""The contents of all boxes, else of the formulas in the last line, else the text.

    >>> stated(r"$\boxed{2}$, $\boxed{3}$."), stated("Hence\nit is $x$.")
    ('2,3', 'x')
    """
    found = boxes(text) or re.findall(r"\$(.*?)\$", text.strip().split("\n")[-1])
    return ",".join(found) if found else text


def boxes(text: str) -> list[str]:
    """The contents of the boxes, the last ones of very many; none where the braces of one don't close."""
    opened: list[tuple[int, bool]] = []  # where every open brace's content begins, and whether it is a box's
    found: list[tuple[int, int]] = []
    first = text.find(BOXED)
    for mark in re.finditer(r"\\boxed\{|[{}]", text[first:] if first >= 0 else ""):
        if mark.group() != "}":
            opened.append((first + mark.end(), mark.group() == BOXED))
        elif opened:
            start, is_box = opened.pop()
            if is_box:
                found.append((start, first + mark.start()))
    closed = not any(is_box for _, is_box in opened)
    return [text[start:end] for start, end in sorted(found)[-MAX_BOXES:]] if closed else []


def same(gold: str, answer: str, errors: Sequence[float] = ()) -> Reason | None:
    r"""The rule by which the parts of an answer are those of the gold one, in any order; None where they are not.

    One error holds for all parts, of several each for its own.

    >>> same("3.14, 2", "2, 3.1", (0.05, 1e-8)), same(r"$\pm 2$", "-2, 2"), same("1,2", "1"), same("28", "0.28")
    ('set', 'set', None, 'numeric')
    """
    gold, answer = _spelled(gold), _spelled(answer)
    if gold == answer:
        return "exact"
    golds, left = _parts(gold), _parts(answer)
    allowed = list(errors) if len(errors) > 1 else [*errors, ERROR][:1] * len(golds)
    if len(golds) != len(left) or len(allowed) < len(golds):
        return None
    rules = []
    for part, error in zip(golds, allowed, strict=False):
        found = next(((i, r) for i, other in enumerate(left) if (r := _same_part(part, other, error))), None)
        if found is None:
            return None
        del left[found[0]]
        rules.append(found[1])
    return rules[0] if len(rules) == 1 else "set"


def _same_part(gold: str, answer: str, error: float) -> Reason | None:
    return equal(gold, answer, Rules(precision=SLACK * error, times_100=True)) if gold and answer else None


def _spelled(text: str) -> str:
    """Without dollars, degrees, percent signs and what surrounds it; of a membership the set."""
    text = stated(text)
    if "\\in " in text:
        text = text.split("\\in ")[1]
    for part, instead in SPELLED:
        text = text.replace(part, instead)
    return re.sub(r"\\(?:mathrm|mathbf)\{~?([^}]*)\}", r"\1", text.strip(ENDS))


def _parts(text: str) -> list[str]:
    """What stands between commas outside of brackets, both signs of a plus-minus apart, without Chinese words."""
    text = re.sub(r"[\u4e00-\u9fff]+", "", text)
    depth, parts = 0, [""]
    for c in text:
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    parts = [p.strip() for p in (parts if parts[-1] else parts[:-1])]
    return [q for p in parts for q in ((p.replace("\\pm", s) for s in "+-") if "\\pm" in p else (p,))]
