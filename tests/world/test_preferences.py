import pytest

from visreason.answer import check
from visreason.data.pairs import read_pairs
from visreason.prompt import style
from visreason.record import Problem
from visreason.store import read_records
from visreason.world import preferences, problems

STYLE = style("r1_onevision")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    drawn = problems.write(tmp_path_factory.mktemp("pairs"), "train", 240)
    return read_pairs(preferences.write(drawn, STYLE), [])


def test_the_chosen_side_is_right_and_the_rejected_one_is_not(pairs):
    assert len(pairs) == 240
    for p in pairs:
        assert check(p.problem, p.chosen.text).correct
        assert not check(p.problem, p.rejected.text).correct, (p.problem.answer, p.rejected.text)


def test_a_slip_differs_in_its_answer_alone_and_is_as_long(pairs):
    slips = [p for p in pairs if "guess" not in p.rejected.text]
    assert 80 < len(slips) < 160
    for p in slips:
        chosen, rejected = p.chosen.text.split(), p.rejected.text.split()
        assert sum(a != b for a, b in zip(chosen, rejected, strict=True)) == 1


def test_both_sides_have_the_same_layout(pairs):
    loose = ["<think>" not in p.chosen.text for p in pairs]
    assert loose == ["<think>" not in p.rejected.text for p in pairs]
    assert 20 < sum(loose) < 80


def test_a_pair_depends_on_its_problem_and_the_seed_alone(pairs, tmp_path):
    drawn = list(read_records(problems.write(tmp_path, "train", 12), Problem))
    again = [preferences.pair(p, STYLE) for p in drawn]
    assert [p.rejected.text for p in again] == [p.rejected.text for p in pairs[:12]]
    assert [preferences.pair(p, STYLE, seed=1).rejected.text for p in drawn] != [
        p.rejected.text for p in again
    ]
