"""What servers are told before they answer for a trainer, and what is learned of their answers."""

import math
import shutil

import pytest
import torch

from tests.model.world import STYLE
from visreason.engine import Sampling, transfer
from visreason.engine.chat import Exact
from visreason.engine.hf import HF
from visreason.engine.http import HTTP
from visreason.engine.sync import Synced
from visreason.errors import RunError, UsageError
from visreason.model.load import load
from visreason.prompt import messages, style
from visreason.record import Image, Problem
from visreason.train import update
from visreason.train.settings import Training

EXACT = Exact((7, 9), {"shortest_edge": 784, "longest_edge": 12544})
ORDER = [
    "/collective_rpc", "/collective_rpc", "/reset_prefix_cache", "/reset_encoder_cache", "/update_weight_version",
]  # fmt: skip


@pytest.fixture
def follow(serve):
    """Starts servers that take weights."""

    def start(*args, **kwargs):
        server = serve(*args, owner="vllm", **kwargs)
        server.version = "default"
        return server

    return start


def engine_for(*several, exact=EXACT):
    return HTTP(",".join(s.url for s in several) + "#echo", exact=exact)


def ask(n):
    return [[{"role": "user", "content": [{"type": "text", "text": f"word {i}"}]}] for i in range(n)]


def test_servers_take_the_weights_before_they_answer_and_new_ones_when_there_are_any(follow, tmp_path):
    several = [follow(), follow()]
    engine = engine_for(*several)
    for version in ("one", "one", "two"):
        engine.reload(tmp_path / version)
        engine.generate(ask(4), Sampling())
    for server in several:
        assert [path for path, _ in server.told] == ORDER * 2
        paths = [body["kwargs"]["weights_path"] for _, body in server.told if "kwargs" in body]
        assert paths == [str(tmp_path / v) for v in ("one", "two")]
        assert server.version == "two"


def test_a_server_that_was_started_again_takes_the_weights_again(follow, tmp_path):
    first = follow()
    engine = engine_for(first)
    engine.reload(tmp_path / "one")
    engine.generate(ask(1), Sampling())
    first.stop()
    second = follow(port=first.server_port)
    engine.generate(ask(2), Sampling())
    assert [path for path, _ in second.told] == ORDER


def test_a_server_that_comes_back_in_the_middle_of_a_call_takes_the_weights_again(follow, tmp_path):
    server = follow(lambda i, body: "cut" if i == 2 else "well")
    behave = server.behave

    def forget(i, body):
        if i == 2:
            server.version = "default"
        return behave(i, body)

    server.behave = forget
    engine = HTTP(f"{server.url}#echo", concurrency=1, exact=EXACT)
    engine.reload(tmp_path / "one")
    engine.generate(ask(6), Sampling())
    assert [path for path, _ in server.told] == ORDER * 2


def test_a_server_that_takes_no_weights_is_refused(follow, tmp_path):
    server = follow()
    server.version = None
    engine = engine_for(server)
    engine.reload(tmp_path / "one")
    with pytest.raises(UsageError, match="takes_weights=true"):
        engine.generate(ask(1), Sampling())


def test_a_server_that_keeps_its_cache_does_not_answer(follow, tmp_path):
    server = follow()
    server.emptied = False
    engine = engine_for(server)
    engine.reload(tmp_path / "one")
    with pytest.raises(RunError, match="an empty prefix cache"):
        engine.generate(ask(1), Sampling())
    assert server.asked == []
    assert server.version == "default"


def test_log_probs_are_those_before_the_ban_of_visual_tokens(follow):
    """Two banned tokens at -103 after a ban of -100 had e^-3 of what was left each."""
    server = follow()
    ((found,),) = engine_for(server).generate(ask(1), Sampling())
    assert found.logps == pytest.approx([-0.5 - math.log1p(2 * math.exp(-3))] * 3)
    (body,) = server.asked
    assert body["logit_bias"] == {"7": -100.0, "9": -100.0}
    assert body["mm_processor_kwargs"] == {"size": EXACT.size}
    assert body["bad_words"] == []


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_ban_is_undone_at_the_temperature_that_was_sampled_at(follow, temperature):
    ((found,),) = engine_for(follow()).generate(ask(1), Sampling(temperature=temperature))
    mass = 2 * math.exp(-103 + 100 / temperature)
    assert found.logps == pytest.approx([-0.5 - math.log1p(mass)] * 3)


def test_answers_without_what_is_learned_from_are_not_taken(follow):
    with pytest.raises(RunError, match="broken answer"):
        engine_for(follow(lambda i, body: "plain")).generate(ask(1), Sampling())


def test_a_server_that_knows_no_token_ids_is_refused(follow):
    server = follow()
    server.owner = "someone"
    with pytest.raises(UsageError, match="does not know token ids"):
        engine_for(server).generate(ask(1), Sampling())


# Laid out by the trainer

SETTINGS = Training(model="m", data="d")


class Beside:
    """An engine with weights of its own, taken from folders."""

    def __init__(self, path):
        self.path, self.folders = path, []

    def generate(self, conversations, sampling):
        policy = load(str(self.path), device="cpu")
        policy.checked = True
        return HF(policy).generate(conversations, sampling)

    def reload(self, folder):
        self.folders.append(folder)
        shutil.copy(folder / "model.safetensors", self.path)


@pytest.fixture
def synced(policy, world, drawn, tmp_path):
    """A policy and an engine beside it that reads its weights from a shelf."""
    shutil.copytree(world / "small", tmp_path / "beside")
    probes = [messages(p, style(STYLE)) for p in drawn[:2]]
    return Synced(
        policy, Beside(tmp_path / "beside"), probes, lambda trees: update.score(policy, trees, SETTINGS),
        lambda p: transfer.kept(p, tmp_path / "shelf"),
    )  # fmt: skip


def change(policy):
    for p in policy.model.parameters():
        p.data.add_(0.1 * torch.randn_like(p))


def test_weights_stay_on_the_shelf_until_the_next_ones_are_taken(synced, tmp_path):
    for _ in range(3):
        change(synced.policy)
        assert synced.sync()["sync_difference"] < 1e-5
        assert list((tmp_path / "shelf").iterdir()) == synced.engine.folders[-1:]
    assert len({f.name for f in synced.engine.folders}) == 3


def test_weights_that_did_not_arrive_stop_the_run(synced, monkeypatch):
    monkeypatch.setattr(synced.engine, "reload", lambda folder: None)
    change(synced.policy)
    with pytest.raises(RunError, match="other weights than are trained"):
        synced.sync()


def test_a_probe_that_is_not_answered_stops_the_run_with_its_reason(synced):
    missing = Problem("p", "What?", (Image("nowhere.png", size=(112, 112)),))
    synced.probes.append(messages(missing, style(STYLE)))
    with pytest.raises(RunError, match=r"every probe of sync 1, found none to one: .*found no file"):
        synced.sync()
