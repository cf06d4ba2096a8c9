"""Exact round trips: what a format can't hold is kept beside it, and comes back only where nothing was changed since.

A patch turns the object that was found into the one that was meant: {name: [digest of what was found, what was meant]}.
"""

import hashlib
import json
from typing import Any

ABSENT = "absent"
Patch = dict[str, list[Any]]


def patch(found: dict[str, Any], meant: dict[str, Any]) -> Patch:
    """What turns `found` into `meant`.

    >>> change = patch({"a": 1, "b": 2}, {"a": 1, "c": 3})
    >>> apply({"a": 1, "b": 2}, change), apply({"a": 5, "b": 9}, change)
    ({'a': 1, 'c': 3}, {'a': 5, 'b': 9, 'c': 3})
    """
    names = [n for n in {**found, **meant} if (n in found) != (n in meant) or not same(found[n], meant[n])]
    return {n: [_digest(found, n), *([meant[n]] if n in meant else [])] for n in names}


def apply(found: dict[str, Any], change: Patch) -> dict[str, Any]:
    """`found` with those changes whose object is still as it was; one of a single element takes its name out."""
    result = dict(found)
    for name, (digest, *meant) in change.items():
        if _digest(found, name) != digest:
            continue
        result.pop(name, None)
        if meant:
            result[name] = meant[0]
    return result


def same(found: Any, meant: Any) -> bool:
    """Whether both are the same JSON: 1, 1.0 and true are three.

    >>> same([1], [1]), same([1], [1.0]), same([1], [True])
    (True, False, False)
    """
    return found == meant and _text(found) == _text(meant)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(values: dict[str, Any], name: str) -> str:
    if name not in values:
        return ABSENT
    return hashlib.sha256(_text(values[name]).encode()).hexdigest()[:12]
