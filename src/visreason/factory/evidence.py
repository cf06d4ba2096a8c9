"""Descriptions of pictures that grow by questions: a writer who sees nothing asks what is missing, a seer looks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from visreason.engine import Engine
from visreason.errors import DataError
from visreason.factory.asking import ask, fenced, insist, plain
from visreason.record import Problem

MOST_ASKED = 5


@dataclass(frozen=True)
class Roles:
    """Who sees the picture, who writes from text alone, who reads the description to answer, and who is called for
    disagreements, open answers and thoughts (None: nobody)."""

    seer: Engine
    writer: Engine
    reader: Engine
    adjudicator: Engine | None
    judge: Engine | None
    refiner: Engine | None
    rounds: int
    questions: int
    max_tokens: int


@dataclass
class Known:
    """What is known of a picture: a rough description, the rounds of questions with their answers (or why there were
    none), the evidence they gave, and the description made of both."""

    coarse: str | DataError
    rounds: list[list[list[str]] | str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    fine: str | DataError | None = None

    @property
    def text(self) -> str | DataError:
        """The description as it is now, or why there is none."""
        return self.coarse if self.fine is None else self.fine

    def steps(self) -> dict[str, Any]:
        """What is kept of the way."""
        return {"coarse": str(self.coarse), "rounds": self.rounds}


def describe(pictures: Sequence[Problem], roles: Roles, seed: int) -> list[Known]:
    """Fine descriptions: a rough one, rounds of what the writer misses and the seer sees, and both made into one."""
    asked = [ask("synthesize_coarse.user.md", {}, p.images) for p in pictures]
    known = [
        Known(text)
        for text in insist(roles.seer, asked, lambda _, reply: plain(reply), roles.max_tokens, seed)
    ]
    for turn in range(roles.rounds):
        open_ = [
            (k, p)
            for k, p in zip(known, pictures, strict=True)
            if isinstance(k.coarse, str) and len(k.rounds) == turn
        ]
        _look_again(open_, roles, seed)
    rich = [k for k in known if k.evidence]
    prompts = [
        ask("synthesize_fine.user.md", {"description": str(k.coarse), "answers": "\n".join(k.evidence)})
        for k in rich
    ]
    fine = insist(roles.writer, prompts, lambda _, reply: plain(reply), roles.max_tokens, seed)
    for k, text in zip(rich, fine, strict=True):
        k.fine = text
    return known


def _look_again(open_: list[tuple[Known, Problem]], roles: Roles, seed: int) -> None:
    """One round; a picture of which nothing is missing has none."""
    prompts = [
        ask("synthesize_missing.user.md",
            {"description": "\n".join([str(k.coarse), *k.evidence]), "most": str(MOST_ASKED)})
        for k, _ in open_
    ]  # fmt: skip
    missing = insist(roles.writer, prompts, lambda _, reply: _read_questions(reply), roles.max_tokens, seed)
    asked: list[tuple[list[list[str]], Known, Problem, str]] = []
    for (known, picture), found in zip(open_, missing, strict=True):
        if isinstance(found, DataError):
            known.rounds.append(str(found))
        elif found:
            looks: list[list[str]] = []
            known.rounds.append(looks)
            asked += [(looks, known, picture, question) for question in found]
    prompts = [ask("synthesize_look.user.md", {"question": q}, p.images) for _, _, p, q in asked]
    answers = insist(roles.seer, prompts, lambda _, reply: plain(reply), roles.max_tokens, seed)
    for (looks, known, _, question), answer in zip(asked, answers, strict=True):
        looks.append([question, str(answer)])
        if isinstance(answer, str):
            known.evidence.append(f"{question} {answer}")


def read_json(reply: str) -> Any:
    """The JSON value of a reply."""
    try:
        return json.loads(fenced(reply))
    except (ValueError, RecursionError) as e:
        raise DataError(f"expected JSON, found text that is none ({e})") from e


def _read_questions(reply: str) -> list[str]:
    found = read_json(reply)
    if not isinstance(found, list) or not all(isinstance(q, str) for q in found):
        raise DataError("expected a JSON list of questions")
    return found[:MOST_ASKED]
