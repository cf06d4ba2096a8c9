"""Questions as a writer drafts them from a description, and the rules that their form has to meet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from visreason.data.filters import Limits, fault
from visreason.errors import DataError
from visreason.factory.asking import ask, insist
from visreason.factory.evidence import Roles, read_json
from visreason.prompt import STYLES
from visreason.prompt.chat import LETTERS, messages
from visreason.record import Check, Completion, Problem

ABILITIES = ("reasoning", "recognition", "text", "knowledge", "space", "mathematics")
"""Reasoning and five more, after MM-Vet (arXiv 2308.02490), which WeThink's scheme is inspired by."""
Type = Literal["MC", "FIB", "DES"]
CHECKS: dict[str, Check] = {"MC": "choice", "FIB": "auto", "DES": "judge"}
WRITING = STYLES["wethink"]
LETTERED = re.compile(r"\s*\(?([A-Z])[).:]\s*")


@dataclass
class Draft:
    """A question on its way, with every intermediate in `steps`."""

    picture: int
    problem: Problem
    steps: dict[str, Any] = field(default_factory=dict)
    rule: str | None = None
    why: str = ""

    def drop(self, rule: str, why: object) -> None:
        """Take it out; the first rule stays."""
        if self.rule is None:
            self.rule, self.why = rule, str(why)

    def row(self) -> dict[str, Any]:
        """What is kept of it."""
        p = self.problem
        made = {
            "id": p.id,
            "question": p.question,
            "choices": list(p.choices),
            "answer": p.answer,
            "meta": p.meta,
        }
        return {**made, "thought": p.thought, **self.steps, "rule": self.rule, "why": self.why}


def write_drafts(
    pictures: Sequence[Problem], known: dict[int, str], roles: Roles, seed: int
) -> tuple[list[Draft], dict[int, str]]:
    """Questions about the pictures whose descriptions are `known` by their places; and why some have none."""
    values = [
        {"description": d, "most": str(roles.questions), "abilities": ", ".join(ABILITIES[1:])}
        for d in known.values()
    ]
    asked = [ask("synthesize_questions.user.md", v) for v in values]
    replies = insist(roles.writer, asked, lambda _, reply: _rows(reply), roles.max_tokens, seed)
    drafts: list[Draft] = []
    unwritten: dict[int, str] = {}
    for (i, description), rows in zip(known.items(), replies, strict=True):
        if isinstance(rows, DataError):
            unwritten[i] = str(rows)
            continue
        for k, row in enumerate(rows[: roles.questions]):
            drafts.append(_draft(pictures[i], i, k, row, description, roles))
    return drafts, unwritten


def _rows(reply: str) -> list[dict[str, Any]]:
    found = read_json(reply)
    if not isinstance(found, list) or not found or not all(isinstance(r, dict) for r in found):
        raise DataError("expected a JSON list of objects, one a question")
    return found


def _draft(picture: Problem, i: int, k: int, row: dict[str, Any], description: str, roles: Roles) -> Draft:
    """A question as it was written; dropped where its form is not what was asked for."""
    kind, abilities, choices = row.get("type"), row.get("abilities"), row.get("choices") or []
    texts = [row.get("question"), row.get("answer"), *choices] if isinstance(choices, list) else [None]
    sound = isinstance(kind, str) and kind in CHECKS
    sound = sound and all(isinstance(t, str | int | float) and str(t).strip() for t in texts)
    meta = {
        "source": picture.meta.get("source", "synthesized"), "category": str(kind), "picture": picture.id,
        "abilities": [str(a).lower() for a in abilities] if isinstance(abilities, list) else [],
        "reward": "model" if kind == "DES" else "rule",
    }  # fmt: skip
    problem = Problem(
        f"{picture.id}-q{k}", str(row.get("question", "")), picture.images, str(row.get("answer", "")),
        _bare(choices) if sound else (), CHECKS.get(str(kind), "auto"), description, None, meta,
    )  # fmt: skip
    draft = Draft(i, problem, {"written_answer": str(row.get("answer", ""))})
    if not sound:
        draft.drop("malformed", "a field is missing or of another type")
    else:
        _check_form(draft, str(kind), roles)
    return draft


def _bare(choices: list[Any]) -> tuple[str, ...]:
    """Options without the letters that some write in front of them."""
    texts = tuple(map(str, choices))
    marks = [LETTERED.match(t) for t in texts]
    own = all(
        m and m[1] == letter and m.end() < len(t) for m, letter, t in zip(marks, LETTERS, texts, strict=False)
    )
    return tuple(LETTERED.sub("", t, count=1) for t in texts) if own else texts


def _check_form(draft: Draft, kind: str, roles: Roles) -> None:
    problem, choices = draft.problem, draft.problem.choices
    text = f"<think>{problem.question}</think>{problem.answer}"
    if (kind == "MC") != (3 <= len(choices) <= 5) or len(set(choices)) < len(choices):
        draft.drop("malformed", f"{len(choices)} choices for type {kind}")
    elif not _able(problem.meta["abilities"]):
        draft.drop("abilities", f"found {', '.join(problem.meta['abilities']) or 'none'}")
    elif fault(Completion(text), "", Limits(language=None)):
        draft.drop("wording", "speaks of a description, repeats itself or holds marks")
    elif kind == "DES" and roles.judge is None:
        draft.drop("no judge", "open questions need judge=ENGINE")
    else:
        try:
            messages(problem, WRITING)
        except DataError as e:
            draft.drop("malformed", e)


def _able(abilities: list[str]) -> bool:
    """Reasoning, and at least one more of the scheme."""
    named = set(abilities)
    return "reasoning" in named and bool(named & set(ABILITIES[1:])) and named <= set(ABILITIES)
