"""Shards of a data run, put together, are the run that was never divided, whatever is sampled."""

import json

import pytest

from visreason.cli import main
from visreason.store import manifest
from visreason.world import problems as world

VOICES = "script:visreason.world.voices"
VERBS = {
    "distill": ["teacher=script:tests.factory.replies:teacher", "n=2"],
    "formalize": [f"describer={VOICES}:describer", "ocr=false"],
    "synthesize": [f"seer={VOICES}:seer", f"writer={VOICES}:writer", "rounds=1"],
}
OUTPUTS = ("made.jsonl", "dropped.jsonl", "samples.jsonl", "problems.jsonl")


@pytest.fixture
def data(request, tmp_path):
    if request.param == "distill":
        rows = [{"id": f"p{i}", "question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(14)]
    else:
        drawn = (found for found in world.distinct("train", 60) if found[0].meta["family"] == "bars")
        path = world.write_drawn(tmp_path, "drawn", drawn, 13)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows.append({**rows[0], "id": "again"})  # one picture in two shards
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def run(verb, data, out, *words):
    return main([verb, f"data={data}", *VERBS[verb], "near=null", "block=2", *words, f"out={out}"])


@pytest.mark.parametrize(("data", "verb"), [(v, v) for v in VERBS], indirect=["data"])
@pytest.mark.parametrize("shards", [2, 3])
def test_shards_make_the_undivided_run(shards, verb, data, tmp_path):
    assert run(verb, data, tmp_path / "whole") == 0
    parts = [tmp_path / f"part{i}" for i in range(1, shards + 1)]
    for i, part in enumerate(parts, 1):
        assert run(verb, data, part, f"shard={i}/{shards}") == 0
        for stage in manifest(part)["summary"]["funnel"]:
            assert stage["in"] == sum(stage["dropped"].values()) + stage["out"]
    assert main(["merge", f"runs=[{','.join(map(str, parts))}]", f"out={tmp_path / 'merged'}"]) == 0
    for name in OUTPUTS:
        whole = tmp_path / "whole" / name
        assert (tmp_path / "merged" / name).exists() == whole.exists()
        assert not whole.exists() or (tmp_path / "merged" / name).read_bytes() == whole.read_bytes()
    assert manifest(tmp_path / "merged")["summary"] == manifest(tmp_path / "whole")["summary"]


@pytest.mark.parametrize("data", ["distill"], indirect=True)
def test_more_shards_than_blocks_are_refused(data, tmp_path, capsys):
    assert run("distill", data, tmp_path / "part", "shard=1/9") == 2
    assert "expected at least 9 blocks of 2 problems for shard=1/9, found 7" in capsys.readouterr().err
