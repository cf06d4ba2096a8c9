"""What goes over the wire to an OpenAI-compatible server: messages, completions, and what an error means."""

import math
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from visreason.engine import Sampling
from visreason.engine.ban import BAN, before_ban, bias_of
from visreason.errors import UsageError
from visreason.prompt.chat import VISUAL_TOKENS
from visreason.prompt.images import data_url
from visreason.record import Completion

EXTENDED = ("vllm", "visreason")
"""Owners of a model, as /v1/models names them, whose servers know token ids, banned words and top_k."""
TOKEN = "token_id:"
"""What vLLM writes before a token's number where it names tokens by them."""


class BrokenAnswer(Exception):
    """What a server sent is not what was asked for."""


@dataclass(frozen=True)
class Exact:
    """What answers to be learned from need beside a trainer's weights: visual tokens banned by their ids, and images
    cut to its size (`shortest_edge` and `longest_edge`, areas in pixels)."""

    visual_ids: tuple[int, ...]
    size: dict[str, int]


def body_of(
    model: str,
    messages: list[dict[str, Any]],
    n: int,
    seed: int,
    sampling: Sampling,
    extended: bool,
    exact: Exact | None,
) -> dict[str, Any]:
    """The words of a request for n completions. Raises UsageError for a sampling that the server does not know."""
    s = sampling
    body: dict[str, Any] = {
        "model": model, "messages": messages, "n": n, "seed": seed, "temperature": s.temperature, "top_p": s.top_p,
        "max_completion_tokens": s.max_tokens,
    }  # fmt: skip
    if not extended:
        asked = [f"top_k={s.top_k}"] * (s.top_k > 0)
        asked += [f"repetition_penalty={s.repetition_penalty:g}"] * (s.repetition_penalty != 1)
        if asked or exact:
            what = ", ".join(asked) or "token ids, which are learned from"
            raise UsageError(f"the server of {model} does not know {what}; take one of `visreason serve`")
        return body
    more: dict[str, Any] = {
        "return_token_ids": True, "skip_special_tokens": False, "bad_words": list(VISUAL_TOKENS),
        "top_k": s.top_k, "repetition_penalty": s.repetition_penalty, "min_p": 0.0,
    }  # fmt: skip
    if exact:
        more |= {
            "logit_bias": {str(i): BAN for i in exact.visual_ids}, "logprob_token_ids": list(exact.visual_ids),
            "return_tokens_as_token_ids": True, "bad_words": [], "mm_processor_kwargs": {"size": exact.size},
        }  # fmt: skip
    return {**body, "logprobs": True, "extra_body": more}


def kind_of(error: Exception) -> str:
    """away: waited for; broken: asked again a few times; refused: the request's own fault; denied: the key's."""
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        kinds = {401: "denied", 403: "denied", 408: "broken", 409: "away", 429: "away", 503: "away"}
        return kinds.get(status, "broken" if status >= 500 else "refused")
    unreached = (httpx2.ConnectError, httpx2.ConnectTimeout)
    return "away" if isinstance(error.__cause__, unreached) else "broken"


def name_of(error: Exception) -> str:
    """The word a trouble is counted under: the status, or what happened."""
    if isinstance(error, openai.APIStatusError):
        return str(error.status_code)
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, openai.APIConnectionError):
        return "no connection"
    return "broken answer"


def retry_after_s(error: Exception) -> float:
    """Seconds a server asks to be left alone; 0 when it does not say."""
    if not isinstance(error, openai.APIStatusError):
        return 0.0
    text = error.response.headers.get("retry-after", "")
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


def models_of(answer: Any) -> dict[str, str]:
    """Names of the models in an answer, and who owns each."""
    try:
        return {str(m["id"]): str(m.get("owned_by")) for m in answer["data"]}
    except (TypeError, KeyError, AttributeError) as e:
        raise BrokenAnswer(f"expected a list of models, found {str(answer)[:200]!r}") from e


def completions_of(
    answer: Any, n: int, name: str, exact: Exact | None = None, temperature: float = 1.0
) -> list[Completion]:
    """At most n completions of an answer; with `exact` each has token ids, and log-probs as before the ban.

    Raises BrokenAnswer when it has none, or one without text.
    """
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices:
        raise BrokenAnswer(f"expected choices, found {str(answer)[:200]!r}")
    try:
        return [_completion(choice, name, exact, temperature) for choice in choices[:n]]
    except (TypeError, KeyError, AttributeError, OverflowError) as e:
        raise BrokenAnswer(f"expected choices with messages, found {str(choices)[:200]!r}") from e


def _completion(choice: dict[str, Any], name: str, exact: Exact | None, temperature: float) -> Completion:
    message, finish = choice["message"], choice.get("finish_reason")
    text, thought = message.get("content"), message.get("reasoning") or message.get("reasoning_content")
    ids = tuple(map(int, choice.get("token_ids") or ()))
    if finish not in ("stop", "length") or not isinstance(text or "", str) or not (text or thought or ids):
        raise BrokenAnswer(f"expected a text that ended or was cut, found {str(choice)[:200]!r}")
    content = (choice.get("logprobs") or {}).get("content") or ()
    logps = tuple(_before_ban(at, exact, temperature) if exact else float(at["logprob"]) for at in content)
    if (ids and logps and len(ids) != len(logps)) or (exact and not (ids and logps)):
        raise BrokenAnswer(f"expected a log-probability a token, found {len(logps)} for {len(ids)} tokens")
    if not all(map(math.isfinite, logps)):
        raise BrokenAnswer(f"expected finite log-probabilities, found {logps[:8]}")
    whole = f"<think>{thought}</think>{text or ''}" if thought else text or ""
    return Completion(whole, finish, name, ids, logps if ids else ())


def _before_ban(at: dict[str, Any], exact: Exact, temperature: float) -> float:
    """The log-prob of a sampled token from what is told of it and, in `top_logprobs`, of the banned ones."""
    told = {t["token"]: float(t["logprob"]) for t in at["top_logprobs"]}
    banned = [told[f"{TOKEN}{i}"] for i in exact.visual_ids]
    return before_ban(float(at["logprob"]), banned, bias_of(temperature))


def to_wire(message: dict[str, Any]) -> dict[str, Any]:
    """A message as OpenAI's interface has it, pictures as data URLs."""
    return {**message, "content": [_part(p) for p in message["content"]]}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] != "image":
        return part
    return {"type": "image_url", "image_url": {"url": data_url(part["image"])}}
