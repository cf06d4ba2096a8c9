"""GRPO on vLLM and evaluations through a real `vllm serve`, from the command line as a user would."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.model.world import STYLE
from visreason.engine import Sampling, connect
from visreason.names import KEY
from visreason.prompt import messages, style
from visreason.record import Problem, Sample
from visreason.store import manifest, read_records, read_rows

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


PORT = free_port()


def visreason(*words, processes=0):
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [sys.executable, "-m", *(torchrun if processes else ()), "visreason", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


BESIDE = ("engine=vllm", "memory_share=0.05")


def train(world, out, *words, processes=0, engine=BESIDE):
    visreason(
        "grpo", f"model={world}/model", f"data={world}/train.jsonl", f"style={STYLE}", *engine, "device=cpu",
        "problems_per_step=4", "completions_per_problem=4", "max_completion_tokens=24", "lr=1e-3",
        'rewards={"tests.train.rewards:even": 1}', f"out={out}", *words,
        processes=processes,
    )  # fmt: skip
    return [row for _, row in read_rows(out / "metrics.jsonl")]


@pytest.mark.parametrize(
    "words", [(), ("lora_rank=4", "lora_parts=[vision,merger,language]", "lr=1e-2"), ("temperature=0.7",)],
    ids=["all weights", "adapters", "another temperature"],
)  # fmt: skip
def test_grpo_samples_with_the_weights_it_trains(world, tmp_path, words):
    metrics = train(world, tmp_path / "run", "steps=4", *words)
    assert len(metrics) == 4
    assert all(m["grad_norm"] > 0 for m in metrics)
    assert max(m["sync_difference"] for m in metrics) < 1e-5
    assert max(m["logp_mismatch"] for m in metrics) < 1e-5
    assert all(m["importance"] == pytest.approx(1, abs=1e-4) for m in metrics)
    assert len(list(read_records(tmp_path / "run" / "samples.jsonl", Sample))) == 4 * 16
    assert manifest(tmp_path / "run")["summary"]["steps"] == 4


def test_a_rollout_ahead_of_the_update_is_one_step_off_and_weighted(world, tmp_path):
    metrics = train(world, tmp_path / "run", "steps=4", "overlap=true")
    assert metrics[0]["logp_mismatch"] < 1e-5
    assert min(m["logp_mismatch"] for m in metrics[1:]) > 1e-4
    assert max(m["sync_difference"] for m in metrics) < 1e-5
    samples = list(read_records(tmp_path / "run" / "samples.jsonl", Sample))
    assert len({s.problem.id for s in samples}) == 16


@pytest.mark.parametrize(
    "words", [(), ("lora_rank=4", "lora_parts=[vision,merger,language]", "lr=1e-2"), ("overlap=true",)],
    ids=["all weights", "adapters", "one step ahead"],
)  # fmt: skip
def test_two_processes_with_a_vllm_each_learn_what_one_learns(world, tmp_path, words):
    one = train(world, tmp_path / "one", "steps=3", *words)
    two = train(world, tmp_path / "two", "steps=3", *words, processes=2)
    assert max(m["sync_difference"] for m in two) < 1e-5
    for a, b in zip(two, one, strict=True):
        same = a.keys() - {"sync_difference"} - {k for k in a if "second" in k or "per_s" in k}
        assert {k: a[k] for k in same} == pytest.approx({k: b[k] for k in same}, abs=1e-4)
    sampled = [
        [s.completion.token_ids for s in read_records(tmp_path / run / "samples.jsonl", Sample)]
        for run in ("one", "two")
    ]
    assert sampled[0] == sampled[1]


@pytest.fixture
def start(world, tmp_path):
    """Starts `visreason serve` in a process group of its own; what kills it."""

    @contextmanager
    def started(*words):
        with open(tmp_path / "server.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "visreason", "serve", f"model={world}/model", f"port={PORT}", "name=tiny",
                 "memory_share=0.05", "max_prompt_tokens=600", "max_completion_tokens=64", "precision=float32", *words],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(process, tmp_path / "server.log")
            yield process
        finally:
            kill(process)

    return started


def kill(process):
    """As a machine dies: the server and its workers at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("the server did not start in five minutes")


URL = f"http://127.0.0.1:{PORT}/v1#tiny"


def test_a_server_is_evaluated_and_asked(world, drawn, start, tmp_path):
    picture = drawn[0].images[0].path
    with start():
        words = (f"data={world}/heldout.jsonl", f"style={STYLE}", "max_completion_tokens=24")
        visreason("evaluate", f"model={URL}", *words, f"out={tmp_path / 'http'}")
        visreason("evaluate", f"model={world}/model", "device=cpu", *words, f"out={tmp_path / 'hf'}")
        by_http, by_hf = (
            {s.problem.id: s.completion for s in read_records(tmp_path / name / "samples.jsonl", Sample)}
            for name in ("http", "hf")
        )
        assert {k: c.token_ids for k, c in by_http.items()} == {k: c.token_ids for k, c in by_hf.items()}
        # The server leaves out a last sign whose bytes are not whole.
        assert {k: c.text.rstrip("\ufffd") for k, c in by_http.items()} == {
            k: c.text.rstrip("\ufffd") for k, c in by_hf.items()
        }
        answer = visreason(
            "ask", f"model={URL}", "question=Which?", f"image={picture}", "max_completion_tokens=16"
        )
        assert "answer" in answer


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(KEY, "secret")


def status(path, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status
    except urllib.error.HTTPError as e:
        return e.code


@pytest.mark.parametrize(
    "words",
    [(), ("lora_rank=4", "lora_parts=[vision,merger,language]", "lr=1e-2", "temperature=0.7"), ("overlap=true",)],
    ids=["all weights", "adapters at another temperature", "one step ahead"],
)  # fmt: skip
def test_grpo_samples_from_a_server_that_follows_its_weights(world, start, tmp_path, key, words):
    with start("takes_weights=true"):
        assert status("/health") == 200
        assert {status(p) for p in ("/v1/models", "/weight_info", "/invocations", "/metrics")} == {401}
        assert {status(p, "secret") for p in ("/v1/models", "/weight_info", "/metrics")} == {200}
        metrics = train(world, tmp_path / "run", "steps=4", *words, engine=(f"engine={URL}",))
    assert len(metrics) == 4
    assert all(m["grad_norm"] > 0 for m in metrics)
    assert max(m["sync_difference"] for m in metrics) < 1e-5
    late = "overlap=true" in words
    assert max(m["logp_mismatch"] for m in metrics[: 1 if late else 4]) < 1e-5
    assert not late or min(m["logp_mismatch"] for m in metrics[1:]) > 1e-4
    assert not (tmp_path / "run" / "weights").exists()


def test_grpo_goes_on_with_its_own_weights_when_the_server_is_killed_and_started_again(
    world, start, tmp_path, key
):
    rows = tmp_path / "run" / "metrics.jsonl"

    def kill_after_two_steps(server):
        while not rows.exists() or len(rows.read_text().splitlines()) < 2:
            time.sleep(0.05)
        kill(server)

    with start("takes_weights=true") as server:
        killer = threading.Thread(target=kill_after_two_steps, args=(server,))
        killer.start()
        with restarted(start, killer, "takes_weights=true"):
            metrics = train(world, tmp_path / "run", "steps=6", engine=(f"engine={URL}",))
    assert len(metrics) == 6
    assert max(m["sync_difference"] for m in metrics) < 1e-5
    assert max(m["logp_mismatch"] for m in metrics) < 1e-5


def test_two_processes_learn_from_one_server_what_one_learns(world, start, tmp_path, key):
    with start("takes_weights=true"):
        one = train(world, tmp_path / "one", "steps=3", engine=(f"engine={URL}",))
        two = train(world, tmp_path / "two", "steps=3", engine=(f"engine={URL}",), processes=2)
    assert max(m["sync_difference"] for m in two) < 1e-5
    assert [m["reward"] for m in two] == [m["reward"] for m in one]


def test_a_server_that_is_killed_in_a_rollout_of_2000_requests_and_started_again_is_waited_for(
    drawn, start, tmp_path
):
    with start() as server:
        engine = connect(URL, concurrency=16, responses=tmp_path / "responses.sqlite")
        image = drawn[0].images[0]
        asked = [messages(Problem(str(i), f"Number {i}?", (image,)), style(STYLE)) for i in range(2000)]
        killer = threading.Thread(target=kill_in_the_middle, args=(server, engine))
        killer.start()
        with restarted(start, killer):
            answers = engine.generate(asked, Sampling(1, 1.0, max_tokens=4))
    assert [len(g) for g in answers] == [1] * 2000
    assert {c.finish for g in answers for c in g} <= {"stop", "length"}
    assert engine.troubles["no connection"] > 0
    (kept,) = engine.responses.db.execute("SELECT COUNT(*) FROM responses").fetchone()
    assert kept == 2000


def kill_in_the_middle(server, engine):
    while engine.responses.db.execute("SELECT COUNT(*) FROM responses").fetchone()[0] < 700:
        time.sleep(0.1)
    kill(server)


@contextmanager
def restarted(start, killer, *words):
    """A second server, started once the first was killed, while the rollout waits."""
    over = threading.Event()

    def second():
        killer.join()
        with start(*words):
            over.wait()

    thread = threading.Thread(target=second)
    thread.start()
    yield
    over.set()
    thread.join()
