import pytest
import torch

from tests.train.test_resume import Killed, train
from visreason.errors import ModelError
from visreason.model import load as loading
from visreason.store import checkpoints
from visreason.train import setup, update


@pytest.mark.parametrize("verb", ["mpo", "reward_model"])
def test_a_model_that_cannot_share_a_prompt_learns_no_pairs(verb, world, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "shares_trunk", lambda config: False)
    with pytest.raises(ModelError, match=r"see every earlier token.*two sides of a pair.*by sft alone"):
        train(verb, world, tmp_path / "run")
    train("sft", world, tmp_path / "sft", steps=1)
    assert len(checkpoints(tmp_path / "sft")) == 1


def test_the_longest_micro_batch_is_tried_at_the_start_and_on_resume(world, tmp_path, monkeypatch):
    tried, apply = [], update.apply

    def as_if_on_a_gpu(policy, *rest):
        policy.device = torch.device("cuda")

    def try_longest(policy, *rest):
        policy.device = torch.device("cpu")
        tried.append(len(checkpoints(tmp_path / "run")))

    def killed_in_step_4(*args):
        if len(checkpoints(tmp_path / "run")) == 1 and len(tried) == 1:
            raise Killed
        return apply(*args)

    monkeypatch.setattr(setup.trial, "check_forest", as_if_on_a_gpu)
    monkeypatch.setattr(setup.trial, "try_longest", try_longest)
    monkeypatch.setattr(update, "apply", killed_in_step_4)
    with pytest.raises(Killed):
        train("sft", world, tmp_path / "run")
    train("sft", world, tmp_path / "run")
    assert tried == [0, 1]
