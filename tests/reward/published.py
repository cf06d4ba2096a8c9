"""Scores as the model card of Skywork-VL-Reward-7B describes them, with transformers alone: the chat template over the
whole conversation, right padding, the head's value gathered at the attention mask's sum minus one."""

import torch
from PIL import Image as Picture
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor


def published_scores(folder, conversations, batch):
    """Scores of whole conversations (images as paths), `batch` at a time."""
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.padding_side = "right"
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    tensors = load_file(folder / "value_head.safetensors")
    scores = []
    for start in range(0, len(conversations), batch):
        block = conversations[start : start + batch]
        texts = [processor.apply_chat_template(c, tokenize=False, add_generation_prompt=False) for c in block]
        images = [
            Picture.open(p["image"]).convert("RGB")
            for c in block
            for m in c
            for p in m["content"]
            if "image" in p
        ]
        inputs = processor(text=texts, images=images or None, padding=True, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**inputs, output_hidden_states=True, use_cache=False).hidden_states[-1]
        values = (hidden.float() @ tensors["v_head.summary.weight"].T + tensors["v_head.summary.bias"])[
            ..., 0
        ]
        last = inputs["attention_mask"].sum(-1, keepdim=True) - 1
        scores += values.gather(-1, last)[:, 0].tolist()
    return scores
