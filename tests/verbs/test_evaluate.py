import errno
import json
import os

import PIL.Image
import pytest

from tests.model.world import STYLE
from tests.verbs import answers
from visreason import cli, store
from visreason.engine.hf import HF
from visreason.engine.script import Script
from visreason.errors import RunError
from visreason.record import Sample
from visreason.store import manifest, read_records, read_rows
from visreason.verbs import evaluate

MIXED, COUNTED = "script:tests.verbs.answers:mixed", "script:tests.verbs.answers:counted"


class Killed(BaseException):
    """What no `except Exception` stops."""


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in answers.rows()))
    return path


def run(out, **fields):
    device = {} if str(fields["model"]).startswith("script:") else {"device": "cpu"}
    fields |= {"data": str(fields["data"])}
    evaluate.run(evaluate.Recipe(style=STYLE, **device, **fields), out)


def samples(out):
    return list(read_records(out / "samples.jsonl", Sample))


def test_the_summary_is_what_one_counts_by_hand(data, tmp_path):
    run(tmp_path / "run", model=MIXED, data=data)
    sealed = manifest(tmp_path / "run")
    outcome = {"correct": 3, "wrong": 1, "unparsed": 1, "truncated": 1, "errored": 1}
    assert sealed["counts"] == {"n": 7, **outcome, "rejected": 0}
    summary = sealed["summary"]
    assert summary["accuracy"]["value"] == pytest.approx(3 / 7)
    assert summary["accuracy_of_completed"]["value"] == pytest.approx(3 / 5)
    assert summary["format"] == pytest.approx(4 / 7)
    assert summary["completion_tokens"] == 4  # of the one answer whose tokens are known
    levels = {name: part["value"] for name, part in summary["by_level"].items()}
    assert levels == {"0": pytest.approx(1 / 4), "1": pytest.approx(2 / 3)}
    assert [s.problem.id for s in samples(tmp_path / "run")] == [f"p{i}" for i in range(7)]
    assert list(sealed["inputs"]) == [str(data)]


def test_several_answers_a_problem_count_as_one_problem(data, tmp_path):
    run(tmp_path / "run", model=COUNTED, data=data, samples=4)
    summary = manifest(tmp_path / "run")["summary"]
    assert summary["accuracy"]["value"] == pytest.approx(0.5)
    assert summary["accuracy"]["n"] == 7
    assert manifest(tmp_path / "run")["counts"]["n"] == 28


def test_limit_takes_the_first_problems(data, tmp_path):
    run(tmp_path / "run", model=MIXED, data=data, limit=3)
    assert [s.problem.id for s in samples(tmp_path / "run")] == ["p0", "p1", "p2"]


# Killed and started again


def die_before_the_third_block(monkeypatch):
    generate = Script.generate
    calls = []

    def counted(self, conversations, sampling):
        calls.append([answers.asked(c) for c in conversations])
        if len(calls) == 3:
            raise Killed
        return generate(self, conversations, sampling)

    monkeypatch.setattr(Script, "generate", counted)
    return calls


def die_within_the_records_of_the_third_block(monkeypatch):
    append = store.Run.append
    calls = []

    def half(self, name, rows):
        rows = list(rows)
        calls.append(name)
        if calls.count("samples.jsonl") == 3:
            lines = "".join(json.dumps(store.record_row(r, self.path)) + "\n" for r in rows)
            with open(self.path / name, "a") as out:
                out.write(lines[: len(lines) // 3 * 2])
            raise Killed
        append(self, name, rows)

    monkeypatch.setattr(store.Run, "append", half)


def asked_after(monkeypatch):
    """The problems that engines are asked from now on."""
    generate, asked = Script.generate, []

    def noted(self, conversations, sampling):
        asked.extend(answers.asked(c) for c in conversations)
        return generate(self, conversations, sampling)

    monkeypatch.setattr(Script, "generate", noted)
    return asked


@pytest.mark.parametrize("kill", [die_before_the_third_block, die_within_the_records_of_the_third_block])
def test_a_killed_evaluation_asks_nothing_twice_and_ends_as_one_never_killed(data, tmp_path, kill):
    fields = {"model": COUNTED, "data": data, "samples": 2, "block": 2}
    run(tmp_path / "whole", **fields)
    with pytest.MonkeyPatch.context() as monkeypatch:
        kill(monkeypatch)
        with pytest.raises(Killed):
            run(tmp_path / "killed", **fields)
    assert not (tmp_path / "killed" / "manifest.json").exists()
    with pytest.MonkeyPatch.context() as monkeypatch:
        asked = asked_after(monkeypatch)
        run(tmp_path / "killed", **fields)
    assert asked == [4, 5, 6]
    whole, killed = ((tmp_path / name / "samples.jsonl").read_bytes() for name in ("whole", "killed"))
    assert whole == killed
    assert manifest(tmp_path / "whole")["summary"] == manifest(tmp_path / "killed")["summary"]


def test_a_killed_evaluation_of_a_model_ends_with_the_same_samples(world, tmp_path):
    fields = {"model": str(world / "small"), "data": world / "heldout.jsonl", "samples": 2, "temperature": 1.0,
              "block": 5, "max_completion_tokens": 6}  # fmt: skip
    run(tmp_path / "whole", **fields)
    with pytest.MonkeyPatch.context() as monkeypatch:
        die_within_the_records_of_the_third_block(monkeypatch)
        with pytest.raises(Killed):
            run(tmp_path / "killed", **fields)
    run(tmp_path / "killed", **fields)
    whole, killed = ((tmp_path / name / "samples.jsonl").read_bytes() for name in ("whole", "killed"))
    assert whole == killed
    found = samples(tmp_path / "whole")
    assert len(found) == 24
    assert len({s.completion.token_ids for s in found}) > 20
    assert all(len(s.completion.logps) == len(s.completion.token_ids) > 0 for s in found)


def test_data_that_changed_under_a_killed_evaluation_are_not_mixed(data, tmp_path):
    fields = {"model": COUNTED, "data": data, "samples": 2, "block": 2}
    with pytest.MonkeyPatch.context() as monkeypatch:
        die_within_the_records_of_the_third_block(monkeypatch)
        with pytest.raises(Killed):
            run(tmp_path / "killed", **fields)
    lines = data.read_text().splitlines(keepends=True)
    data.write_text("".join(lines[1:] + lines[:1]))
    with pytest.raises(RunError, match="the data changed since the run began"):
        run(tmp_path / "killed", **fields)


def test_a_finished_evaluation_asks_nothing(data, tmp_path, monkeypatch):
    run(tmp_path / "run", model=MIXED, data=data)
    asked = asked_after(monkeypatch)
    run(tmp_path / "run", model=MIXED, data=data)
    assert asked == []


def test_another_recipe_in_the_same_directory_is_refused(data, tmp_path):
    run(tmp_path / "run", model=MIXED, data=data)
    with pytest.raises(RunError, match=r"differs in samples \(1 there, 2 here\)"):
        run(tmp_path / "run", model=MIXED, data=data, samples=2)


# Bad input


def command(capsys, *words):
    """Exit status and the last line that the command line prints as its error."""
    device = [] if any(str(w).startswith("model=script:") for w in words) else ["device=cpu"]
    status = cli.main(["evaluate", f"style={STYLE}", *device, *map(str, words)])
    lines = capsys.readouterr().err.splitlines()
    return status, lines[-1] if lines else ""


def bad_rows(folder):
    """Rows that can't be asked, by what is wrong with them."""
    whole = folder / "whole.png"
    PIL.Image.effect_noise((60, 40), 80).save(whole)
    (folder / "empty.png").write_bytes(b"")
    (folder / "half.png").write_bytes(whole.read_bytes()[:400])
    PIL.Image.new("RGB", (1, 4000)).save(folder / "strip.png")
    row = {"question": "What is 1 + 1?", "answer": "2"}
    return {
        "found no file": row | {"image": "missing.png"},
        "0 bytes": row | {"image": "empty.png"},
        "can't be decoded": row | {"image": "half.png"},
        "1 x 4000": row | {"image": "strip.png"},
        "expected an answer to check against, found none": {"question": "What is 1 + 1?"},
        "a second time": row | {"id": "p0"},
        "found an empty one": {"question": "", "answer": "2"} | {"problem": " "},
    }


def test_rows_that_can_not_be_asked_are_counted_and_kept_and_the_others_are_asked(data, tmp_path, capsys):
    bad = bad_rows(tmp_path)
    with open(data, "a") as out:
        out.write("".join(json.dumps(row) + "\n" for row in bad.values()) + "{not json\n")
    status, _ = command(capsys, f"model={MIXED}", f"data={data}", f"out={tmp_path / 'run'}")
    assert status == 0
    counts = manifest(tmp_path / "run")["counts"]
    assert (counts["n"], counts["rejected"]) == (7, len(bad) + 1)
    rejected = [row for _, row in read_rows(tmp_path / "run" / "rejected.jsonl")]
    assert [r["line"] for r in rejected] == list(range(8, 8 + len(rejected)))
    for reason, row in zip([*bad, "expected JSON"], rejected, strict=True):
        assert reason in row["reason"]
    assert [r["row"] for r in rejected[:-1]] == list(bad.values())


def test_a_prompt_over_the_budget_is_scored_as_errored_and_counted(world, data, tmp_path, capsys):
    rows = [*answers.rows(), {"id": "long", "question": "What is this? " * 300, "answer": "1"}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [f"model={world}/small", f"data={data}", "max_prompt_tokens=300", "max_completion_tokens=4"]
    assert command(capsys, *words, f"out={tmp_path / 'run'}")[0] == 0
    assert manifest(tmp_path / "run")["counts"]["errored"] == 1
    last = samples(tmp_path / "run")[-1]
    assert (last.problem.id, last.score.reason, last.completion.finish) == ("long", "errored", "error")
    assert "max_prompt_tokens" in last.completion.text


def test_a_picture_that_vanishes_while_the_run_goes_on_is_counted(world, tmp_path, monkeypatch, capsys):
    picture = tmp_path / "a.png"
    PIL.Image.effect_noise((60, 40), 80).save(picture)
    rows = [
        {"id": f"p{i}", "question": f"What is {i} + 1?", "answer": "1"} | ({"image": "a.png"} if i else {})
        for i in range(2)
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    generate = HF.generate

    def unlinked(self, conversations, sampling):
        picture.unlink()
        return generate(self, conversations, sampling)

    monkeypatch.setattr(HF, "generate", unlinked)
    words = [f"model={world}/small", f"data={tmp_path / 'data.jsonl'}", "max_completion_tokens=4"]
    assert command(capsys, *words, f"out={tmp_path / 'run'}")[0] == 0
    assert manifest(tmp_path / "run")["counts"]["errored"] == 1
    assert "found no file" in samples(tmp_path / "run")[1].completion.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "found no rows"),
        (
            '{"question": "What is 1 + 1?"}\n',
            "found 1 rejected rows; the first: problem 'data-1': expected an answer to check against, found none",
        ),
        (None, "can be read"),
    ],
)
def test_data_without_problems_is_a_paragraph(data, tmp_path, capsys, content, message):
    data.unlink() if content is None else data.write_text(content)
    status, line = command(capsys, f"model={MIXED}", f"data={data}", f"out={tmp_path / 'run'}")
    assert status == 1
    assert line.startswith("visreason: expected")
    assert message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["modell=x", "data=y"], "unknown field 'modell'; did you mean 'model'?"),
        (["data=y"], "model is needed"),
        (["model=x", "data=y", "samples=0"], "samples: "),
        (["model=x", "data=y", "min_pixels=9999", "max_pixels=800"], "expected min_pixels below max_pixels"),
        (["model=x", "data=world:test:3"], "expected world:train|heldout|coldstart|"),
        (
            ["model=script:nothing.here:f", "data={data}"],
            "expected a FILE.jsonl or a function at",
        ),
        (["model={data}.none", "data={data}", "style=nice"], "unknown style 'nice'"),
        (["model=http://key@localhost:1/v1#m", "data={data}"], "a key belongs into the environment variable"),
        (
            ["model=http://localhost:1/v1#m", "data={data}", "device=cpu"],
            "device has no effect without a model",
        ),
        (["model=x", "data={data}", "timeout_s=3"], "timeout_s has no effect without a server"),
        (
            ["model=x", "data={data}", "tensor_parallel=2"],
            "tensor_parallel has no effect without an engine vllm:PATH",
        ),
        (["model=script:a.jsonl", "data={data}", "precision=float32"], "precision has no effect without"),
        (["model=script:a.jsonl", "data={data}", "memory_share=0.2"], "memory_share has no effect without"),
        (["model=vllm:x", "data={data}", "concurrency=2"], "concurrency has no effect without a server"),
        (
            ["model=x", "data={data}", "shard=3/2"],
            "expected shard=i/n with i from 1 to n, as 2/4, found '3/2'",
        ),
    ],
)
def test_wrong_words_end_with_status_2(data, tmp_path, capsys, words, message):
    status = cli.main(["evaluate", *(w.format(data=data) for w in words), f"out={tmp_path / 'run'}"])
    shown = capsys.readouterr().err
    assert status == 2
    assert message in shown


def test_a_model_that_is_none_is_a_paragraph(data, tmp_path, capsys):
    status, line = command(capsys, f"model={tmp_path / 'nothing'}", f"data={data}", f"out={tmp_path / 'run'}")
    assert status == 1
    assert line.startswith(
        f"visreason: expected a model or a run at {tmp_path / 'nothing'}, found nothing there"
    )


def test_a_full_disk_is_a_paragraph_and_what_was_written_stays(data, tmp_path, monkeypatch, capsys):
    fsync, calls = os.fsync, []

    def full(descriptor):
        calls.append(1)
        if len(calls) > 4:  # the recipe, the device and two blocks
            raise OSError(errno.ENOSPC, "No space left on device")
        return fsync(descriptor)

    words = [f"model={COUNTED}", f"data={data}", "block=2", f"out={tmp_path / 'run'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        status, line = command(capsys, *words)
    assert status == 1
    assert "samples.jsonl: No space left on device. Earlier records are kept; make room" in line
    assert [s.problem.id for s in samples(tmp_path / "run")] == ["p0", "p1", "p2", "p3"]
    asked = asked_after(monkeypatch)
    assert command(capsys, *words)[0] == 0
    assert asked == [4, 5, 6]
    assert manifest(tmp_path / "run")["counts"]["n"] == 7


def test_several_data_files_are_evaluated_as_one(tmp_path):
    for name, row in zip("ab", answers.rows(), strict=False):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    out = tmp_path / "run"
    assert cli.main(["evaluate", f"data={tmp_path}/*.jsonl", f"model={COUNTED}", f"out={out}"]) == 0
    assert manifest(out)["counts"]["n"] == 2
    assert list(manifest(out)["inputs"])[:2] == [f"{tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl"]


def test_a_benchmark_is_one_file_or_folder(tmp_path, capsys):
    assert cli.main(["evaluate", "bench=mathvista", "data=[a, b]", "model=m", f"out={tmp_path}/run"]) == 2
    assert "a benchmark's data is one file or folder" in capsys.readouterr().err
