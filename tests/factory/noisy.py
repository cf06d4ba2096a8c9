"""Script engines that see bars of the world badly, so that what agreement is worth can be measured: the world knows.

A value is misread by one with probability MISREAD, anew at every look; the writer slips in its sums with SLIP.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from random import Random

from tests.factory.replies import log, said
from visreason.record import Problem
from visreason.store import read_records

MISREAD, SLIP = 0.12, 0.08


@cache
def truths() -> dict[str, dict[str, int]]:
    """Values of the bars by the picture's hash, from the file that the environment names as WORLD."""
    found = {}
    for p in read_records(Path(os.environ["WORLD"]), Problem):
        if p.meta["family"] == "bars":
            found[p.images[0].sha256] = json.loads(p.description or "")["values"]
    return found


def answer_of(question: str, values: dict[str, int]) -> str:
    """The answer to one of the writer's questions."""
    named = re.findall(r"the (\w+) bar", question)
    if "sum" in question:
        return str(values[named[0]] + values[named[1]])
    if "How much" in question:
        return str(abs(values[named[0]] - values[named[1]]))
    options = re.findall(r"\([A-E]\) (\w+)", question)
    best = max(values.values())
    return "ABCDE"[next(i for i, o in enumerate(options) if values.get(o) == best)]


def looked(conversation, key: str) -> dict[str, int]:
    """What is seen of the picture at this look."""
    shown = next(p["image"] for m in conversation for p in m["content"] if p["type"] == "image")
    rng = Random(f"{shown.sha256} {key}")
    return {
        color: max(0, v + rng.choice((-1, 1))) if rng.random() < MISREAD else v
        for color, v in truths()[shown.sha256].items()
    }


def written(values: dict[str, int]) -> str:
    return "A bar chart. " + " ".join(f"The {color} bar is {v}." for color, v in values.items())


def values_in(text: str) -> dict[str, int]:
    return {color: int(v) for color, v in re.findall(r"The (\w+) bar is (\d+)\.", text)}


def laid_out(values: dict[str, int], question: str, rng: Random, slip: float) -> str:
    answer = answer_of(question, values)
    if answer.isdigit() and rng.random() < slip:
        answer = str(int(answer) + 1)
    seen = " ".join(f"the {color} bar is {v}," for color, v in values.items())
    return f"<think>In the picture {seen} so the answer is {answer}.</think>\n<answer>{answer}</answer>"


def seer(conversation, i):
    """Describes, looks, answers and adjudicates from the picture."""
    log(conversation, "seer")
    text = said(conversation)
    if "Describe this picture" in text:
        return written(looked(conversation, "coarse"))
    if "Look at the picture and answer" in text:
        color = re.search(r"value of the (\w+) bar", text)[1]
        return f"The {color} bar is {looked(conversation, 'look ' + color)[color]}."
    if "Two people answered" in text:
        return laid_out(looked(conversation, "third " + text), text, Random(text), 0)
    return laid_out(looked(conversation, text), text, Random(text), 0)


def writer(conversation, i):
    """Asks for what is missing, joins it, writes questions, screens them, answers from the description."""
    log(conversation, "writer")
    text = said(conversation)
    values = values_in(text)
    if "can't see" in text:
        wanted = [f"What is the value of the {color} bar?" for color in list(values)[:2]]
        return "[]" if "value of" in text else json.dumps(wanted)
    if "Make one complete description" in text:
        return written(values)
    if "Write 3 questions" in text:
        return json.dumps(questions(values))
    if "with one answer that can be checked" in text:
        return "It can be read off.\nvalid"
    asked = re.search(r"<question>\n(.*)\n</question>", text, re.DOTALL)[1]
    return laid_out(values, asked, Random(text), SLIP)


def questions(values: dict[str, int]) -> list[dict]:
    """Three questions, answered from the values as the writer has them."""
    one, two, three = list(values)[:3]
    rows = [
        row(f"What is the sum of the {one} bar and the {two} bar?", "mathematics"),
        row(f"How much apart are the {two} bar and the {three} bar?", "recognition"),
        row("Which color does the highest bar have?", "space") | {"type": "MC", "choices": list(values)},
    ]
    for made in rows:
        listed = "\n".join(f"({a}) {c}" for a, c in zip("ABCDE", made.get("choices", []), strict=False))
        made["answer"] = answer_of(f"{made['question']}\n{listed}", values)
    return rows


def row(question: str, ability: str) -> dict:
    return {"question": question, "type": "FIB", "abilities": ["reasoning", ability]}
