"""Update step and scoring on one GPU at the shapes of Qwen2.5-VL-3B and 7B, random weights, bfloat16.

    python speed/gpu.py          all settings, kept in docs/speed.md, docs/speed_gpu.json and docs/speed_gpu.png
    python speed/gpu.py smoke    a tiny shape on whatever device there is: nothing is kept

A group of 8 completions of R tokens behind one prompt of V visual and 200 text tokens. Ways: the forest on `varlen` and
on `segments` (SDPA), and the padded batch, four rows at a time, each with its own image. Forward and backward of the
log-probs with activation checkpointing; the optimizer is left out. What no longer fits in ten minutes is not begun.
MFU counts forward and backward once (no recomputation), by the FLOPs of the way's own tokens.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from shapes import IDS, SHAPES, qwen2_5_vl
from table import keep
from transformers import Qwen2_5_VLForConditionalGeneration

from visreason.model import attention
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Forest, Tree, plant
from visreason.model.logps import forest_logps, hidden_states
from visreason.model.value_head import ValueHead

G, TEXT, ROWS = 8, 200, 4
SETTINGS = ((1000, 300), (1000, 1000), (4000, 300))
BUDGET_S = 540
PEAK_TFLOPS = {
    "H200": 989,
    "H100": 989,
    "H800": 989,
    "A100": 312,
    "A800": 312,
    "L20": 119,
    "L40": 181,
    "4090": 165,
}
DOCS = Path(__file__).parents[1] / "docs"
TINY = {"inner": 128, "layers": 2, "heads": 4, "keys": 2, "words": 152064, "tied": True}


def build(config: Any, device: torch.device, dtype: torch.dtype):
    """A model with random weights, made where it will run."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            model = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    attention.install(model)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model.train()


def prompt(model: Any, visual: int) -> Prompt:
    """A prompt of one image of about so many visual tokens, and text."""
    side = 2 * round(visual**0.5)
    ids = torch.cat([
        torch.tensor([IDS["vision_start_token_id"]]), torch.full((side * side // 4,), IDS["image_token_id"]),
        torch.tensor([IDS["vision_end_token_id"]]), torch.randint(10, 1000, (TEXT,)),
    ])  # fmt: skip
    grid = torch.tensor([[1, side, side]])
    positions, _ = model.model.get_rope_index(
        ids[None], (ids[None] == IDS["image_token_id"]).int(), image_grid_thw=grid
    )
    return Prompt(ids, positions[:, 0], torch.randn(side * side, 3 * 2 * 14 * 14), grid)


def grove(model: Any, visual: int, completion: int, branches: int) -> Tree:
    ones = torch.ones(completion)
    made = tuple(Branch(torch.randint(10, 1000, (completion,)), ones) for _ in range(branches))
    return Tree(prompt(model, visual), made)


def update(model: Any, tree: Tree, way: str, device: torch.device) -> Callable[[], torch.Tensor]:
    """Forward and backward of the group's log-probs; their mean."""
    if way == "padded":
        return lambda: padded_update(model, tree, device)
    forest = plant([tree], way).to(device)

    def step() -> torch.Tensor:
        logps = forest_logps(model, half(forest, model.dtype)).logps_S
        logps.sum().backward()
        return logps.detach().mean()

    return step


def half(forest: Forest, dtype: torch.dtype) -> Forest:
    assert forest.pixels is not None
    return replace(forest, pixels=forest.pixels.to(dtype))


def padded_update(model: Any, tree: Tree, device: torch.device) -> torch.Tensor:
    """The plain batch: every completion behind its own copy of prompt and image, `ROWS` rows at a time."""
    found = []
    length = len(tree.branches[0].ids)
    for start in range(0, len(tree.branches), ROWS):
        branches = tree.branches[start : start + ROWS]
        rows = torch.stack([torch.cat([tree.prompt.ids, b.ids]) for b in branches]).to(device)
        logits = model(
            input_ids=rows, attention_mask=torch.ones_like(rows), use_cache=False, logits_to_keep=length + 1,
            pixel_values=tree.prompt.pixels.to(device, model.dtype).repeat(len(branches), 1),
            image_grid_thw=tree.prompt.grid_N3.to(device).repeat(len(branches), 1),
            mm_token_type_ids=(rows == IDS["image_token_id"]).int(),
        ).logits[:, :-1]  # fmt: skip
        logps = torch.log_softmax(logits.float(), -1).gather(-1, rows[:, -length:, None])[..., 0]
        logps.sum().backward()
        found.append(logps.detach().mean())
    return torch.stack(found).mean()


def flops(config: Any, tree: Tree, shared: bool) -> float:
    """Forward and backward of a group: products of weights and tokens, and attention at half for causality."""
    text, vision = config.get_text_config(), config.vision_config
    d, kv = text.hidden_size, text.hidden_size * text.num_key_value_heads // text.num_attention_heads
    layer = 2 * d * d + 2 * d * kv + 3 * d * text.intermediate_size
    trunk, lengths = len(tree.prompt.ids), [len(b.ids) for b in tree.branches]
    copies = 1 if shared else len(lengths)
    tokens = copies * trunk + sum(lengths)
    pairs = copies * trunk**2 / 2 + sum(trunk * n + n**2 / 2 for n in lengths)
    language = text.num_hidden_layers * (2 * layer * tokens + 4 * d * pairs) + 2 * d * text.vocab_size * sum(
        lengths
    )
    patches = int(tree.prompt.grid_N3.prod()) * copies
    v, inner = vision.hidden_size, vision.intermediate_size
    whole = len(vision.fullatt_block_indexes)
    per_image = patches / copies
    seen = patches * (whole * per_image + (vision.depth - whole) * 64)
    merger = 2 * patches / 4 * (16 * v * v + 4 * v * vision.out_hidden_size)
    return 3 * (language + vision.depth * 2 * patches * (4 * v * v + 3 * v * inner) + 4 * v * seen + merger)


def timed(work: Callable[[], Any], device: torch.device, repeats: int = 3) -> tuple[float, int]:
    """Shortest seconds of a piece of work after one that is not counted, and the peak memory."""
    cuda = device.type == "cuda"
    work()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times), torch.cuda.max_memory_allocated() if cuda else 0


def assert_aligned(device: torch.device) -> float:
    """Every attention path gives what one dense mask gives: `varlen` must align its causal mask bottom right."""
    layout = attention.Layout(((5, (3, 4)), (2, (1,)), (300, (70, 1, 129))), "dense", device)
    heads, keys, width, tokens = 4, 2, 64, layout.tokens
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    q, k, v = (torch.randn(1, h, tokens, width, device=device, dtype=dtype) for h in (heads, keys, keys))
    expected = attention.dense(q, k, v, layout, None).float()
    worst = 0.0
    for way in ways(device):
        if way != "padded":
            worst = max(
                worst, (attention.PATHS[way](q, k, v, layout, None).float() - expected).abs().max().item()
            )
    limit = 0.05 if dtype is torch.bfloat16 else 1e-5
    assert worst < limit, (
        f"expected the dense mask's attention within {limit}, found {worst}: wrong alignment"
    )
    return worst


def ways(device: torch.device) -> tuple[str, ...]:
    return (*(("varlen",) if device.type == "cuda" else ()), "segments", "padded")


def scoring(model: Any, visual: int, completion: int, device: torch.device) -> dict[str, float]:
    """Seconds of a reward model's scores of 1 and of 8 completions."""
    width = model.config.get_text_config().hidden_size
    head = ValueHead(width).to(device)
    found = {}
    for n in (1, 8):
        forest = half(plant([grove(model, visual, completion, n)], ways(device)[0]).to(device), model.dtype)

        @torch.no_grad()
        def score(forest: Forest = forest) -> torch.Tensor:
            return head(hidden_states(model, forest)[forest.lengths_B.cumsum(0) - 1])

        found[f"score_{n}"] = timed(score, device)[0]
    return found


def measure(
    name: str, config: Any, settings: Any, device: torch.device, start: float, peak: float
) -> list[dict]:
    model, rows = build(config, device, torch.bfloat16 if device.type == "cuda" else torch.float32), []
    for visual, completion in settings:
        tree = grove(model, visual, completion, G)
        mine = 0.0
        for way in ways(device):
            if time.perf_counter() - start > BUDGET_S:
                print(f"{name} {visual}/{completion} {way}: no time left", flush=True)
                continue
            try:
                step = update(model, tree, way, device)
                mean = step().item()
                seconds, memory = timed(step, device)
            except torch.OutOfMemoryError:
                print(f"{name} {visual}/{completion} {way}: the memory is full", flush=True)
                continue
            finally:
                model.zero_grad(set_to_none=True)
            done = flops(config, tree, way != "padded")
            mine = mine or done
            tokens = len(tree.prompt.ids) + G * completion
            rows.append({
                "shape": name, "V/R": f"{visual}/{completion}", "way": way, "seconds": seconds,
                "tokens_per_s": tokens / seconds, "mfu": done / seconds / peak if peak else None,
                "peak_gb": memory / 1e9, "flop_ratio": done / mine, "mean_logp": mean,
            })  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
        if time.perf_counter() - start < BUDGET_S:
            rows.append({"shape": name, "V/R": f"{visual}/{completion}", "way": "scoring",
                         **scoring(model, visual, completion, device)})  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    return rows


def publish(rows: list[dict], card: str, aligned: float) -> None:
    DOCS.mkdir(exist_ok=True)
    (DOCS / "speed_gpu.json").write_text(
        json.dumps({"card": card, "torch": torch.__version__, "rows": rows}, indent=1) + "\n"
    )
    updates = [r for r in rows if r["way"] != "scoring"]
    base = {(r["shape"], r["V/R"]): r["seconds"] for r in updates if r["way"] == "padded"}
    table = [
        [r["shape"], r["V/R"], r["way"], f"{r['seconds']:.3f}", f"{r['tokens_per_s']:,.0f}",
         f"{r['mfu']:.2f}" if r["mfu"] else "", f"{r['peak_gb']:.1f}", f"{r['flop_ratio']:.2f}",
         f"{base[r['shape'], r['V/R']] / r['seconds']:.2f}" if (r["shape"], r["V/R"]) in base else ""]
        for r in updates
    ]  # fmt: skip
    shown = "\n\n![seconds of an update](speed_gpu.png)" if plot(updates, card) else ""
    keep(
        f"Update step at published shapes on one {card}",
        f"{(__doc__ or '').split(chr(10) * 2)[2].strip()} torch {torch.__version__}. Attention paths "
        f"agree with the dense mask within {aligned:.0e}.{shown}",
        [
            "shape",
            "visual/completion",
            "way",
            "seconds",
            "tokens/s",
            "MFU",
            "peak GB",
            "FLOPs by the forest's",
            "times faster than padded",
        ],
        table,
    )


def plot(rows: list[dict], card: str) -> bool:
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("no matplotlib here: no plot")
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4))
    names = list(dict.fromkeys(f"{r['shape'].split('-')[2]} {r['V/R']}" for r in rows))
    for i, way in enumerate(dict.fromkeys(r["way"] for r in rows)):
        found = {f"{r['shape'].split('-')[2]} {r['V/R']}": r["seconds"] for r in rows if r["way"] == way}
        axes.bar([names.index(n) + 0.27 * i for n in found], list(found.values()), 0.25, label=way)
    axes.set_xticks([i + 0.27 for i in range(len(names))], names, rotation=20)
    axes.set_ylabel("seconds of an update")
    axes.set_title(card)
    axes.legend()
    figure.tight_layout()
    figure.savefig(DOCS / "speed_gpu.png", dpi=120)
    return True


def main() -> None:
    start = time.perf_counter()
    smoke = sys.argv[1:] == ["smoke"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not smoke:
        raise SystemExit(
            "expected a CUDA device, found none; `python speed/gpu.py smoke` tries the bench without one"
        )
    card = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    peak = next((t * 1e12 for name, t in PEAK_TFLOPS.items() if name in card), 0.0)
    aligned = assert_aligned(device)
    print(f"{card}: attention paths agree with the dense mask within {aligned:.1e}", flush=True)
    if smoke:
        rows = measure("tiny-of-3B", tiny(), ((36, 12),), device, start, peak)
        values = [r for r in rows if r["way"] != "scoring"]
        assert {r["way"] for r in values} == set(ways(device))
        means = [r["mean_logp"] for r in values]
        assert max(means) - min(means) < (1e-4 if card == "CPU" else 0.05), f"the ways differ: {means}"
        return
    rows = []
    for name in ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"):
        rows += measure(name.removeprefix("Qwen/"), SHAPES[name](), SETTINGS, device, start, peak)
        torch.cuda.empty_cache()
        publish(rows, card, aligned)


def tiny() -> Any:
    config = qwen2_5_vl(64, **TINY)
    config.text_config.rope_parameters = {**config.text_config.rope_parameters, "mrope_section": [2, 3, 3]}
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "fullatt_block_indexes": [1],
    }
    for key, value in vision.items():
        setattr(config.vision_config, key, value)
    return config


if __name__ == "__main__":
    main()
