"""Two network namespaces as two hosts with a virtual link between them, and a rank that dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.train.test_resume import train, words
from tests.train.test_sharding import ROOT, assert_close, two_processes
from visreason.store import checkpoints

pytestmark = pytest.mark.survive
HOSTS = {"vrhost0": "10.77.0.1", "vrhost1": "10.77.0.2"}
FIELDS = {"steps": 8, "problems_per_step": 3, "micro_batch_tokens": 150}


def ip(*command):
    return subprocess.run(["ip", *command], capture_output=True, check=False).returncode


@pytest.fixture
def hosts():
    """Two namespaces that reach each other; skipped where this machine makes none."""
    if any(ip("netns", "add", name) for name in HOSTS):
        pytest.skip("network namespaces need root")
    first, second = HOSTS
    ip("link", "add", "vrlink0", "netns", first, "type", "veth", "peer", "name", "vrlink1", "netns", second)
    for i, (name, address) in enumerate(HOSTS.items()):
        ip("-n", name, "addr", "add", f"{address}/24", "dev", f"vrlink{i}")
        ip("-n", name, "link", "set", f"vrlink{i}", "up")
        ip("-n", name, "link", "set", "lo", "up")
    yield list(HOSTS)
    for name in HOSTS:
        ip("netns", "del", name)


def start(world, out, port):
    """torchrun on both hosts."""
    fields = words("sft", world, **FIELDS)
    shown = [f"{k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in fields.items()]
    begun = []
    for i, (name, address) in enumerate(HOSTS.items()):
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
                   "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "two",
                   "--rdzv-conf", f"is_host={1 - i}", "--local-addr", address,
                   "--rdzv-endpoint", f"{HOSTS['vrhost0']}:{port}", "-m", "visreason", "sft", f"out={out}",
                   *shown]  # fmt: skip
        environment = os.environ | {
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": f"vrlink{i}",
        }  # fmt: skip
        with open(out.parent / f"{name}-{port}.log", "w") as log:
            begun.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
    return begun


def end(processes, seconds):
    """Exit statuses, of processes that were killed where they took longer."""
    for process in processes:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return [p.returncode for p in processes]


def steps(out):
    path = out / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_two_hosts_give_what_one_process_gives(hosts, world, tmp_path):
    assert end(start(world, tmp_path / "two", 29511), 300) == [0, 0]
    train("sft", world, tmp_path / "one", **FIELDS)
    assert_close(tmp_path / "two", tmp_path / "one")


def test_a_link_cut_for_20_seconds_loses_nothing(hosts, world, tmp_path):
    out = tmp_path / "two"
    begun = start(world, out, 29512)
    while steps(out) < 3 and all(p.poll() is None for p in begun):
        time.sleep(0.02)
    ip("-n", "vrhost0", "link", "set", "vrlink0", "down")
    time.sleep(20)
    ip("-n", "vrhost0", "link", "set", "vrlink0", "up")
    ip("-n", "vrhost0", "addr", "replace", "10.77.0.1/24", "dev", "vrlink0")
    end(begun, 120)
    if not (out / "manifest.json").exists():
        assert end(start(world, out, 29513), 300) == [0, 0]
    train("sft", world, tmp_path / "one", **FIELDS)
    assert_close(out, tmp_path / "one")


def after_three_steps(world, out):
    """torchrun with two processes on this host, once they have taken three steps."""
    fields = words("sft", world, **FIELDS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
               "visreason", "sft", f"out={out}", *(f"{k}={v}" for k, v in fields.items())]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    while steps(out) < 3 and parent.poll() is None:
        time.sleep(0.02)
    return parent


def test_torchrun_told_to_end_saves_the_step_and_the_run_goes_on(world, tmp_path):
    out = tmp_path / "two"
    parent = after_three_steps(world, out)
    parent.send_signal(signal.SIGTERM)
    parent.wait(120)
    last = steps(out)
    assert 3 <= last < FIELDS["steps"]
    assert checkpoints(out)[-1].name == f"step_{last:06d}"
    assert not (out / "manifest.json").exists()
    two_processes("sft", world, out, **FIELDS)
    train("sft", world, tmp_path / "one", **FIELDS)
    assert_close(out, tmp_path / "one")


def test_one_of_two_processes_killed_ends_the_other_and_the_run_goes_on(world, tmp_path):
    out = tmp_path / "two"
    parent = after_three_steps(world, out)
    os.kill(trainers(parent.pid)[1], signal.SIGKILL)
    assert parent.wait(120) == 1
    assert not (out / "manifest.json").exists()
    two_processes("sft", world, out, **FIELDS)
    train("sft", world, tmp_path / "one", **FIELDS)
    assert_close(out, tmp_path / "one")


def trainers(parent):
    """Processes that torchrun started, by rank."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
            environment = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ranks = [int(e[5:]) for e in environment if e.startswith(b"RANK=")]
        if int(status[1]) == parent and ranks:
            found.append((ranks[0], int(path.name)))
    return [pid for _, pid in sorted(found)]
