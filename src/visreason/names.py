"""Things by name: what to say of an unknown one, and objects of the user's own at `module:object`."""

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from visreason.errors import UsageError

OFFICIAL = "official"
"""The style that stands for a benchmark's own prompt."""
KEY = "VISREASON_API_KEY"
"""Environment variable of the key of our servers and of those we ask. Not OpenAI's own, whose key must not reach
another server by accident."""
OF_MODELS = ("dtype", "device", "max_pixels", "min_pixels", "max_prompt_tokens")
OF_SERVERS = ("concurrency", "timeout_s", "patience_s", "responses")
OF_VLLM = ("tensor_parallel", "memory_share")
"""Options of engines: of a model in process, of servers, of vLLM beside those of a model."""


def engine_kind(spec: str) -> str:
    """What a spec of an engine names: script, http, vllm, or hf, which a bare path stands for.

    >>> [engine_kind(spec) for spec in ("https://host/v1#m", "vllm:runs/a", "runs/a")]
    ['http', 'vllm', 'hf']
    """
    kind, colon, _ = spec.partition(":")
    kind = "http" if kind == "https" else kind
    return kind if colon and kind in ("script", "http", "vllm") else "hf"


def address(url: str) -> str:
    """The address of a server to ask. Raises UsageError for one with a key in it, or one that is none."""
    try:
        found = urlsplit(url)
        shown, good = f"{found.scheme}://{found.hostname}...", found.port != 0 and found.hostname
    except ValueError as e:  # no number as port, half a bracket
        raise UsageError(f"expected an address as http://HOST:8000/v1, found another ({e})") from e
    if found.scheme not in ("http", "https") or not good or found.username or found.query:
        raise UsageError(
            f"expected an address as http://HOST:8000/v1, found {shown}; a key belongs into the environment variable "
            f"{KEY}"
        )
    return url.rstrip("/")


def idle_options(*specs: str) -> dict[str, str]:
    """Options that none of the engines takes, and what would."""
    kinds = {engine_kind(spec) for spec in specs}
    # A script is given a device like any other engine.
    strange = [n for n in OF_MODELS if n != "device" or "script" not in kinds]
    needed = {
        "a model in process": () if kinds & {"hf", "vllm"} else strange,
        "an engine vllm:PATH": () if "vllm" in kinds else OF_VLLM,
        "a server http://HOST/v1": () if "http" in kinds else OF_SERVERS,
    }
    return {name: words for words, names in needed.items() for name in names}


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error to raise for a name that is not among the known ones, with the nearest of them.

    >>> print(unknown("verb", "evaluat", ["evaluate", "sft"]))
    unknown verb 'evaluat'; did you mean 'evaluate'? Verbs: evaluate, sft
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UsageError(f"unknown {kind} {name!r}{hint} {kind.capitalize()}s: {', '.join(known)}")


def imported(kind: str, name: str) -> Any:
    """The object at `module:object`, of a package or of the working directory. Raises UsageError when there is none."""
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:  # a console script is started without it
        sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as e:
        raise UsageError(
            f"expected a {kind} at {name!r}, found none ({e}); give module:object that can be imported"
        ) from e


def function(kind: str, name: str) -> Callable[..., Any]:
    """The function at `module:function`. Raises UsageError for anything else."""
    found = imported(kind, name)
    if not callable(found):
        raise UsageError(f"expected a {kind} at {name!r}, found {type(found).__name__}; name a function")
    return found
