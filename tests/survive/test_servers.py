"""Processes that a run asks die: a reward server, a server that answers, vLLM's own beside the trainer."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.model.world import STYLE
from tests.train.test_resume import TIMING, assert_alike, train, words
from tests.train.test_sharding import ROOT
from visreason.record import Sample
from visreason.store import checkpoints, manifest, read_records

pytestmark = pytest.mark.survive
RUN = {"steps": 5, "save_every": 2}
SLOW = {"SECONDS_A_REWARD": "0.5"}
"""Half a second between two steps, in which what is to die dies."""


def on_vllm(test):
    """Marks a test that needs vLLM."""
    found = importlib.util.find_spec("vllm") is not None
    return pytest.mark.vllm(pytest.mark.skipif(not found, reason="needs vLLM: make setup-vllm")(test))


def visreason(verb, log, *words_, **environment):
    """A process of the command line, its output in a file."""
    more = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1", **environment}
    with open(log, "ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "visreason", verb, *words_],
            cwd=ROOT, env=os.environ | more, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip


def shown(fields):
    return [f"{k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in fields.items()]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def serving(port, log, *words_):
    """A server that is up; killed on leaving, if it was not before."""
    process = visreason("serve", log, f"port={port}", "device=cpu", *words_)
    try:
        until(lambda: answers(port), process, log)
        yield process
    finally:
        kill(process)


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def until(true, process, log, seconds=180):
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, Path(log).read_text()[-3000:]
        assert time.monotonic() < end, Path(log).read_text()[-3000:]
        time.sleep(0.02)


def kill(process):
    """As a machine dies: the process and its children at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def scorer(world, tmp_path_factory):
    """A reward model."""
    out = tmp_path_factory.mktemp("scorer") / "run"
    train("reward_model", world, out)
    return checkpoints(out)[-1]


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def rewarded(world, scorer, port, tmp_path_factory):
    """The fields of a run whose reward is served, and such a run that nothing disturbed."""
    learned = {f"learned:http://127.0.0.1:{port}": 1.0, "tests.train.rewards:first_even": 1.0}
    fields = words("grpo", world, **RUN, rewards=learned, squash="none")
    folder = tmp_path_factory.mktemp("rewarded")
    with serving(port, folder / "server.log", f"reward={scorer}", "precision=float32"):
        run = visreason("grpo", folder / "log", *shown(fields), f"out={folder / 'run'}")
        assert run.wait(300) == 0, (folder / "log").read_text()[-3000:]
    return fields, folder / "run"


@pytest.mark.parametrize("returns", [True, False], ids=["and is back at once", "and stays away"])
def test_a_reward_server_that_is_killed(returns, rewarded, scorer, port, tmp_path):
    fields, whole = rewarded
    out, log, served = tmp_path / "run", tmp_path / "log", ["precision=float32", f"reward={scorer}"]
    with serving(port, tmp_path / "server.log", *served) as server:
        run = visreason("grpo", log, *shown(fields), f"out={out}", **SLOW)
        until(lambda: lines(out / "metrics.jsonl") == 3, run, log)
        kill(server)
        if not returns:
            assert run.wait(150) == 1
            assert "expected a reward server at" in " ".join(log.read_text().split())
            assert not (out / "manifest.json").exists()
    with serving(port, tmp_path / "server.log", *served):
        if not returns:
            run = visreason("grpo", log, *shown(fields), f"out={out}")
        assert run.wait(120) == 0, log.read_text()[-3000:]
    assert_alike(out, whole)


def test_a_server_that_is_killed_while_it_answers_and_is_back_costs_no_answer(world, tmp_path):
    port, log = free_port(), tmp_path / "log"
    served = [f"model={world / 'model'}", "name=tiny", "by=hf", "precision=float32"]
    asked = [f"model=http://127.0.0.1:{port}/v1#tiny", f"data={world / 'heldout.jsonl'}", f"style={STYLE}", "samples=8",
             "temperature=1", "max_completion_tokens=24", "concurrency=1"]  # fmt: skip
    with serving(port, tmp_path / "server.log", *served):
        assert visreason("evaluate", log, *asked, f"out={tmp_path / 'whole'}").wait(300) == 0
    out = tmp_path / "run"
    with serving(port, tmp_path / "server.log", *served) as server:
        run = visreason("evaluate", log, *asked, f"out={out}")
        until(lambda: (out / "responses.sqlite").exists(), run, log)
        kill(server)
    with serving(port, tmp_path / "server.log", *served):
        assert run.wait(180) == 0, log.read_text()[-3000:]
    found, expected = (
        {s.problem.id: s for s in read_records(p / "samples.jsonl", Sample)}
        for p in (out, tmp_path / "whole")
    )
    assert found == expected
    assert manifest(out)["counts"] == manifest(tmp_path / "whole")["counts"]


@on_vllm
def test_vllm_killed_beside_the_trainer_stops_the_run_and_it_goes_on(world, tmp_path):
    fields = words("grpo", world, **RUN, model=str(world / "model"), engine="vllm", memory_share=0.05, kl=0)
    fields |= {"rewards": {"tests.train.rewards:even": 1, "tests.train.rewards:first_even": 1}}
    log, out = tmp_path / "log", tmp_path / "run"
    run = visreason("grpo", log, *shown(fields), f"out={out}", **SLOW)
    until(lambda: lines(out / "metrics.jsonl") == 3, run, log)
    os.kill(engine_of(run.pid), signal.SIGKILL)
    assert run.wait(60) == 1
    assert "vLLM's engine died" in " ".join(log.read_text().split())
    assert not (out / "manifest.json").exists()
    before = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert visreason("grpo", log, *shown(fields), f"out={out}").wait(300) == 0, log.read_text()[-3000:]
    after = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(after) == RUN["steps"]
    for one, other in zip(
        before, after, strict=False
    ):  # the third step is made again, from the second's checkpoint
        same = one.keys() - TIMING - {"seconds_sync", "sync_difference"}
        assert {k: one[k] for k in same} == pytest.approx({k: other[k] for k in same}, abs=1e-4)


@on_vllm
def test_told_to_end_with_vllm_in_its_group_the_step_is_finished_and_saved(world, tmp_path):
    fields = words("grpo", world, **RUN, model=str(world / "model"), engine="vllm", memory_share=0.05, kl=0)
    fields |= {"rewards": {"tests.train.rewards:even": 1, "tests.train.rewards:first_even": 1}}
    log, out = tmp_path / "log", tmp_path / "run"
    run = visreason("grpo", log, *shown(fields), f"out={out}", **SLOW)
    until(lambda: lines(out / "metrics.jsonl") == 1, run, log)
    engine = Path(f"/proc/{engine_of(run.pid)}")
    os.killpg(run.pid, signal.SIGTERM)  # as torchrun and `timeout` do
    assert run.wait(60) == 0, log.read_text()[-3000:]
    done = lines(out / "metrics.jsonl")
    assert 1 <= done < RUN["steps"]
    assert checkpoints(out)[-1].name == f"step_{done:06d}"
    assert "is saved; the same command goes on from there" in " ".join(log.read_text().split())
    assert not engine.exists()


@on_vllm
def test_vllm_ends_with_a_trainer_that_is_killed(world, tmp_path):
    fields = words("grpo", world, **RUN, model=str(world / "model"), engine="vllm", memory_share=0.05, kl=0)
    log, out = tmp_path / "log", tmp_path / "run"
    run = visreason("grpo", log, *shown(fields), f"out={out}", **SLOW)
    until(lambda: lines(out / "metrics.jsonl") == 1, run, log)
    engine = Path(f"/proc/{engine_of(run.pid)}/cmdline")
    run.kill()
    run.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and engine.exists() and engine.read_bytes():
        time.sleep(0.1)
    alive = engine.exists() and engine.read_bytes()  # empty of one that waits to be buried
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    assert not alive


def engine_of(parent):
    """The process of vLLM's core under a trainer."""
    children = [
        int(p.parent.name)
        for p in Path("/proc").glob("[0-9]*/stat")
        if int(p.read_text().rpartition(")")[2].split()[1]) == parent
    ]
    return next(c for c in children if b"EngineCore" in Path(f"/proc/{c}/comm").read_bytes() + cmdline(c))


def cmdline(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()
