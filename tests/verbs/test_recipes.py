"""Recipes that follow one another are right words: every command of recipes/factory.sh fills its verb's recipe. And a
job of recipes/slurm.sh queues itself again when it was told to end, not when it failed."""

import importlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from visreason.recipe import fill

RECIPES = Path(__file__).parent.parent.parent / "recipes"
STUB = """#!/usr/bin/env python3
import json, pathlib, sys
print(json.dumps(sys.argv[1:]), file=open("said.jsonl", "a"))
out = pathlib.Path(next(w for w in sys.argv if w.startswith("out="))[4:])
out.mkdir(parents=True)
(out / "samples.jsonl").write_text("{}\\n" * 7)
"""


def test_every_command_of_the_factory_is_one(tmp_path):
    stub = tmp_path / "visreason"
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", str(RECIPES / "factory.sh")], cwd=tmp_path, env=environment, check=True)
    said = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    filled = [fill(importlib.import_module(f"visreason.verbs.{verb}").Recipe, words) for verb, *words in said]
    assert len(filled) == 15
    (answers,) = [r for r in filled if str(r.out).endswith("factory/answers")]
    assert answers.limit == 7


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*/smoke.yaml")), ids=lambda p: p.parent.name)
def test_smoke_recipes_need_the_package_alone(path):
    assert "tests." not in path.read_text()
    fill(importlib.import_module(f"visreason.verbs.{path.parent.name}").Recipe, [str(path)])


SRUN = """#!/bin/sh
echo "$@" > started
trap 'touch told; exit 1' TERM  # torchrun's status when it was told to end
while [ ! -e go ]; do sleep 0.02; done
exit $(cat go)
"""


@pytest.fixture
def job(tmp_path):
    """A job of recipes/slurm.sh that has started, with stubs for Slurm's commands; `requeued` is there once it was."""
    for name, text in (
        ("srun", SRUN),
        ("scontrol", '#!/bin/sh\n[ "$1" = requeue ] && touch requeued || echo host0\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "host[0-1]", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
    environment = os.environ | slurm | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", str(RECIPES / "slurm.sh"), "sft", "recipe.yaml", f"out={tmp_path / 'run'}"]
    job = subprocess.Popen(command, cwd=tmp_path, env=environment)
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    yield job
    job.kill()


def test_a_job_that_fails_stays_out_of_the_queue(job, tmp_path):
    (tmp_path / "go").write_text("3")
    assert job.wait(20) == 3
    assert not (tmp_path / "requeued").exists()
    assert "--nnodes=2" in (tmp_path / "started").read_text()


@pytest.mark.parametrize("finished", [False, True])
def test_a_job_that_was_told_to_end_is_queued_again_until_it_is_done(job, tmp_path, finished):
    if finished:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "manifest.json").write_text("{}")
    job.send_signal(signal.SIGTERM)
    job.wait(20)
    assert (tmp_path / "told").exists()
    assert (tmp_path / "requeued").exists() is not finished
