"""What script engines answer in these tests: `script:tests.factory.replies:NAME`. Every call is written to ASKED,
where the environment names a file, so that a test can count what was asked."""

import json
import os
import re
import time

from visreason.record import Completion


def said(conversation) -> str:
    return "\n".join(part.get("text", "") for m in conversation for part in m["content"])


def log(conversation, role: str) -> None:
    """Note what was asked about which pictures; SLOW seconds make a run last long enough to be killed in it."""
    if path := os.environ.get("ASKED"):
        shown = [p["image"].sha256 for m in conversation for p in m["content"] if p["type"] == "image"]
        with open(path, "a", encoding="utf-8") as out:
            out.write(json.dumps([role, said(conversation), shown]) + "\n")
    time.sleep(float(os.environ.get("SLOW", "0")))


def number(conversation) -> int:
    return int(re.search(r"What is (\d+) \+ 1\?", said(conversation))[1])


def laid_out(answer, thought="I look at the picture and add one to it.") -> str:
    return f"<think>{thought}</think>\n<answer>{answer}</answer>"


def teacher(conversation, i):
    """Six kinds of faults in turn, by problem and completion; problem 0 is right each time."""
    log(conversation, "teacher")
    k, right = number(conversation), number(conversation) + 1
    faults = {
        1: f"I think it is {right}",
        2: laid_out(right) + f"\n<answer>{right}</answer>",
        3: laid_out(right, "从图中可以看出这个数加一就得到了答案"),
        4: "",
        5: laid_out(right, "so it is what it is and " * 300),
        6: laid_out(right, "The caption says it, as in the description."),
        7: laid_out(right, "word " * 9000),
        8: Completion("<think>on and on", finish="length"),
        9: Completion("no engine", finish="error"),
        10: laid_out(right, "See <image> here."),
        11: laid_out(99),
    }
    return faults.get(k, laid_out(right))


def rewriter(conversation, i):
    """Words of a description become words of sight; problem 12's thought is never rewritten well."""
    log(conversation, "rewriter")
    thought = re.search(r"<thought>\n(.*)\n</thought>", said(conversation), re.DOTALL)[1]
    return (
        "Revised: the caption."
        if "stubborn" in thought
        else re.sub("caption|description", "picture", thought)
    )


def describer(conversation, i):
    """Every picture is a chart, described by a table."""
    log(conversation, "describer")
    if "What kind of picture" in said(conversation):
        return "chart"
    code = "import matplotlib.pyplot as plt\nplt.bar([1], [2])"
    return f"Bars.\n```csv\na,b\n1,2\n```\n```python\n{code}\n```"
