"""Records and their JSON."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visreason.errors import DataError
from visreason.record import CORRECT, Completion, Image, Pair, Problem, Sample, Score, from_json, to_json

TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
IMAGES = st.builds(
    Image, TEXT, st.none() | TEXT, st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999))
)
PROBLEMS = st.builds(
    Problem,
    id=TEXT,
    question=TEXT,
    images=st.lists(IMAGES, max_size=3).map(tuple),
    answer=st.none() | TEXT,
    choices=st.lists(TEXT, max_size=4).map(tuple),
    check=st.sampled_from(["auto", "choice", "math", "exact", "box", "judge"]),
    thought=st.none() | TEXT,
    meta=st.dictionaries(TEXT, TEXT | NUMBER | st.lists(st.integers()), max_size=3),
)
COMPLETIONS = st.builds(
    Completion,
    text=TEXT,
    finish=st.sampled_from(["stop", "length", "error"]),
    token_ids=st.lists(st.integers(0, 200_000), max_size=5).map(tuple),
    logps=st.lists(NUMBER, max_size=5).map(tuple),
)
SCORES = st.builds(
    Score, NUMBER, st.none() | TEXT, st.sampled_from(CORRECT), st.dictionaries(TEXT, NUMBER, max_size=2)
)


@given(
    st.builds(Sample, PROBLEMS, COMPLETIONS, SCORES)
    | st.builds(Pair, PROBLEMS, COMPLETIONS, COMPLETIONS, NUMBER)
)
def test_a_record_comes_back_from_its_json_as_it_was(record):
    assert from_json(type(record), json.loads(json.dumps(to_json(record)))) == record


def test_empty_fields_are_left_out_and_false_ones_kept():
    assert to_json(Problem("p", "q")) == {"id": "p", "question": "q", "check": "auto"}
    assert to_json(Score(0.0)) == {"value": 0.0, "reason": "wrong"}


@pytest.mark.parametrize("reason", ["wrong", "unparsed", "truncated", "errored"])
def test_failures_are_not_correct(reason):
    assert not Score(1.0, "4", reason).correct


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Problem("p", "q").answer = "changed"


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        (Problem, {"question": "q"}, "Problem needs id"),
        (Problem, {"id": None, "question": "q"}, "Problem needs id"),
        (Problem, {"id": 7, "question": "q"}, "Problem.id must be str, found int"),
        (Problem, {"id": "p", "question": "q", "anwser": "4"}, "Problem has no field anwser"),
        (Problem, {"id": "p", "question": "q", "images": "a.png"}, "Problem.images must be a list"),
        (Problem, {"id": "p", "question": "q", "images": [{"path": 1}]}, "Image.path must be str"),
        (Problem, {"id": "p", "question": "q", "choices": ["a", 2]}, r"Problem.choices\[1\] must be str"),
        (Problem, {"id": "p", "question": "q", "check": "vibes"}, "Problem.check must be one of 'auto'"),
        (Problem, {"id": "p", "question": "q", "meta": []}, "Problem.meta must be an object"),
        (Problem, ["p", "q"], "expected a JSON object for Problem, found list"),
        (Image, {"path": "a", "size": [1, 2, 3]}, "Image.size must have 2 values, found 3"),
        (Completion, {"text": "a", "token_ids": [1.5]}, r"Completion.token_ids\[0\] must be int"),
        (Completion, {"text": "a", "token_ids": [True]}, r"Completion.token_ids\[0\] must be int"),
        (Score, {"value": "1"}, "Score.value must be float"),
        (Score, {"value": True}, "Score.value must be float, found bool"),
    ],
)
def test_a_wrong_row_is_refused_by_field(kind, row, message):
    with pytest.raises(DataError, match=message):
        from_json(kind, row)


def test_whole_numbers_are_read_where_fractions_are_expected():
    assert from_json(Score, {"value": 1, "reason": "exact"}) == Score(1.0, reason="exact")
