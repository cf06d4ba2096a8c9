"""What is tried before the first step: the forest against plain forwards, and the longest micro-batch."""

import torch

from visreason.errors import RunError
from visreason.model.check import self_check
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree
from visreason.model.policy import Policy
from visreason.prompt import Style, messages
from visreason.record import Problem
from visreason.train import sharding
from visreason.train.memory import GB, MOMENTS
from visreason.train.settings import Training
from visreason.train.telling import console


def try_longest(
    policy: Policy, problems: list[Problem], branch: int, layout: Style, settings: Training
) -> None:
    """Run the largest micro-batch that may come, before hours are spent on smaller ones; see `Objective.longest`."""
    longest = max(problems, key=lambda p: policy.encoder.count(messages(p, layout)))
    peak = dry_run(policy, policy.encoder.prompt(messages(longest, layout)), branch, settings)
    console.print(f"the longest micro-batch takes {peak / GB:.2f} GB")


def check_forest(policy: Policy, problem: Problem, layout: Style) -> None:
    """Compare the forest with plain forwards on one prompt before the first step; say so when it can't be used."""
    if not policy.share:
        console.print(
            "[bold yellow]every completion is encoded on its own: the model's attention can't share a prompt, or "
            "share_trunk=false"
        )
        return
    prompt = policy.encoder.prompt(messages(problem, layout))
    texts = (layout.target("a thought about the picture", "an answer"), "another completion")
    ids = [policy.encoder.completion(text) for text in texts]
    tree = Tree(prompt, tuple(Branch(i, torch.ones(len(i))) for i in ids))
    what, unit = ("log-probs", " nats") if policy.value_head is None else ("scores", "")
    found = self_check(policy, tree)
    console.print(f"forest against one by one: {what} differ by {found:.1e}{unit}")


def dry_run(policy: Policy, longest: Prompt, branch: int, settings: Training) -> float:
    """Forward and backward of a micro-batch filled to its limit behind the longest prompt, or beyond it by a branch of
    `branch` tokens, which is never cut; the peak in bytes, on a GPU, with room for the optimizer's moments, which the
    first step makes.

    Nothing is learned. Raises RunError where the memory does not suffice.
    """
    room = max(branch, settings.micro_batch_tokens - len(longest.ids) + 1)
    ids = longest.ids[-1:].repeat(room)
    tree = Tree(longest, (Branch(ids, torch.ones(room)),))
    try:
        beside = moments(policy, settings)
        output = policy.learned(sharding.MicroBatch([tree]).planted(policy))
        (0 * output.sum()).backward()
        del beside
    except torch.OutOfMemoryError as e:
        raise RunError(
            f"the longest micro-batch does not fit in the memory of {policy.device} ({str(e).splitlines()[0]}); lower "
            "micro_batch_tokens or max_pixels, or give checkpoint_activations=true"
        ) from e
    finally:
        for _, p in policy.named_parameters():
            p.grad = None
    return float(torch.cuda.max_memory_allocated()) if policy.device.type == "cuda" else 0.0


def moments(policy: Policy, settings: Training) -> list[torch.Tensor]:
    """As much memory as the optimizer's moments will take."""
    trained = [p.detach() for _, p in policy.named_parameters() if p.requires_grad]
    return [
        torch.empty_like(p, dtype=torch.uint8)
        for p in trained
        for _ in range(round(MOMENTS[settings.optimizer]))
    ]
