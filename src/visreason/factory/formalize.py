"""Pictures in formal language, by their kind (R1-Onevision, arXiv 2503.10615, section 3.1 and appendix A.1)."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from visreason.engine import Conversation, Engine
from visreason.errors import DataError
from visreason.factory.asking import CODE, insist, plain
from visreason.factory.distill import question
from visreason.factory.languages import LANGUAGES, check_language
from visreason.factory.ocr import Line, placed
from visreason.factory.pipeline import Made
from visreason.prompt import open_image
from visreason.prompt.formal import KINDS, ask_description, ask_kind
from visreason.record import Image, Problem

NAMES = {
    "python": "matplotlib", "py": "matplotlib", "python3": "matplotlib", "netlist": "spice", "uml": "plantuml",
    "puml": "plantuml", "ly": "lilypond", "tex": "latex", "geometry": "logic",
}  # fmt: skip
"""Other names of languages."""
OBJECTS = re.compile(r"^\W*Objects:\**", re.IGNORECASE | re.MULTILINE)
MOST_PHRASES = 12


class Reads(Protocol):
    """What reads the text of a picture."""

    def read(self, image: Image) -> list[Line]: ...


@dataclass(frozen=True)
class Tools:
    """The engine that sees and describes, the reader of text, and what finds boxes by phrases (None: nothing does);
    drawn boxes go to `folder`."""

    describer: Engine
    reader: Reads | None
    finder: Callable[[Any, list[str], Path], dict[str, list[float]]] | None
    folder: Path
    max_tokens: int


def formalize(problems: list[Problem], tools: Tools, seed: int) -> list[Made]:
    """The problems with their pictures' formal description, its parts in `steps`; dropped where a part can't be had."""
    steps: list[dict[str, Any]] = [{} for _ in problems]
    lines: list[list[list[Line]] | DataError] = [_read(p, tools) for p in problems]
    for step, found in zip(steps, lines, strict=True):
        if not isinstance(found, DataError):
            step["ocr"] = [[line.row() for line in one] for one in found]
    asked = [found if isinstance(found, DataError) else ask_kind(p.images)
             for p, found in zip(problems, lines, strict=True)]  # fmt: skip
    kinds = insist(tools.describer, asked, _kind, tools.max_tokens, seed)
    prompts = [
        k if isinstance(k, DataError) else o if isinstance(o, DataError) else _ask(p, k, o)
        for p, k, o in zip(problems, kinds, lines, strict=True)
    ]
    parts = insist(
        tools.describer, prompts, lambda i, reply: _parts(str(kinds[i]), reply), tools.max_tokens, seed
    )
    each = zip(problems, lines, kinds, parts, steps, strict=True)
    return [_made(p, o, k, found, step, tools) for p, o, k, found, step in each]


def _read(problem: Problem, tools: Tools) -> list[list[Line]] | DataError:
    if not problem.images:
        return DataError("expected a picture to describe, found none")
    try:
        return [[] if tools.reader is None else tools.reader.read(i) for i in problem.images]
    except DataError as e:
        return e


def _kind(_: int, reply: str) -> str:
    last = (reply.strip().splitlines() or [""])[-1].lower()
    words = re.findall(r"[a-z]+", re.sub(r"flow[ -]?chart", "flow", last))
    named = [w for w in words if w in KINDS]
    if len(set(named)) != 1:
        raise DataError(f"expected one of {', '.join(KINDS)} on the last line")
    return named[0]


def _ask(problem: Problem, kind: str, lines: list[list[Line]]) -> Conversation | DataError:
    seen = "\n".join(filter(None, map(placed, lines)))
    try:
        return ask_description(kind, question(problem), seen, problem.images)
    except DataError as e:
        return e


def _parts(kind: str, reply: str) -> dict[str, Any]:
    """A description taken apart and checked: words, code by language, phrases of things."""
    plain(reply)
    blocks = {NAMES.get(n.lower(), n.lower()): body.strip() for n, body in CODE.findall(reply)}
    words = CODE.sub("", reply).strip()
    if kind == "text":
        return {"document": _document(reply)}
    if not words:
        raise DataError("expected a description in words, found none")
    for form in KINDS[kind][0]:
        if not any(name in blocks for name in form.split("|")):
            raise DataError(
                f"expected a code block of {form.replace('|', ' or ')}, found {', '.join(map(str, blocks)) or 'none'}"
            )
    code = {name: body for name, body in blocks.items() if name in LANGUAGES}
    for name, body in code.items():
        check_language(name, body)
    if kind not in ("natural", "mixed"):
        return {"caption": words, **({"code": code} if code else {})}
    *before, listed = OBJECTS.split(words)
    caption = "".join(before).strip()
    if not caption:
        raise DataError('expected a description and a last line "Objects:" with phrases, found one of them')
    phrases = [p.strip(" .\"'*-•[]").lower() for p in re.split(r"[,\n]", listed)]
    return {
        "caption": caption,
        "phrases": list(dict.fromkeys(p for p in phrases if p and p != "none"))[:MOST_PHRASES],
        **({"code": code} if code else {}),
    }


def _document(reply: str) -> str:
    """A page's text; one that stands in a code block as a whole is taken out of it."""
    whole = CODE.fullmatch(reply)
    text = (whole[2] if whole else reply).strip()
    if not text:
        raise DataError("expected the text of the page, found none")
    return text


def _made(
    problem: Problem, lines: list[list[Line]] | DataError, kind: str | DataError, parts: dict[str, Any] | DataError,
    steps: dict[str, Any], tools: Tools,
) -> Made:  # fmt: skip
    if isinstance(lines, DataError):
        return Made(problem, steps, "picture", str(lines))
    if isinstance(kind, DataError):
        return Made(problem, steps, "kind", str(kind))
    steps["kind"] = kind
    if isinstance(parts, DataError):
        return Made(problem, steps, "description", str(parts))
    steps |= parts
    if tools.finder is not None and parts.get("phrases"):
        name = hashlib.sha256(problem.id.encode("utf-8", "replace")).hexdigest()[:16]
        try:
            picture = open_image(problem.images[0])
        except DataError as e:
            return Made(problem, steps, "picture", str(e))
        steps["boxes"] = tools.finder(picture, parts["phrases"], tools.folder / f"{name}.png")
    text = render(kind, steps, lines)
    return Made(replace(problem, description=text, meta={**problem.meta, "kind": kind}), steps)


def render(kind: str, parts: dict[str, Any], lines: list[list[Line]]) -> str:
    """The text that stands in for the picture, in the published forms.

    >>> render("natural", {"caption": "A dog.", "boxes": {"a dog": [1.0, 2.0, 30.5, 40.0]}}, [])
    "Description: A dog.\\nBounding Box Information: { 'a dog': [1.0, 2.0, 30.5, 40.0] }"
    """
    if kind == "text":
        return f"OCR Result: {parts['document']}"
    head = "Problem Description and Solution" if kind == "mathematics" else "Description:"
    found = [f"{head} {parts['caption']}"]
    if parts.get("boxes"):
        boxes = ", ".join(
            f"{name!r}: [{', '.join(f'{v:.1f}' for v in box)}]" for name, box in parts["boxes"].items()
        )
        found.append(f"Bounding Box Information: {{ {boxes} }}")
    if read := [line.text for one in lines for line in one] if kind == "mixed" else []:
        found.append("OCR Result: " + "\n".join(read))
    found += [f"```{name}\n{body}\n```" for name, body in parts.get("code", {}).items()]
    return "\n".join(found)
