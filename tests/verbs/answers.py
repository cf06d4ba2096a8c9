"""What script engines answer in these tests: `script:tests.verbs.answers:NAME`."""

import re

from visreason.record import Completion

QUESTIONS = 7


def rows() -> list[dict]:
    """Problems without pictures: `What is I + 1?`, of two levels."""
    return [
        {"id": f"p{i}", "question": f"What is {i} + 1?", "answer": str(i + 1), "level": i % 2}
        for i in range(QUESTIONS)
    ]


def asked(conversation) -> int:
    """The number I of the question in a conversation."""
    text = "\n".join(part.get("text", "") for m in conversation for part in m["content"])
    return int(re.search(r"What is (\d+) \+ 1\?", text)[1])


def laid_out(answer) -> str:
    return f"<think>I count.</think>\n<answer>{answer}</answer>"


def mixed(conversation, i):
    """Right (0, 1), wrong (2), right without layout (3), unparsed (4), cut off (5) and errored (6)."""
    k = asked(conversation)
    if k == 6:
        return Completion("no engine", finish="error")
    if k == 5:
        return Completion("<think>I count and", finish="length", token_ids=(1, 2, 3, 4))
    return {2: laid_out(99), 3: str(k + 1), 4: "<think>hm</think>\n<answer></answer>"}.get(k, laid_out(k + 1))


def counted(conversation, i):
    """Right at every first answer, wrong at every second."""
    return laid_out(asked(conversation) + (1 if i % 2 == 0 else 7))
