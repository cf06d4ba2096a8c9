import json
import re

import numpy as np
from PIL import Image as Picture

from tests.world.conftest import Drawn
from tests.world.oracle import answer, said
from visreason.world.pen import COLORS


def ranked(bars: dict[str, int]) -> list[str]:
    return [color for _, color in sorted((height, color) for color, height in bars.items())]


RULES = {
    r"What is the value of the (\w+) bar\?": lambda b, c: b[c],
    r"What color is the highest bar\?": lambda b: ranked(b)[-1],
    r"Which bar is the lowest\?": lambda b: ranked(b)[0],
    r"Which bar is the second highest\?": lambda b: ranked(b)[-2],
    r"What is the sum of the (\w+) bar and the (\w+) bar\?": lambda b, c, d: b[c] + b[d],
    r"How much higher is the (?!highest)(\w+) bar than the (\w+) bar\?": lambda b, c, d: b[c] - b[d],
    r"How much higher is the highest bar than the lowest bar\?": lambda b: max(b.values()) - min(b.values()),
    r"How many bars are higher than (\d+)\?": lambda b, n: sum(v > int(n) for v in b.values()),
    r"What is the sum of all bars\?": lambda b: sum(b.values()),
    r"What is the sum of all bars without the (\w+) bar\?": lambda b, c: sum(b.values()) - b[c],
}


def seen(picture: Picture.Image) -> dict[str, int]:
    """Bars read from the pixels: in each column of cells, the one strong colour and how far up it reaches."""
    pixels, names = np.asarray(picture), {rgb: name for name, rgb in COLORS.items()}
    bars = {}
    for x in range(14, 112, 28):
        found = [(names.get((r, g, b)), y) for y, (r, g, b) in enumerate(pixels[:, x].tolist())]
        top = next(((name, y) for name, y in found if name), None)
        if top:
            bars[top[0]] = round((112 - top[1]) / 14)
    return bars


def test_answers_follow_from_the_description(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["bars"]:
        bars = json.loads(problem.description or "")["values"]
        assert said(problem) == answer(problem.question, bars, RULES), problem


def test_the_highest_and_lowest_are_never_shared(by_family: dict[str, Drawn]) -> None:
    for problem, _ in by_family["bars"]:
        if problem.meta["form"] in ("highest", "lowest", "second"):
            heights = json.loads(problem.description or "")["values"].values()
            assert len(set(heights)) == len(heights)


def test_the_picture_shows_the_described_bars_from_left_to_right(by_family: dict[str, Drawn]) -> None:
    for problem, picture in by_family["bars"]:
        assert list(seen(picture).items()) == list(json.loads(problem.description or "")["values"].items())


def test_the_thought_reads_every_bar_and_then_those_that_are_asked_for(by_family: dict[str, Drawn]) -> None:
    for problem, picture in by_family["bars"]:
        read, named, *_ = (problem.thought or "").split(".")
        bars = seen(picture)
        assert read == ", ".join(f"{c} {color} {bars[color]}" for c, color in zip("abcd", bars, strict=False))
        if problem.meta["form"] in ("value", "pair_sum", "pair_gap"):
            asked = re.findall(r"the (\w+) bar", problem.question)
            assert named.strip() == ", ".join(f"{color} {bars[color]}" for color in asked)
