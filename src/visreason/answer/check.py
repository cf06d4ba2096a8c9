"""The verdict on a response: what it answers, whether that is right, and by which rule, or why it could not be told."""

import re
import warnings

from visreason.answer.budget import Spent, bounded, spend
from visreason.answer.choice import OUTSIDE, by_value, pick, pick_from_prose, ticked, without_options
from visreason.answer.equal import equal, is_value
from visreason.answer.extract import Extraction, extract, inside
from visreason.answer.lists import parts
from visreason.answer.normalize import normalize, unwrap
from visreason.answer.prose import bare, plain, sentences
from visreason.answer.quantity import worded
from visreason.answer.rules import Rules, rules_of
from visreason.answer.sandbox import Fault
from visreason.answer.solution import is_program, runs_on, solution
from visreason.errors import DataError
from visreason.record import Finish, Problem, Reason, Score

SUPPORTED = ("auto", "choice", "math", "exact")
SHOWN_CHARS = 200
OPTION = re.compile(r"(?:^|\s)\(?[A-H][).] ?\S")
"""An option with its letter: "A. 8" answers no problem that has none."""
MARKS = ("\\boxed", "<answer>", "####")
"""How a worked gold solution marks its answer."""
UNKNOWN = ("",) * 10
"""Options A to J without their texts."""


def check(problem: Problem, response: str, finish: Finish = "stop") -> Score:
    """Score 1.0 with the rule that found the answer right, or 0.0 with wrong, unparsed, truncated or errored.

    `auto` is `choice` for a problem with choices, else `math`. Several different answers count as one list, so hedging
    is wrong. Of an errored score `parts` says why: "overrun" where comparing would cost more than `budget` allows,
    "fault" where symbolic work failed by our mistake, nothing where the engine failed. Raises DataError only for the
    problem's sake (no answer, an answer outside its choices, a check or a rule not known), and RunError where symbolic
    work is needed and its process does not start.

    >>> check(Problem("p", "1/2 of 1?", answer="0.5"), r"<think>7</think> It is \\boxed{\\frac12}.")
    Score(value=1.0, answer='\\\\frac12', reason='numeric', parts={})
    >>> check(Problem("p", "Which?", answer="B", choices=("red", "blue")), "<answer>red</answer>").reason
    'wrong'
    """
    golds, rules = _golds(problem), rules_of(problem)
    if finish == "error":
        return Score(0.0, reason="errored")
    text = solution(response)
    if is_program(text) or runs_on(text):
        return _score(None, "truncated" if finish == "length" else "unparsed")
    try:
        with bounded():
            return _best(problem, rules, golds, text, finish)
    except Spent:
        return Score(0.0, reason="errored", parts={"overrun": 1.0})
    except Fault as e:
        warnings.warn(f"problem {problem.id!r} is errored: {e}", RuntimeWarning, stacklevel=2)
        return Score(0.0, reason="errored", parts={"fault": 1.0})


def _best(problem: Problem, rules: Rules, golds: tuple[str, ...], text: str, finish: Finish) -> Score:
    """The score by the first gold answer that is met, else by the first of them."""
    found = extract(text, cut=finish == "length")
    scores = (_check(problem, rules, gold, text, found, finish) for gold in golds)
    first = next(scores)
    return next((score for score in (first, *scores) if score.correct), first)


def _check(
    problem: Problem, rules: Rules, gold: str, text: str, found: Extraction | None, finish: Finish
) -> Score:
    spend(len(text) // 4)
    if problem.check == "choice" or (problem.check == "auto" and problem.choices):
        return _check_choice(problem, gold, text, found, finish)
    return _check_value(problem, rules, gold, text, found, finish)


def _golds(problem: Problem) -> tuple[str, ...]:
    """The gold answer, and others that a problem's meta accepts."""
    if problem.check not in SUPPORTED:
        raise DataError(
            f"problem {problem.id!r}: expected a check among {', '.join(SUPPORTED)}, found {problem.check!r}, which is "
            "not supported yet; use another check or another reward"
        )
    others = problem.meta.get("accepted") or []
    golds = (problem.answer, *(others if isinstance(others, list) else [others]))
    if not all(isinstance(gold, str | None) for gold in golds):
        raise DataError(
            f"problem {problem.id!r}: expected answers as text, found {golds!r:.80}; put them in quotes"
        )
    if problem.answer is None or not normalize(problem.answer):
        raise DataError(
            f"problem {problem.id!r}: expected an answer to check against, found none; drop it or add one"
        )
    return tuple(dict.fromkeys(gold for gold in golds if gold))


def _check_value(
    problem: Problem, rules: Rules, gold: str, text: str, found: Extraction | None, finish: Finish
) -> Score:
    if finish != "length" and normalize(worded(text)) == normalize(worded(gold)):
        return _score(gold, "exact")
    if found is None:
        if finish != "length" and (letters := _letters(gold)):
            return _check_letters(letters, text, found, finish)
        return _score(None, "truncated" if finish == "length" else "unparsed")
    stated, texts = _stated(gold), (*found.earlier, *found.texts)
    listed = len(found.texts) < len(texts) == len(parts(stated)) and not stated.startswith(("\\", "{", "("))
    answer = ", ".join(texts if listed else found.texts)
    if problem.check == "exact":
        return _score(answer, "exact" if normalize(answer) == normalize(gold) else "wrong")
    whole = is_value(answer) or (OPTION.match(answer) and not OPTION.search(problem.question))
    for candidate in (answer,) if whole else dict.fromkeys((answer, inside(answer))):
        if rule := equal(stated, candidate, rules):
            return _score(candidate, rule)
    if letters := _letters(gold):
        return _check_letters(letters, text, found, finish)
    return _score(answer, "wrong")


def _stated(gold: str) -> str:
    """A gold answer that is a worked solution counts by what it marks as its answer: GSM8K's by ####."""
    found = extract(gold) if any(mark in gold for mark in MARKS) else None
    return ", ".join(found.texts) if found else gold


def _letters(gold: str) -> frozenset[int]:
    """Options that a gold answer names by letters alone: they stand in the picture or in the question."""
    letters = unwrap(_stated(gold)).upper()
    if re.fullmatch(r"\(?[A-J]\)?(?: ?, ?\(?[A-J]\)?)*", letters) is None:
        return frozenset()
    return pick(letters, UNKNOWN)


def _check_letters(letters: frozenset[int], text: str, found: Extraction | None, finish: Finish) -> Score:
    """Options whose texts are not known: an answer that names no letter is not one that can be read."""
    answer, named = _named(UNKNOWN, text, found, finish)
    if not named or named == {OUTSIDE}:
        return _score(answer, "unparsed")
    return _score(answer, "choice" if named == letters else "wrong")


def _check_choice(problem: Problem, gold: str, text: str, found: Extraction | None, finish: Finish) -> Score:
    if not problem.choices:
        raise DataError(
            f"problem {problem.id!r}: expected choices for check 'choice', found none; use check=math"
        )
    right = pick(_stated(gold), problem.choices)
    if not right or OUTSIDE in right:
        raise DataError(
            f"problem {problem.id!r}: expected the answer among {len(problem.choices)} choices, found {gold!r}; "
            "correct the answer or the choices"
        )
    answer, named = _named(problem.choices, text, found, finish)
    if not named:
        return _score(answer, "truncated" if finish == "length" else "unparsed")
    if len({normalize(problem.choices[i]) for i in right}) == 1 and OUTSIDE not in named and named <= right:
        return _score(answer, "choice")  # options that are the same
    return _score(answer, "choice" if named == right else "wrong")


def _named(
    choices: tuple[str, ...], text: str, found: Extraction | None, finish: Finish
) -> tuple[str | None, frozenset[int]]:
    """The answer's words and the options they name."""
    lines = sentences(plain(text))
    said = without_options(lines)
    if finish != "length" and (found is None or found.kind == "bare"):
        named = ticked(lines, choices)
        if named and not (said and pick_from_prose(said, choices)):
            return lines[-1], named
    if not said and finish != "length":
        return None, frozenset()
    if found is not None and (found.kind != "bare" or found.texts == (plain(text),)):
        answer = ", ".join(found.texts)
        if named := pick(answer, choices) or pick(inside(answer), choices):
            return answer, named
        if found.kind in ("tag", "box") or is_value(answer):
            return answer, frozenset({OUTSIDE})
    if finish == "length":
        return None, frozenset()
    if said and (named := pick_from_prose(said, choices)):
        return said[-1], named
    stated = found.texts if found is not None and found.kind != "bare" else (bare("\n".join(said)),)
    if len(stated) == 1 and stated[0] and (named := by_value(stated[0], choices)):
        return stated[0], named
    return None, frozenset()


def _score(answer: str | None, reason: Reason) -> Score:
    value = 0.0 if reason in ("wrong", "unparsed", "truncated", "errored") else 1.0
    return Score(value, answer[:SHOWN_CHARS] if answer is not None else None, reason)
