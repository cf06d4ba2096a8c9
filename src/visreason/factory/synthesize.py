"""Questions made from pictures, as WeThink makes them (arXiv 2506.07905): a description refined by questions, questions
under ability constraints, two independent answers, adjudication where they differ, and a thought rewritten as seen.

The published prompts, the five abilities' names and the number of rounds are not known; those here are ours.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from visreason.answer import check
from visreason.data.filters import Limits, content, fault
from visreason.engine import Conversation, Engine
from visreason.errors import DataError
from visreason.factory.asking import fenced, insist
from visreason.factory.distill import question as in_full
from visreason.factory.pipeline import Made
from visreason.prompt import STYLES
from visreason.prompt.chat import messages
from visreason.prompt.put import put
from visreason.record import Check, Completion, Image, Problem

ABILITIES = ("reasoning", "recognition", "text", "knowledge", "space", "mathematics")
"""Reasoning and five more, after MM-Vet (arXiv 2308.02490), which WeThink's scheme is inspired by."""
Type = Literal["MC", "FIB", "DES"]
CHECKS: dict[str, Check] = {"MC": "choice", "FIB": "auto", "DES": "judge"}
MOST_ASKED = 5
WRITING = STYLES["wethink"]
T = TypeVar("T")


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


def synthesize(pictures: list[Problem], roles: Roles, seed: int) -> list[Made]:
    """Descriptions of the pictures and questions about them; a question's own rule stands with it in `steps`."""
    steps: list[dict[str, Any]] = [{} for _ in pictures]
    descriptions = _described(pictures, roles, seed, steps)
    whole = [i for i, d in enumerate(descriptions) if isinstance(d, str)]
    drafts = _written(pictures, {i: str(descriptions[i]) for i in whole}, roles, seed, steps)
    _screened(drafts, roles, seed)
    _answered(drafts, roles, seed)
    _adjudicated(drafts, roles, seed)
    _refined(drafts, roles, seed)
    made = []
    for i, (picture, found) in enumerate(zip(pictures, descriptions, strict=True)):
        own = [d.row() for d in drafts if d.picture == i]
        if isinstance(found, DataError):
            made.append(Made(picture, steps[i], "no description", str(found)))
        elif "unwritten" in steps[i]:
            made.append(
                Made(replace(picture, description=found), steps[i], "no questions", steps[i]["unwritten"])
            )
        else:
            made.append(Made(replace(picture, description=found), {**steps[i], "questions": own}))
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


def _put(template: str, values: dict[str, str], images: Sequence[Image] = ()) -> Conversation | DataError:
    try:
        return put(template, values, images)
    except DataError as e:
        return e


def _text(_: int, reply: str) -> str:
    if not reply:
        raise DataError("expected text, found an empty reply")
    return reply


def _described(
    pictures: list[Problem], roles: Roles, seed: int, steps: list[dict[str, Any]]
) -> list[str | DataError]:
    """Fine descriptions: a rough one, rounds of what the writer misses and the seer sees, and both made into one."""
    asked = [_put("synthesize_coarse.user.md", {}, p.images) for p in pictures]
    found: list[str | DataError] = insist(roles.seer, asked, _text, roles.max_tokens, seed)
    known = dict(enumerate(found))
    evidence: dict[int, list[str]] = {i: [] for i in known}
    for i, text in known.items():
        steps[i]["coarse"], steps[i]["rounds"] = str(text), []
    for turn in range(roles.rounds):
        open_ = [i for i, text in known.items() if isinstance(text, str) and len(steps[i]["rounds"]) == turn]
        missing = insist(
            roles.writer,
            [_put("synthesize_missing.user.md", {"description": "\n".join([str(known[i]), *evidence[i]]),
                                                 "most": str(MOST_ASKED)}) for i in open_],
            lambda _, reply: _questions(reply), roles.max_tokens, seed,
        )  # fmt: skip
        pairs = [(i, q) for i, m in zip(open_, missing, strict=True) if isinstance(m, list) for q in m]
        looks = [_put("synthesize_look.user.md", {"question": q}, pictures[i].images) for i, q in pairs]
        answers = insist(roles.seer, looks, _text, roles.max_tokens, seed)
        for i, m in zip(open_, missing, strict=True):
            if m:
                steps[i]["rounds"].append(
                    [[q, str(a)] for (j, q), a in zip(pairs, answers, strict=True) if j == i]
                )
                evidence[i] += [
                    f"{q} {a}"
                    for (j, q), a in zip(pairs, answers, strict=True)
                    if j == i and isinstance(a, str)
                ]
    rich = [i for i in known if evidence[i]]
    values = [{"description": str(known[i]), "answers": "\n".join(evidence[i])} for i in rich]
    fine = insist(
        roles.writer, [_put("synthesize_fine.user.md", v) for v in values], _text, roles.max_tokens, seed
    )
    return [dict(zip(rich, fine, strict=True)).get(i, known[i]) for i in range(len(pictures))]


def _questions(reply: str) -> list[str]:
    found = _json(reply)
    if not isinstance(found, list) or not all(isinstance(q, str) for q in found):
        raise DataError("expected a JSON list of questions")
    return found[:MOST_ASKED]


def _json(reply: str) -> Any:
    try:
        return json.loads(fenced(reply))
    except (ValueError, RecursionError) as e:
        raise DataError(f"expected JSON, found text that is none ({e})") from e


def _written(
    pictures: list[Problem], known: dict[int, str], roles: Roles, seed: int, steps: list[dict[str, Any]]
) -> list[Draft]:
    values = [
        {"description": d, "most": str(roles.questions), "abilities": ", ".join(ABILITIES[1:])}
        for d in known.values()
    ]
    asked = [_put("synthesize_questions.user.md", v) for v in values]
    replies = insist(roles.writer, asked, lambda _, reply: _rows(reply), roles.max_tokens, seed)
    drafts = []
    for (i, description), rows in zip(known.items(), replies, strict=True):
        if isinstance(rows, DataError):
            steps[i]["unwritten"] = str(rows)
            continue
        for k, row in enumerate(rows[: roles.questions]):
            drafts.append(_draft(pictures[i], i, k, row, description, roles))
    return drafts


def _rows(reply: str) -> list[dict[str, Any]]:
    found = _json(reply)
    if not isinstance(found, list) or not found or not all(isinstance(r, dict) for r in found):
        raise DataError("expected a JSON list of objects, one a question")
    return found


def _draft(picture: Problem, i: int, k: int, row: dict[str, Any], description: str, roles: Roles) -> Draft:
    """A question as it was written; dropped where its form is not what was asked for."""
    kind, abilities, choices = row.get("type"), row.get("abilities"), row.get("choices") or []
    texts = [row.get("question"), row.get("answer"), *choices] if isinstance(choices, list) else [None]
    sound = all(isinstance(t, str | int | float) and str(t).strip() for t in texts) and kind in CHECKS
    meta = {
        "source": picture.meta.get("source", "synthesized"), "category": str(kind), "picture": picture.id,
        "abilities": abilities if isinstance(abilities, list) else [], "reward": "model" if kind == "DES" else "rule",
    }  # fmt: skip
    problem = Problem(
        f"{picture.id}-q{k}", str(row.get("question", "")), picture.images, str(row.get("answer", "")),
        tuple(map(str, choices)) if sound else (), CHECKS.get(str(kind), "auto"), description, None, meta,
    )  # fmt: skip
    draft = Draft(i, problem, {"written_answer": str(row.get("answer", ""))})
    if not sound:
        draft.drop("malformed", "a field is missing or of another type")
    elif (kind == "MC") != (3 <= len(choices) <= 5) or len(set(map(str, choices))) < len(choices):
        draft.drop("malformed", f"{len(choices)} choices for type {kind}")
    elif not _able(meta["abilities"]):
        draft.drop("abilities", f"found {', '.join(map(str, meta['abilities'])) or 'none'}")
    elif fault(Completion(f"<think>{problem.question}</think>{problem.answer}"), "", Limits(language=None)):
        draft.drop("wording", "speaks of a description, repeats itself or holds marks")
    elif kind == "DES" and roles.judge is None:
        draft.drop("no judge", "open questions need judge=ENGINE")
    else:
        try:
            messages(problem, WRITING)
        except DataError as e:
            draft.drop("malformed", e)
    return draft


def _able(abilities: list[Any]) -> bool:
    """Reasoning, and at least one more of the scheme."""
    named = {str(a).lower() for a in abilities}
    return "reasoning" in named and bool(named & set(ABILITIES[1:])) and named <= set(ABILITIES)


def _each(
    drafts: list[Draft], engine: Engine, roles: Roles, seed: int,
    ask: Callable[[Draft], Conversation | DataError], read: Callable[[Draft, str], T], rule: str,
) -> list[tuple[Draft, T]]:  # fmt: skip
    """What an engine says of every draft still in; one it says nothing of use about is dropped under `rule`."""
    left = [d for d in drafts if d.rule is None]
    asked = [ask(d) for d in left]
    replies = insist(engine, asked, lambda k, reply: read(left[k], reply), roles.max_tokens, seed)
    for draft, reply in zip(left, replies, strict=True):
        if isinstance(reply, DataError):
            draft.drop(rule, reply)
    return [(d, r) for d, r in zip(left, replies, strict=True) if not isinstance(r, DataError)]


def _screened(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """The writer looks again at what it wrote."""

    def ask(d: Draft) -> Conversation | DataError:
        values = {"question": in_full(d.problem), "description": d.problem.description or ""}
        return _put("synthesize_valid.user.md", values)

    for draft, valid in _each(
        drafts, roles.writer, roles, seed, ask, lambda _, r: _word(r, "valid", "invalid"), "screen"
    ):
        if not valid:
            draft.drop("unverifiable", "by the writer's own screen")


def _word(reply: str, yes: str, no: str) -> bool:
    last = reply.strip().splitlines()[-1].lower().strip(" .*\"'") if reply.strip() else ""
    if last.split()[-1:] not in ([yes], [no]):
        raise DataError(f"expected {yes} or {no} on the last line")
    return last.split()[-1] == yes


def _answered(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """Two answers that know nothing of each other: from the description, and from the picture."""

    def from_text(d: Draft) -> Conversation | DataError:
        values = {"question": in_full(d.problem), "description": d.problem.description or ""}
        return _put("distill_description.user.md", values)

    def from_picture(d: Draft) -> Conversation | DataError:
        return messages(replace(d.problem, description=None), WRITING)

    def read(_: Draft, reply: str) -> tuple[str, str]:
        thought, answer = content(reply)
        if not answer.strip():
            raise DataError("expected an answer, found none")
        return thought, answer.strip()

    for d, (thought, answer) in _each(drafts, roles.reader, roles, seed, from_text, read, "no answer"):
        d.steps |= {"read_thought": thought, "read_answer": answer}
    for d, (thought, answer) in _each(drafts, roles.seer, roles, seed, from_picture, read, "no answer"):
        d.steps |= {"seen_thought": thought, "seen_answer": answer}
    _compare(drafts, roles, seed)


def _compare(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """Whether both answers agree: by rule, or by the judge where the question is open."""
    for d in (d for d in drafts if d.rule is None and d.problem.check != "judge"):
        try:
            gold = replace(d.problem, answer=d.steps["read_answer"])
            d.steps["agree"] = check(gold, f"<answer>{d.steps['seen_answer']}</answer>").correct
        except DataError as e:
            d.drop("no answer", e)
    if roles.judge is None:
        return

    def ask(d: Draft) -> Conversation | DataError:
        values = {
            "question": d.problem.question,
            "first": d.steps["read_answer"],
            "second": d.steps["seen_answer"],
        }
        return _put("synthesize_same.user.md", values)

    open_ = [d for d in drafts if d.problem.check == "judge"]
    for d, same in _each(
        open_, roles.judge, roles, seed, ask, lambda _, r: _word(r, "same", "different"), "no verdict"
    ):
        d.steps["agree"] = same


def _adjudicated(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """The agreed answer becomes the label; a third engine settles the rest, or they are dropped."""
    for d in (d for d in drafts if d.rule is None and d.steps["agree"]):
        d.problem = replace(d.problem, answer=d.steps["seen_answer"], thought=d.steps["read_thought"])
    split = [d for d in drafts if d.rule is None and not d.steps["agree"]]
    if roles.adjudicator is None:
        for d in split:
            d.drop("disagreement", "nobody adjudicates")
        return

    def ask(d: Draft) -> Conversation | DataError:
        values = {
            "question": in_full(d.problem),
            "first": d.steps["read_answer"],
            "second": d.steps["seen_answer"],
        }
        return _put("synthesize_adjudicate.user.md", values, d.problem.images)

    for d, (thought, answer) in _each(
        split, roles.adjudicator, roles, seed, ask, lambda _, r: content(r), "no verdict"
    ):
        d.steps["verdict"] = answer.strip()
        if answer.strip().lower() == "discard":
            d.drop("discarded", "by the adjudicator")
        d.problem = replace(d.problem, answer=answer.strip(), thought=thought)


def _refined(drafts: list[Draft], roles: Roles, seed: int) -> None:
    """The thought as one who sees it, checked like any that is learned; without a refiner it stays as it was."""

    def read(d: Draft, reply: str) -> str:
        made = Completion(WRITING.target(reply, d.problem.answer or ""))
        if found := fault(made, d.problem.question, Limits()):
            raise DataError(f"{found[0]}: {found[1]}")
        return reply

    if roles.refiner is None:
        for d in (d for d in drafts if d.rule is None):
            try:
                read(d, d.problem.thought or "")
            except DataError as e:
                d.drop("thought", e)
        return

    def ask(d: Draft) -> Conversation | DataError:
        p = d.problem
        values = {"question": in_full(p), "answer": p.answer or "", "thought": p.thought or ""}
        return _put("synthesize_refine.user.md", values, p.images)

    for d, thought in _each(drafts, roles.refiner, roles, seed, ask, read, "thought"):
        d.steps["raw_thought"], d.problem = d.problem.thought, replace(d.problem, thought=thought)
