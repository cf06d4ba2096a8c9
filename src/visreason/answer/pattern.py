"""Regular expressions put together from branches, so that each can stand on its line with an example behind it."""

LETTER = r"\(?[A-Z]\)?(?![\w'’])"
"""An option's letter: B, (B) or B), not the one of Bob or B's."""


def either(*branches: str) -> str:
    r"""A group of branches, of which the first that fits counts.

    >>> either("rather than", r"rul(?:ed|ing) out")
    '(?:rather than|rul(?:ed|ing) out)'
    """
    return f"(?:{'|'.join(branches)})"


def word(*branches: str) -> str:
    r"""The same as whole words.

    >>> import re
    >>> bool(re.search(word("not", "nor"), "neither nor")), bool(re.search(word("not"), "nothing"))
    (True, False)
    """
    return rf"\b{either(*branches)}\b"
