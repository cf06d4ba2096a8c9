"""Scoring and pair training of a reward model: the forest against plain scripts.

    python speed/reward.py               both benches, kept in docs/speed.md
    python speed/reward.py WORK WAY      one measurement, printed as JSON

Scoring: 8 completions of a prompt of 360 tokens, 128 tokens each; `one by one` is the script of the model card of
Skywork-VL-Reward-7B (a forward of the wrapped generative model a completion, the value gathered at the mask's sum minus
one). Training: forward and backward of 4 pairs of the same sizes; `padded` stacks chosen and rejected in one batch as
LLaMA-Factory and TRL do. Same model (a scaled Qwen2.5-VL, random weights, float32); a process a measurement.
"""

import json
import subprocess
import sys

import torch
from table import keep, peak_bytes, seconds
from update import IMAGE, D, batch, build, group

from visreason.model import attention
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree, plant
from visreason.model.logps import hidden_states
from visreason.model.value_head import ValueHead
from visreason.train.losses import BradleyTerry

GRID, COMPLETION, PAIRS = 32, 128, 4
WAYS = {"scoring": ("forest", "one by one", "batch of 8"), "training": ("forest", "padded", "two forwards")}


def trees(model, prompts, completions):
    """A tree of every prompt; each completion with the one more token that no position reads."""
    attention.install(model)
    made = []
    for (ids, pixels, thw), rows in zip(prompts, completions, strict=True):
        positions, _ = model.model.get_rope_index(ids[None], (ids[None] == IMAGE).int(), image_grid_thw=thw)
        branches = (torch.cat([c, c[:1]]) for c in rows)
        made.append(
            Tree(
                Prompt(ids, positions[:, 0], pixels, thw),
                tuple(Branch(c, torch.zeros(len(c))) for c in branches),
            )
        )
    return made


def forest_scores(model, head, made):
    forest = plant(made)
    return head(hidden_states(model, forest)[forest.lengths_B.cumsum(0) - 1])


def forest_values(model, head, made):
    """Values at every position, of which the loss takes each branch's last, and their layout."""
    forest = plant(made)
    return head(hidden_states(model, forest)), forest


def plain_scores(model, head, prompts, completions):
    """Scores of a padded batch by the wrapped generative model, whose logits are made as well, as there."""
    rows = torch.cat(
        [torch.cat([p[0].expand(len(c), -1), c], 1) for p, c in zip(prompts, completions, strict=True)]
    )
    pixels = torch.cat([p[1].repeat(len(c), 1) for p, c in zip(prompts, completions, strict=True)])
    thw = torch.cat([p[2].repeat(len(c), 1) for p, c in zip(prompts, completions, strict=True)])
    inputs = batch(rows, pixels, thw, 1)
    out = model(**inputs, output_hidden_states=True, use_cache=False)
    values = head.summary(out.hidden_states[-1])[..., 0]
    return values.gather(-1, inputs["attention_mask"].sum(-1, keepdim=True) - 1)[:, 0]


def scoring(way, model, head):
    ids, pixels, thw, completions_GT = group(GRID, COMPLETION)
    prompt = (ids, pixels, thw)

    def score():
        with torch.no_grad():
            if way == "forest":
                return forest_scores(model, head, trees(model, [prompt], [completions_GT]))
            if way == "batch of 8":
                return plain_scores(model, head, [prompt], [completions_GT])
            return torch.cat([plain_scores(model, head, [prompt], [c[None]]) for c in completions_GT])

    return score


def training(way, model, head):
    prompts, completions = [], []
    for _ in range(PAIRS):
        ids, pixels, thw, completions_GT = group(GRID, COMPLETION)
        prompts.append((ids, pixels, thw))
        completions.append(completions_GT[:2])
    loss = BradleyTerry()

    def step():
        model.zero_grad()
        if way == "forest":
            value, _ = loss(*forest_values(model, head, trees(model, prompts, completions)))
        else:
            sides = [[c[i : i + 1] for c in completions] for i in (0, 1)]
            if way == "padded":
                both = plain_scores(model, head, prompts * 2, sides[0] + sides[1])
                good, bad = both.chunk(2)
            else:
                good, bad = (plain_scores(model, head, prompts, side) for side in sides)
            value = -torch.nn.functional.logsigmoid(good - bad).sum()
        (value / PAIRS).backward()
        return value.detach()[None]

    return step


def measure(work: str, way: str) -> dict[str, float]:
    model, head = build(), ValueHead(D)
    for p in model.model.visual.parameters():
        p.requires_grad_(False)
    for (
        p
    ) in model.model.visual.merger.parameters():  # as reward models are trained: tower frozen, merger trained
        p.requires_grad_(True)
    step = {"scoring": scoring, "training": training}[work](way, model, head)
    before = peak_bytes()
    time = seconds(step)
    return {
        "seconds": time,
        "peak": peak_bytes() - before,
        "total": peak_bytes(),
        "mean": step().mean().item(),
    }


def main() -> None:
    rows = []
    for work, ways in WAYS.items():
        found = {}
        for way in ways:
            out = subprocess.run(
                [sys.executable, __file__, work, way], stdout=subprocess.PIPE, text=True, check=True
            )
            found[way] = json.loads(out.stdout.splitlines()[-1])
        means = [f["mean"] for f in found.values()]
        assert max(means) - min(means) < 1e-4, f"the ways do not compute the same: {means}"
        mine = found["forest"]
        for way in ways[1:]:
            other = found[way]
            rows.append([work, way, f"{mine['seconds']:.2f}", f"{other['seconds'] / mine['seconds']:.2f}",
                         f"{mine['peak'] / other['peak']:.2f}", f"{mine['total'] / other['total']:.2f}"])  # fmt: skip
    keep(
        "Reward model: scoring and pair training against plain scripts",
        "360 prompt and 128 completion tokens, float32, CPU. Scoring: 8 completions of one prompt. Training: forward "
        "and backward of 4 pairs, vision tower frozen. Faster: time of the other way divided by the forest's. Memory: "
        "the forest's peak divided by the other's, above the loaded model, and of the whole process.",
        ["work", "against", "seconds", "times faster", "memory above model", "memory of process"],
        rows,
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], sys.argv[2])))
    else:
        main()
