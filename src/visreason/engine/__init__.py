"""Engines: what answers. `connect("hf:PATH")` gives one; `generate(conversations, sampling)` [P][n] completions."""

from dataclasses import dataclass
from typing import Any, Protocol

from visreason.errors import UsageError
from visreason.record import Completion
from visreason.store import model_path

Conversation = list[dict[str, Any]]


@dataclass(frozen=True)
class Sampling:
    """How to answer: n completions a problem, temperature (0 is greedy), nucleus and top-k cut, token limit, seed."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 1024
    seed: int = 0


class Engine(Protocol):
    """What every engine offers. A conversation that can't be read gives completions with finish "error"."""

    name: str
    device: str

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order."""
        ...


def connect(spec: str, **options: Any) -> Engine:
    """The engine a spec names: `hf:PATH` (or the bare path of a model or a run), `script:FILE.jsonl` or
    `script:module:function`.

    Options go to the model's loading (dtype, device, max_pixels, max_prompt_tokens); a script takes none of them.
    """
    kind, _, rest = spec.partition(":")
    if kind == "script":
        from visreason.engine.script import Script

        return Script(rest)
    if kind in ("vllm", "http", "https"):
        raise UsageError(f"the engine {spec!r} is not in this version; give hf:PATH or script:FILE")
    from visreason.engine.hf import HF
    from visreason.model.load import load

    return HF(load(model_path(rest if kind == "hf" else spec), **options))
