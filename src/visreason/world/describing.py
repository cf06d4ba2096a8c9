"""Lessons in describing: a drawn picture, a prompt of `visreason formalize` about it, and the reply that is true.

A model that learned them describes the world's pictures (docs/data.md). Prompts are long, so lessons are few.
"""

import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from PIL import Image as Picture

from visreason.prompt.chat import choice_lines
from visreason.prompt.formal import ask_description, ask_kind
from visreason.record import Completion, Problem, Sample, Score
from visreason.world import primer, problems
from visreason.world.draft import Draft

KINDS = {"bars": "chart", "tables": "table", "counting": "natural", "geometry": "mathematics"}
"""What formalize calls the families' pictures."""
KIND_EVERY = 4
"""One lesson in so many asks for the kind, which is soon learned."""


def write(folder: Path, n: int, seed: int = 0) -> Path:
    """Write n lessons to folder/describe.jsonl, pictures to folder/images; returns the file's path."""
    return problems.write_drawn(folder, "describe", islice(_lessons(seed), n), n)


def _lessons(seed: int) -> Iterator[tuple[Sample, Picture.Image]]:
    first = (i for i in count() if problems.place(i)[1] == 1)
    for k, index in enumerate(first):
        family, _, _ = problems.place(index)
        draft = problems.draft("train", index, seed)
        asks_kind = k // len(KINDS) % KIND_EVERY == 0
        question, reply = _kind(family) if asks_kind else _description(family, draft)
        problem = Problem(f"describe-{k}", question, meta={"source": "world", "family": family})
        yield (
            Sample(problem, Completion(reply, model="world"), Score(1.0)),
            Picture.fromarray(draft.scene.paint()),
        )


def _kind(family: str) -> tuple[str, str]:
    return ask_kind(())[0]["content"][0]["text"], KINDS[family]


def _description(family: str, draft: Draft) -> tuple[str, str]:
    asked = Problem("", draft.question, choices=draft.choices)
    question = "\n".join(filter(None, (draft.question, choice_lines(asked))))
    prompt = ask_description(KINDS[family], question, "", ())[0]["content"][0]["text"]
    return prompt, described(family, draft)


def described(family: str, draft: Draft) -> str:
    """What is to be said of a picture: its cells in words, then the form that its kind asks for."""
    words, formal = primer.read_scene(draft.scene), draft.scene.description
    if family == "bars":
        values = json.loads(formal)["values"]
        rows = "\n".join(f"{color},{value}" for color, value in values.items())
        drawn = f"import matplotlib.pyplot as plt\nplt.bar({list(values)}, {list(values.values())})"
        return f"{words}\n```csv\ncolor,value\n{rows}\n```\n```python\n{drawn}\n```"
    if family == "counting":
        things = dict.fromkeys(f"{color} {shape}" for color, shape, *_ in json.loads(formal)["shapes"])
        return f"{words}\nObjects: {', '.join(things)}"
    return f"{words}\n```{'csv' if family == 'tables' else 'logic'}\n{formal}\n```"
