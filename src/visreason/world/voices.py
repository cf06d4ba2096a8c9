"""Script engines that see bars of the world, for trying pipelines out: `script:visreason.world.voices:seer`.

`describer` sees exactly. `seer` and `writer` err, so that what agreement is worth can be measured: a value is misread
with probability MISREAD, anew at every look; the writer slips in its sums with SLIP.
"""

import json
import re
from random import Random
from typing import Any

import numpy as np

from visreason.prompt import open_image
from visreason.prompt.layouts import write_tags
from visreason.record import Image
from visreason.world import bars

Conversation = list[dict[str, Any]]
MISREAD, SLIP = 0.12, 0.08
LETTERS = "ABCDE"


def describer(conversation: Conversation, i: int) -> str:
    """A chart's kind, and its description as `visreason formalize` asks for it."""
    if "What kind of picture" in said(conversation):
        return "chart"
    values = bars.read(_pixels(_shown(conversation)))
    rows = "\n".join(f"{color},{value}" for color, value in values.items())
    drawn = f"import matplotlib.pyplot as plt\nplt.bar({list(values)}, {list(values.values())})"
    return f"{written(values)}\n```csv\ncolor,value\n{rows}\n```\n```python\n{drawn}\n```"


def seer(conversation: Conversation, i: int) -> str:
    """Describes, looks, answers and adjudicates from the picture, as `visreason synthesize` asks."""
    text = said(conversation)
    if "Describe this picture" in text:
        return written(_looked(conversation, "coarse"))
    if "Look at the picture and answer" in text:
        color = re.findall(r"value of the (\w+) bar", text)[0]
        return f"The {color} bar is {_looked(conversation, 'look ' + color)[color]}."
    if "Two people answered" in text:
        return _laid_out(_looked(conversation, "third " + text), text, Random(text), 0)
    return _laid_out(_looked(conversation, text), text, Random(text), 0)


def writer(conversation: Conversation, i: int) -> str:
    """Asks for what is missing, joins it, writes questions, screens them, answers from the description."""
    text = said(conversation)
    values = values_in(text)
    if "can't see" in text:
        wanted = [f"What is the value of the {color} bar?" for color in list(values)[:2]]
        return "[]" if "value of" in text else json.dumps(wanted)
    if "Make one complete description" in text:
        return written(values)
    if "Write 3 questions" in text:
        return json.dumps(_questions(values))
    if "with one answer that can be checked" in text:
        return "It can be read off.\nvalid"
    asked = re.findall(r"<question>\n(.*)\n</question>", text, re.DOTALL)[0]
    return _laid_out(values, asked, Random(text), SLIP)


def answer_of(question: str, values: dict[str, int]) -> str:
    """The answer to one of the writer's questions."""
    named = re.findall(r"the (\w+) bar", question)
    if "sum" in question:
        return str(values[named[0]] + values[named[1]])
    if "How much" in question:
        return str(abs(values[named[0]] - values[named[1]]))
    options = re.findall(r"\([A-E]\) (\w+)", question)
    best = max(values.values())
    return LETTERS[next(i for i, o in enumerate(options) if values.get(o) == best)]


def said(conversation: Conversation) -> str:
    """All text of a conversation."""
    return "\n".join(part.get("text", "") for m in conversation for part in m["content"])


def written(values: dict[str, int]) -> str:
    """A chart in words."""
    return "A bar chart. " + " ".join(f"The {color} bar is {v}." for color, v in values.items())


def values_in(text: str) -> dict[str, int]:
    """A chart from words; what is said last of a bar holds."""
    return {color: int(v) for color, v in re.findall(r"The (\w+) bar is (\d+)\.", text)}


def _shown(conversation: Conversation) -> Image:
    return next(p["image"] for m in conversation for p in m["content"] if p["type"] == "image")


def _pixels(image: Image) -> np.ndarray:
    return np.asarray(open_image(image))


def _looked(conversation: Conversation, key: str) -> dict[str, int]:
    """What is seen of the picture at this look."""
    shown = _shown(conversation)
    rng = Random(f"{shown.sha256} {key}")
    return {
        color: max(0, v + rng.choice((-1, 1))) if rng.random() < MISREAD else v
        for color, v in bars.read(_pixels(shown)).items()
    }


def _laid_out(values: dict[str, int], question: str, rng: Random, slip: float) -> str:
    answer = answer_of(question, values)
    if answer.isdigit() and rng.random() < slip:
        answer = str(int(answer) + 1)
    seen = " ".join(f"the {color} bar is {v}," for color, v in values.items())
    return write_tags(f"In the picture {seen} so the answer is {answer}.", answer)


def _questions(values: dict[str, int]) -> list[dict]:
    """Three questions, answered from the values as the writer has them."""
    one, two, three = list(values)[:3]
    rows = [
        _row(f"What is the sum of the {one} bar and the {two} bar?", "mathematics"),
        _row(f"How much apart are the {two} bar and the {three} bar?", "recognition"),
        _row("Which color does the highest bar have?", "space") | {"type": "MC", "choices": list(values)},
    ]
    for made in rows:
        listed = "\n".join(f"({a}) {c}" for a, c in zip(LETTERS, made.get("choices", []), strict=False))
        made["answer"] = answer_of(f"{made['question']}\n{listed}", values)
    return rows


def _row(question: str, ability: str) -> dict:
    return {"question": question, "type": "FIB", "abilities": ["reasoning", ability]}
