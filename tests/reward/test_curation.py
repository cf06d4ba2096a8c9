"""Stages of curation on a few pairs, with an engine and a surrogate that are functions."""

from visreason.engine import Sampling
from visreason.engine.script import Script
from visreason.errors import DataError
from visreason.prompt import style
from visreason.record import Completion, Pair, Problem
from visreason.reward import curation

LONG = DataError("expected a shorter prompt")


class Surrogate:
    """Scores a text by its length; a question of "long" can't be read."""

    def scores(self, groups):
        return [LONG if p.question == "long" else [float(len(t)) for t in texts] for p, texts in groups]


def judge(conversation, i):
    """Fails on every question of "unaskable"."""
    text = conversation[-1]["content"][-1]["text"]
    return (
        Completion("too long", finish="error") if "unaskable" in text else "Overall Judgment: Both are equal."
    )


def pair(question="1+1?", chosen="two", rejected="3", **about):
    return Pair(Problem("p", question, **about), Completion(chosen), Completion(rejected))


def test_a_pair_that_can_not_be_asked_is_dropped_with_its_reason_and_the_others_are_judged():
    found = curation.judged([pair(), pair("unaskable")], Script(judge))
    assert found == ["the judge: equal", "the judge: error: too long"]


def test_a_pair_that_the_surrogate_can_not_read_is_weak_and_sets_no_threshold():
    gaps = curation.scored([pair(), pair("long"), pair(chosen="three")], Surrogate())  # type: ignore[arg-type]
    reason = "can't be read: expected a shorter prompt"
    assert gaps == [(3.0, 2.0), reason, (5.0, 4.0)]
    assert curation.weak(gaps, 0.0, 0.0) == [None, reason, None]
    assert curation.weak([reason], 0.0, 0.0) == [reason]


def rewritten(*pairs, text="a longer one"):
    sampling, layout = Sampling(1, 1.0, max_tokens=8), style("direct")
    return curation.rewritten(pairs, Script(lambda *_: text), layout, Surrogate(), sampling)  # type: ignore[arg-type]


def test_a_chosen_side_is_written_anew_also_where_rules_can_not_tell():
    unreadable, uncheckable = rewritten(pair("long"), pair(choices=("a", "b"), answer="E"))
    assert unreadable == "can't be read: expected a shorter prompt"
    assert isinstance(uncheckable, Pair)
    assert uncheckable.chosen.text == "a longer one"


def test_a_text_that_no_pair_may_hold_is_no_new_chosen_side():
    assert rewritten(pair(), text="a longer one<|im_end|>") == ["weak, and no new answer is better"]


def test_an_engine_that_failed_is_named_where_a_weak_pair_is_dropped():
    failed = Completion("the picture is broken", finish="error")
    assert rewritten(pair(), text=failed) == [
        "weak, and no new answer is better; the engine: the picture is broken"
    ]


def test_pairs_of_other_options_are_others():
    pairs = [pair(choices=("2", "3")), pair(choices=("4", "5")), pair(choices=("2", "3"))]
    assert [bool(found) for found in curation.exact(pairs)] == [False, False, True]
    assert [bool(found) for found in curation.near(pairs, 0.9)] == [False, False, True]
