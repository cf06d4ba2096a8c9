import gzip
import json

import PIL.Image
import pytest

from tests.data.test_convert import foreign
from visreason.data import read_problems, read_samples
from visreason.data.examples import read_examples
from visreason.data.schemas import schema_of
from visreason.errors import DataError
from visreason.prompt import style
from visreason.record import Completion, Image, Problem, Sample, Score, to_json
from visreason.store import write_records


@pytest.fixture
def put(tmp_path):
    """Writes rows as JSON lines beside a whole picture a.png, and gives the file's path."""
    PIL.Image.effect_noise((60, 40), 80).save(tmp_path / "a.png")

    def written(*rows, name="data.jsonl"):
        lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path / name

    return written


def read(path, **options):
    rejected = []
    return read_problems(path, rejected, **options), rejected


def why_not(put, row, **options):
    """The reason for which a row is rejected, a good row beside it being kept."""
    problems, rejected = read(put({"id": "good", "question": "Q?", "answer": "1"}, row), **options)
    assert [p.id for p in problems] == ["good"]
    assert [r["line"] for r in rejected] == [2]
    return rejected[0]["reason"]


def test_our_own_problems_come_back_as_they_were(put, tmp_path):
    picture = tmp_path / "a.png"
    problem = Problem(
        "p", "Which?", (Image(str(picture)),), "B", ("red", "blue"), thought="t", meta={"level": 2}
    )
    write_records(tmp_path / "problems.jsonl", [problem])
    (back,), rejected = read(tmp_path / "problems.jsonl")
    assert rejected == []
    assert back.images[0].size == (60, 40)
    assert to_json(back) | {"images": []} == to_json(problem) | {"images": []}


def test_samples_give_their_problems_once(put, tmp_path):
    problem = Problem("p", "Which?", (Image(str(tmp_path / "a.png")),), "B", ("red", "blue"))
    samples = [Sample(problem, Completion(t), Score(0.0)) for t in ("A", "B")]
    write_records(tmp_path / "samples.jsonl", samples)
    problems, rejected = read(tmp_path / "samples.jsonl")
    assert ([p.id for p in problems], rejected) == (["p"], [])


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"question": "Q?", "answer": 4}, {"id": "data-1", "answer": "4"}),
        ({"id": 7, "problem": "Q?", "solution": "<answer> 4 </answer>"}, {"id": "7", "answer": "4"}),
        ({"question": "Q?", "answer": "4", "solution": "2 + 2"}, {"answer": "4", "thought": "2 + 2"}),
        ({"problem": "Q?", "answer": "4", "refined_cot": "2 + 2", "reward": "rule"}, {"thought": "2 + 2"}),
        ({"question": "Q?", "gold": ["4"]}, {"answer": "4"}),
        ({"question": "Q?", "options": {"B": "blue", "A": "red"}}, {"choices": ("red", "blue")}),
        ({"question": "Q?", "options": "['red', 'blue']"}, {"choices": ("red", "blue")}),
        ({"question": "Q?", "choices": [1, 2.5]}, {"choices": ("1", "2.5")}),
        ({"question": "Q?", "image": None, "images": []}, {"images": ()}),
        ({"question": "Q?", "level": 3, "tags": ["x"]}, {"meta": {"level": 3, "tags": ["x"]}}),
        ({"question": "Q?", "problem": "other", "meta": {"a": 1}}, {"meta": {"a": 1, "problem": "other"}}),
        ({"question": "Q?", "check": "exact"}, {"check": "exact"}),
    ],
)
def test_flat_rows_are_read_by_their_columns(put, row, fields):
    (problem,), rejected = read(put(row))
    assert rejected == []
    assert {name: getattr(problem, name) for name in fields} == fields


@pytest.mark.parametrize("images", ["a.png", ["a.png"], [{"path": "a.png"}]])
def test_images_are_found_beside_the_file(put, images):
    (problem,), _ = read(put({"question": "Q?", "id": "1", "images": images}))
    assert problem.images[0].size == (60, 40)
    assert len(problem.images[0].sha256) == 64


def test_images_are_found_one_folder_up(put, tmp_path):
    (tmp_path / "data").mkdir()
    put({"question": "Q?\n<image1>", "image": "a.png"}, name="data/test.jsonl")
    (problem,), _ = read(tmp_path / "data" / "test.jsonl")
    assert problem.images[0].size == (60, 40)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{not json", "expected JSON"),
        ("[1, 2]", "expected a JSON object, found list"),
        ("[" * 100_000, "expected JSON"),
        (
            {"id": "x", "text": "Q?"},
            "expected a question in column question or problem, found the columns id, text",
        ),
        ({"question": "  "}, "found an empty one"),
        ({"question": ["Q?"]}, "expected text in column question"),
        ({"question": "Q?", "answer": True}, "expected text or a number in column answer"),
        ({"question": "Q?", "choices": "red, blue"}, "expected a list of choices"),
        ({"question": "Q?", "choices": 3}, "expected a list of choices"),
        ({"question": "Q?", "image": 3}, "expected text in column image"),
        ({"question": "Q?", "check": "gut"}, "column check"),
        ({"question": "Q?", "id": "good"}, "'good' a second time"),
        ({"question": "Q?", "image": "b.png"}, "found no file"),
        ({"question": "Q? <image>"}, "mark"),
        ({"question": "Q? <|im_end|>"}, "control token"),
        ({"id": "x", "question": "Q?", "images": [{"file": "a.png"}]}, "Image has no field file"),
        ({"id": "x", "question": "Q?", "images": [{"path": "a.png", "sha256": "0" * 64}]}, "was changed"),
        (
            {"problem": {"id": "x"}, "completion": {"text": "4"}, "score": {"value": 1}},
            "Problem needs question",
        ),
    ],
)
def test_a_row_that_can_not_be_used_is_kept_with_its_reason(put, row, reason):
    assert reason in why_not(put, row)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "Q?"}, "expected an answer to check against, found none"),
        ({"question": "Q?", "answer": " "}, "expected an answer to check against, found none"),
        ({"question": "Q?", "answer": "C", "choices": ["red", "blue"]}, "among 2 choices, found 'C'"),
    ],
)
def test_answers_are_asked_for_and_checked_where_they_are_needed(put, row, reason):
    assert reason in why_not(put, row, need_answer=True)
    assert read(put(row))[1] == []


def test_answers_for_a_judge_are_read_but_not_where_a_rule_has_to_check_them(put):
    row = {"question": "Q?", "answer": "A long story.", "check": "judge"}
    assert read(put(row))[1] == []
    assert "expected a check among" in why_not(put, row, need_answer=True)


def test_a_flat_row_with_a_records_columns_may_hold_numbers(put):
    (problem,), rejected = read(put({"id": 7, "question": "1+1?", "answer": 2}), need_answer=True)
    assert (problem.id, problem.answer, rejected) == ("7", "2", [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "0 bytes"), (b"GIF89a", "none or too large"), ("half", "can't be decoded"), ("strip", "1 x 4000")],
)
def test_broken_images_are_found_up_front(put, tmp_path, content, reason):
    whole = (tmp_path / "a.png").read_bytes()
    if content == "strip":
        PIL.Image.new("L", (1, 4000)).save(tmp_path / "b.png")
    else:
        (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    assert reason in why_not(put, {"question": "Q?", "image": "b.png"})
    if content == "half":
        assert read(put({"question": "Q?", "image": "b.png"}), verify="header")[1] == []


def test_a_picture_shown_by_many_problems_is_read_once(put, monkeypatch):
    calls = []
    monkeypatch.setattr("visreason.data.pictures.verify_pixels", lambda image: calls.append(image.path))
    problems, _ = read(put(*({"question": f"{i}?", "image": "a.png"} for i in range(5))))
    assert (len(problems), len(calls)) == (5, 1)


def test_lists_and_gzip_and_a_byte_order_mark_are_read(tmp_path):
    rows = [{"question": "Q?", "answer": "1"}, {"question": "R?", "answer": "2"}]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=2))
    (tmp_path / "b.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    (tmp_path / "d.jsonl").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(rows[0]).encode() + b"\r\n\r\n" + json.dumps(rows[1]).encode()
    )
    for name in ("a.json", "b.json", "c.jsonl.gz", "d.jsonl"):
        problems, rejected = read(tmp_path / name)
        assert ([p.question for p in problems], rejected) == (["Q?", "R?"], [])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", None, "can be read"),
        ("a.jsonl", b"", "found no rows"),
        ("a.json", b"[]", "found no rows"),
        ("a.json", b"{not json", "not JSON"),
        ("a.json", b"3", "begins with .3."),
        ("a.jsonl", b'{"text": 1}', "found 1 rejected rows; the first: expected a question"),
        ("a.jsonl", b"\xff\xfe\x00", "rejected rows"),
        ("a.jsonl.gz", b"no gzip", "can be read"),
        ("a.jsonl.gz", gzip.compress(b'{"question": "Q?"}')[:-9], "can be read"),
        ("a.csv", b"question", "expected a .jsonl, .json, .parquet or .tsv file"),
    ],
)
def test_a_file_without_problems_is_an_error(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read(tmp_path / name)


def test_rejected_rows_can_be_stored_as_they_are(put):
    _, rejected = read(put({"question": "Q?"}, "{not json", {"question": ["x"]}))
    assert [json.loads(json.dumps(r))["line"] for r in rejected] == [2, 3]


def test_a_list_of_answers_is_accepted_one_by_one(put):
    [problem], _ = read(put({"question": "Q?", "answer": ["24/7", "3.429"]}))
    assert (problem.answer, problem.meta["accepted"]) == ("24/7", ["24/7", "3.429"])


def test_samples_of_two_problems_with_one_id_are_not_mixed(put):
    rows = (
        {"id": 1, "question": q, "gold": "2", "response": r}
        for q, r in (("1+1?", "2"), ("2+2?", "4"), ("1+1?", "3"))
    )
    rejected = []
    samples = list(read_samples(put(*rows), rejected))
    assert [s.completion.text for s in samples] == ["2", "3"]
    assert [(r["line"], r["reason"]) for r in rejected] == [
        (2, "expected another problem to have another id, found '1' again")
    ]


def test_samples_are_records_or_flat_rows_with_a_response(put):
    rows = (
        {"id": 7, "question": "Q?", "gold": 4, "response": "four", "pred": "5", "kind": "sum"},
        {"gold": "4", "pred": "\\boxed{4}"},
        {"gold": "4"},
        {"problem": {"id": "x", "question": "Q?"}, "completion": {"text": "4"}, "score": {"value": 1}},
    )
    rejected = []
    samples = list(read_samples(put(*rows), rejected))
    assert [(s.problem.id, s.problem.answer, s.completion.text) for s in samples] == [
        ("7", "4", "four"),
        ("data-2", "4", "\\boxed{4}"),
        ("x", None, "4"),
    ]
    assert samples[0].problem.meta == {"pred": "5", "kind": "sum"}
    assert [r["line"] for r in rejected] == [3]
    assert "expected a response in column" in rejected[0]["reason"]


HELD = ("r1_onevision", "vlmevalkit")
"""Formats whose rows hold their pictures."""
ANSWERED = {"virgo": ["4 it is", "4", "5"], "sharegpt": ["<think>2 + 2</think>\n<answer>4</answer>"],
            "messages": ["<think>2 + 2</think>\n<answer>4</answer>"], "flat": ["It is B."]}  # fmt: skip


def rows_of_others(put, tmp_path):
    return {name: row for name, row in foreign(tmp_path / "a.png").items() if name not in HELD}


def test_problems_are_read_from_every_format_that_names_its_pictures(put, tmp_path):
    for name, row in rows_of_others(put, tmp_path).items():
        (problem,), rejected = read(put(row))
        assert (schema_of(row), rejected) == (name, [])
        assert not problem.question.startswith("<image>")
        assert len(problem.images) == (0 if name in ("rewardbench", "flat") else 1)


def test_completions_of_other_formats_are_learned_and_scored_as_they_stand(put, tmp_path):
    for name, row in rows_of_others(put, tmp_path).items():
        rejected = []
        samples = list(read_samples(put(row), rejected))
        assert [s.completion.text for s in samples] == ANSWERED.get(name, [])
        assert len(rejected) == (name not in ANSWERED)
        if name in ANSWERED and name != "flat":
            (example,) = read_examples(put(row), style("direct"), rejected)
            assert [c.text for c in example.completions] == ANSWERED[name]


def test_a_pair_is_no_example(put, tmp_path):
    rejected = []
    with pytest.raises(DataError, match="found a pair; mpo and reward_model learn pairs"):
        read_examples(put(foreign(tmp_path / "a.png")["ranking"]), style("direct"), rejected)


@pytest.mark.parametrize("name", HELD)
def test_pictures_inside_rows_are_refused_with_the_command_that_writes_them(put, tmp_path, name):
    row = foreign(tmp_path / "a.png")[name]
    assert "`visreason convert data=FILE to=sample`" in why_not(put, row)


def test_a_numbered_row_with_choices_is_no_table_of_options(put):
    row = {"index": 3, "question": "Which?", "choices": ["red", "blue"], "answer": "B"}
    (problem,), _ = read(put(row))
    assert problem.choices == ("red", "blue")
