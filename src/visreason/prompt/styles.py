"""The styles by name: what a model is told (system, user template) and how its completion is laid out.

The words are in texts/*.md, literal from the systems they are named after. A style is data; add one to STYLES.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from visreason.errors import UsageError
from visreason.names import imported, unknown
from visreason.prompt import layouts
from visreason.prompt.layouts import Parsed


@dataclass(frozen=True)
class Style:
    """How a problem is put to a model. `{question}` and `{choices}` in a template are filled, any other brace is text.

    A template without `{choices}` gets the choices as lines under the question. `user_choices` is the template of
    problems that have choices, where it differs. `target` writes (thought, answer) as a completion, `parse` reads one.

    >>> style("awaker").target("2 + 2", "4")
    '<think>2 + 2</think>\\n<answer>4</answer>'
    >>> style("awaker").parse("<think>2 + 2</think><answer>4</answer>").well_formed
    True
    """

    name: str
    system: str | None
    user: str
    target: Callable[[str, str], str]
    parse: Callable[[str], Parsed]
    user_choices: str | None = None


def text(name: str) -> str:
    """A prompt file without the newline that ends the file.

    >>> text("virgo.system.md")
    'You are a helpful assistant.'
    """
    return (
        resources.files("visreason.prompt")
        .joinpath("texts", name)
        .read_text(encoding="utf-8")
        .removesuffix("\n")
    )


STYLES: dict[str, Style] = {
    "awaker": Style(
        "awaker", text("awaker.system.md"), text("question.user.md"), layouts.write_tags, layouts.parse_tags
    ),
    "wethink": Style(
        "wethink", text("wethink.system.md"), text("question.user.md"), layouts.write_tags, layouts.parse_tags
    ),
    "r1_onevision": Style(
        "r1_onevision", None, text("r1_onevision.user.md"), layouts.write_tags, layouts.parse_tags
    ),
    "r1_onevision_eval": Style(
        "r1_onevision_eval", None, text("r1_onevision_eval.user.md"), layouts.write_tags, layouts.parse_tags
    ),
    "virgo": Style(
        "virgo", text("virgo.system.md"), text("virgo.user.md"), layouts.write_markers, layouts.parse_markers
    ),
    "direct": Style("direct", None, text("question.user.md"), layouts.write_answer, layouts.parse_plain),
    "hint": Style(
        "hint", None, text("hint.user.md"), layouts.write_plain, layouts.parse_plain, text("hint.choices.md")
    ),
}


def style(name: str) -> Style:
    """The style of that name, or the object at `module:object`. Raises UsageError with the nearest name."""
    if name in STYLES:
        return STYLES[name]
    if ":" not in name:
        raise unknown("style", name, [*STYLES, "module:object"])
    found = imported("style", name)
    if not isinstance(found, Style):
        raise UsageError(f"expected a visreason.prompt.Style at {name!r}, found {type(found).__name__}")
    return found
