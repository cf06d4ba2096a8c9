"""Rows that compare two completions: ranking files of LLaMA-Factory, preferences of Hugging Face, reward benchmarks."""

from dataclasses import replace

from visreason.data.album import Album
from visreason.data.pairs import pair_of
from visreason.data.rows import Row, Rows, further, named_images
from visreason.data.turns import marked, unmarked
from visreason.errors import DataError
from visreason.prompt import Style
from visreason.record import Pair


def read_pair(row: Row, name: str) -> list[Rows]:
    pair = pair_of(row, name)
    images = len(pair.problem.images)
    return [replace(pair, problem=replace(pair.problem, question=unmarked(pair.problem.question, images)))]


def _pair(records: list[Rows]) -> Pair:
    assert isinstance(records[0], Pair)
    return records[0]


def _margin(pair: Pair) -> Row:
    return {} if pair.margin is None else {"margin": pair.margin}


def write_ranking(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    sides = {name: {"from": "gpt", "value": getattr(pair, name).text} for name in ("chosen", "rejected")}
    return {
        **further(pair.problem), **_margin(pair), "id": pair.problem.id,
        "conversations": [{"from": "human", "value": marked(pair.problem, style)}], **sides,
        "images": named_images(pair.problem, album),
    }  # fmt: skip


def write_preference(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    sides = {n: [{"role": "assistant", "content": getattr(pair, n).text}] for n in ("chosen", "rejected")}
    return {
        **further(pair.problem), **_margin(pair), "id": pair.problem.id,
        "prompt": [{"role": "user", "content": marked(pair.problem, style)}], **sides,
        "images": named_images(pair.problem, album),
    }  # fmt: skip


def write_rewardbench(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    if pair.problem.images:
        raise DataError(
            "expected a text-only pair for RewardBench, found one with pictures; use vl_rewardbench"
        )
    return {
        **further(pair.problem), **_margin(pair), "id": pair.problem.id, "prompt": marked(pair.problem, style),
        "chosen": pair.chosen.text, "rejected": pair.rejected.text,
    }  # fmt: skip


def write_vl_rewardbench(records: list[Rows], album: Album, style: Style) -> Row:
    pair = _pair(records)
    images = named_images(pair.problem, album)
    return {
        **further(pair.problem), **_margin(pair), "id": pair.problem.id,
        "query": marked(replace(pair.problem, images=()), style), "image": images[0] if len(images) == 1 else images,
        "response": [pair.chosen.text, pair.rejected.text], "human_ranking": [0, 1],
    }  # fmt: skip
