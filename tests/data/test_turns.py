"""Rows with something to see or hear that is no picture are refused in every format, and never learned without it."""

import json

import pytest

from tests.data.test_convert import foreign
from visreason.cli import main
from visreason.data import read_problems, read_samples
from visreason.data.album import Album
from visreason.data.convert import read_row, write_row
from visreason.data.examples import read_examples
from visreason.data.pairs import read_pairs
from visreason.data.schemas import SCHEMAS
from visreason.errors import DataError
from visreason.prompt import STYLES
from visreason.record import Pair, Problem
from visreason.store import read_rows

ASKED = ("question", "problem", "prompt", "query")
ROWS = [n for n in SCHEMAS if n not in ("problem", "sample", "pair", "r1_onevision", "vlmevalkit")]
"""Formats of rows that do not hold their pictures."""


@pytest.fixture
def picture(tmp_path):
    import PIL.Image

    PIL.Image.effect_noise((60, 40), 80).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def marked(row, mark):
    """The row with a mark before its question, wherever that stands."""
    row = json.loads(json.dumps(row))
    for turns in (row.get("conversations"), row.get("messages")):
        for turn in turns or []:
            if turn.get("from", turn.get("role")) in ("human", "user"):
                name = "value" if "value" in turn else "content"
                turn[name] = mark + turn[name]
    return row | {n: mark + row[n] for n in ASKED if isinstance(row.get(n), str)}


def reason(row, read, folder):
    """Why a row is set aside that is good without what was added to it."""
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    rejected = []
    with pytest.raises(DataError):
        read(path, rejected)
    return rejected[0]["reason"]


def reader_of(name):
    if Pair in SCHEMAS[name].kinds:
        return read_pairs
    return read_problems if name == "easyr1" else lambda p, r: read_examples(p, STYLES["direct"], r)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("column", ["video", "videos", "audio", "audios", "video_path"])
def test_a_row_with_a_column_of_videos_or_sounds_is_set_aside(name, column, picture):
    row = foreign(picture)[name]
    for value in ("clip.mp4", ["clip.mp4"]):
        why = reason({**row, column: value}, reader_of(name), picture.parent)
        assert why.startswith(f"expected text and pictures, found column {column}: ")
    path = picture.parent / "rows.jsonl"
    path.write_text(json.dumps({**row, column: []}) + "\n")
    assert reader_of(name)(path, [])


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("mark", ["<video>", "<audio>"])
def test_a_row_with_a_mark_of_a_video_or_a_sound_is_set_aside(name, mark, picture):
    why = reason(marked(foreign(picture)[name], mark), reader_of(name), picture.parent)
    assert why.startswith(f"expected text and pictures, found the mark {mark}: ")


@pytest.mark.parametrize("kind", ["video", "video_url", "audio", "input_audio"])
@pytest.mark.parametrize("column", ["messages", "prompt"])
def test_a_part_that_is_a_video_or_a_sound_is_named(kind, column, picture):
    asked = [{"role": "user", "content": [{"type": kind, "text": "x"}, {"type": "text", "text": "What?"}]}]
    said = {"role": "assistant", "content": "That."}
    row = {"messages": [*asked, said]} if column == "messages" else {
        "prompt": asked, "chosen": [said], "rejected": [{**said, "content": "This."}]}  # fmt: skip
    why = reason(row, reader_of("messages" if column == "messages" else "preference"), picture.parent)
    assert why.startswith(f"expected text and pictures, found a part of type {kind}: ")


def test_a_converted_record_that_once_lost_its_video_is_set_aside(tmp_path):
    row = {"id": "p", "question": "What happens?", "answer": "it falls", "meta": {"videos": ["clip.mp4"]}}
    assert "column videos" in reason(row, read_problems, tmp_path)


def test_responses_about_a_video_are_still_scored(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        json.dumps({"question": "What?", "answer": "4", "response": "4", "video": "a.mp4"}) + "\n"
    )
    rejected = []
    assert len(list(read_samples(path, rejected))) == 1
    assert rejected == []


@pytest.mark.parametrize("name", ["flat", "wethink", "vlmevalkit", "sharegpt", "messages", "easyr1"])
def test_a_question_about_the_word_itself_comes_back_through_every_format(name, tmp_path):
    problem = Problem("p", "What is <video> in HTML?", (), "a tag", thought="I know.")
    album = Album(tmp_path, tmp_path)
    row = write_row([problem], name, album, STYLES["direct"])
    assert "<video>" not in json.dumps({k: v for k, v in row.items() if k != "visreason"})
    (back,) = read_row(row, "x", album.written, name)
    assert back.question == problem.question


def test_convert_counts_rows_with_videos(picture, tmp_path):
    path = picture.parent / "rows.jsonl"
    good = foreign(picture)["sharegpt"]
    path.write_text("".join(json.dumps(r) + "\n" for r in (good, {**good, "videos": ["a.mp4"]})))
    assert main(["convert", f"data={path}", "to=sample", f"out={tmp_path / 'out'}"]) == 0
    ((_, kept),) = read_rows(tmp_path / "out" / "rejected.jsonl")
    assert kept["line"] == 2
    assert "column videos" in kept["reason"]
