import math
import sys
import types

import pytest

from visreason.errors import RunError, UsageError
from visreason.prompt import STYLES
from visreason.record import Completion, Problem, Sample, Score
from visreason.reward import correct, format_reward, from_names, weighted

GOOD = "<think>1 + 1</think><answer>2</answer>"


def sample(text, name="p", answer="2", finish="stop"):
    return Sample(Problem(name, "1+1?", answer=answer), Completion(text, finish), Score(0.0))


def length(samples):
    return [Score(float(len(s.completion.text)), reason="judged") for s in samples]


def test_awakers_reward_is_accuracy_plus_format():
    reward = from_names({"correct": 1.0, "format": 1.0}, STYLES["awaker"])
    scores = reward([sample(GOOD), sample("2"), sample(GOOD.replace("2<", "3<")), sample("")])
    assert [s.value for s in scores] == [2.0, 1.0, 1.0, 0.0]
    assert [s.reason for s in scores] == ["exact", "exact", "wrong", "unparsed"]
    assert scores[0].parts == {"correct": 1.0, "format": 1.0}
    assert scores[0].answer == "2"


def test_wethinks_reward_weighs_accuracy_and_format():
    reward = from_names({"correct": 0.7, "format": 0.3}, STYLES["wethink"])
    assert [s.value for s in reward([sample(GOOD), sample("2")])] == pytest.approx([1.0, 0.7])


def test_parts_are_kept_without_their_weights():
    (score,) = weighted({"correct": (2.0, correct), "length": (-0.5, length), "seen": (0.0, length)})(
        [sample("2")]
    )
    assert score.value == 1.5
    assert score.parts == {"correct": 1.0, "length": 1.0, "seen": 1.0}


def test_reason_and_answer_are_those_of_correct_wherever_it_stands():
    (score,) = weighted({"length": (1.0, length), "correct": (1.0, correct)})([sample("2")])
    assert (score.reason, score.answer) == ("exact", "2")
    (score,) = weighted({"length": (1.0, length), "format": (1.0, format_reward(STYLES["direct"]))})(
        [sample("2")]
    )
    assert score.reason == "judged"


def test_completions_the_engine_could_not_make_are_errored_and_shown_to_no_reward():
    shown = []

    def watching(samples):
        shown.extend(samples)
        return length(samples)

    reward = weighted({"watching": (1.0, watching)})
    scores = reward([sample("2", "a"), sample("", "b", finish="error"), sample("22", "c")])
    assert [s.reason for s in scores] == ["judged", "errored", "judged"]
    assert [s.value for s in scores] == [1.0, 0.0, 2.0]
    assert scores[1].parts == {"watching": 0.0}
    assert [s.problem.id for s in shown] == ["a", "c"]
    assert [s.reason for s in reward([sample("", "b", finish="error")])] == ["errored"]
    assert reward([]) == []


def test_a_reward_that_raises_stops_the_run_with_its_name_and_the_problem():
    def fragile(samples):
        return [Score(1.0 / (s.problem.id != "b")) for s in samples]

    with pytest.raises(
        RunError, match=r"reward 'fragile' raised ZeroDivisionError on problem 'b'.*learned from"
    ):
        weighted({"fragile": (1.0, fragile)})([sample("2", "a"), sample("2", "b")])


def test_a_reward_that_fails_on_the_whole_batch_only_names_its_problems():
    def crowded(samples):
        if len(samples) > 1:
            raise ValueError("too many")
        return length(samples)

    with pytest.raises(RunError, match="'a', 'b', 'c' and 1 more: too many"):
        weighted({"crowded": (1.0, crowded)})([sample("2", name) for name in "abcd"])


def test_a_reward_that_says_itself_what_to_do_is_not_blamed_on_a_problem():
    def away(samples):
        raise RunError("expected a reward server, got none")

    with pytest.raises(RunError, match=r"^expected a reward server, got none$"):
        weighted({"away": (1.0, away)})([sample("2", "a")])


def test_a_problem_without_an_answer_is_not_scored_zero():
    with pytest.raises(RunError, match="reward 'correct' raised DataError on problem 'q'"):
        from_names({"correct": 1.0}, STYLES["direct"])([sample("2"), sample("2", "q", answer=None)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_stops_the_run(value):
    with pytest.raises(RunError, match=r"finite value of reward 'odd' on problem 'p'"):
        weighted({"odd": (1.0, lambda samples: [Score(value)] * len(samples))})([sample("2")])


def test_plain_numbers_and_missing_scores_stop_the_run():
    with pytest.raises(RunError, match="expected a Score"):
        weighted({"odd": (1.0, lambda samples: [1.0] * len(samples))})([sample("2")])
    with pytest.raises(RunError, match=r"expected 2 scores of reward 'odd' .* found 1"):
        weighted({"odd": (1.0, lambda samples: [Score(1.0)])})([sample("2"), sample("2", "q")])


def test_a_reward_of_ones_own_is_named_by_module_and_function(monkeypatch):
    module = types.ModuleType("my_rewards")
    module.length, module.number = length, 3
    monkeypatch.setitem(sys.modules, "my_rewards", module)
    (score,) = from_names({"correct": 1.0, "my_rewards:length": 0.5}, STYLES["direct"])([sample("2")])
    assert score.parts == {"correct": 1.0, "my_rewards:length": 1.0}
    assert score.value == 1.5
    for name, found in (
        ("my_rewards:number", "found int"),
        ("my_rewards:other", "found none"),
        ("no_such:x", "none"),
    ):
        with pytest.raises(UsageError, match=found):
            from_names({name: 1.0}, STYLES["direct"])


def test_names_and_weights_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="did you mean 'format'"):
        from_names({"formatt": 1.0}, STYLES["direct"])
    with pytest.raises(UsageError, match="at least one"):
        from_names({}, STYLES["direct"])
    with pytest.raises(UsageError, match="finite weight for reward 'format', found nan"):
        from_names({"format": math.nan}, STYLES["direct"])
