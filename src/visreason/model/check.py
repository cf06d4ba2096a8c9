"""First use of a model: its forest against one plain forward a completion, refused on mismatch."""

import torch

from visreason.errors import ModelError
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree, plant
from visreason.model.policy import Policy

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.03}
"""Difference of log-probabilities (nats), or of scores beside the largest one where that is above 1: the largest in
float32. In 16 bits it is the mean, since kernels alone move a logit of 20 by eighths there."""

TEXTS = ("<think>a thought about the picture</think>an answer", "another completion")


def check_once(policy: Policy, prompt: Prompt) -> None:
    """The self-check of a policy that was not checked before, on a prompt and two completions.

    Numbers that are not finite are left to whoever asked for them: diverged weights are no matter of attention.
    """
    if policy.checked or not policy.share:
        return
    ids = [policy.encoder.completion(text) for text in TEXTS]
    tree = Tree(prompt, tuple(Branch(i, torch.ones(len(i))) for i in ids))
    with torch.no_grad():
        finite = policy.learned(plant([tree], policy.attention_path)).isfinite().all()
    if finite:
        self_check(policy, tree)
    policy.checked = True


@torch.no_grad()
def self_check(policy: Policy, tree: Tree) -> float:
    """|Difference| of log-probs, or of a reward model's scores, between the shared tree and its branches one by one:
    the largest, in 16 bits the mean.

    Raises ModelError above the dtype's tolerance: the model's attention does not do what the forest assumes.
    """
    shared = policy.learned(plant([tree, tree], policy.attention_path))
    alone = torch.cat(
        [policy.learned(plant([Tree(tree.prompt, (b,))], policy.attention_path)) for b in tree.branches]
    )
    apart_S = (shared - alone.repeat(2)).abs()
    difference = (apart_S.max() if policy.dtype == torch.float32 else apart_S.mean()).item()
    allowed = TOLERANCE[policy.dtype]
    if policy.value_head is not None:
        allowed *= max(1.0, alone.abs().max().item())
    if not difference <= allowed:
        raise ModelError(
            f"the forest and one-by-one forwards of {policy.name} differ by {difference:.2e}, allowed are "
            f"{allowed:.0e}. This model's attention can't share a trunk; give share_trunk=false."
        )
    policy.checked = True
    return difference
