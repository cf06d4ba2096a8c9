"""A problem as chat messages in the Hugging Face form: text parts, and images by reference where they belong."""

import re
from typing import Any

from visreason.errors import DataError
from visreason.prompt.layouts import SPECIAL_TOKEN
from visreason.prompt.styles import Style
from visreason.record import Image, Problem

Conversation = list[dict[str, Any]]
"""Messages in the Hugging Face form."""
VISUAL_TOKENS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")
"""Visual tokens of Qwen-VL, which are never sampled: one of them breaks the forward that follows."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
IMAGE_MARK = re.compile(r"<image ?(\d*)>")


def messages(problem: Problem, style: Style) -> Conversation:
    """System message, if the style has one, and the user's; content is a list of {"type": "text" | "image"} parts.

    Images come first, or where `<image>` / `<image1>` stand in the question. Raises DataError when marks and images
    don't match, and when the question or a choice holds a control token of a tokenizer (`<|im_end|>`,
    `<|image_pad|>`): it could end the turn or claim an image, so such a problem is refused, never rewritten.
    """
    for part in (problem.question, *problem.choices):
        if found := SPECIAL_TOKEN.search(part):
            raise DataError(
                f"problem {problem.id!r}: expected plain text, found the control token {found.group()!r} in "
                f"{part[:80]!r}; take it out of the question, or drop the problem"
            )
    user = {"role": "user", "content": _place(problem, user_text(problem, style))}
    if style.system is None:
        return [user]
    return [{"role": "system", "content": [{"type": "text", "text": style.system}]}, user]


def user_text(problem: Problem, style: Style) -> str:
    """The user template filled with the question and its choices; image marks still stand in it."""
    choices = choice_lines(problem)
    template = style.user_choices if choices and style.user_choices is not None else style.user
    below = choices and "{choices}" not in template
    question = f"{problem.question}\n{choices}" if below else problem.question
    values = {"{question}": question, "{choices}": choices}
    return re.sub(r"\{question\}|\{choices\}", lambda m: values[m.group()], template)


def choice_lines(problem: Problem) -> str:
    """Lines `(A) text`; empty when the question lists the options itself, or when they are letters in the picture.

    >>> choice_lines(Problem("p", "Which bar is highest?", choices=("red", "blue")))
    '(A) red\\n(B) blue'
    >>> choice_lines(Problem("p", "Which bar is highest? A. red B. blue", choices=("red", "blue")))
    ''
    """
    if len(problem.choices) > len(LETTERS):
        raise DataError(
            f"problem {problem.id!r}: expected at most {len(LETTERS)} choices, found {len(problem.choices)}; "
            "ask it as an open question"
        )
    lettered = list(zip(LETTERS, problem.choices, strict=False))
    if all(text.strip() == letter for letter, text in lettered):
        return ""
    if all(_listed(problem.question, letter, text) for letter, text in lettered):
        return ""
    return "\n".join(f"({letter}) {text}" for letter, text in lettered)


def _listed(question: str, letter: str, choice: str) -> bool:
    return (
        re.search(rf"(?<![A-Za-z]){letter}\s*[).:：、．,]\s*{re.escape(choice.strip())}", question)
        is not None
    )


def _place(problem: Problem, text: str) -> list[dict[str, Any]]:
    """Text with its image marks replaced by the images; a number that comes again stays as text, the image is shown."""
    marks = list(IMAGE_MARK.finditer(text))
    numbers = [m.group(1) for m in marks]
    if not marks or _labels_of_one_picture(numbers, problem.images):
        return [*map(_image, problem.images), {"type": "text", "text": text}]
    parts: list[dict[str, Any]] = []
    start, placed = 0, set[int]()
    for mark, i in zip(marks, _order(problem, numbers), strict=True):
        if i not in placed:
            parts += [*_text(text[start : mark.start()]), _image(problem.images[i])]
            start = mark.end()
        placed.add(i)
    return parts + _text(text[start:])


def _labels_of_one_picture(numbers: list[str], images: tuple[Image, ...]) -> bool:
    """Several numbers and one file: the parts are drawn in one picture under these labels (MathVision)."""
    return len(images) == 1 and "" not in numbers and len(set(numbers)) > 1


def _order(problem: Problem, numbers: list[str]) -> list[int]:
    """Index of the image that each mark stands for."""
    n = len(problem.images)
    order = list(range(len(numbers))) if set(numbers) == {""} else [int(k or 0) - 1 for k in numbers]
    if set(order) != set(range(n)) or (set(numbers) == {""} and len(numbers) != n):
        raise DataError(
            f"problem {problem.id!r}: expected an image for every mark and a mark for every image, found the marks "
            f"{', '.join(f'<image{k}>' for k in numbers)} and {n} image(s); correct the question or its images"
        )
    return order


def _text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text.strip() else []


def _image(image: Image) -> dict[str, Any]:
    return {"type": "image", "image": image}
