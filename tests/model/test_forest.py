import pytest
import torch

from tests.model import tiny
from visreason.model import attention
from visreason.model.check import TOLERANCE
from visreason.model.forest import Tree, micro_batches, plant
from visreason.model.logps import _Head, forest_logps


def one_by_one(model, trees):
    """Stock transformers, one completion a forward: what every forest must equal."""
    out = []
    for tree in trees:
        for b in tree.branches:
            ids = torch.cat([tree.prompt.ids, b.ids])[None]
            logits = model(
                input_ids=ids,
                pixel_values=tree.prompt.pixels,
                image_grid_thw=tree.prompt.grid_N3,
                mm_token_type_ids=(ids == tiny.IMAGE).int(),
                attention_mask=torch.ones_like(ids),
            ).logits[0, len(tree.prompt.ids) - 1 : -1]
            out.append(torch.log_softmax(logits, -1).gather(-1, b.ids[:, None])[:, 0])
    return torch.cat(out)


def gradient(model, logps_S, weights_S):
    model.zero_grad()
    (logps_S * weights_S).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def branch_by_branch(*args):
    """The segments as a GPU takes them."""
    return attention.segments(*args, together=False)


@pytest.mark.parametrize("path", ["segments", "dense", "branch_by_branch"])
@pytest.mark.parametrize("name", tiny.CLASSES)
def test_forest_equals_one_by_one_in_values_and_gradients(name, path, monkeypatch):
    monkeypatch.setitem(attention.PATHS, "branch_by_branch", branch_by_branch)
    model = tiny.build(name)
    trees = tiny.forest_trees(model)
    forest = plant(trees, path)
    alone = one_by_one(model, trees)
    packed = forest_logps(model, forest, entropy=True).logps_S
    assert (packed - alone).abs().max() < 1e-5
    expected, found = gradient(model, alone, forest.weights_S), gradient(model, packed, forest.weights_S)
    assert (found - expected).norm() / expected.norm() < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="varlen is FlashAttention, which needs a CUDA device"
)
@pytest.mark.parametrize("name", tiny.CLASSES)
def test_varlen_equals_the_dense_mask_in_values_and_gradients(name):
    model = tiny.build(name).to("cuda", torch.bfloat16)
    found, expected = (plant(tiny.forest_trees(model), path).to(model.device) for path in ("varlen", "dense"))
    packed, masked = (forest_logps(model, forest).logps_S for forest in (found, expected))
    assert (packed - masked).abs().mean() < TOLERANCE[torch.bfloat16]
    of_packed, of_masked = (gradient(model, x, found.weights_S).float() for x in (packed, masked))
    assert (of_packed - of_masked).norm() / of_masked.norm() < 0.1


def test_log_probs_do_not_depend_on_the_order_or_the_grouping_of_trees():
    model = tiny.build("qwen2_5_vl")
    trees = tiny.forest_trees(model)
    together = forest_logps(model, plant(trees)).logps_S.split(plant(trees).lengths_B.tolist())
    split = [Tree(t.prompt, (b,)) for t in trees for b in t.branches]
    for i, piece in reversed(list(enumerate(split))):
        assert (forest_logps(model, plant([piece])).logps_S - together[i]).abs().max() < 1e-5


def test_the_image_is_encoded_once_for_all_completions():
    model = tiny.build("qwen2_5_vl")
    rows = []
    model.model.visual.register_forward_pre_hook(
        lambda _, args, kwargs: rows.append(len(args[0])), with_kwargs=True
    )
    tree = tiny.forest_trees(model)[0]
    forest_logps(model, plant([tree]))
    assert rows == [4 * 6]


def test_entropy_and_temperature_match_the_full_softmax():
    model = tiny.build("qwen2_5_vl")
    tree = Tree(tiny.prompt(model, [(4, 4)], 4, 1), (tiny.branch(6, 1),))
    found = forest_logps(model, plant([tree]), temperature=0.7, entropy=True)
    ids = torch.cat([tree.prompt.ids, tree.branches[0].ids])[None]
    logits = model(input_ids=ids, pixel_values=tree.prompt.pixels, image_grid_thw=tree.prompt.grid_N3,
                   mm_token_type_ids=(ids == tiny.IMAGE).int()).logits[0, len(tree.prompt.ids) - 1 : -1]  # fmt: skip
    log = torch.log_softmax(logits / 0.7, -1)
    assert torch.allclose(found.entropy_S, -(log.exp() * log).sum(-1), atol=1e-5)
    assert torch.allclose(found.logps_S, log.gather(-1, tree.branches[0].ids[:, None])[:, 0], atol=1e-5)


def test_chunks_of_the_head_do_not_change_values_or_gradients(monkeypatch):
    model = tiny.build("qwen2_vl")
    forest = plant(tiny.forest_trees(model))
    whole = forest_logps(model, forest).logps_S
    expected = gradient(model, whole, forest.weights_S)
    monkeypatch.setattr("visreason.model.logps.CHUNK_NUMBERS", 4 * tiny.VOCABULARY)
    chunked = forest_logps(model, forest).logps_S
    assert torch.allclose(chunked, whole, atol=1e-6)
    assert torch.allclose(gradient(model, chunked, forest.weights_S), expected, atol=1e-5)


def test_many_chunks_of_the_head_in_bfloat16_add_up_as_one_does(monkeypatch):
    g = torch.Generator().manual_seed(0)
    rows, words, width = 2048, 64, 16
    hidden = (torch.randn(rows, width, generator=g) + 2).bfloat16()
    weight = (0.1 * torch.randn(words, width, generator=g)).bfloat16().requires_grad_()
    targets = torch.randint(0, words, (rows,), generator=g)

    def gradient_of(chunk):
        monkeypatch.setattr("visreason.model.logps.CHUNK_NUMBERS", chunk * words)
        return torch.autograd.grad(_Head.apply(hidden, weight, targets, 1.0, False)[0].sum(), weight)[
            0
        ].float()

    whole, chunked = gradient_of(rows), gradient_of(8)
    assert (chunked - whole).norm() / whole.norm() < 0.005


def test_micro_batches_hold_whole_groups_until_one_is_over_the_budget():
    model = tiny.build("qwen2_vl")
    trees = tiny.forest_trees(model)
    tokens = [t.tokens for t in trees]
    batches, lost = micro_batches(trees, budget=tokens[0] + tokens[1])
    assert lost == 0
    assert batches[0] == trees[:2]
    assert all(sum(t.tokens for t in b) <= tokens[0] + tokens[1] for b in batches)
    trunk = len(trees[0].prompt.ids) - 1
    batches, lost = micro_batches(trees[:1], budget=trunk + 10)
    assert [[len(b.ids) for b in t.branches] for (t,) in batches] == [[7, 3], [5]]
    assert lost == trunk


def test_a_model_that_cannot_share_gets_one_completion_a_row():
    model = tiny.build("qwen2_vl")
    trees = tiny.forest_trees(model)
    batches, lost = micro_batches(trees, budget=10_000, share=False)
    assert len(batches) == sum(len(t.branches) for t in trees)
    assert lost > 0
    found = torch.cat([forest_logps(model, plant(b)).logps_S for b in batches])
    assert (found - one_by_one(model, trees)).abs().max() < 1e-5
