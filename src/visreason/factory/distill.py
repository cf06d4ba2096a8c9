"""Long thoughts from a teacher (Virgo, arXiv 2501.01904; R1-Onevision, arXiv 2503.10615): sampled, judged, filtered,
rewritten as seen, and chosen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from visreason.data.filters import WORD, Keep, Limits, chosen, content, fault
from visreason.engine import Conversation, Engine, Sampling
from visreason.errors import DataError
from visreason.factory.asking import ask, insist
from visreason.factory.pipeline import Made
from visreason.prompt import Style, messages
from visreason.prompt.chat import choice_lines
from visreason.record import Completion, Problem, Sample, Score, to_json
from visreason.reward import correct
from visreason.reward.judge import Judge

Sees = Literal["picture", "description"]
LEAST_LEFT = 3
"""A rewritten thought has a third of the words at least: steps that imagine the picture are left out, no others."""
NUMBER, PLACE = re.compile(r"\d+(?:\.\d+)?"), re.compile(r"\[[\d., ]*\]")


@dataclass(frozen=True)
class Distilling:
    """The roles and the rules. `asked` is the style the teacher is asked in, `style` that of the rows made; `right`
    bounds how many of the samples must be right; `most` of them are kept."""

    teacher: Engine
    judge: Engine | None
    rewriter: Engine | None
    base: Engine | None
    sees: Sees
    asked: Style
    style: Style
    sampling: Sampling
    limits: Limits
    right: tuple[int, int]
    keep: Keep
    most: int


@dataclass(frozen=True)
class Try:
    """A completion on its way: as sampled and scored, as it would be learned, and the rule that dropped it."""

    raw: Sample
    made: Sample | None = None
    rule: str | None = None
    why: str = ""

    def row(self) -> dict[str, Any]:
        """What is kept of it: the teacher's text, the verdict, the text made of it, the rule."""
        text = {} if self.made is None else {"text": self.made.completion.text}
        score = to_json(self.raw.score)
        return {
            "raw": to_json(_light(self.raw.completion)),
            "score": score,
            **text,
            "rule": self.rule,
            "why": self.why,
        }


def distill(problems: list[Problem], how: Distilling, seed: int) -> list[Made]:
    """What becomes of each problem; its completions stand in `steps`, each with its own rule."""
    asked = {p.id: _asked(p, how) for p in problems}
    refused = {i: ("can't be asked", str(a)) for i, a in asked.items() if isinstance(a, DataError)}
    refused |= {
        p.id: ("no judge", "check 'judge' needs judge=ENGINE")
        for p in problems
        if p.id not in refused and p.check == "judge" and how.judge is None
    }
    refused |= _easy([p for p in problems if p.id not in refused], how, seed)
    left = [p for p in problems if p.id not in refused]
    sampling = replace(how.sampling, seed=seed)
    put = [a for p in left if not isinstance(a := asked[p.id], DataError)]
    answers = how.teacher.generate(put, sampling) if put else []
    raw = [Sample(p, c, Score(0.0)) for p, group in zip(left, answers, strict=True) for c in group]
    raw = [replace(s, score=v) for s, v in zip(raw, _verdicts(raw, how), strict=True)]
    tries = _rewritten([_judged(s, how) for s in raw], how, seed)
    groups = {p.id: tries[i * sampling.n : (i + 1) * sampling.n] for i, p in enumerate(left)}
    return [Made(p, {}, *refused[p.id]) if p.id in refused else _made(p, groups[p.id], how) for p in problems]


def _asked(problem: Problem, how: Distilling) -> Conversation | DataError:
    if problem.answer is None:
        return DataError("expected an answer to judge by, found none")
    if problem.check == "box":
        return DataError("expected an answer that rules or a judge can tell right, found a box")
    if how.sees == "picture":
        return messages(problem, how.asked)
    if problem.description is None:
        return DataError(
            "expected a description for a teacher that does not see, found none; formalize first"
        )
    values = {"question": question(problem), "description": problem.description}
    return ask("distill_description.user.md", values)


def question(problem: Problem) -> str:
    """A question with its choices under it."""
    return "\n".join(filter(None, (problem.question, choice_lines(problem))))


def _easy(problems: list[Problem], how: Distilling, seed: int) -> dict[str, tuple[str, str]]:
    """Problems that the base model's greedy answer settles, without a long thought."""
    if how.base is None or not problems:
        return {}
    sampling = Sampling(temperature=0.0, max_tokens=how.sampling.max_tokens, seed=seed)
    answers = how.base.generate([messages(p, how.asked) for p in problems], sampling)
    samples = [Sample(p, group[0], Score(0.0)) for p, group in zip(problems, answers, strict=True)]
    verdicts = _verdicts(samples, how)
    return {
        s.problem.id: ("easy", "the base model is right")
        for s, v in zip(samples, verdicts, strict=True)
        if v.correct
    }


def _verdicts(samples: list[Sample], how: Distilling) -> list[Score]:
    whole = [s for s in samples if s.completion.finish != "error"]
    judged = correct if how.judge is None else Judge(how.judge, how.asked, strict=False)
    scores = iter(judged(whole))
    return [Score(0.0, reason="errored") if s.completion.finish == "error" else next(scores) for s in samples]


def _judged(sample: Sample, how: Distilling) -> Try:
    """Its first fault, before a rewriting; words that show a description are then still allowed."""
    limits = replace(how.limits, traces=how.limits.traces and how.rewriter is None)
    if found := fault(sample.completion, sample.problem.question, limits):
        return Try(sample, None, *found)
    if not sample.score.correct:
        return Try(sample, None, sample.score.reason, f"answer {sample.score.answer!r}")
    return _laid(sample, None, how)


def _laid(sample: Sample, thought: str | None, how: Distilling) -> Try:
    """The completion as the style writes it, with another thought where one is given; faults count again."""
    try:
        own, answer = content(sample.completion.text)
        text = how.style.target(own if thought is None else thought, answer)
    except DataError as e:
        return Try(sample, None, "layout", str(e))
    completion = Completion(text, model=sample.completion.model)
    limits = replace(how.limits, traces=how.limits.traces and (how.rewriter is None or thought is not None))
    if found := fault(completion, sample.problem.question, limits):
        return Try(sample, None, *found)
    made = Sample(sample.problem, completion, sample.score)
    verdict = sample.score if how.judge else correct([made])[0]
    return Try(sample, replace(made, score=verdict)) if verdict.correct else Try(
        sample, None, "wrong", "as it is laid out")  # fmt: skip


def _rewritten(tries: list[Try], how: Distilling, seed: int) -> list[Try]:
    """Thoughts of those still left, as one who sees would put them; one that keeps its faults is dropped for them."""
    if how.rewriter is None:
        return tries
    left = [i for i, t in enumerate(tries) if t.rule is None]
    thoughts = [content(tries[i].raw.completion.text)[0] for i in left]

    def read(k: int, reply: str) -> Try:
        found = _laid(tries[left[k]].raw, reply, how)
        if found.rule:
            raise DataError(f"{found.rule}: {found.why}")
        if said := _lost(thoughts[k], reply):
            raise DataError(f"changed: {said}")
        return found

    asked = [ask("distill_rewrite.user.md", {"thought": t}) for t in thoughts]
    replies = insist(how.rewriter, asked, read, how.sampling.max_tokens, seed)
    for i, reply in zip(left, replies, strict=True):
        if isinstance(reply, DataError):
            rule, _, why = str(reply).partition(": ")
            tries[i] = Try(tries[i].raw, None, "rewriting", f"{rule}: {why}")
        else:
            tries[i] = reply
    return tries


def _lost(thought: str, rewritten: str) -> str | None:
    """What a rewriting left out that is more than wording: most of the words, or most of the numbers but places in
    brackets, which a description gives and nobody sees."""
    thought = PLACE.sub(" ", thought)
    before, after = (len(WORD.findall(t)) for t in (thought, rewritten))
    if after * LEAST_LEFT < before:
        return f"{after} words are left of {before}"
    numbers, left = (set(NUMBER.findall(t)) for t in (thought, rewritten))
    if 2 * len(numbers - left) > len(numbers):
        return f"the numbers {', '.join(sorted(numbers - left)[:5])} are missing"
    return None


def _made(problem: Problem, tries: Sequence[Try], how: Distilling) -> Made:
    """The problem with its completions: those of a problem outside the bounds are dropped, and all but the chosen."""
    right = sum(t.raw.score.correct for t in tries)
    low, high = how.right
    if not low <= right <= high:
        why = f"{right} of {len(tries)} right"
        tries = [t if t.rule else replace(t, rule="difficulty", why=why) for t in tries]
    tries = _once(tries)
    places = [i for i, t in enumerate(tries) if t.rule is None]
    left = [s for t in tries if t.rule is None and (s := t.made)]
    picked = {places[k] for k in chosen(left, how.keep, how.most)}
    tries = [
        replace(t, rule="not chosen", why=how.keep) if t.rule is None and i not in picked else t
        for i, t in enumerate(tries)
    ]
    steps = {"right": right, "of": len(tries), "completions": [t.row() for t in tries]}
    if picked:
        return Made(problem, steps)
    first = next((t.rule for t in tries if t.rule == "difficulty"), None) or "nothing kept"
    return Made(problem, steps, first, f"{right} of {len(tries)} right")


def _once(tries: Sequence[Try]) -> list[Try]:
    """Completions that come to the same text stay once."""
    seen: set[str] = set()
    found = []
    for t in tries:
        text = t.made.completion.text if t.made and not t.rule else None
        found.append(replace(t, rule="same text", why="as an earlier one") if text in seen else t)
        seen |= {text} if text else set()
    return found


def _light(completion: Completion) -> Completion:
    return replace(completion, token_ids=(), logps=())


def samples_of(made: Made) -> list[Sample]:
    """The samples kept of a problem, as they are learned."""
    return [
        Sample(made.problem, Completion(t["text"], model=t["raw"].get("model", "")), _score(t["score"]))
        for t in made.steps.get("completions", [])
        if t["rule"] is None
    ]


def _score(row: dict[str, Any]) -> Score:
    return Score(row["value"], row.get("answer"), row["reason"], row.get("parts", {}))
