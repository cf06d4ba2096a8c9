"""Generation: the engines hf, vllm and http against transformers' `model.generate`, same model, prompts and tokens.

.venv-vllm/bin/python speed/engine.py             kept in docs/speed.md; the environment of `make setup-vllm`
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from table import keep

from visreason.engine import Conversation, Engine, Sampling, connect
from visreason.engine.hf import HF
from visreason.engine.vllm import VLLM
from visreason.model.load import load
from visreason.model.policy import Policy
from visreason.prompt import messages, style
from visreason.record import Problem
from visreason.store import read_records
from visreason.world import problems, source

SETTINGS = ((32, 8), (64, 1), (8, 32))
"""Problems, completions of each."""
TOKENS = 64
PORT = 18432
NEVER = "<|vision_pad|>"
"""A token that no engine samples, made the end of a turn: all ways make the same number of tokens."""
Rates = dict[tuple[int, int], float]


def main() -> None:
    with TemporaryDirectory() as folder:
        path = endless(Path(folder))
        policy = load(path, device="cpu")
        policy.encoder.patches.max_bytes = 0  # every way reads every image every time
        file = problems.write(Path(folder), "heldout", max(p for p, _ in SETTINGS))
        asked = [messages(p, style("r1_onevision")) for p in read_records(file, Problem)]
        found: dict[str, Rates] = {
            "model.generate": rates(lambda c, n, seed: generate(policy, c, n), asked),
            "hf": rates(through(HF(policy)), asked),
        }
        vllm = VLLM(
            path, dtype="float32", max_prompt_tokens=600, max_completion_tokens=TOKENS, memory_share=0.1
        )
        found["vllm"] = rates(through(vllm), asked)
        vllm.close()
        with served(path, Path(folder) / "log") as url:
            found["http (vllm serve)"] = rates(through(connect(url, concurrency=64)), asked)
    keep(
        "Generation: engines against model.generate",
        f"The tiny model in float32, {TOKENS} tokens a completion, CPU cores: {len(os.sched_getaffinity(0))}; "
        "problems x completions each. Tokens per second, and in brackets that number divided by the one of "
        "transformers' generate with num_return_sequences; the better of two passes with other seeds, caches "
        "as they are.",
        ["engine", *(f"{p} x {n}" for p, n in SETTINGS)],
        [
            [name, *(shown(rate, found["model.generate"]) for rate in by.items())]
            for name, by in found.items()
        ],
    )


def shown(rate: tuple[tuple[int, int], float], plain: Rates) -> str:
    setting, value = rate
    return f"{value:.0f} ({value / plain[setting]:.2f})"


def endless(folder: Path) -> str:
    """The untrained model of the world, whose turns never end."""
    path = source.model_folder("world", folder, style("r1_onevision"), seed=0)
    policy = load(path, device="cpu")
    tokenizer = policy.processor.tokenizer
    tokenizer.eos_token = NEVER
    policy.model.config.eos_token_id = policy.model.generation_config.eos_token_id = tokenizer.eos_token_id
    policy.model.config.text_config.eos_token_id = tokenizer.eos_token_id
    policy.save(folder / "endless")
    return str(folder / "endless")


def through(engine: Engine) -> Callable[[list[Conversation], int, int], object]:
    def work(conversations: list[Conversation], n: int, seed: int) -> None:
        answers = engine.generate(conversations, Sampling(n, max_tokens=TOKENS, seed=seed))
        lengths = {len(c.token_ids) for group in answers for c in group}
        assert lengths == {TOKENS}, f"expected {TOKENS} tokens of every completion, found {lengths}"

    return work


def rates(work: Callable[[list[Conversation], int, int], object], asked: list[Conversation]) -> Rates:
    """Tokens per second at every setting, the better of two passes."""
    found: Rates = {}
    for P, n in SETTINGS:
        for seed in (1, 2):
            start = time.perf_counter()
            work(asked[:P], n, seed)
            rate = P * n * TOKENS / (time.perf_counter() - start)
            found[P, n] = max(rate, found.get((P, n), 0.0))
    return found


def generate(policy: Policy, conversations: list[Conversation], n: int) -> torch.Tensor:
    """Plain transformers: a left-padded batch, sampled with num_return_sequences."""
    encoded = policy.encoder.prompts(conversations)
    longest = max(len(p.ids) for p in encoded)
    ids = torch.stack([torch.nn.functional.pad(p.ids, (longest - len(p.ids), 0)) for p in encoded])
    mask = torch.stack([(torch.arange(longest) >= longest - len(p.ids)).long() for p in encoded])
    return policy.model.generate(
        input_ids=ids, attention_mask=mask, pixel_values=torch.cat([p.pixels for p in encoded]),
        image_grid_thw=torch.cat([p.grid_N3 for p in encoded]),
        mm_token_type_ids=(ids == policy.model.config.image_token_id).int(), do_sample=True, num_return_sequences=n,
        max_new_tokens=TOKENS, min_new_tokens=TOKENS, eos_token_id=None,
    )  # fmt: skip


@contextmanager
def served(path: str, log: Path) -> Iterator[str]:
    """The address of `visreason serve`, which is ended afterwards."""
    words = [f"model={path}", "name=m", f"port={PORT}", "precision=float32", "max_prompt_tokens=600",
             f"max_completion_tokens={TOKENS}", "memory_share=0.1"]  # fmt: skip
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "visreason", "serve", *words],
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            while not _healthy():
                assert process.poll() is None, log.read_text()[-2000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{PORT}/v1#m"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _healthy() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
