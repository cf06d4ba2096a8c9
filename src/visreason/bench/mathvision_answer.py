r"""Finding the answer in a response as MATH-Vision's authors do, step by step.

Source: mathllm/MATH-V@a1f5cc3a, evaluation/evaluate.py (the flags) and utils.py (`find_math_answer`, `_strip_string`).
Their quirks are kept, since published figures rest on them.
"""

import re

FLAGS = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
CLEANED = (
    (" ", ""), ("\\,", ""), ("∞", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\"), ("\n", ""), ("\\text", ""),
    ("\\mbox", ""), ("bmatrix", "pmatrix"), ("\\left", ""), ("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""),
    ("{m}^3", ""), ("m^3", ""), ("{units}", ""), ("units", ""), ("{km}", ""), ("km", ""), ("\\!", ""), ("\\\\", "\\"),
    ("tfrac", "frac"), ("dfrac", "frac"), ("\\$", ""), ("$", ""),
)  # fmt: skip
"""What is replaced by what, in this order."""


def find_answer(response: str) -> str:
    r"""What a response answers, in the authors' normal form: lower case, without units.

    >>> find_answer("So it is (B)."), find_answer(r"Hence \boxed{\dfrac{1}{2}}."), find_answer(r"\boxed{4/6}")
    ('b', '\\frac{1}{2}', '\\frac{4}{6}')
    """
    answer = _stated(_lettered(response.strip()))
    answer = _normal(answer)
    for letter in "abcde":
        answer = answer.replace(f"({letter})", letter)
    for letter in "abcde":
        answer = answer.replace(f"{{{letter}}}", letter)
    return answer.rstrip(".").lstrip(":").strip()


def _lettered(answer: str) -> str:
    """A letter that ends or leads the response, and a number that ends it."""
    for c in "ABCDE":
        if answer.endswith((f" {c}.", f" ({c}).")) or answer.startswith(
            (f"{c}\n", f"({c})\n", f"({c}) {c}\n")
        ):
            answer = c
    tail = answer.split("is ")[-1].rstrip(".")
    return tail if _is_number(tail) else answer


def _stated(answer: str) -> str:
    """The last box, or what follows the last phrase that announces an answer."""
    if answer.count("oxed{") > 1:
        return "\\boxed{" + answer.split("oxed{")[-1]
    if "oxed{" in answer:
        return answer
    for flag in FLAGS:
        for phrase in (flag, flag.replace("the", "The")):
            announced = phrase in answer
            answer = answer.split(phrase)[-1].strip()
            if announced:
                answer = answer.split("\n")[0].split(". ")[0]
    return answer


def _normal(text: str) -> str:
    text = text.lower().replace("{}", "")
    boxes = re.findall(r"oxed{(.*)}", text, flags=re.DOTALL)
    answer = boxes[-1] if boxes else text
    if "}" in answer and ("{" not in answer or answer.find("}") < answer.find("{")):
        answer = answer.split("}")[0]
    answer = answer.split("=")[-1].split("\\approx")[-1]
    for part, instead in CLEANED:
        answer = answer.replace(part, instead)
    return _plain(answer)


def _plain(text: str) -> str:
    """One spelling of fractions, roots and numbers."""
    text = text.split("\\text{ ")[0].replace("\\%", "").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    for sign in ("=", "\\approx"):
        if text.count(sign) == 1:
            text = text.split(sign)[-1]
    if "sqrt" in text:
        text = _braced_fractions(re.sub(r"\\sqrt(?=[^{])(.)", r"\\sqrt{\1}", text).replace(" ", ""))
    text = text.replace(" ", "")
    if text == "0.5":
        return "\\frac{1}{2}"
    slash = re.fullmatch(r"(-?(?:0|[1-9]\d*))/(-?(?:0|[1-9]\d*))", text)
    return f"\\frac{{{slash.group(1)}}}{{{slash.group(2)}}}" if slash else text


def _braced_fractions(text: str) -> str:
    r"""\frac12 and \frac1{2} as \frac{1}{2}; a text with a fraction that breaks off stays as it is."""
    first, *parts = text.split("\\frac")
    if any(part[:1] != "{" and len(part) < 2 for part in parts):
        return text
    braced = (
        p if p[:1] == "{" else f"{{{p[0]}}}{p[1:] if p[1] == '{' else f'{{{p[1]}}}{p[2:]}'}" for p in parts
    )
    return first + "".join("\\frac" + part for part in braced)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
