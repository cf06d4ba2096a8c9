"""The engine on vLLM: prefix and vision caches, tensor parallel, sleep. `engine/sync.py` gives it new weights."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, TypeVar

import psutil
import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from visreason.engine import Conversation, Sampling
from visreason.engine.ban import BAN, before_ban, bias_of
from visreason.errors import DataError, ModelError, RunError, UsageError
from visreason.model.encode import Encoder
from visreason.model.load import NO_CODE, limit_pixels, whole_model
from visreason.prompt.images import open_image
from visreason.record import Completion

CPU_ROWS = 128
"""Completions in flight on a CPU."""
LOOK_S = 1.0
"""Seconds between two looks whether vLLM's processes live."""
T = TypeVar("T")


class VLLM:
    """`vllm:PATH`, with vLLM in worker processes of its own.

    `max_completion_tokens` bounds what `generate` may be asked for; with `max_prompt_tokens` it sizes the store of keys
    and values. `memory_share` is the share of the GPU's memory that vLLM takes in all; on a CPU, that of the free
    memory which the store takes.
    Raises UsageError where vLLM is not installed, ModelError when it can't serve the model.
    """

    def __init__(
        self,
        path: str,
        dtype: str = "auto",
        device: str = "auto",
        max_pixels: int | None = None,
        min_pixels: int | None = None,
        max_prompt_tokens: int = 8192,
        max_completion_tokens: int = 4096,
        tensor_parallel: int = 1,
        memory_share: float = 0.4,
        seed: int = 0,
    ) -> None:
        vllm = _vllm()
        self.on_cpu = vllm.platforms.current_platform.is_cpu()
        self.name, self.device = f"vllm:{path}", "cpu" if self.on_cpu else "cuda"
        if device not in ("auto", self.device):
            raise UsageError(f"expected device={self.device}, which this vLLM is built for, found {device}")
        self._merged = TemporaryDirectory()
        whole = whole_model(path, Path(self._merged.name))
        self.encoder = _encoder(whole, max_pixels, min_pixels, max_prompt_tokens)
        self.max_completion_tokens, self.asleep = max_completion_tokens, False
        positions = self.encoder.config.get_text_config().max_position_embeddings
        self.length = length = min(max_prompt_tokens + max_completion_tokens, positions)
        try:
            with _spared():
                self.llm = vllm.LLM(
                    model=whole,
                    dtype=dtype,
                    max_model_len=length,
                    tensor_parallel_size=tensor_parallel,
                    **(on_cpu(length, memory_share) if self.on_cpu else on_gpu(memory_share)),
                    limit_mm_per_prompt={"video": 0},
                    mm_processor_kwargs={"size": dict(self.encoder.processor.image_processor.size)},
                    logprobs_mode="processed_logprobs",
                    worker_extension_cls="visreason.engine.worker.Worker",
                    use_tqdm_on_load=False,  # a bar at every weight sync says nothing
                    seed=seed,
                )
        except (OSError, ValueError, RuntimeError) as e:
            raise ModelError(f"vLLM can't serve {path!r}: {str(e).splitlines()[0]}") from e
        self._alive(self.llm.collective_rpc, "follow", args=(os.getpid(),))

    def generate(self, conversations: list[Conversation], sampling: Sampling) -> list[list[Completion]]:
        """`sampling.n` completions for each conversation, in order, with the log-probabilities that `hf:` reports:
        those of softmax(logits / temperature) before visual tokens are banned, but within the nucleus (top_p, top_k),
        and after a repetition penalty.

        Raises UsageError for more tokens than the engine was made for, RunError when vLLM died.
        """
        if sampling.max_tokens > self.max_completion_tokens:
            raise UsageError(
                f"expected at most max_completion_tokens={self.max_completion_tokens}, for which this engine was made, "
                f"found {sampling.max_tokens}"
            )
        self.wake()
        prompts = [self._prompt(c) for c in conversations]
        good = [i for i, p in enumerate(prompts) if not isinstance(p, DataError)]
        asked = [prompts[i] for i in good], [self._params(sampling, i) for i in good]
        outputs = self._alive(self.llm.generate, *asked, use_tqdm=False) if good else []
        made = dict(zip(good, outputs, strict=True))
        return [
            [self._completion(o, sampling) for o in made[i].outputs]
            if i in made
            else self._failed(p, sampling.n)
            for i, p in enumerate(prompts)
        ]

    def _alive(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What vLLM returns. A call on an engine that was killed may never return, so it waits in a thread of its own,
        and whether the engine lives is looked at meanwhile. Raises RunError when it does not."""
        done: Future[T] = Future()

        def work() -> None:
            try:
                done.set_result(call(*args, **kwargs))
            except BaseException as e:  # the caller's
                done.set_exception(e)

        Thread(target=work, daemon=True).start()
        core = self.llm.llm_engine.engine_core.resources
        while not wait([done], LOOK_S).done:
            if core.engine_dead:
                break
        if core.engine_dead:
            raise RunError(
                "vLLM's engine died; its own message, if any, is above (memory, often). Lower memory_share or "
                "max_completion_tokens, and give the same command again to go on"
            )
        return done.result()

    def rest(self) -> None:
        """Leave the GPU's memory to the trainer: weights to the CPU's memory, keys and values dropped."""
        if not self.on_cpu:
            self._alive(self.llm.sleep, level=1)
            self.asleep = True

    def wake(self, parts: tuple[str, ...] = ("weights", "kv_cache")) -> None:
        """Take the memory back, or the part of it that is named."""
        if self.asleep:
            self._alive(self.llm.wake_up, list(parts))
            self.asleep = "kv_cache" not in parts

    def reload(self, folder: Path) -> None:
        """New weights from the safetensors of a folder; everything that was computed with the old ones is dropped."""
        self.wake(("weights",))
        self._alive(self.llm.collective_rpc, "reload_weights", kwargs={"weights_path": str(folder)})
        self._alive(self.llm.collective_rpc, "repack")
        self.wake(("kv_cache",))
        if not self._alive(self.llm.reset_prefix_cache):
            raise RunError("vLLM kept its prefix cache, since it still answers; sync between two rollouts")
        # The reload empties the workers' encoder caches; the scheduler must forget what it thinks they hold as well.
        self._alive(self.llm.llm_engine.reset_encoder_cache)

    def close(self) -> None:
        """End vLLM's processes."""
        self.llm.llm_engine.engine_core.shutdown()

    def _prompt(self, conversation: Conversation) -> dict[str, Any] | DataError:
        """Token ids with one placeholder an image, and the images."""
        parts = [p["image"] for m in conversation for p in m["content"] if p["type"] == "image"]
        try:
            images = [open_image(image) for image in parts]
            tokens = self.encoder.count(conversation)
        except DataError as e:
            return e
        longest = min(self.encoder.max_tokens, self.length - 1)  # one is left for the answer
        if tokens > longest:
            return DataError(
                f"the prompt has {tokens} tokens, the budget is {longest}; lower max_pixels or raise "
                "max_prompt_tokens, as far as the model has positions"
            )
        text = self.encoder.text(conversation)
        ids = self.encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        return {"prompt_token_ids": ids, **({"multi_modal_data": {"image": images}} if images else {})}

    def _params(self, s: Sampling, place: int) -> Any:
        """Of the conversation at a place."""
        from vllm import SamplingParams

        visual = self.encoder.visual_ids
        return SamplingParams(
            n=s.n, temperature=s.temperature, top_p=s.top_p, top_k=s.top_k, max_tokens=s.max_tokens,
            repetition_penalty=s.repetition_penalty,
            seed=s.drawn_by(place).getrandbits(31),
            stop_token_ids=list(self.encoder.eos_ids),
            logit_bias=dict.fromkeys(visual, BAN), logprob_token_ids=list(visual), detokenize=False,
        )  # fmt: skip

    def _completion(self, output: Any, sampling: Sampling) -> Completion:
        if output.finish_reason not in ("stop", "length"):
            return Completion(f"vLLM ended it by {output.finish_reason}", finish="error", model=self.name)
        ids = tuple(output.token_ids)
        ended = output.finish_reason == "stop" and bool(ids) and ids[-1] in self.encoder.eos_ids
        text = self.encoder.tokenizer.decode(ids[: len(ids) - ended])
        bias = bias_of(sampling.temperature)
        logps = tuple(
            before_ban(at[token].logprob, [at[v].logprob for v in self.encoder.visual_ids], bias)
            for token, at in zip(ids, output.logprobs, strict=True)
        )
        return Completion(text, "stop" if ended else "length", self.name, ids, logps)

    def _failed(self, error: Any, n: int) -> list[Completion]:
        return [Completion(str(error), finish="error", model=self.name)] * n


@contextmanager
def _spared() -> Iterator[None]:
    """Processes that are started within don't get SIGTERM: torchrun and `timeout` send it to the whole group, while the
    trainer among them finishes its step first. `Worker.follow` hears it from the trainer itself."""
    resource_tracker.ensure_running()  # its start would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def on_gpu(memory_share: float) -> dict[str, Any]:
    """Settings of vLLM beside a trainer on a GPU."""
    return {"gpu_memory_utilization": memory_share, "enable_sleep_mode": True}


def on_cpu(length: int, memory_share: float) -> dict[str, Any]:
    """Settings of vLLM on a CPU. So many tokens go in one batch that no prompt is ever divided: vLLM then rewinds the
    request's random generator, which a CPU's can't ("CPU Generator does not use offset")."""
    return {
        "kv_cache_memory_bytes": int(memory_share * psutil.virtual_memory().available),
        "enforce_eager": True,
        "max_num_seqs": CPU_ROWS,
        "max_num_batched_tokens": CPU_ROWS * length,
    }


def _encoder(path: str, max_pixels: int | None, min_pixels: int | None, max_prompt_tokens: int) -> Encoder:
    """What counts prompts and knows the special tokens, beside a model without weights."""
    try:
        config = AutoConfig.from_pretrained(path, **NO_CODE)
        processor = AutoProcessor.from_pretrained(path, **NO_CODE)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
        if (Path(path) / "generation_config.json").exists():
            model.generation_config = GenerationConfig.from_pretrained(path)
    except (OSError, ValueError, KeyError) as e:
        raise ModelError(f"can't read a vision-language model from {path!r}: {str(e).splitlines()[0]}") from e
    limit_pixels(processor, min_pixels, max_pixels)
    return Encoder(processor, model, max_prompt_tokens)


def _vllm() -> Any:
    """vLLM, quiet unless VLLM_LOGGING_LEVEL says otherwise. Its processes start afresh: a fork of one with threads may
    hang."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    try:
        import vllm
        import vllm.platforms
    except ImportError as e:
        raise UsageError(
            f"engine vllm needs a package that is not installed ({e}); install visreason[vllm] beside a GPU, or run "
            "`make setup-vllm` for a CPU"
        ) from e
    return vllm
