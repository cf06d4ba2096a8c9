"""An answer that a benchmark's own extractor (often a language model) read out of a response and kept beside it.

It says what a program printed or which option prose meant, where the response alone states no answer. MathVista's is
scored by MathVista's published rule (calculate_score.py): nearest option by edit distance, whole numbers as they stand.
"""

import re
from functools import lru_cache
from string import ascii_uppercase

from visreason.answer.check import check
from visreason.answer.choice import OUTSIDE, pick
from visreason.errors import DataError
from visreason.record import Problem, Score

MATHVISTA = ("multi_choice", "free_form")
"""Values of the column question_type in MathVista's result files."""
MAX_CHARS = 2_000


def check_extraction(problem: Problem, extraction: str) -> Score:
    """Score of a kept extraction.

    >>> row = {"question_type": "multi_choice", "answer_type": "text"}
    >>> check_extraction(Problem("p", "?", answer="No", choices=("Yes", "No"), meta=row), "N/A").reason
    'choice'
    """
    kind = problem.meta.get("question_type")
    if kind not in MATHVISTA or problem.answer is None or (kind == "multi_choice" and not problem.choices):
        return check(problem, extraction)
    found = mathvista_form(problem, extraction.strip()[:MAX_CHARS])
    if found is None:
        return Score(0.0, extraction[:MAX_CHARS], "wrong")
    right = found in (problem.answer, _text_of(problem))
    rule = "choice" if problem.choices else "numeric"
    return Score(float(right), found, rule if right else "wrong")


def mathvista_form(problem: Problem, extraction: str, integer: str = "strict") -> str | None:
    """An extraction in MathVista's normal form (calculate_score.py, normalize_extracted_answer); None where it is no
    number of the right kind. `integer` is "float" where 3.0 is 3. Raises DataError for a choice without choices."""
    kind = problem.meta.get("answer_type")
    try:
        if problem.meta["question_type"] == "multi_choice":
            return _option(problem, extraction.strip())
        if kind == "integer":
            return str(int(extraction) if integer == "strict" else int(float(extraction)))
        if kind == "float":
            return str(round(float(extraction), int(float(problem.meta.get("precision") or 0))))
    except (ValueError, OverflowError):
        return None
    return extraction


def _text_of(problem: Problem) -> str | None:
    """The text of the option that a gold letter names."""
    named = pick(problem.answer or "", problem.choices) if problem.choices else frozenset()
    return problem.choices[min(named)] if len(named) == 1 and OUTSIDE not in named else None


def names_option(problem: Problem, extraction: str) -> bool:
    """Whether an extraction is an option's letter or its text, so that the published rule need not take the nearest."""
    text = _lettered(extraction.strip())
    return text in problem.choices or (len(text) == 1 and text in ascii_uppercase[: len(problem.choices)])


def _lettered(extraction: str) -> str:
    letter = re.search(r"\(([a-zA-Z])\)", extraction)
    return letter.group(1).upper() if letter else extraction[:MAX_CHARS]


def _option(problem: Problem, extraction: str) -> str:
    if not problem.choices:
        raise DataError(f"problem {problem.id!r}: expected choices for a multi_choice question, found none")
    text = _lettered(extraction)
    letters = ascii_uppercase[: len(problem.choices)]
    if len(text) == 1 and text in letters:
        return problem.choices[letters.index(text)]
    return min(problem.choices, key=lambda choice: edit_distance(choice[:MAX_CHARS], text))


@lru_cache(maxsize=65_536)
def edit_distance(a: str, b: str) -> int:
    """Insertions, deletions and substitutions that turn one text into the other (Levenshtein 1966).

    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]
