"""Shards of a data run, put together, are the run that was never divided."""

import json

import pytest

from visreason.cli import main
from visreason.store import manifest


@pytest.mark.parametrize("shards", [2, 3])
def test_shards_of_distilling_make_the_undivided_run(shards, tmp_path):
    data = tmp_path / "data.jsonl"
    rows = [{"id": f"p{i}", "question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(14)]
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    words = [f"data={data}", "teacher=script:tests.factory.replies:teacher", "n=2", "near=null", "block=2"]
    assert main(["distill", *words, f"out={tmp_path / 'whole'}"]) == 0
    parts = [tmp_path / f"part{i}" for i in range(shards)]
    for i, part in enumerate(parts):
        assert main(["distill", *words, f"shard={i + 1}/{shards}", f"out={part}"]) == 0
    assert main(["merge", f"runs=[{','.join(map(str, parts))}]", f"out={tmp_path / 'merged'}"]) == 0
    for name in ("made.jsonl", "samples.jsonl", "dropped.jsonl"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert manifest(tmp_path / "merged")["summary"] == manifest(tmp_path / "whole")["summary"]
