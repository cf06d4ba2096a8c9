"""A policy in training and the vLLM that answers for it: new weights after each update, proved by log-probs.

Axes: S completion tokens of all probes.
"""

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from visreason.engine import Conversation, Sampling
from visreason.engine.vllm import VLLM
from visreason.errors import RunError
from visreason.model.forest import Branch, Tree, plant
from visreason.model.load import Policy
from visreason.record import Completion

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.5, torch.float16: 0.1}
"""Largest |difference| of a token's log-prob (nats) between sampler and trainer. In 16 bits kernels alone differ."""
PROBE_TOKENS = 32
MEMORY = Path("/dev/shm")
"""A folder in memory, where there is one with room."""


@dataclass
class Synced:
    """Keeps `engine`'s weights those of `policy`. Every `check_every`-th sync is proved on the `probes`."""

    policy: Policy
    engine: VLLM
    probes: list[Conversation]
    check_every: int = 1
    syncs: int = field(default=0, init=False)

    def sync(self) -> dict[str, float]:
        """Give the engine the policy's weights, Numbers to log: seconds_sync, and where it was
        proved sync_difference, the largest difference of a log-prob.

        Raises RunError above the tolerance: the engine would answer with other weights than are trained.
        """
        start = time.perf_counter()
        self.transfer()
        numbers = {} if self.syncs % self.check_every else {"sync_difference": self._prove()}
        self.syncs += 1
        return {**numbers, "seconds_sync": time.perf_counter() - start}

    def transfer(self) -> None:
        """Give the engine the policy's weights, unproved."""
        weights = self.policy.merged_weights()
        needed = 2 * sum(t.numel() * t.element_size() for t in weights.values())
        roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > needed
        with tempfile.TemporaryDirectory(dir=MEMORY if roomy else None) as folder:
            self.policy.base.save_pretrained(folder, state_dict=weights)
            self.engine.reload(Path(folder))

    def _prove(self) -> float:
        tokens = min(PROBE_TOKENS, self.engine.max_completion_tokens)
        answers = self.engine.generate(self.probes, Sampling(2, max_tokens=tokens))
        sampled_S = torch.tensor([x for group in answers for c in group for x in c.logps])
        scored_S = self._trainer_logps(answers)
        difference_S = (scored_S - sampled_S).abs()
        worst, limit = int(difference_S.argmax()), TOLERANCE[self.policy.dtype]
        found = difference_S[worst].item()
        if not found <= limit:
            raise RunError(
                f"after sync {self.syncs + 1} expected sampler and trainer to give the same log-probs within {limit:g} "
                f"nats, found {sampled_S[worst].item():.6f} of the sampler and {scored_S[worst].item():.6f} of the "
                "trainer for one token. The engine answers with other weights than are trained; take engine=hf"
            )
        return found

    @torch.no_grad()
    def _trainer_logps(self, answers: list[list[Completion]]) -> torch.Tensor:
        trees = [
            Tree(self.policy.encoder.prompt(c), tuple(_branch(x) for x in group))
            for c, group in zip(self.probes, answers, strict=True)
        ]
        return torch.cat(
            [self.policy.logps(plant([t], self.policy.attention_path)).logps_S.cpu() for t in trees]
        )


def _branch(completion: Completion) -> Branch:
    return Branch(torch.tensor(completion.token_ids), torch.ones(len(completion.token_ids)))
