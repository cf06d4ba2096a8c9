"""Conversations of other people's files: one question and its answer as turns, whatever roles and keys are called."""

import re
from typing import Any

from visreason.errors import DataError
from visreason.prompt import Style
from visreason.prompt.chat import IMAGE_MARK, user_text
from visreason.record import Problem

USER, ASSISTANT, SYSTEM = ("human", "user"), ("gpt", "assistant"), ("system",)
MARK = "<image>"
OTHER_MARK = re.compile(r"<(video|audio)>")
"""What loaders of ShareGPT files take for media."""
MEDIA = re.compile(r"(video|audio)(s|_path)?")
"""Columns that hold a video or a sound."""


def read_turns(value: Any) -> tuple[str | None, str, str | None]:
    """System text, question and answer (None when only asked). Raises DataError for anything but a single exchange."""
    if not isinstance(value, list) or not all(isinstance(t, dict) for t in value):
        raise DataError(f"expected a conversation as a list of turns, found {str(value)[:80]!r}")
    turns = [(t.get("from", t.get("role")), _text(t.get("value", t.get("content")))) for t in value]
    system = turns.pop(0)[1] if turns and turns[0][0] in SYSTEM else None
    roles = [role for role, _ in turns]
    single = len(turns) in (1, 2) and roles[0] in USER and all(r in ASSISTANT for r in roles[1:])
    if not single:
        raise DataError(
            f"expected one question and one answer, found the turns {', '.join(map(str, roles)) or 'none'}"
        )
    return system, turns[0][1], turns[1][1] if len(turns) == 2 else None


def refuse_media(problem: Problem, marks: bool) -> None:
    """Raise DataError for a problem about a video or a sound, which no model is shown here: learned without it, it
    would teach guessing. Marks in the question are looked at where its format has them."""
    column = next((n for n, value in problem.meta.items() if MEDIA.fullmatch(n) and value), None)
    mark = OTHER_MARK.search(problem.question) if marks else None
    if column or mark:
        raise unseen(f"column {column}" if column else f"the mark {mark and mark[0]}")


def unseen(what: str) -> DataError:
    """The error of a row with something to see or hear that is no picture."""
    return DataError(
        f"expected text and pictures, found {what}: models are shown neither videos nor sounds; give frames as images, "
        "or drop the row"
    )


def other_part(part: Any) -> str | None:
    """The type of a turn's part that is a video or a sound, as `video`, `video_url`, `input_audio`."""
    kind = str(part.get("type", "")) if isinstance(part, dict) else ""
    return kind if re.search("video|audio", kind) else None


def _text(value: Any) -> str:
    """A turn's text; in parts, a picture leaves its mark."""
    if kind := other_part(value):
        raise unseen(f"a part of type {kind}")
    if isinstance(value, list):
        return "".join(MARK if _is_image(part) else _text(part) for part in value)
    if isinstance(value, dict):
        value = value.get("text")
    if not isinstance(value, str):
        raise DataError(f"expected text in a turn, found {str(value)[:80]!r}")
    return value


def _is_image(part: Any) -> bool:
    return isinstance(part, dict) and str(part.get("type", "")).startswith("image")


def marked(problem: Problem, style: Style) -> str:
    """What a user turn says, with a mark for every image: where they stand, else in front.

    >>> from visreason.prompt import STYLES
    >>> from visreason.record import Image
    >>> marked(Problem("p", "Which?", (Image("a.png"),), choices=("red", "blue")), STYLES["direct"])
    '<image>\\nWhich?\\n(A) red\\n(B) blue'
    """
    text, n = harmless(user_text(problem, style)), len(problem.images)
    if IMAGE_MARK.findall(text) == [""] * n:
        return text
    named = IMAGE_MARK.sub(lambda m: f"[image{m[1] and ' ' + m[1]}]", text)
    return MARK * n + ("\n" if n else "") + named


def harmless(text: str) -> str:
    """Text whose words are not taken for marks of media that its row lacks."""
    return OTHER_MARK.sub(r"< \1>", text)


def unmarked(question: str, images: int) -> str:
    """The question without marks that stand in front of it, where they are all there are.

    >>> unmarked("<image>\\nWhich?", 1), unmarked("Is <image> a cat?", 1)
    ('Which?', 'Is <image> a cat?')
    """
    front = MARK * images
    rest = question[len(front) :]
    if images and question.startswith(front) and not IMAGE_MARK.search(rest):
        return rest.removeprefix("\n")
    return question
