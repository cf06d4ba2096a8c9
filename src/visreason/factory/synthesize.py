"""Questions made from pictures, as WeThink makes them (arXiv 2506.07905): a description refined by questions, questions
under ability constraints, two independent answers, adjudication where they differ, and a thought rewritten as seen.

The published prompts, the five abilities' names and the number of rounds are not known; those here are ours.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from visreason.answer import check
from visreason.data.filters import WORD, Limits, content, fault
from visreason.engine import Conversation, Engine
from visreason.errors import DataError
from visreason.factory.asking import ask, insist
from visreason.factory.distill import question as in_full
from visreason.factory.drafts import CHECKS, WRITING, Draft, write_drafts
from visreason.factory.evidence import Roles, describe
from visreason.factory.pipeline import Made
from visreason.prompt.chat import LETTERS, messages
from visreason.record import Completion, Problem

DENIED = re.compile(r"\bnot\b|n['’]t\b|\bneither\b")
T = TypeVar("T")


def synthesize(pictures: list[Problem], roles: Roles, seed: int) -> list[Made]:
    """Descriptions of the pictures and questions about them; a question's own rule stands with it in `steps`."""
    known = describe(pictures, roles, seed)
    texts = {i: k.text for i, k in enumerate(known) if isinstance(k.text, str)}
    drafts, unwritten = write_drafts(pictures, texts, roles, seed)
    _screened(drafts, roles, seed)
    _answered(drafts, roles, seed)
    _adjudicated(drafts, roles, seed)
    _refined(drafts, roles, seed)
    made = []
    for i, (picture, k) in enumerate(zip(pictures, known, strict=True)):
        if not isinstance(k.text, str):
            made.append(Made(picture, k.steps(), "no description", str(k.text)))
        elif i in unwritten:
            made.append(Made(replace(picture, description=k.text), k.steps(), "no questions", unwritten[i]))
        else:
            own = [d.row() for d in drafts if d.picture == i]
            made.append(Made(replace(picture, description=k.text), {**k.steps(), "questions": own}))
    return made


def problems_of(made: Made) -> list[Problem]:
    """The questions kept of a picture."""
    return [
        Problem(
            row["id"], row["question"], made.problem.images, row["answer"], tuple(row["choices"]),
            CHECKS[row["meta"]["category"]], made.problem.description, row["thought"], row["meta"],
        )
        for row in made.steps.get("questions", [])
        if row["rule"] is None
    ]  # fmt: skip


def _each(
    drafts: list[Draft], engine: Engine, roles: Roles, seed: int,
    asking: Callable[[Draft], Conversation | DataError], read: Callable[[Draft, str], T], rule: str,
    thinks: bool = False,
) -> list[tuple[Draft, T]]:  # fmt: skip
    """What an engine says of every draft still in; one it says nothing of use about is dropped under `rule`."""
    left = [d for d in drafts if d.rule is None]
    asked = [asking(d) for d in left]
    replies = insist(engine, asked, lambda k, reply: read(left[k], reply), roles.max_tokens, seed, thinks)
    for draft, reply in zip(left, replies, strict=True):
        if isinstance(reply, DataError):
            draft.drop(rule, reply)
    return [(d, r) for d, r in zip(left, replies, strict=True) if not isinstance(r, DataError)]


def _screened(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """The writer looks again at what it wrote."""

    def asking(d: Draft) -> Conversation | DataError:
        values = {"question": in_full(d.problem), "description": d.problem.description or ""}
        return ask("synthesize_valid.user.md", values)

    for draft, valid in _each(
        drafts, roles.writer, roles, seed, asking, lambda _, r: read_word(r, "valid", "invalid"), "screen"
    ):
        if not valid:
            draft.drop("unverifiable", "by the writer's own screen")


def read_word(reply: str, yes: str, no: str) -> bool:
    """Which of two words the last line ends in; one that is denied, or stands beside the other, says neither.

    >>> read_word("They agree.\\n**Same.**", "same", "different")
    True
    """
    last = (reply.strip().splitlines() or [""])[-1].lower()
    words = re.findall(r"[a-z]+", last)
    if words[-1:] not in ([yes], [no]) or {yes, no} <= set(words) or DENIED.search(last):
        raise DataError(f"expected {yes} or {no} alone on the last line")
    return words[-1] == yes


def _answered(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """Two answers that know nothing of each other: from the description, and from the picture."""

    def from_text(d: Draft) -> Conversation | DataError:
        values = {"question": in_full(d.problem), "description": d.problem.description or ""}
        return ask("distill_description.user.md", values)

    def from_picture(d: Draft) -> Conversation | DataError:
        return messages(replace(d.problem, description=None), WRITING)

    def read(d: Draft, reply: str) -> tuple[str, str]:
        thought, answer = content(reply)
        return thought, label(d.problem, answer)

    for d, (thought, answer) in _each(
        drafts, roles.reader, roles, seed, from_text, read, "no answer", thinks=True
    ):
        d.steps |= {"read_thought": thought, "read_answer": answer}
    for d, (thought, answer) in _each(
        drafts, roles.seer, roles, seed, from_picture, read, "no answer", thinks=True
    ):
        d.steps |= {"seen_thought": thought, "seen_answer": answer}
    _compare(drafts, roles, seed)


def label(problem: Problem, answer: str) -> str:
    """An answer as a label of the problem: the letter of the option it names, or itself. Raises DataError for one that
    is not right by its own check.

    >>> label(Problem("p", "Which?", choices=("red", "blue", "green"), check="choice"), "It is blue.")
    'B'
    """
    answer = answer.strip()
    if not answer:
        raise DataError("expected an answer, found none")
    if problem.check == "judge":
        return answer
    golds = LETTERS[: len(problem.choices)] if problem.choices else [answer]
    right = [g for g in golds if check(replace(problem, answer=g), f"<answer>{answer}</answer>").correct]
    if len(right) != 1:
        raise DataError(f"expected an answer that can be checked, found {answer[:80]!r}")
    return right[0]


def _compare(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """Whether both answers agree: by rule, or by the judge where the question is open."""
    for d in (d for d in drafts if d.rule is None and d.problem.check != "judge"):
        gold = replace(d.problem, answer=d.steps["read_answer"])
        d.steps["agree"] = check(gold, f"<answer>{d.steps['seen_answer']}</answer>").correct
    if roles.judge is None:
        return

    def asking(d: Draft) -> Conversation | DataError:
        return ask("synthesize_same.user.md", {"question": d.problem.question, **_both(d)})

    open_ = [d for d in drafts if d.problem.check == "judge"]
    for d, same in _each(
        open_, roles.judge, roles, seed, asking, lambda _, r: read_word(r, "same", "different"), "no verdict"
    ):
        d.steps["agree"] = same


def _both(draft: Draft) -> dict[str, str]:
    return {"first": draft.steps["read_answer"], "second": draft.steps["seen_answer"]}


def _adjudicated(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """The agreed answer becomes the label; a third engine settles the rest, or they are dropped."""
    for d in (d for d in drafts if d.rule is None and d.steps["agree"]):
        d.problem = replace(d.problem, answer=d.steps["seen_answer"], thought=d.steps["read_thought"])
    split = [d for d in drafts if d.rule is None and not d.steps["agree"]]
    if roles.adjudicator is None:
        for d in split:
            d.drop("disagreement", "nobody adjudicates")
        return

    def asking(d: Draft) -> Conversation | DataError:
        values = {"question": in_full(d.problem), **_both(d)}
        return ask("synthesize_adjudicate.user.md", values, d.problem.images)

    def read(d: Draft, reply: str) -> tuple[str, str | None]:
        thought, answer = content(reply)
        discarded = re.fullmatch(r"\W*discard(?:ed)?\W*", answer.lower())
        return thought, None if discarded else label(d.problem, answer)

    for d, (thought, answer) in _each(
        split, roles.adjudicator, roles, seed, asking, read, "no verdict", thinks=True
    ):
        d.steps["verdict"] = answer or "discard"
        if answer is None:
            d.drop("discarded", "by the adjudicator")
        else:
            d.problem = replace(d.problem, answer=answer, thought=thought)


def _refined(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """The thought as one who sees it, checked like any that is learned; without a refiner it stays as it was."""

    def read(d: Draft, reply: str) -> str:
        made = Completion(WRITING.target(reply, d.problem.answer or ""))
        if found := fault(made, d.problem.question, Limits()):
            raise DataError(f"{found[0]}: {found[1]}")
        return reply

    def refined(d: Draft, reply: str) -> str:
        options = dict(zip(LETTERS, d.problem.choices, strict=False))
        answer = d.problem.answer or ""
        if d.problem.check != "judge" and not _words(options.get(answer, answer)) & _words(reply):
            raise DataError(f"expected a thought that comes to {d.problem.answer!r}")
        return read(d, reply)

    if roles.refiner is None:
        for d in (d for d in drafts if d.rule is None):
            try:
                read(d, d.problem.thought or "")
            except DataError as e:
                d.drop("thought", e)
        return

    def asking(d: Draft) -> Conversation | DataError:
        p = d.problem
        values = {"question": in_full(p), "answer": p.answer or "", "thought": p.thought or ""}
        return ask("synthesize_refine.user.md", values, p.images)

    for d, thought in _each(drafts, roles.refiner, roles, seed, asking, refined, "thought"):
        d.steps["raw_thought"], d.problem = d.problem.thought, replace(d.problem, thought=thought)


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))
