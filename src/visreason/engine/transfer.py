"""New weights for vLLM's servers on other machines: each reads them from a folder that it sees as the trainer does."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from visreason.engine.chat import BrokenAnswer
from visreason.errors import UsageError

if TYPE_CHECKING:
    from visreason.model.policy import Policy


@contextmanager
def kept(policy: "Policy", shelf: Path) -> Iterator[Path]:
    """A new folder on the shelf with the policy's merged weights, which stays until the next one is taken: a server
    that is started again reads it."""
    folder = shelf / uuid.uuid4().hex
    policy.base.save_pretrained(folder, state_dict=policy.merged_weights())
    yield folder
    for earlier in shelf.iterdir():
        if earlier != folder:
            shutil.rmtree(earlier, ignore_errors=True)


async def give(client: openai.AsyncOpenAI, folder: Path) -> None:
    """Have a server answer with the weights in `folder`, whose name is their version; one that does so is left alone.

    The version is told last, so that a server which was interrupted begins again. Raises UsageError for a server that
    takes no weights, BrokenAnswer for one that still answers others from its caches.
    """
    root = str(client.base_url).rstrip("/").removesuffix("/v1")

    async def post(path: str, **body: Any) -> httpx2.Response:
        return await client.post(f"{root}/{path}", cast_to=httpx2.Response, body=body)

    try:
        told = await client.get(f"{root}/weight_info", cast_to=httpx2.Response)
    except openai.NotFoundError as e:
        raise UsageError(
            f"expected a server that takes new weights at {root}, found one that doesn't; start it with "
            "visreason serve takes_weights=true"
        ) from e
    if told.json() == {"weight_version": folder.name}:
        return
    await post("collective_rpc", method="reload_weights", kwargs={"weights_path": str(folder)})
    await post("collective_rpc", method="repack")
    if (await post("reset_prefix_cache")).json() != {"success": True}:
        raise BrokenAnswer("expected an empty prefix cache, found a server that still answers other clients")
    # The reload empties the workers' encoder caches; the scheduler must forget what it thinks they hold as well.
    await post("reset_encoder_cache")
    await post("update_weight_version", new_version=folder.name)
