"""A policy: a transformers model with its processor and encoder, which answers, scores, is trained and saved."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from visreason.errors import ModelError
from visreason.model import four_bits
from visreason.model.attention import AttentionPath
from visreason.model.encode import Encoder
from visreason.model.forest import Forest
from visreason.model.logps import Logps, forest_logps, hidden_states
from visreason.model.value_head import PREFIX, ValueHead


@dataclass
class Policy:
    """A model that answers and can be trained. `share` is false when its attention can't share a trunk.

    Under `autocast` it computes in bfloat16, answering and training alike, and its weights stay as they are. With a
    `value_head` it is a reward model, and scores completions. `device` is where it computes. When the weights are
    spread over several processes, `within` calls a function of the model where they are at hand, and `whole` puts one
    tensor together. It is `checked` once its forest was found to equal plain forwards, see `model.check`.
    """

    model: Any
    processor: Any
    encoder: Encoder
    name: str
    attention_path: AttentionPath
    share: bool = True
    autocast: bool = False
    value_head: ValueHead | None = None
    within: Callable[..., Any] | None = None
    whole: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor
    checked: bool = False

    def __post_init__(self) -> None:
        self.device: torch.device = self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """What matrices are multiplied in."""
        return torch.bfloat16 if self.autocast else self.model.dtype

    @property
    def base(self) -> Any:
        """The transformers model under a peft wrapper, or the model itself."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def logps(self, forest: Forest, temperature: float = 1.0, entropy: bool = False) -> Logps:
        """Log-probabilities (nats) of a forest's branch tokens, (S,), with gradient where autograd is on."""
        with self.precision():
            return self._run(forest_logps, forest.to(self.device), temperature, entropy)

    def values(self, forest: Forest) -> torch.Tensor:
        """Scores (S,) by the value head at every branch token of a forest, float32, with gradient where autograd is on.

        A branch position has read the branch up to the token before its own, so the last one has read all but the
        last token, see `Encoder.turns`.
        """
        if self.value_head is None:
            raise ModelError(f"expected a reward model, found {self.name} without a value head")
        with self.precision():
            hidden_SD = self._run(hidden_states, forest.to(self.device))
        return self.value_head(hidden_SD)

    def scores(self, forest: Forest) -> torch.Tensor:
        """Scores (B,) of a forest's branches: the values at their last positions."""
        return self.values(forest)[forest.lengths_B.cumsum(0).to(self.device) - 1]

    def learned(self, forest: Forest) -> torch.Tensor:
        """What training makes of a forest's branch tokens, (S,): scores of a reward model, log-probs of any other."""
        return self.logps(forest).logps_S if self.value_head is None else self.values(forest)

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.within(function, *args) if self.within else function(self.base, *args)

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The model's parameters and the value head's."""
        yield from self.model.named_parameters()
        if self.value_head is not None:
            yield from ((PREFIX + name, p) for name, p in self.value_head.named_parameters())

    def precision(self) -> torch.autocast:
        """The context of every forward of the model."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast)

    def checkpoint_activations(self) -> None:
        """Recompute activations in the backward pass: less memory, about a third more time."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model.train()

    @torch.no_grad()
    def merged_weights(self) -> dict[str, torch.Tensor]:
        """The weights of the model with adapters folded in, as it computes with them, by their names without adapters,
        put together one by one and out of 4 bits; its own are left as they are, where merging and unmerging would round
        them."""
        adapted = {
            f"{name}.base_layer.weight": module
            for name, module in self.base.named_modules()
            if hasattr(module, "get_delta_weight")
        }
        found, made = {}, {}
        for name, p in self.base.named_parameters(remove_duplicate=False):
            if ".lora_" in name:
                continue
            if id(p) not in made:  # tied ones once
                weight = four_bits.full_width(p)
                if name in adapted:
                    weight = weight + adapted[name].get_delta_weight("default")
                made[id(p)] = self.whole(weight.detach().to(self.dtype))
            found[name.replace(".base_layer.", ".")] = made[id(p)]
        return found

    def save(self, folder: Path, weights: dict[str, torch.Tensor] | None = None) -> None:
        """An ordinary Hugging Face directory; adapters are saved as peft does, beside the processor.

        `weights` are those to write, by their names, where the model itself has but a part of each.
        """
        adapted = self.model is not self.base
        if adapted:  # peft keeps the names as a set, and would write them in any order
            config = self.model.peft_config["default"]
            config.target_modules = sorted(config.target_modules)
        own = {k: v for k, v in (weights or {}).items() if not k.startswith(PREFIX)}
        more = {"save_embedding_layers": False} if adapted else {}
        self.model.save_pretrained(folder, state_dict=own or None, **more)
        self.processor.save_pretrained(folder)
        if self.value_head is not None:
            self.value_head.save(folder, {k: v for k, v in (weights or {}).items() if k.startswith(PREFIX)})
