"""What two processes tell one another. Started by torchrun, with a model's path and that of a copy without weights."""

import sys
import time
from dataclasses import replace

import pytest
import torch

from tests.model.adapters import adapted
from tests.train.forests import text_prompt
from visreason.errors import DataError, Tripwire
from visreason.model.adapters import without_adapters
from visreason.model.forest import Branch, Tree
from visreason.model.load import load
from visreason.train import losses, optimizer, sharding, update
from visreason.train.settings import Training
from visreason.train.sharding import ranks
from visreason.train.update import Update

PATIENCE_S = 5


def weights_come_from_the_first(path, bare, settings):
    """The others read nothing: there is nothing where they look."""
    expected = {n: p.detach().clone() for n, p in load(path, device="cpu").model.named_parameters()}
    own = load(bare if sharding.waits() else path, device="cpu", spread=True, empty=sharding.waits())
    whole = load(path, device="cpu")
    assert own.encoder.eos_ids == whole.encoder.eos_ids
    assert [n for n, _ in own.model.named_buffers()] == [n for n, _ in whole.model.named_buffers()]
    for (name, one), (_, other) in zip(own.model.named_buffers(), whole.model.named_buffers(), strict=True):
        assert torch.equal(one, other), name
    sharding.shard(own, settings)
    for name, p in own.model.named_parameters():
        assert p.to_local().numel() <= p.numel()
        assert torch.equal(p.full_tensor(), expected[name]), name
    return own


def all_meet_a_loss_that_one_met(policy, settings):
    """A process alone that left would be waited for."""
    ids, ones = torch.tensor([5, 6]), torch.ones(2)
    trees = [Tree(text_prompt(n), (Branch(ids, ones, name=f"p{i}"),)) for i, n in enumerate((4, 9))]

    def poisoned(logps_S, forest):
        return (logps_S * (float("nan") if "p1" in forest.names else 1.0)).sum(), {}

    before = [p.to_local().clone() for p in policy.model.parameters()]
    made = optimizer.build(policy, settings)
    with pytest.raises(Tripwire, match="the loss is nan on a micro-batch with p1;"):
        update.apply(policy, made, Update(trees, 2.0), poisoned, settings)
    assert all(torch.equal(a, p.to_local()) for a, p in zip(before, policy.model.parameters(), strict=True))
    assert update.apply(policy, made, Update(trees, 2.0), losses.sft, settings)["loss"] > 0


def all_meet_a_picture_that_one_cannot_read(policy, settings):
    """Each process reads but its own trees' pictures."""
    read = []

    def unreadable():
        read.append(1)
        raise DataError("expected an image at p.png, found no file")

    short, long = text_prompt(4), text_prompt(9)
    lost = replace(long, pixels=unreadable, grid_N3=torch.tensor([[1, 2, 2]]))
    ids, ones = torch.tensor([5, 6]), torch.ones(2)
    trees = [Tree(p, (Branch(ids, ones),)) for p in (short, lost)]
    before = [p.to_local().clone() for p in policy.model.parameters()]
    made = optimizer.build(policy, settings)
    with pytest.raises(DataError, match=r"expected an image at p\.png, found no file"):
        update.apply(policy, made, Update(trees, 2.0), losses.sft, settings)
    with pytest.raises(DataError, match=r"expected an image at p\.png, found no file"):
        update.score(policy, trees, settings)
    assert sharding.gather(len(read)) == [2, 0]
    assert all(torch.equal(a, p.to_local()) for a, p in zip(before, policy.model.parameters(), strict=True))


def the_model_under_adapters_is_the_one_without(path, settings):
    """And they still learn afterwards."""
    tree = [Tree(text_prompt(4), (Branch(torch.tensor([5, 6]), torch.ones(2)),))]
    bare = load(path, device="cpu", spread=True)
    sharding.shard(bare, settings)
    (expected,) = update.score(bare, tree, settings)
    policy = adapted(load(path, device="cpu", spread=True), 2, 0.1)
    sharding.shard(policy, settings)
    made = optimizer.build(policy, settings)
    for _ in range(2):
        (found,) = update.score(without_adapters(policy), tree, settings)
        assert torch.allclose(found, expected, atol=1e-6)
        (trained,) = update.score(policy, tree, settings)
        assert not torch.allclose(trained, expected, atol=1e-3)
        assert update.apply(policy, made, Update(tree, 2.0), losses.sft, settings)["grad_norm"] > 0


def the_others_wait_for_as_long_as_the_first_one_works():
    """Four times as long as they wait for one that says nothing, and hear what it found."""
    ranks.HEARTBEAT_S = 0.5
    assert sharding.by_first(lambda: time.sleep(4 * PATIENCE_S) or 7) == 7


def main(path, bare):
    settings = Training(
        model=path, data="d", device="cpu", lora_rank=2, lr=1e-3, process_timeout_s=PATIENCE_S
    )
    with sharding.meeting(settings):
        assert sharding.processes() == 2
        policy = weights_come_from_the_first(path, bare, settings)
        the_others_wait_for_as_long_as_the_first_one_works()
        all_meet_a_picture_that_one_cannot_read(policy, settings)
        all_meet_a_loss_that_one_met(policy, settings)
        the_model_under_adapters_is_the_one_without(path, settings)
        assert sharding.by_first(lambda: sharding.leads())


if __name__ == "__main__":
    main(*sys.argv[1:])
