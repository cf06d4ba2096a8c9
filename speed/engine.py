"""Generation: the `hf:` engine against transformers' `model.generate`, same model, prompts and token limit.

python speed/engine.py             kept in docs/speed.md
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from table import keep

from visreason.engine import Sampling
from visreason.engine.hf import HF
from visreason.model.load import load
from visreason.prompt import messages, style
from visreason.record import Problem
from visreason.store import read_records
from visreason.world import problems, source

SETTINGS = ((32, 8), (64, 1), (8, 32))
"""Problems, completions of each."""
TOKENS = 64


def main() -> None:
    rows = []
    with TemporaryDirectory() as folder:
        layout = style("r1_onevision")
        policy = load(source.model_folder("world", Path(folder), layout, seed=0))
        policy.encoder.eos_ids = (-1,)  # nothing ends early, so that both ways make the same number of tokens
        policy.encoder.max_cache_bytes = 0  # both ways read every image every time
        file = problems.write(Path(folder), "heldout", max(p for p, _ in SETTINGS))
        drawn = list(read_records(file, Problem))
        for P, n in SETTINGS:
            conversations = [messages(p, layout) for p in drawn[:P]]
            ours = speed(
                lambda c=conversations, n=n: HF(policy).generate(c, Sampling(n, max_tokens=TOKENS)),
                P * n * TOKENS,
            )
            theirs = speed(lambda c=conversations, n=n: generate(policy, c, n), P * n * TOKENS)
            rows.append([f"{P} x {n}", f"{ours / theirs:.2f}"])
    keep(
        "Generation: the hf engine against model.generate",
        f"The tiny model, {TOKENS} tokens a completion, CPU; problems x completions each. Faster: tokens per "
        "second of the engine divided by those of transformers' generate with num_return_sequences.",
        ["problems", "times faster"],
        rows,
    )


def generate(policy, conversations: list, n: int) -> torch.Tensor:
    """Plain transformers: a left-padded batch, sampled with num_return_sequences."""
    encoder = policy.encoder
    encoded = encoder.prompts(conversations)
    longest = max(len(p.ids) for p in encoded)
    ids = torch.stack([torch.nn.functional.pad(p.ids, (longest - len(p.ids), 0)) for p in encoded])
    mask = torch.stack([(torch.arange(longest) >= longest - len(p.ids)).long() for p in encoded])
    return policy.model.generate(
        input_ids=ids, attention_mask=mask, pixel_values=torch.cat([p.pixels for p in encoded]),
        image_grid_thw=torch.cat([p.grid_N3 for p in encoded]),
        mm_token_type_ids=(ids == policy.model.config.image_token_id).int(), do_sample=True, num_return_sequences=n,
        max_new_tokens=TOKENS, min_new_tokens=TOKENS, eos_token_id=None,
    )  # fmt: skip


def speed(work, tokens: int) -> float:
    """Tokens per second, the better of two runs."""
    best = 0.0
    for _ in range(2):
        start = time.perf_counter()
        work()
        best = max(best, tokens / (time.perf_counter() - start))
    return best


if __name__ == "__main__":
    main()
