"""Every format both ways: rows come back as they were, records come back as they were, nothing is lost."""

import base64
import json

import PIL.Image
import pytest

from visreason.data import convert
from visreason.data.album import Album
from visreason.data.convert import groups_of, read_row, write_row
from visreason.data.schemas import SCHEMAS, schema_of
from visreason.data.written import write_rows
from visreason.errors import DataError
from visreason.prompt import STYLES
from visreason.record import Completion, Image, Pair, Problem, Sample, Score
from visreason.store import record_row

DIRECT = STYLES["direct"]
TAGGED = "<think>2 + 2</think>\n<answer>4</answer>"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "source" / "a.png"
    path.parent.mkdir()
    PIL.Image.effect_noise((60, 40), 80).save(path)
    return path


@pytest.fixture
def album(tmp_path, picture):
    return Album(tmp_path / "out", picture.parent)


def records_of(*words):
    """The records of a file, whatever their lines."""
    return [record for _, found in convert.records_of(*words) for record in found]


def held(path):
    return base64.b64encode(path.read_bytes()).decode()


def foreign(picture):
    """A row of every format as their owners write it, with a column of their own."""
    turns = [{"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": TAGGED}]
    alone = [
        {"from": "human", "value": "Hint: count.\nQuestion: How many?"},
        {"from": "assistant", "value": TAGGED},
    ]
    said = [{"role": "user", "content": "<image>How many?"}, {"role": "assistant", "content": TAGGED}]
    return {
        "wethink": {
            "problem": "How many?", "answer": "4", "category": "FIB", "abilities": ["Reasoning", "OCR"],
            "refined_cot": "2 + 2", "image_path": "a.png", "reward": "rule",
        },
        "r1_onevision": {"id": "ai2d-1", "image": held(picture), "conversations": alone},
        "virgo": {
            "question": "<image>How many?", "answer": "4", "response": ["4 it is", "4", "5"], "score": [1, 1, 0],
            "images": ["a.png"], "conversation": [], "extra": {"a": [1]},
        },
        "sharegpt": {"conversations": turns, "images": ["a.png"], "system": "Be brief.", "level": 3},
        "messages": {"messages": [{"role": "system", "content": "Hm."}, *said], "images": ["a.png"]},
        "easyr1": {"problem": "<image>Find $x$.", "answer": r"\frac{1}{2}", "images": ["a.png"]},
        "vlmevalkit": {
            "index": "7", "image": held(picture), "question": "Which?", "A": "red", "B": "blue", "answer": "B",
            "category": "bars",
        },
        "ranking": {
            "conversations": turns[:1], "chosen": {"from": "gpt", "value": "4"},
            "rejected": {"from": "gpt", "value": "5"}, "images": ["a.png"],
        },
        "preference": {"prompt": "How many?", "chosen": [{"role": "assistant", "content": "4"}],
                       "rejected": [{"role": "assistant", "content": "5"}], "images": ["a.png"]},
        "vl_rewardbench": {"id": "v1", "query": "How many?", "image": "a.png", "response": ["5", "4"],
                           "human_ranking": [1, 0], "models": ["x", "y"]},
        "rewardbench": {"prompt": "How many?", "chosen": "4", "chosen_model": "x", "rejected": "5",
                        "rejected_model": "y", "subset": "math", "id": 3},
        "flat": {"question": "Which?", "choices": ["red", "blue"], "answer": "B", "response": "It is B.", "kind": "k"},
    }  # fmt: skip


def own(picture):
    shown = (Image(str(picture)),)
    full = Problem(
        "p-1", "Is <image> red or {blue}?", shown, "B", ("red", "blue"), "choice", "a chart", "I look.",
        {"level": 2, "source": {"a": [1]}, "gold": "x", "system": "S"},
    )  # fmt: skip
    bare = Problem("p-2", "1+1?", answer="2")
    done = Completion(TAGGED, "length", "hf:x", (1, 2), (-0.5, -0.25))
    return {
        "problem": [full, bare],
        "sample": [Sample(full, done, Score(1.0, "4", "numeric", {"correct": 1.0})),
                   Sample(bare, Completion("2"), Score(0.0))],
        "pair": [Pair(full, done, Completion("5"), 0.5), Pair(bare, Completion("2"), Completion("3"))],
    }  # fmt: skip


@pytest.mark.parametrize("name", [n for n in SCHEMAS if n not in ("problem", "sample", "pair")])
def test_a_row_is_told_by_its_columns_and_comes_back_as_it_was(name, picture, album):
    row = foreign(picture)[name]
    assert schema_of(row) == name
    again = write_row(read_row(row, "row-1", album, name), name, album, DIRECT)
    _, expected = album.absorb(row)
    assert again == expected


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for name, schema in SCHEMAS.items()
        for kind, cls in (("problem", Problem), ("sample", Sample), ("pair", Pair))
        if cls in schema.kinds and name not in ("problem", "sample", "pair")
    ],
)
def test_a_record_comes_back_as_it_was(kind, name, picture, album, tmp_path):
    path = tmp_path / "out" / f"back{SCHEMAS[name].suffix}"
    path.parent.mkdir(exist_ok=True)
    rejected = []
    for record in own(picture)[kind]:
        if name == "rewardbench" and record.problem.images:
            continue
        meant = next(iter(read_row(record_row(record, picture.parent), "x", album, kind)))
        ((_, [group]),) = groups_of([(1, [meant])], name)
        spool = path.with_name("spool")
        spool.write_text(json.dumps(write_row(group, name, album, DIRECT)) + "\n")
        path.unlink(missing_ok=True)
        spool.rename(path) if path.suffix == ".jsonl" else write_rows(path, spool)
        (back,) = records_of(path, Album(path.parent, path.parent), rejected, name)
        assert (record_row(back, path.parent), rejected) == (record_row(meant, path.parent), [])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("virgo", {"score": [1.0, True, 0.0]}), ("virgo", {"score": [0.5, 1, 0]}), ("ranking", {"margin": 1}),
        ("preference", {"margin": 1.0}), ("sharegpt", {"level": 3.0, "done": True}),
        ("messages", {"system": "Beside."}),
    ],
)  # fmt: skip
def test_values_come_back_as_the_same_json(name, change, picture, album):
    row = {**foreign(picture)[name], **change}
    again = write_row(read_row(row, "row-1", album, name), name, album, DIRECT)
    assert json.dumps(again, sort_keys=True) == json.dumps(album.absorb(row)[1], sort_keys=True)


def test_each_sample_of_a_problem_keeps_what_its_own_row_said(picture, album):
    rows = [
        {"id": "p", "conversations": [{"from": "human", "value": f"<image>{gap}Q?"}, {"from": "gpt", "value": said}],
         "images": ["a.png"]}
        for gap, said in (("\n", "4"), ("", "5"))
    ]  # fmt: skip
    records = [r for row in rows for r in read_row(row, "x", album, "sharegpt")]
    back = read_row(write_row(records, "virgo", album, DIRECT), "x", Album(album.out, album.out), "virgo")
    again = [write_row([r], "sharegpt", album, DIRECT) for r in back]
    assert [row["conversations"] for row in again] == [row["conversations"] for row in rows]


def test_a_picture_keeps_its_place_through_formats_that_hold_it(picture, tmp_path):
    photo = picture.with_name("b.JPEG")
    PIL.Image.open(picture).save(photo)
    album = Album(tmp_path / "out", picture.parent)
    row = write_row(read_row({"question": "Q?", "answer": "4", "image": "b.JPEG"}, "x", album, "flat"),
                    "r1_onevision", album, DIRECT)  # fmt: skip
    (back,) = read_row(row, "x", Album(tmp_path / "other", tmp_path / "out"), "r1_onevision")
    assert (tmp_path / "other" / "images" / back.images[0].path.rpartition("/")[2]).is_file()
    assert str(tmp_path / "other") in back.images[0].path


@pytest.mark.parametrize("path", ["/etc/hostname", "images/../../source/a.png", "images/none.png"])
def test_a_row_names_no_file_beside_the_pictures(path, picture, album):
    patch = json.dumps([{"images": ["absent", [{"path": path}]]}])
    row = {"question": "Q?", "answer": "4", "visreason": patch}
    with pytest.raises(DataError, match="expected what `convert` wrote"):
        read_row(row, "x", album, "flat")


def test_the_system_text_is_the_first_message(picture, album):
    (record,) = read_row({"question": "Q?", "answer": "4", "system": "Be brief."}, "x", album, "flat")
    row = write_row([record], "messages", album, DIRECT)
    assert [t["role"] for t in row["messages"]] == ["system", "user", "assistant"]
    (back,) = read_row(row, "x", album, "messages")
    assert back.meta["system"] == "Be brief."


def test_what_was_edited_in_a_foreign_row_is_not_undone(picture, album):
    meant = read_row(record_row(own(picture)["problem"][0], picture.parent), "x", album, "problem")
    row = write_row(meant, "easyr1", album, DIRECT)
    (back,) = read_row({**row, "answer": "A"}, "x", Album(album.out, album.out), "easyr1")
    assert (back.answer, back.meta["level"], back.thought) == ("A", 2, "I look.")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [{"role": "user", "content": "<image><image>Q?"}, {"role": "assistant", "content": "4"}],
          "images": ["a.png"]}, "an image for every mark"),
        ({"problem": "Q?", "answer": "4", "images": ["none.png"]}, "found no file"),
        ({"problem": "Q?", "answer": "4", "images": ["broken.png"]}, "found a file that is none"),
        ({"conversations": [{"from": "human", "value": "Q?"}] * 3}, "one question and one answer"),
        ({"conversations": "text"}, "as a list of turns"),
        ({"question": "Q?", "response": ["4"], "score": [1, 0]}, "a score for each response"),
        ({"question": "Q?", "response": ["4"], "score": ["good"]}, "values of other types"),
        ({"question": "Q?", "response": ["4"], "score": [10**400]}, "values of other types"),
        ({"query": "Q?", "response": ["4", "5"], "human_ranking": [0, None]}, "ranks 0 and 1"),
        ({"question": "Q?<|im_end|>", "answer": "4"}, "control token"),
        ({"problem": "", "refined_cot": "t"}, "expected a question"),
        ({"index": "1", "question": "Q?", "answer": "A", "B": "x"}, "without a gap"),
        ({"question": "Q?", "visreason": "{nonsense"}, "what `convert` wrote"),
        ({"problem": {"id": "p"}, "completion": {"text": "x"}, "score": {"value": 1}}, "needs question"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_kept_with_line_and_reason(row, reason, picture, album):
    (picture.parent / "broken.png").write_bytes(b"no picture")
    path = picture.parent / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({"question": "Q?", "answer": "4"}) + "\n")
    rejected = []
    assert [r.id for r in records_of(path, album, rejected)] == ["rows-2"]
    assert (rejected[0]["line"], rejected[0]["row"]) == (1, row)
    assert reason in rejected[0]["reason"]


def test_a_picture_of_an_earlier_row_is_found_by_its_index(picture, album):
    path = picture.parent / "bench.tsv"
    path.write_text(f"index\timage\tquestion\tanswer\n1\t{held(picture)}\tQ?\t4\n2\t1\tR?\t5\n")
    one, two = records_of(path, album, [])
    assert one.images == two.images
    assert len(list(album.folder.iterdir())) == 1


@pytest.mark.parametrize("mode", ["CMYK", "RGBA", "P"])
def test_pictures_of_any_kind_are_taken_as_they_are(mode, tmp_path):
    name = {"CMYK": "a.jpg", "RGBA": "a.webp", "P": "a.gif"}[mode]
    frames = [PIL.Image.new(mode, (40, 30), i) for i in (0, 1)]
    frames[0].save(
        tmp_path / name, save_all=mode == "P", **({"append_images": frames[1:]} if mode == "P" else {})
    )
    album = Album(tmp_path / "out", tmp_path)
    (found,) = read_row({"question": "Q?", "image": name}, "x", album, "flat")
    assert (tmp_path / "out" / album.named(found.images[0].path)).read_bytes() == (
        tmp_path / name
    ).read_bytes()
