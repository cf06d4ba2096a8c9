"""JSONL files and run directories."""

import builtins
import errno
import json
import os
import subprocess
import sys

import pytest

from visreason import store
from visreason.errors import DataError, RunError
from visreason.record import Completion, Image, Problem, Sample, Score
from visreason.store import Run, manifest, provenance, read_records, read_rows, write_json, write_records


def problem(i: int) -> Problem:
    return Problem(f"p{i}", f"question {i}", answer=str(i))


def sample(i: int) -> Sample:
    return Sample(problem(i), Completion(f"answer {i}"), Score(1.0, str(i), "exact"))


@pytest.fixture
def run(tmp_path):
    return Run.open(tmp_path / "run", "evaluate", {"seed": 3, "model": "m"})


def test_records_come_back_as_written(tmp_path):
    path = tmp_path / "deep" / "er" / "problems.jsonl"
    problems = [problem(i) for i in range(3)]
    assert write_records(path, problems) == 3
    assert list(read_records(path, Problem)) == problems


def test_writing_no_records_writes_an_empty_file(tmp_path):
    assert write_records(tmp_path / "none.jsonl", []) == 0
    assert list(read_records(tmp_path / "none.jsonl", Problem)) == []


def test_images_inside_the_folder_travel_with_it(tmp_path):
    inside, outside = tmp_path / "a" / "images" / "1.png", tmp_path / "elsewhere" / "2.png"
    write_records(tmp_path / "a" / "p.jsonl", [Problem("p", "q", (Image(str(inside)), Image(str(outside))))])
    stored = json.loads((tmp_path / "a" / "p.jsonl").read_text())["images"]
    assert [i["path"] for i in stored] == ["images/1.png", str(outside)]
    os.rename(tmp_path / "a", tmp_path / "b")
    (found,) = read_records(tmp_path / "b" / "p.jsonl", Problem)
    assert [i.path for i in found.images] == [str(tmp_path / "b" / "images" / "1.png"), str(outside)]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.jsonl"
    write_records(path, [problem(1)])

    def broken():
        yield problem(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(path, broken())
    assert list(read_records(path, Problem)) == [problem(1)]


def test_json_is_written_by_rename(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}


@pytest.mark.parametrize("line", [b"not json", b"[1, 2]", b'{"id": ', b"\xff\xfe\x00"])
def test_a_line_that_is_no_object_is_named_by_number(tmp_path, line):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line + b"\n")
    with pytest.raises(DataError, match=r"bad\.jsonl line 3: expected a JSON object"):
        list(read_rows(path))


def test_a_row_that_is_no_record_is_named_by_number(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "p", "question": "q"}\n{"id": "p"}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl line 2: Problem needs question"):
        list(read_records(path, Problem))


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="expected a JSONL file"):
        list(read_rows(tmp_path / "none.jsonl"))


def test_half_a_surrogate_pair_from_a_model_is_kept(run):
    broken = Sample(problem(1), Completion("half \ud83d of it"), Score(0.0))
    run.append("samples.jsonl", [broken, sample(2)])
    assert run.records("samples.jsonl", Sample) == [broken, sample(2)]


def test_the_same_command_resumes_its_run(tmp_path, run):
    run.append("samples.jsonl", [sample(1)])
    again = Run.open(run.path, "evaluate", {"model": "m", "seed": 3, "out": "elsewhere"})
    assert not again.finished
    again.append("samples.jsonl", [sample(2)])
    assert again.records("samples.jsonl", Sample) == [sample(1), sample(2)]


@pytest.mark.parametrize(
    ("verb", "recipe", "message"),
    [
        ("evaluate", {"seed": 4, "model": "m"}, r"differs in seed \(3 there, 4 here\)"),
        ("evaluate", {"seed": 3, "model": "m", "new": 1}, r"new \(None there, 1 here\)"),
        ("sft", {"seed": 3, "model": "m"}, r"verb \('evaluate' there, 'sft' here\)"),
    ],
)
def test_another_recipe_is_refused(run, verb, recipe, message):
    run.append("metrics.jsonl", [{"step": 1}])
    with pytest.raises(RunError, match=message):
        Run.open(run.path, verb, recipe)


def test_a_recipe_with_which_nothing_was_done_gives_way(tmp_path):
    Run.open(tmp_path, "sft", {"style": "awakr"})
    again = Run.open(tmp_path, "sft", {"style": "awaker"})
    assert again.recipe["style"] == "awaker"
    again.append("metrics.jsonl", [{"step": 1}])
    with pytest.raises(RunError, match="differs in style"):
        Run.open(tmp_path, "sft", {"style": "virgo"})


def test_two_processes_can_not_write_to_one_run(run):
    code = (
        "import sys; from pathlib import Path; from visreason.store import Run\n"
        f"Run.open(Path({str(run.path)!r}), 'evaluate', {{'seed': 3, 'model': 'm'}})"
    )
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "RunError: another process is writing to" in second.stderr
    run.seal({})
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_directory_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        Run.open(tmp_path, "sft", {})


def test_a_run_killed_while_its_recipe_was_written_starts_again(tmp_path):
    (tmp_path / "recipe.json.tmp").write_text('{"ver')
    assert not Run.open(tmp_path, "sft", {}).finished


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match="can't write a run to"):
        Run.open(tmp_path / "taken", "sft", {})


def test_a_last_line_cut_short_is_removed(run):
    run.append("samples.jsonl", [sample(1), sample(2)])
    path = run.path / "samples.jsonl"
    whole = path.read_bytes()
    for cut in (1, 5, len(whole) // 3):
        path.write_bytes(whole[:-cut])
        assert run.records("samples.jsonl", Sample) == [sample(1)]
        run.append("samples.jsonl", [sample(2)])
        assert path.read_bytes() == whole


def test_a_growing_file_is_read_up_to_its_last_whole_line(run):
    run.append("samples.jsonl", [sample(1)])
    path = run.path / "samples.jsonl"
    with open(path, "ab") as file:
        file.write('{"problem": {"id": "é'.encode()[:-1])
    size = path.stat().st_size
    assert list(read_records(path, Sample, growing=True)) == [sample(1)]
    assert path.stat().st_size == size


def test_rewind_cuts_back_to_the_cursor(run):
    run.append("samples.jsonl", [sample(1)])
    cursor = run.cursor("samples.jsonl", "metrics.jsonl")
    run.append("samples.jsonl", [sample(2)])
    run.append("metrics.jsonl", [{"step": 1}])
    run.rewind(cursor)
    assert run.records("samples.jsonl", Sample) == [sample(1)]
    assert not (run.path / "metrics.jsonl").exists()


def test_rewind_refuses_a_file_that_lost_records(run):
    run.append("samples.jsonl", [sample(1), sample(2)])
    cursor = run.cursor("samples.jsonl")
    os.truncate(run.path / "samples.jsonl", 10)
    with pytest.raises(RunError, match="records were lost"):
        run.rewind(cursor)
    assert (run.path / "samples.jsonl").stat().st_size == 10


class Full:
    """A file on a disk with room for ten more characters."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, text):
        self.file.write(text[:10])
        self.file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_gives_a_clear_message_and_keeps_earlier_records(run, monkeypatch):
    run.append("samples.jsonl", [sample(1)])
    before = (run.path / "samples.jsonl").read_bytes()
    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda *a, **k: Full(real(*a, **k)))
    with pytest.raises(RunError, match=r"No space left on device.*make room and give the same command"):
        run.append("samples.jsonl", [sample(2)])
    monkeypatch.undo()
    assert (run.path / "samples.jsonl").read_bytes() == before


def test_sealing_writes_the_manifest_last(run, tmp_path):
    data = tmp_path / "data.jsonl"
    write_records(data, [problem(1)])
    run.append("samples.jsonl", [sample(1)])
    (run.path / "checkpoint").mkdir()
    (run.path / "checkpoint" / "recipe.json").write_text("{}")
    with pytest.raises(RunError, match="an unfinished run; give its command again to resume it"):
        manifest(run.path)
    written = run.seal({"accuracy": 1.0}, [data], {"n": 1, "correct": 1})
    assert manifest(run.path) == written
    assert written["seed"] == 3
    assert written["inputs"] == {str(data): {"sha256": store.sha256(data), "bytes": data.stat().st_size}}
    assert set(written["outputs"]) == {"samples.jsonl", "checkpoint/recipe.json"}
    assert written["outputs"]["samples.jsonl"]["bytes"] == (run.path / "samples.jsonl").stat().st_size
    assert Run.open(run.path, "evaluate", {"seed": 3, "model": "m"}).finished


def test_training_state_and_earlier_checkpoints_are_told_by_size_alone(run):
    names = {
        "metrics.jsonl": True,
        "checkpoint/step_000001/model.safetensors": False, "checkpoint/step_000001/trainer.pt": False,
        "checkpoint/step_000002/model.safetensors": True, "checkpoint/step_000002/config.json": True,
        "checkpoint/step_000002/trainer.pt": False, "checkpoint/step_000002/shards/part-0.safetensors": False,
    }  # fmt: skip
    for name in names:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("{}")
    shard = run.path / "checkpoint/step_000002/shards/part-0.safetensors"
    written = run.seal({}, [shard])
    assert {n: told["sha256"] is not None for n, told in written["outputs"].items()} == names
    assert {told["bytes"] for told in written["outputs"].values()} == {2}
    assert written["inputs"][str(shard)] == {"sha256": None, "bytes": 2}


def test_a_run_without_git_is_sealed_all_the_same(run, monkeypatch):
    def missing(*words, **more):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert run.seal({})["commit"] is None


def test_the_commit_says_when_the_package_is_not_the_committed_one(run, tmp_path, monkeypatch):
    package = tmp_path / "repository" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("1\n")
    (package.parent / "notes.txt").write_text("1\n")
    git = ["git", "-C", str(package), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (
        ["init", "-q", ".."],
        ["add", "--", "__init__.py", "../notes.txt"],
        ["commit", "-qm", "one"],
    ):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    (package.parent / "notes.txt").write_text("2\n")
    assert run.seal({})["commit"] == head
    (package / "__init__.py").write_text("2\n")
    assert run.seal({})["commit"] == f"{head}+dirty"


@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_a_damaged_manifest_is_a_run_error(run, text):
    (run.path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match="the run is damaged"):
        manifest(run.path)


def test_no_run_is_told_from_an_unfinished_one(tmp_path):
    with pytest.raises(RunError, match="found no run"):
        manifest(tmp_path)


def test_a_model_is_the_last_complete_checkpoint_of_a_finished_run(tmp_path):
    assert store.model_path(str(tmp_path)) == str(tmp_path)
    for name in ("step_000002", "step_000010", "step_000020.tmp"):
        (tmp_path / "checkpoint" / name).mkdir(parents=True)
    with pytest.raises(
        RunError, match=r"found one still under way; give one of its checkpoints, as .*step_000010"
    ):
        store.model_path(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    assert store.model_path(str(tmp_path)).endswith("step_000010")
