from dataclasses import replace

import pytest

from visreason.data.pairing import Pairing, make_pairs
from visreason.errors import DataError
from visreason.record import Completion, Problem, Sample, Score


def sample(text, right, learned=None, problem="p", finish="stop"):
    parts = {} if learned is None else {"learned": learned}
    score = Score(float(right), text, "exact" if right else "wrong", parts)
    return Sample(Problem(problem, "?"), Completion(text, finish, logps=(-1.0,)), score)


def texts(samples, **how):
    return [(p.chosen.text, p.rejected.text, p.margin) for p in make_pairs(samples, Pairing(**how))]


def test_right_completions_are_set_against_wrong_ones_of_the_same_problem():
    found = texts([sample("a", 1), sample("b", 0), sample("c", 1, problem="q"), sample("d", 1, problem="q")])
    assert found == [("a", "b", 1.0)]


def test_every_text_is_used_before_one_is_used_again():
    samples = [sample("a1", 1), sample("a2", 1), sample("a2", 1), sample("b1", 0), sample("b2", 0)]
    found = texts(samples, per_problem=2)
    assert {f[0] for f in found} == {"a1", "a2"}
    assert {f[1] for f in found} == {"b1", "b2"}
    assert len(texts(samples, per_problem=9)) == 4


def test_like_lengths_come_first_where_that_is_asked_for():
    samples = [sample("one two three", 1), sample("four", 0), sample("five six seven", 0)]
    assert texts(samples, per_problem=1) == [("one two three", "five six seven", 1.0)]


def test_learned_scores_give_margins_and_a_least_one():
    samples = [sample("a", 0, 2.5), sample("b", 1, 1.0), sample("c", 0, 0.9)]
    assert texts(samples, by="learned", per_problem=1, match_length=False) == [("a", "c", 1.6)]
    assert texts(samples, by="both") == [("b", "c", 0.1)]
    assert texts(samples, by="both", min_margin=0.2) == []
    with pytest.raises(DataError, match="score them first"):
        texts([sample("a", 1), sample("b", 0)], by="both")


def test_failed_and_empty_completions_are_in_no_pair_and_sampler_log_probs_are_left_behind():
    samples = [sample("a", 1), sample("the server failed", 0, finish="error"), sample("  ", 0)]
    assert texts(samples) == []
    [pair] = make_pairs([sample("a", 1), sample("b", 0)], Pairing())
    assert pair.chosen.logps == pair.rejected.logps == ()


def test_samples_whose_score_failed_are_in_no_pair():
    failed = replace(sample("c", 0), score=Score(0.0, reason="errored"))
    assert texts([sample("a", 1), failed]) == []
    assert texts([sample("a", 1, 2.0), sample("b", 0, 1.0), failed], by="learned") == [("a", "b", 1.0)]


def test_what_no_reader_of_pairs_takes_is_not_made():
    cut = sample("a", 1, 2.0, finish="length")
    assert texts([cut, sample("b", 0, 1.0)], by="learned") == texts([cut, sample("b", 0)]) == []
    assert texts([sample("b", 1), replace(cut, score=Score(0.0, reason="truncated"))]) == [("b", "a", 1.0)]
    assert texts([sample("a", 1), sample("b<|im_end|>", 0)]) == []
