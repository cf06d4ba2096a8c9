import pytest
import torch

from visreason.train.optimizer import Muon, orthogonal, set_rate
from visreason.train.settings import Training


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (2, 20, 6)])
def test_orthogonal_moves_singular_values_to_about_one(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    moved = torch.linalg.svdvals(orthogonal(x))
    assert moved.min() > 0.3
    assert moved.max() < 1.3
    same = torch.linalg.svdvals(orthogonal(1e-4 * x))
    torch.testing.assert_close(same, moved, atol=1e-3, rtol=1e-3)


def test_muon_steps_as_torch_does_but_for_its_bfloat16() -> None:
    start = torch.randn(12, 20, generator=torch.Generator().manual_seed(1))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    mine = Muon([{"params": [ours], "orthogonal": True, "share": 1.0}], lr=0.01, weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for i in range(3):
        gradient = torch.randn(12, 20, generator=torch.Generator().manual_seed(10 + i))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_other_groups_step_as_adamw() -> None:
    start = torch.randn(7, generator=torch.Generator().manual_seed(2))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    mine = Muon([{"params": [ours], "orthogonal": False, "share": 1.0}], lr=0.01, betas=(0.9, 0.95))
    reference = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.95))
    for i in range(3):
        ours.grad = theirs.grad = torch.randn(7, generator=torch.Generator().manual_seed(20 + i))
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


def test_only_linear_layers_but_the_head_are_orthogonalised(policy) -> None:
    from visreason.train.optimizer import build

    optimizer = build(policy, Training(model="m", data="d", lr=0.5, optimizer="muon"))
    names = {id(p): n for n, p in policy.model.named_parameters()}
    chosen = {names[id(p)] for g in optimizer.param_groups if g["orthogonal"] for p in g["params"]}
    assert chosen
    assert not [n for n in chosen if "embed" in n or "lm_head" in n or "bias" in n or "norm" in n]
    assert {n for n in names.values() if n.endswith("q_proj.weight")} <= chosen
    everything = [p for g in optimizer.param_groups for p in g["params"]]
    assert len(everything) == len({id(p) for p in everything}) == len(names)
    set_rate(optimizer, 0.2)
    assert {round(g["lr"], 6) for g in optimizer.param_groups if g["orthogonal"]} == {0.2}
    assert all(g["lr"] < 0.2 for g in optimizer.param_groups if not g["orthogonal"])


def test_the_state_of_muon_is_saved_and_loaded() -> None:
    def stepped(optimizer: Muon, p: torch.nn.Parameter, seeds: range) -> None:
        for seed in seeds:
            p.grad = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
            optimizer.step()

    def fresh() -> tuple[torch.nn.Parameter, Muon]:
        p = torch.nn.Parameter(torch.ones(6, 4))
        return p, Muon([{"params": [p], "orthogonal": True, "share": 1.0}], lr=0.01)

    whole, once = fresh()
    stepped(once, whole, range(4))
    half, first = fresh()
    stepped(first, half, range(2))
    rest, second = fresh()
    rest.data.copy_(half.data)
    second.load_state_dict(first.state_dict())
    stepped(second, rest, range(2, 4))
    torch.testing.assert_close(rest, whole, atol=0, rtol=0)
