"""Engines: what answers. `connect("hf:PATH")` gives one; `generate(conversations, sampling)` [P][n] completions."""

import random
from dataclasses import dataclass
from typing import Any, Protocol

from visreason.names import OF_MODELS, OF_SERVERS, OF_VLLM, engine_kind, unknown
from visreason.prompt.chat import Conversation
from visreason.record import Completion
from visreason.store import model_path

OPTIONS = (*OF_MODELS, *OF_VLLM, "max_completion_tokens", *OF_SERVERS)


@dataclass(frozen=True)
class Sampling:
    """How to answer: n completions a problem, temperature (0 is greedy), nucleus and top-k cut, token limit, seed, and
    the penalty of tokens that stand in the prompt or were sampled already: their logits are divided by it where they
    are positive, and multiplied where not (CTRL, arXiv 1909.05858, section 4.1; prompt included, as transformers does).

    Each conversation draws from the seed and its place alone, whatever is answered beside it. `first` is the place of
    the first one, where several processes answer parts of one list. Where conversations have `seeds` of their own,
    each draws from its seed alone, wherever it stands.
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 1024
    seed: int = 0
    first: int = 0
    seeds: tuple[int, ...] = ()
    repetition_penalty: float = 1.0

    def drawn_by(self, place: int) -> random.Random:
        """The numbers that the completions of the conversation at a place are drawn by."""
        return random.Random(str(self.seeds[place]) if self.seeds else f"{self.seed}/{self.first + place}")


class Engine(Protocol):
    """What every engine offers. A conversation that can't be read gives completions with finish "error"."""

    name: str
    device: str

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order."""
        ...


def connect(spec: str, **options: Any) -> Engine:
    """The engine a spec names: `hf:PATH` (or the bare path of a model or a run), `vllm:PATH`,
    `http://HOST/v1#MODEL`, `script:FILE.jsonl` or `script:module:function`.

    Each engine takes those `options` that concern it: dtype, device, max_pixels, min_pixels, max_prompt_tokens of a
    model, with max_completion_tokens, tensor_parallel, memory_share of vLLM; concurrency, timeout_s, patience_s,
    responses of servers; a script none.
    """
    kind, rest = engine_kind(spec), spec.partition(":")[2]
    if kind == "script":
        from visreason.engine.script import Script

        return Script(rest)
    if kind == "http":
        from visreason.engine.http import HTTP

        return HTTP(spec, **_of(options, OF_SERVERS))
    if kind == "vllm":
        from visreason.engine import vllm

        return vllm.VLLM(model_path(rest), **_of(options, (*OF_MODELS, *OF_VLLM, "max_completion_tokens")))
    from visreason.engine.hf import HF
    from visreason.model.load import load

    return HF(load(model_path(spec.removeprefix("hf:")), **_of(options, OF_MODELS)))


def _of(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The options among those names. Raises UsageError for one that no engine has."""
    for name in options:
        if name not in OPTIONS:
            raise unknown("option", name, OPTIONS)
    return {name: value for name, value in options.items() if name in names}
