import json

import pytest

from tests.engine.server import FaultyServer
from tests.model.world import STYLE
from tests.verbs import answers
from visreason import cli
from visreason.record import Sample
from visreason.store import manifest, read_records

MIXED = "script:tests.verbs.answers:mixed"


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in answers.rows()))
    return path


@pytest.fixture
def command(tmp_path, capfd, monkeypatch):
    """Runs a command; its status and what it said."""
    monkeypatch.setenv("PYTHONPATH", "src:.")

    def run(verb, out, *words):
        status = cli.main([verb, *map(str, words), f"out={tmp_path / out}"])
        return status, capfd.readouterr().err

    return run


def evaluate(command, data, out, *words, model=MIXED):
    return command("evaluate", out, f"model={model}", f"data={data}", f"style={STYLE}", *words)


def merged(command, tmp_path, out, *runs):
    return command("merge", out, f"runs=[{','.join(str(tmp_path / r) for r in runs)}]")


def samples(path):
    return list(read_records(path / "samples.jsonl", Sample))


def test_merged_shards_are_the_run_that_was_never_divided(command, data, tmp_path):
    evaluate(command, data, "whole")
    for i in (1, 2, 3):
        assert evaluate(command, data, f"part{i}", f"shard={i}/3")[0] == 0
    assert merged(command, tmp_path, "merged", "part2", "part3", "part1")[0] == 0
    assert samples(tmp_path / "merged") == samples(tmp_path / "whole")
    expected, found = manifest(tmp_path / "whole"), manifest(tmp_path / "merged")
    assert {k: found[k] for k in ("verb", "counts", "summary")} == {
        k: expected[k] for k in ("verb", "counts", "summary")
    }
    assert merged(command, tmp_path, "merged", "part1", "part2", "part3")[0] == 0


def test_what_went_wrong_in_the_shards_and_where_they_were_answered_is_told_of_the_whole(
    command, data, tmp_path
):
    for i in (1, 2):
        evaluate(command, data, f"part{i}", f"shard={i}/2")
    with open(tmp_path / "part1" / "troubles.jsonl", "a") as file:
        file.write('{"429": 3}\n')
    assert merged(command, tmp_path, "merged", "part1", "part2")[0] == 0
    found = manifest(tmp_path / "merged")
    assert found["summary"]["troubles"] == {"429": 3}
    assert found["device"] == manifest(tmp_path / "part1")["device"]


def test_scores_are_merged_as_well(command, data, tmp_path):
    evaluate(command, data, "run")
    path = tmp_path / "run" / "samples.jsonl"
    command("score", "whole", f"samples={path}")
    for i in (1, 2):
        command("score", f"part{i}", f"samples={path}", f"shard={i}/2")
    assert merged(command, tmp_path, "merged", "part1", "part2")[0] == 0
    assert samples(tmp_path / "merged") == samples(tmp_path / "whole")
    assert manifest(tmp_path / "merged")["summary"] == manifest(tmp_path / "whole")["summary"]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (["part1"], "found 1/2; run 2/2 first"),
        (["part1", "part1"], "expected every shard once, found 1/2 in"),
        (["part1", "other"], "expected runs of one command, found another style in"),
        (["part1", "whole"], "found a whole one; it needs no merging"),
        (["part1", "unfinished"], "expected a finished run in"),
    ],
)
def test_what_can_not_be_merged_is_refused(command, data, tmp_path, runs, message):
    evaluate(command, data, "part1", "shard=1/2")
    evaluate(command, data, "whole")
    command("evaluate", "other", f"model={MIXED}", f"data={data}", "style=awaker", "shard=2/2")
    (tmp_path / "unfinished").mkdir()
    status, said = merged(command, tmp_path, "merged", *runs)
    assert status == 1
    assert message in said


def test_shards_without_anything_to_join_are_refused(command, data, tmp_path):
    for i in (1, 2):
        evaluate(command, data, f"part{i}", f"shard={i}/2")
        (tmp_path / f"part{i}" / "samples.jsonl").unlink()
    status, said = merged(command, tmp_path, "merged", "part1", "part2")
    assert status == 1
    assert "in the shards of evaluate, found none" in said


def test_more_shards_than_problems_are_refused(command, data):
    status, said = evaluate(command, data, "part", "shard=1/8")
    assert status == 2
    assert "expected at least 8 problems for shard=1/8, found 7" in said


def test_an_evaluation_over_http_is_one_of_the_same_answers(command, data, tmp_path):
    server = FaultyServer(lambda i, body: 429 if i % 4 == 1 else "well")
    words = ("block=3", "concurrency=2")
    assert evaluate(command, data, "run", *words, model=f"{server.url}#echo")[0] == 0
    server.stop()
    assert [s.problem.id for s in samples(tmp_path / "run")] == [f"p{i}" for i in range(7)]
    assert manifest(tmp_path / "run")["summary"]["troubles"] == {"429": len(server.asked) - 7}
    assert manifest(tmp_path / "run")["device"] == "remote"
