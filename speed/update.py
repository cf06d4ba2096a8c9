"""Update step (forward and backward of a group's log-probs): the forest, the padded batch, and TRL's own GRPO path.

    python speed/update.py            all settings, kept in docs/speed.md
    python speed/update.py WAY GRID COMPLETION   one measurement, printed as JSON

Same model (a scaled Qwen2.5-VL, random weights, float32), same tokens, G = 8; each measurement in a process of its own.
"""

import json
import subprocess
import sys
from types import SimpleNamespace

import torch
from table import keep, peak_bytes, seconds
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from visreason.model import attention
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree, plant
from visreason.model.logps import forest_logps

G, D, IMAGE, START, END = 8, 512, 5, 3, 4
SETTINGS = {"360/128": (32, 128), "360/384": (32, 384), "680/128": (48, 128)}
WAYS = ("forest", "padded", "trl")
ROUNDS = 2


def build():
    torch.manual_seed(0)
    rope = {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 1e4}
    config = Qwen2_5_VLConfig(
        text_config={"hidden_size": D, "intermediate_size": 3 * D, "num_hidden_layers": 8, "num_attention_heads": 8,
                     "num_key_value_heads": 2, "vocab_size": 8000, "max_position_embeddings": 8192,
                     "rope_parameters": rope, "tie_word_embeddings": True},
        vision_config={"depth": 8, "hidden_size": 384, "intermediate_size": 768, "num_heads": 6, "out_hidden_size": D,
                       "fullatt_block_indexes": [3, 7], "window_size": 112, "patch_size": 14, "spatial_merge_size": 2},
        image_token_id=IMAGE, video_token_id=6, vision_start_token_id=START, vision_end_token_id=END,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def group(grid: int, completion: int):
    """Prompt ids (P,), pixels, grid and completions (G, C): one image of grid x grid patches and 103 text tokens."""
    image = torch.full((grid * grid // 4,), IMAGE)
    ids = torch.cat([torch.tensor([1, START]), image, torch.tensor([END]), torch.randint(10, 8000, (100,))])
    pixels, thw = torch.randn(grid * grid, 3 * 2 * 14 * 14), torch.tensor([[1, grid, grid]])
    return ids, pixels, thw, torch.randint(10, 8000, (G, completion))


def forest(model, ids, pixels, thw, completions_GT):
    attention.install(model)
    positions, _ = model.model.get_rope_index(ids[None], (ids[None] == IMAGE).int(), image_grid_thw=thw)
    ones = torch.ones(completions_GT.shape[1])
    tree = Tree(Prompt(ids, positions[:, 0], pixels, thw), tuple(Branch(c, ones) for c in completions_GT))
    return lambda: forest_logps(model, plant([tree]), entropy=True).logps_S


def padded(model, ids, pixels, thw, completions_GT):
    """The plain padded batch: every completion with its own prompt and image, logits of the completions only."""
    rows = torch.cat([ids.expand(G, -1), completions_GT], 1)
    inputs = batch(rows, pixels, thw)

    def logps():
        logits = model(**inputs, logits_to_keep=completions_GT.shape[1] + 1, use_cache=False).logits[:, :-1]
        return torch.log_softmax(logits.float(), -1).gather(-1, completions_GT[..., None])[..., 0]

    return logps


def trl(model, ids, pixels, thw, completions_GT):
    """TRL's `GRPOTrainer._get_per_token_logps_and_entropies`, with the head that its trainer adds."""
    from trl.trainer.grpo_trainer import GRPOTrainer, add_fused_lm_head

    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    rows = torch.cat([ids.expand(G, -1), completions_GT], 1)
    inputs = batch(rows, pixels, thw)
    accelerator = SimpleNamespace(autocast=lambda: torch.autocast("cpu", enabled=False))
    call = GRPOTrainer._get_per_token_logps_and_entropies.__wrapped__  # without its profiling decorator
    return lambda: call(
        SimpleNamespace(accelerator=accelerator),
        model,
        rows,
        inputs["attention_mask"],
        completions_GT.shape[1],
        compute_entropy=True,
        pixel_values=inputs["pixel_values"],
        image_grid_thw=inputs["image_grid_thw"],
        num_images=[1] * G,
        mm_token_type_ids=inputs["mm_token_type_ids"],
    )[0]


def batch(rows, pixels, thw, repeats=G):
    return {
        "input_ids": rows,
        "attention_mask": torch.ones_like(rows),
        "pixel_values": pixels.repeat(repeats, 1),
        "image_grid_thw": thw.repeat(repeats, 1),
        "mm_token_type_ids": (rows == IMAGE).int(),
    }


def measure(way: str, grid: int, completion: int) -> dict[str, float]:
    model, inputs = build(), group(grid, completion)
    logps = {"forest": forest, "padded": padded, "trl": trl}[way](model, *inputs)
    before = peak_bytes()

    def step():
        model.zero_grad()
        logps().mean().backward()

    time = seconds(step)
    return {
        "seconds": time,
        "peak": peak_bytes() - before,
        "total": peak_bytes(),
        "mean": logps().mean().item(),
    }


def main() -> None:
    rows = []
    for name, (grid, completion) in SETTINGS.items():
        found = {}
        # In turn, so that a busy minute of the machine does not fall on one way alone.
        for way in WAYS * ROUNDS:
            words = [sys.executable, __file__, way, str(grid), str(completion)]
            out = subprocess.run(
                words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
            )
            again = json.loads(out.stdout.splitlines()[-1])
            print(f"{name} {way}: {again['seconds']:.2f} s", flush=True)
            found[way] = min(again, found.get(way, again), key=lambda f: f["seconds"])
        means = [f["mean"] for f in found.values()]
        assert max(means) - min(means) < 1e-4, f"the ways do not compute the same log-probs: {means}"
        mine = found["forest"]
        for way in WAYS[1:]:
            other = found[way]
            rows.append([name, way, f"{other['seconds'] / mine['seconds']:.2f}", f"{mine['peak'] / other['peak']:.2f}",
                         f"{mine['total'] / other['total']:.2f}"])  # fmt: skip
    keep(
        "Update step: forest against the padded batch and TRL 1.16",
        "Forward and backward of one group of 8 completions, float32, CPU; prompt / completion tokens. Faster: time of "
        "the other way divided by the forest's. Memory: the forest's peak divided by the other's, above the loaded "
        "model, and of the whole process.",
        ["tokens", "against", "times faster", "memory above model", "memory of process"],
        rows,
    )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
