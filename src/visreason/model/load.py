"""Loading, freezing, adapting and saving a policy: a transformers model with its processor and encoder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig
from transformers.initialization import no_init_weights
from transformers.utils import logging as transformers_logging

from visreason.errors import ModelError
from visreason.model import attention, four_bits
from visreason.model.encode import Encoder
from visreason.model.forest import Forest
from visreason.model.logps import Logps, forest_logps, hidden_states
from visreason.model.value_head import PREFIX, ValueHead

Part = Literal["vision", "merger", "language"]


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
    attention_path: attention.AttentionPath
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


def load(
    path: str,
    dtype: str = "float32",
    device: str = "auto",
    autocast: bool = False,
    max_pixels: int | None = None,
    min_pixels: int | None = None,
    max_prompt_tokens: int = 8192,
    quantised: bool = False,
    spread: bool = False,
    empty: bool = False,
) -> Policy:
    """Load a Hugging Face directory (or a peft adapter directory, merged onto its base) for answering or training.

    `dtype` is that of the weights, "auto" the one they were saved in; `autocast` computes in bfloat16 whatever it is.
    Pixels bound each image's area before it is cut into patches. With `quantised` the linear layers but the head are
    kept in 4 bits. With `spread` the weights wait in the CPU's memory, from where the device takes its parts;
    when `empty` none are read, and the memory for them is not touched.
    Raises ModelError when the directory can't be loaded.
    """
    transformers_logging.disable_progress_bar()
    if Path(path).exists():
        path = str(Path(path).resolve())  # adapters keep it as the name of their base
    where = _device(device)
    more = (
        {"quantization_config": four_bits.how(autocast), "device_map": {"": str(where)}} if quantised else {}
    )
    try:
        model = _empty(path, dtype) if empty else _model(path, dtype, **more)
        processor = AutoProcessor.from_pretrained(path)
    except (OSError, ValueError, KeyError, SafetensorError) as e:
        raise unreadable(path, e) from e
    limit_pixels(processor, min_pixels, max_pixels)
    if not (quantised or spread):
        model.to(where)
    four_bits.keep_exact(model.eval())
    share = shares_trunk(model.config)
    attention.install(model)
    encoder = Encoder(processor, model, max_prompt_tokens)
    attend = attention.default_path(where, torch.bfloat16 if autocast else model.dtype)
    policy = Policy(model, processor, encoder, path, attend, share, autocast)
    policy.device = where
    return policy


def unreadable(path: str, error: Exception) -> ModelError:
    """What to say of a model that can't be loaded."""
    where = "" if Path(path).exists() else "no such directory here; taken as a hub id: "
    return ModelError(
        f"can't load a vision-language model from {path!r}: {where}{str(error).splitlines()[0]}. Expected a Hugging "
        "Face directory with config.json, weights, tokenizer and processor files."
    )


def whole_model(path: str, scratch: Path) -> str:
    """A directory of whole weights: `path` itself, or `scratch` with the adapters at `path` folded into their base."""
    if not (Path(path) / "adapter_config.json").exists():
        return path
    load(path, dtype="auto", device="cpu").save(scratch)
    return str(scratch)


def shares_trunk(config: Any) -> bool:
    """Whether every language layer attends to all earlier tokens, so that branches can share a trunk."""
    text = config.get_text_config()
    types = set(getattr(text, "layer_types", None) or ["full_attention"])
    return types <= {"full_attention"}


def create(config: Any, folder: Path, seed: int = 0, bias_spread: float = 0.0) -> None:
    """Write randomly initialised weights for a configuration, as an ordinary Hugging Face directory.

    `bias_spread` is the standard deviation of the language layers' query and key biases. At 0 a head that looks at
    a place whatever stands there is a saddle point that training leaves slowly; at 1 each head begins with some place.
    """
    transformers_logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
        for name, parameter in model.named_parameters():
            if part_of(name) == "language" and name.endswith(("q_proj.bias", "k_proj.bias")):
                torch.nn.init.normal_(parameter, std=bias_spread)
        model.save_pretrained(folder)


def drop_lm_head(policy: Policy) -> None:
    """Leave out the matrix from hidden states to words, which scores don't need. Raises ModelError where it is tied."""
    if policy.base.config.get_text_config().tie_word_embeddings:
        raise ModelError(
            f"{policy.name} has no head of its own to drop: it is tied to the embedding; give lm_head=keep"
        )
    policy.base.lm_head = torch.nn.Identity()


def freeze(policy: Policy, parts: tuple[Part, ...]) -> None:
    """Stop training of the vision tower, the merger between tower and language model, or the language model."""
    for name, parameter in policy.base.named_parameters():
        if part_of(name) in parts:
            parameter.requires_grad_(False)


def part_of(parameter: str) -> Part:
    """The part a parameter belongs to, by its name in Qwen-VL models.

    >>> part_of("model.visual.merger.mlp.0.weight"), part_of("model.visual.blocks.0.norm1.weight"), part_of("lm_head")
    ('merger', 'vision', 'language')
    """
    if "visual." not in parameter:
        return "language"
    return "merger" if "merger" in parameter else "vision"


def checkpoint_activations(policy: Policy) -> None:
    """Recompute activations in the backward pass: less memory, about a third more time."""
    policy.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    policy.model.train()


def _model(path: str, dtype: str, **more: Any) -> Any:
    if (Path(path) / "adapter_config.json").exists():
        from peft import PeftConfig, PeftModel

        base = PeftConfig.from_pretrained(path).base_model_name_or_path
        merged = PeftModel.from_pretrained(_model(str(base), dtype, **more), path).merge_and_unload()
        merged.name_or_path = path  # what further adapters are saved as lying on
        return merged
    config = AutoConfig.from_pretrained(path)
    return AutoModelForImageTextToText.from_pretrained(
        path, config=config, dtype=dtype, attn_implementation="sdpa", **more
    )


def _empty(path: str, dtype: str) -> Any:
    """The model at a path, adapters folded in, without its weights."""
    if (Path(path) / "adapter_config.json").exists():
        from peft import PeftConfig

        made = _empty(str(PeftConfig.from_pretrained(path).base_model_name_or_path), dtype)
        made.name_or_path = path
        return made
    config = AutoConfig.from_pretrained(path)
    with no_init_weights():
        made = AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa")
    made.tie_weights()
    try:
        made.generation_config = GenerationConfig.from_pretrained(path)
    except OSError:  # as transformers does where that file is not there
        settings = {"config_file_name": "config.json", "_from_model_config": True}
        made.generation_config = GenerationConfig.from_pretrained(path, **settings)
    return made


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as e:  # torch asserts that it was built for the device
        raise ModelError(
            f"expected device cpu, cuda or auto, found {name!r}, which can't be used here ({str(e).splitlines()[0]})"
        ) from e


def limit_pixels(processor: Any, min_pixels: int | None, max_pixels: int | None) -> None:
    """Bound each image's area, before it is cut into patches.

    Where the processor's own smallest area is above `max_pixels`, images are no longer enlarged at all: in the
    processor the smallest area wins, and its sides are rounded up. A strip keeps one row of patches in any case.
    """
    images = processor.image_processor
    size = dict(images.size)
    if max_pixels is not None:
        size["longest_edge"] = max_pixels
        if size["shortest_edge"] > max_pixels:
            size["shortest_edge"] = (images.patch_size * images.merge_size) ** 2
    if min_pixels is not None:
        size["shortest_edge"] = min_pixels
    images.size = size
