r"""How thought and answer lie in one completion: written for training, read back for scoring, one pair per layout.

Layouts: `tags` (<think>, <answer>), `markers` (Virgo's <|begin_of_thought|> blocks around a \boxed{}), `plain` (text).
Whether the answer is right is not judged here.
"""

import re
from dataclasses import dataclass

from visreason.errors import DataError

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
MARKERS = ("<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>")
SPECIAL_TOKEN = re.compile(r"<[|｜][A-Za-z][\w▁]+[|｜]>")
"""Text that tokenizers of chat models read as one control token: <|im_end|>, <|image_pad|>, <|eot_id|>, ..."""


def disarmed(text: str) -> str:
    """Text that a model wrote, to be shown to another: control tokens are plain words in it.

    >>> disarmed("4.<|im_end|>")
    '4.<im_end>'
    """
    return SPECIAL_TOKEN.sub(lambda m: f"<{m[0][2:-2]}>", text)


@dataclass(frozen=True)
class Parsed:
    """A completion taken apart: its thought, its solution text, and whether the style's format reward is satisfied.

    >>> parse_tags("<think>2 + 2</think> <answer>4</answer>")
    Parsed(thought='2 + 2', answer='4', well_formed=True)
    >>> parse_tags("<think>2 + 2")
    Parsed(thought='2 + 2', answer=None, well_formed=False)
    """

    thought: str | None
    answer: str | None
    well_formed: bool


def control_token(text: str) -> str | None:
    """The first control token that a text spells out, other than the markers of a layout.

    >>> control_token("4<|im_end|>"), control_token("<|begin_of_thought|>")
    ('<|im_end|>', None)
    """
    return next((m for m in SPECIAL_TOKEN.findall(text) if m not in MARKERS), None)


def write_tags(thought: str, answer: str) -> str:
    """`<think>` and `<answer>` blocks on two lines.

    >>> write_tags("2 + 2", "4")
    '<think>2 + 2</think>\\n<answer>4</answer>'
    """
    thought, answer = _clean(thought, answer)
    return f"<think>{thought}</think>\n<answer>{answer}</answer>"


def parse_tags(text: str) -> Parsed:
    """Read `<think>`, `<answer>`. Well formed is fullmatch of `<think>.*?</think>\\s*<answer>.*?</answer>` over several
    lines (EasyR1 examples/reward_function/r1v.py, R1-Onevision grpo_jsonl.py) with every tag exactly once.
    """
    thought, solution = _split(text, "<think>", "</think>", "<answer>")
    block = re.search(r"<answer>(.*?)(?:</answer>|\Z)", solution, re.DOTALL)
    answer = block.group(1) if block else solution
    return Parsed(_or_none(thought), _or_none(answer), _tags_well_formed(text))


def write_markers(thought: str, answer: str) -> str:
    r"""Virgo's blocks; an answer without a box is put in one.

    >>> print(write_markers("2 + 2", "4").replace("\n\n", " "))
    <|begin_of_thought|> 2 + 2 <|end_of_thought|> <|begin_of_solution|> \boxed{4} <|end_of_solution|>
    """
    thought, answer = _clean(thought, answer)
    solution = answer if r"\boxed{" in answer else rf"\boxed{{{answer}}}"
    return "\n\n".join((MARKERS[0], thought, MARKERS[1], MARKERS[2], solution, MARKERS[3]))


def parse_markers(text: str) -> Parsed:
    r"""Read Virgo's blocks. Well formed: the four markers once each and in order, and a \boxed{} in the solution."""
    thought, solution = _split(text, MARKERS[0], MARKERS[1], MARKERS[2])
    block = re.search(rf"{re.escape(MARKERS[2])}(.*?)(?:{re.escape(MARKERS[3])}|\Z)", solution, re.DOTALL)
    answer = block.group(1) if block else solution
    in_order = _once_in_order(text, MARKERS) is not None
    return Parsed(_or_none(thought), _or_none(answer), in_order and r"\boxed{" in answer)


def write_answer(thought: str, answer: str) -> str:
    """The answer alone; the thought is left out."""
    return _clean(thought, answer)[1]


def write_plain(thought: str, answer: str) -> str:
    r"""The thought as ordinary text and the answer on a line of its own.

    >>> write_plain("2 + 2", "4")
    '2 + 2\n\nAnswer: 4'
    """
    thought, answer = _clean(thought, answer)
    return f"{thought}\n\nAnswer: {answer}" if thought else f"Answer: {answer}"


def parse_plain(text: str) -> Parsed:
    """All of it is the solution, except a thought the model wrote of its own accord. Well formed: not empty."""
    thought, solution = _split(text, "<think>", "</think>", "<answer>")
    return Parsed(_or_none(thought), _or_none(solution), bool(text.strip()))


def _split(text: str, begin: str, end: str, solution_mark: str) -> tuple[str, str]:
    """Thought and the rest. A thought that is never closed ends where the solution block begins, if there is one.

    The opening mark may be missing before a closing one: some chat templates write it into the prompt.
    """
    head, closed, rest = text.partition(end)
    if closed:
        return head.replace(begin, "", 1), rest
    if begin not in text:
        return "", text
    thought, mark, rest = text.split(begin, 1)[1].partition(solution_mark)
    return thought, mark + rest


def _tags_well_formed(text: str) -> bool:
    at = _once_in_order(text, TAGS)
    if at is None:
        return False
    between = text[at[1] + len(TAGS[1]) : at[2]]
    return at[0] == 0 and text.endswith(TAGS[3]) and not between.strip()


def _once_in_order(text: str, marks: tuple[str, ...]) -> list[int] | None:
    """Where each mark stands, if each stands there once and they follow each other."""
    if any(text.count(m) != 1 for m in marks):
        return None
    at = [text.index(m) for m in marks]
    return at if at == sorted(at) else None


def _clean(thought: str, answer: str) -> tuple[str, str]:
    """Refuse what would make a training text that can't be read back."""
    if not answer.strip():
        raise DataError(
            "expected an answer to write into the completion, found an empty one; drop the problem"
        )
    for name, part in (("thought", thought), ("answer", answer)):
        found = next((m for m in TAGS if m in part), None) or SPECIAL_TOKEN.search(part)
        if found:
            mark = found if isinstance(found, str) else found.group()
            raise DataError(
                f"expected plain text in the {name}, found {mark!r}; take the layout's own marks out first"
            )
    return thought.strip(), answer.strip()


def _or_none(text: str) -> str | None:
    return text.strip() or None
