"""What goes over the wire to an OpenAI-compatible server: messages, completions, and what an error means."""

from typing import Any

import httpx2
import openai

from visreason.prompt.images import data_url
from visreason.record import Completion

EXTENDED = ("vllm", "visreason")
"""Owners of a model, as /v1/models names them, whose servers know token ids, banned words and top_k."""


class BrokenAnswer(Exception):
    """What a server sent is no completion."""


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
    if isinstance(error, openai.APITimeoutError):
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


def completions_of(answer: Any, n: int, name: str) -> list[Completion]:
    """At most n completions of an answer. Raises BrokenAnswer when it has none, or one without text."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices:
        raise BrokenAnswer(f"expected choices, found {str(answer)[:200]!r}")
    try:
        return [_completion(choice, name) for choice in choices[:n]]
    except (TypeError, KeyError, AttributeError) as e:
        raise BrokenAnswer(f"expected choices with messages, found {str(choices)[:200]!r}") from e


def _completion(choice: dict[str, Any], name: str) -> Completion:
    message, finish = choice["message"], choice.get("finish_reason")
    text, thought = message.get("content"), message.get("reasoning") or message.get("reasoning_content")
    ids = tuple(map(int, choice.get("token_ids") or ()))
    if finish not in ("stop", "length") or not isinstance(text or "", str) or not (text or thought or ids):
        raise BrokenAnswer(f"expected a text that ended or was cut, found {str(choice)[:200]!r}")
    content = (choice.get("logprobs") or {}).get("content") or ()
    logps = tuple(float(token["logprob"]) for token in content)
    if ids and logps and len(ids) != len(logps):
        raise BrokenAnswer(f"expected a log-probability a token, found {len(logps)} for {len(ids)} tokens")
    whole = f"<think>{thought}</think>{text or ''}" if thought else text or ""
    return Completion(whole, finish, name, ids, logps if ids else ())


def to_wire(message: dict[str, Any]) -> dict[str, Any]:
    """A message as OpenAI's interface has it, pictures as data URLs."""
    return {**message, "content": [_part(p) for p in message["content"]]}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] != "image":
        return part
    return {"type": "image_url", "image_url": {"url": data_url(part["image"])}}
