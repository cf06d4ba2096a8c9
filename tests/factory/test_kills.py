"""Killed at random moments, a pipeline ends with the records of an undisturbed run and asks nothing finished again."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

KILLS = 20
PIPELINES = {
    "distill": ["teacher=script:tests.factory.replies:teacher", "n=2", "near=null"],
    "synthesize": [
        "seer=script:tests.factory.noisy:seer",
        "writer=script:tests.factory.noisy:writer",
        "rounds=1",
    ],
    "formalize": ["describer=script:tests.factory.replies:describer", "ocr=false", "near=null"],
}
OUTPUTS = ("made.jsonl", "dropped.jsonl", "samples.jsonl", "problems.jsonl")


def numbers(path):
    """Problems without pictures, for the teacher."""
    rows = [{"id": f"p{i}", "question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(60)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def start(verb, data, out, environment):
    words = [verb, f"data={data}", f"out={out}", "block=4", *PIPELINES[verb]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "visreason", *words], env=environment, **quiet)


def finished(out):
    """Questions and pictures of the rows that are whole on disk."""
    path = out / "made.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    rows = [json.loads(line)["problem"] for line in lines]
    whole = rows[: len(rows) // 4 * 4]
    return {row["images"][0]["sha256"] if row.get("images") else row["question"] for row in whole}


@pytest.mark.slow
@pytest.mark.parametrize("verb", PIPELINES)
def test_twenty_kills_change_nothing(verb, bars, tmp_path):
    data = numbers(tmp_path / "numbers.jsonl") if verb == "distill" else bars
    asked = tmp_path / "asked.jsonl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    assert start(verb, data, tmp_path / "plain", environment).wait() == 0
    rng = random.Random(verb)
    slow = {**environment, "ASKED": str(asked), "SLOW": "0.01"}
    kills, out = 0, tmp_path / "killed"
    while kills < KILLS:
        done, before = finished(out), asked.stat().st_size if asked.exists() else 0
        run = start(verb, data, out, slow)
        deadline = time.time() + 60
        while not asked.exists() or asked.stat().st_size == before:  # it has begun to ask
            assert run.poll() is None or (out / "manifest.json").exists()
            if run.poll() is not None or time.time() > deadline:
                break
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.4))
        run.send_signal(signal.SIGKILL)
        run.wait()
        kills += 1
        check_nothing_repeated(asked, before, done)
    done, before = finished(out), asked.stat().st_size
    assert start(verb, data, out, slow).wait() == 0
    check_nothing_repeated(asked, before, done)
    for name in OUTPUTS:
        assert (tmp_path / "plain" / name).exists() == (out / name).exists()
        if (out / name).exists():
            assert (out / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def check_nothing_repeated(asked, before, done):
    with open(asked, "rb") as file:
        file.seek(before)
        fresh = [json.loads(line) for line in file.read().split(b"\n")[:-1]]
    assert not [
        text for _, text, shown in fresh if done & set(shown) or any(f"{d}\n" in f"{text}\n" for d in done)
    ]
