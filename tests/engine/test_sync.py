import shutil

import pytest
import torch

from tests.model.world import STYLE
from visreason.engine import sync
from visreason.engine.hf import HF
from visreason.engine.sync import Synced
from visreason.errors import RunError
from visreason.model.load import load
from visreason.prompt import messages, style
from visreason.record import Image, Problem
from visreason.train import update
from visreason.train.settings import Training

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
        lambda p: sync.kept(p, tmp_path / "shelf"),
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
