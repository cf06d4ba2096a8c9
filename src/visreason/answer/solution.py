"""What part of a response is its solution: without thoughts, and neither a program nor several questions answered.

Tags are looked for in the whole response, in linear time; of what stands outside thoughts the last 20,000 characters
are read.
"""

import re

from visreason.answer.normalize import UNESCAPED
from visreason.answer.phrases import BOX, PHRASE

READ_CHARS = 20_000
THOUGHTS = (("<think>", "</think>"), ("<|begin_of_thought|>", "<|end_of_thought|>"))
SOLUTIONS = ("<answer>", "<|begin_of_solution|>")

PROGRAM = re.compile(
    r"(?:\A|\n)[ \t]*(?:print\(.*|return\b.*|\w+ = .*\)|[A-Za-z_]\w*(?:\(.*\))?)[ \t]*(?:\n\s*```\s*)?\Z"
)
"""The last line of a program: a text that ends in one states no answer, its output would."""
CODE = re.compile(r"^[ \t]*(?:def \w+\(|import \w|from \w+ import|print\(|for \w+ in|\w+ = )", re.MULTILINE)
"""Lines of a program, of which there are at least two."""
TAG = re.compile(
    r"[<◁][ \n]{0,3}(/?)[ \n]{0,3}(think|thinking|reasoning|answer|conclusion)[ \n]{0,3}[>▷]", re.IGNORECASE
)
"""Tags as models write them: with spaces (Qwen2.5-VL-32B), in capitals (LLaVA-CoT), with other brackets (Kimi-VL)."""
IMPORT = re.compile(r"^[ \t]*(?:import|from|def) \w+", re.MULTILINE)
ENDED = re.compile(r"<\|(?:im_end|im_start|endoftext|eot_id)\|>|</s>")
BOXED = re.compile(r"<\|begin_of_box\|>(.*?)<\|end_of_box\|>", re.DOTALL)
"""The answer's marks of GLM-4.1V-Thinking."""
CIRCLED = {0x24B6 + i: f"({letter})" for i, letter in enumerate("ABCDEFGHIJ")}
UNBRACED = re.compile(r"\\boxed\s*(-?\d+(?:\.\d+)?|[A-J])\b")
INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff]")
ANOTHER = re.compile(
    r"\n[ \t]*(?:(?:hint|question|q|human|user|problem|prompt|instruction)s?[ \t]*\d*[ \t]*[:：]"
    r"|\d+[.)] [^\n]{10,500}\?[ \t]*\n)",
    re.IGNORECASE,
)
"""The start of another question."""
QUESTION = re.compile(r"^[ \t]*question[ \t]*\d*[ \t]*[:：]", re.IGNORECASE | re.MULTILINE)
OPTION = re.compile(r"\A\(?[A-J](?:\)|\. |$|\n)")


def solution(response: str) -> str:
    """The response without its thoughts, up to the end of the turn. A thought that is never closed hides everything
    but an answer block after it.

    >>> solution("<think>maybe 7</think>It is 8.")
    'It is 8.'
    >>> solution("<think>maybe 7")
    ''
    """
    response = TAG.sub(_tag, ENDED.split(response, maxsplit=1)[0])
    response = BOXED.sub(r"\\boxed{\1}", response).translate(CIRCLED | UNESCAPED)
    response = UNBRACED.sub(r"\\boxed{\1}", response)
    for begin, end in THOUGHTS:
        response = _without(response, begin, end)
    return INVISIBLE.sub("", response[-READ_CHARS:]).strip()


def is_program(text: str) -> bool:
    """Whether a text ends in the last line of a program, whose output it does not show.

    >>> is_program("x = 3\\nprint(x + 1)"), is_program("So x = 3")
    (True, False)
    """
    last = PROGRAM.search(text[-500:])
    if last is None or len(CODE.findall(text[-4000:])) < 2:
        return False
    return "(" in last.group() or "return" in last.group() or IMPORT.search(text) is not None


def runs_on(text: str) -> bool:
    """Whether a text goes on to another question once it has answered one, or puts several: to which it answers last is
    not known.

    >>> runs_on("The answer is B.\\n\\nQuestion: How many apples?"), runs_on("Question: How many?\\nThe answer is B.")
    (True, False)
    """
    if len(QUESTION.findall(text)) > 1:
        return True
    answers = [match.start() for pattern in (PHRASE, BOX, OPTION) if (match := pattern.search(text))]
    return bool(answers) and ANOTHER.search(text, min(answers)) is not None


def _tag(found: re.Match[str]) -> str:
    return f"<{found[1]}{'answer' if found[2].lower() in ('answer', 'conclusion') else 'think'}>"


def _without(text: str, begin: str, end: str) -> str:
    """Text outside begin..end. A stray end closes a thought that the prompt opened; a stray begin hides the rest."""
    kept: list[str] = []
    at = 0
    while (start := text.find(begin, at)) >= 0:
        kept.append(text[at:start])
        stop = text.find(end, start)
        if stop < 0:
            marks = [m for m in (text.find(s, start) for s in SOLUTIONS) if m >= 0]
            kept.append(text[min(marks) :] if marks else "")
            break
        at = stop + len(end)
    else:
        kept.append(text[at:])
    return "".join(kept).rpartition(end)[2]
