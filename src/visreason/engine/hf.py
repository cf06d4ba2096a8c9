"""The in-process engine on transformers: prompts are prefilled once as trunks of a forest, and completions decode as
branches that share their trunk's keys and values. Groups that finish make room for the next ones.
"""

from collections import deque
from collections.abc import Iterator

import torch

from visreason.engine import Conversation, Sampling
from visreason.engine.decode import Decoder, Group, Row
from visreason.errors import DataError, ModelError, RunError
from visreason.model.check import check_once
from visreason.model.policy import Policy
from visreason.record import Completion

ROLLOUT_TOKENS = 1 << 18
"""Tokens whose keys and values are held at a time."""


class HF:
    """Answers with a policy, which may be the one being trained: weights are shared, so there is nothing to sync.

    Completions are decoded `max_rows` at a time, fewer where their limits add up to more than `max_tokens`: that many
    tokens' keys and values take 15 GB in a 7B Qwen2.5-VL in bfloat16.
    """

    def __init__(self, policy: Policy, max_rows: int = 256, max_tokens: int = ROLLOUT_TOKENS) -> None:
        if not policy.share:
            raise ModelError(
                f"expected a model whose language layers see every earlier token, found another attention in "
                f"{policy.name} (or share_trunk=false); the hf engine shares each prompt between its answers and can't "
                "serve it. Such a model can be trained by sft alone"
            )
        self.policy, self.max_rows, self.max_tokens = policy, max_rows, max_tokens
        self.name, self.device = f"hf:{policy.name}", str(policy.device)

    @torch.inference_mode()
    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order. Raises RunError when the logits are not finite."""
        answers: list[list[Completion]] = [[] for _ in conversations]
        waiting = deque(enumerate(conversations))
        training = self.policy.model.training
        self.policy.model.eval()
        decoder = Decoder(self.policy, sampling)
        rows = max(1, min(self.max_rows, self.max_tokens // sampling.max_tokens))
        try:
            with self.policy.precision():
                while waiting or decoder.groups:
                    room = max(1, rows // sampling.n) - len(decoder.groups)
                    if waiting and (
                        room >= len(waiting) or room * sampling.n * 4 >= rows or not decoder.groups
                    ):
                        chosen = [waiting.popleft() for _ in range(min(room, len(waiting)))]
                        decoder.admit(self._encode(chosen, sampling, answers))
                    for group in decoder.step(shrink=not waiting):
                        answers[group.place] = [self._completion(r) for r in group.rows]
        except torch.OutOfMemoryError as e:
            raise RunError(
                f"the memory of {self.device} is full ({str(e).splitlines()[0]}); lower max_completion_tokens or "
                "max_pixels, or answer fewer completions a problem"
            ) from e
        finally:
            self.policy.model.train(training)
        return answers

    def _encode(
        self, chosen: list[tuple[int, Conversation]], sampling: Sampling, answers: list
    ) -> Iterator[Group]:
        for place, conversation in chosen:
            (prompt,) = self.policy.encoder.prompts([conversation])
            if isinstance(prompt, DataError):
                answers[place] = [Completion(str(prompt), finish="error", model=self.name)] * sampling.n
            else:
                check_once(self.policy, prompt)
                rows = [Row(column) for column in range(sampling.n)]
                yield Group(place, prompt, rows, _generator(sampling, place, self.policy.device))

    def _completion(self, row: Row) -> Completion:
        ended = bool(row.ids) and row.ids[-1] in self.policy.encoder.eos_ids
        text = self.policy.encoder.tokenizer.decode(row.ids[: len(row.ids) - ended])
        return Completion(
            text, "stop" if row.done == "stop" else "length", self.name, tuple(row.ids), tuple(row.logps)
        )


def _generator(sampling: Sampling, place: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(sampling.drawn_by(place).getrandbits(63))
