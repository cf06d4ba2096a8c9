"""SFT step on completions of skewed lengths: the packed forest against the padded batch, same examples, same loss.

python speed/sft.py                kept in docs/speed.md
python speed/sft.py WAY            one measurement, printed as JSON
"""

import json
import subprocess
import sys

import torch
from table import keep, peak_bytes, seconds
from update import IMAGE, build

from visreason.model import attention
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree, plant
from visreason.model.logps import forest_logps

LENGTHS = [16, 24, 32, 32, 48, 64, 96, 384]
"""Completion tokens: most short, one long, as long-thought data is."""
GRID = 16


def examples(model) -> list[Tree]:
    torch.manual_seed(1)
    trees = []
    for length in LENGTHS:
        image = torch.full((GRID * GRID // 4,), IMAGE)
        ids = torch.cat([torch.tensor([1, 3]), image, torch.tensor([4]), torch.randint(10, 8000, (40,))])
        pixels, thw = torch.randn(GRID * GRID, 1176), torch.tensor([[1, GRID, GRID]])
        positions, _ = model.model.get_rope_index(ids[None], (ids[None] == IMAGE).int(), image_grid_thw=thw)
        completion = torch.randint(10, 8000, (length,))
        trees.append(
            Tree(Prompt(ids, positions[:, 0], pixels, thw), (Branch(completion, torch.ones(length)),))
        )
    return trees


def packed(model, trees: list[Tree]):
    attention.install(model)
    return lambda: -forest_logps(model, plant(trees)).logps_S.sum() / sum(LENGTHS)


def padded(model, trees: list[Tree]):
    """Right padding to the longest, cross-entropy of the completion tokens, as a data collator does."""
    rows = [torch.cat([t.prompt.ids, t.branches[0].ids]) for t in trees]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(r) for r in rows], batch_first=True)
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, : len(trees[0].prompt.ids)] = -100
    pixels, thw = torch.cat([t.prompt.pixels for t in trees]), torch.cat([t.prompt.grid_N3 for t in trees])
    types = (ids == IMAGE).int()
    return lambda: model(input_ids=ids, attention_mask=mask, labels=labels, pixel_values=pixels, image_grid_thw=thw,
                         mm_token_type_ids=types, use_cache=False).loss  # fmt: skip


def measure(way: str) -> dict[str, float]:
    model = build()
    loss = {"packed": packed, "padded": padded}[way](model, examples(model))
    before = peak_bytes()

    def step():
        model.zero_grad()
        loss().backward()

    time = seconds(step)
    return {"seconds": time, "peak": peak_bytes() - before, "loss": loss().item()}


def main() -> None:
    found = {}
    for way in ("packed", "padded"):
        out = subprocess.run([sys.executable, __file__, way], stdout=subprocess.PIPE, text=True, check=True)
        found[way] = json.loads(out.stdout.splitlines()[-1])
    assert abs(found["packed"]["loss"] - found["padded"]["loss"]) < 1e-4, (
        f"the ways do not compute the same loss: {found}"
    )
    faster = found["padded"]["seconds"] / found["packed"]["seconds"]
    memory = found["packed"]["peak"] / found["padded"]["peak"]
    keep(
        "SFT step: packed against padded",
        f"Forward and backward of {len(LENGTHS)} examples with an image, {min(LENGTHS)} to {max(LENGTHS)} completion "
        "tokens, float32, CPU.",
        ["times faster", "memory above model"],
        [[f"{faster:.2f}", f"{memory:.2f}"]],
    )


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
