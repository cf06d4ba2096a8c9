"""Data of several files: read in order, every rejected row names its file, an id is one over all files."""

import json

import pytest

from visreason.cli import main
from visreason.data import read_problems
from visreason.data.examples import read_examples
from visreason.data.pairs import read_pairs
from visreason.errors import DataError
from visreason.prompt import STYLES
from visreason.store import manifest, read_rows
from visreason.world.source import data_files

GOOD = {"question": "1+1?", "answer": "2"}


@pytest.fixture
def put(tmp_path):
    def written(name, *rows):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        return path

    return written


def test_files_are_read_in_order_and_rejected_rows_name_theirs(put):
    files = [put("b.jsonl", {**GOOD, "id": "x"}, {}), put("a.jsonl", {**GOOD, "id": "x"}, GOOD)]
    rejected = []
    assert [p.id for p in read_problems(files, rejected)] == ["x", "a-2"]
    assert [(r["file"], r["line"]) for r in rejected] == [(str(files[0]), 2), (str(files[1]), 1)]
    assert "a second time" in rejected[1]["reason"]


def test_a_single_file_need_not_be_named(put):
    rejected = []
    read_problems(put("a.jsonl", GOOD, {}), rejected)
    assert [list(r) for r in rejected] == [["line", "reason", "row"]]


def test_rows_without_ids_in_files_of_one_name_are_told_apart(put):
    files = [put("a/train.jsonl", GOOD), put("b/train.jsonl", GOOD)]
    rejected = []
    assert [p.id for p in read_problems(files, rejected)] == ["train.1-1", "train.2-1"]
    assert rejected == []


def test_examples_and_pairs_are_of_several_files(put):
    solved = [put(f"{n}.jsonl", GOOD) for n in "ab"]
    assert [e.problem.id for e in read_examples(solved, STYLES["direct"], [])] == ["a-1", "b-1"]
    pairs = [put(f"p{n}.jsonl", {"prompt": "1+1?", "chosen": "2", "rejected": n}) for n in "34"]
    assert [p.rejected.text for p in read_pairs(pairs, [])] == ["3", "4"]


def test_a_file_without_usable_rows_stops_nothing_but_none_in_all_is_an_error(put):
    bad, good = put("bad.jsonl", {}), put("good.jsonl", GOOD)
    assert len(read_problems([bad, good], [])) == 1
    with pytest.raises(DataError, match=r"bad\.jsonl and 1 more, found 2 rejected rows"):
        read_problems([bad, put("worse.jsonl", {})], [])


def test_a_pattern_is_its_files_by_name_and_a_file_named_like_one_is_itself(put, tmp_path):
    files = [put(f"shards/{n}.jsonl", GOOD) for n in "ba"]
    style = STYLES["direct"]
    assert data_files(f"{tmp_path}/shards/*.jsonl", tmp_path, style) == files[::-1]
    assert data_files([str(files[0]), str(files[1])], tmp_path, style) == files
    odd = put("a[1].jsonl", GOOD)
    assert data_files(str(odd), tmp_path, style) == [odd]


@pytest.mark.parametrize(
    ("spec", "words"), [("no/*.jsonl", "none; correct the pattern"), ([], "none; correct data")]
)
def test_data_that_names_no_file_is_an_error(spec, words, tmp_path):
    with pytest.raises(DataError, match=words):
        data_files(spec, tmp_path, STYLES["direct"])


def test_a_file_that_is_named_twice_is_an_error(put, tmp_path):
    path = put("a.jsonl", GOOD)
    with pytest.raises(DataError, match=r"a\.jsonl several times"):
        data_files([str(path), f"{tmp_path}/*.jsonl"], tmp_path, STYLES["direct"])


TEACHER = "script:tests.factory.replies:teacher"


@pytest.mark.parametrize("listed", ["pattern", "list", "recipe file"])
def test_a_run_reads_several_files_and_its_manifest_lists_them(put, listed, tmp_path):
    asked = {n: f"What is {n} + 1? You are to find it in number {n * 7919}." for n in (0, 12)}
    files = [put(f"s/{n}.jsonl", {"question": q, "answer": str(n + 1)}, {}) for n, q in asked.items()]
    names = [str(f) for f in files]
    words = {
        "pattern": [f"data={tmp_path}/s/*.jsonl"],
        "list": [f"data=[{', '.join(names)}]"],
        "recipe file": [str(put("recipe.json", {"data": names}))],
    }[listed]
    out = tmp_path / "run"
    assert main(["distill", *words, f"teacher={TEACHER}", "n=1", "near=null", f"out={out}"]) == 0
    found = manifest(out)
    assert [n for n in found["inputs"] if n in names] == names
    assert found["summary"]["funnel"][0]["in"] == 4
    assert [(r["file"], r["line"]) for _, r in read_rows(out / "rejected.jsonl")] == [(n, 2) for n in names]
