"""Pictures are read to their end by several threads, once for a run, and again where a file changed."""

import json
import os
from threading import Barrier

import PIL.Image
import pytest

from visreason.data import pictures, read_problems
from visreason.data.pairs import read_pairs


@pytest.fixture
def data(tmp_path):
    """Eight problems with a picture each; the third breaks off, the fifth line is no JSON."""
    lines = []
    for i in range(8):
        PIL.Image.effect_noise((40, 40), 80).save(tmp_path / f"{i}.png")
        lines.append(json.dumps({"id": f"p{i}", "question": "Q?", "image": f"{i}.png"}))
    broken = tmp_path / "2.png"
    broken.write_bytes(broken.read_bytes()[:500])
    lines[4] = "{"
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def decoded(monkeypatch):
    """Names of the pictures that were decoded."""
    names, verify = [], pictures.verify_pixels

    def counted(image):
        names.append(os.path.basename(image.path))
        verify(image)

    monkeypatch.setattr(pictures, "verify_pixels", counted)
    return names


def ids(data, seen=None):
    rejected = []
    return [p.id for p in read_problems(data, rejected, seen=seen)], [r["line"] for r in rejected]


def test_rows_stay_in_order_whoever_reads_their_pictures(data, monkeypatch):
    monkeypatch.setattr(pictures, "AHEAD", 3)
    assert ids(data) == (["p0", "p1", "p3", "p5", "p6", "p7"], [3, 5])


def test_several_pictures_are_read_at_a_time(data, monkeypatch):
    both = Barrier(2)

    def wait_for_the_other(image):
        if image.path.endswith(("0.png", "1.png")):
            both.wait(timeout=30)

    monkeypatch.setattr(pictures, "verify_pixels", wait_for_the_other)
    assert ids(data)[0] == ["p0", "p1", "p2", "p3", "p5", "p6", "p7"]


def test_what_a_run_has_read_is_not_read_again_unless_it_changed(data, decoded, tmp_path):
    seen = tmp_path / "pictures.jsonl"
    first = ids(data, seen)
    assert sorted(decoded) == [f"{i}.png" for i in (0, 1, 2, 3, 5, 6, 7)]
    decoded.clear()
    assert ids(data, seen) == first
    assert decoded == ["2.png"]  # a failure is not kept: the picture may have been mended
    decoded.clear()
    PIL.Image.effect_noise((50, 50), 80).save(tmp_path / "2.png")
    os.utime(tmp_path / "6.png", (1, 1))
    found = read_problems(data, [], seen=seen)
    assert sorted(decoded) == ["2.png", "6.png"]
    assert found[2].images[0].size == (50, 50)
    assert found == read_problems(data, [])


def test_a_killed_reading_goes_on_behind_what_it_kept(data, decoded, tmp_path):
    seen = tmp_path / "pictures.jsonl"
    ids(data, seen)
    lines = [line for line in seen.read_text().splitlines() if line]
    assert len(lines) == 6
    seen.write_text("\n".join(lines[:3]) + lines[3][:20])
    for left in (5, 1):  # two of those kept, but not the broken picture and the lines behind
        decoded.clear()
        ids(data, seen)
        assert len(decoded) == left


def test_pairs_read_their_pictures_once_as_well(tmp_path, decoded):
    PIL.Image.effect_noise((40, 40), 80).save(tmp_path / "a.png")
    row = {"prompt": "<image>Q?", "chosen": "2", "rejected": "3", "images": ["a.png"]}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    for _ in range(2):
        assert len(read_pairs(tmp_path / "pairs.jsonl", [], seen=tmp_path / "seen.jsonl")) == 1
    assert decoded == ["a.png"]
