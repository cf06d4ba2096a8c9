"""The assistant's turn as a chat template writes it: what stands around a reply. A score is read at its end."""

import re
from dataclasses import dataclass
from typing import Any

from visreason.errors import ModelError


@dataclass(frozen=True)
class Turn:
    """What a template writes between its last control token and a reply, what after the reply, and the number of
    tokens of the former."""

    tokenizer: Any
    header: str
    closing: str
    tokens: int

    def ids(self, text: str) -> list[int]:
        """Token ids of the turn with a text as its reply, after the control token. Control tokens spelled in the text
        are put as plain text."""
        spelled = "|".join(map(re.escape, self.tokenizer.all_special_tokens))
        plain = re.sub(spelled, lambda m: f"{m.group()[0]} {m.group()[1:]}", text)
        return self.tokenizer(self.header + plain + self.closing, add_special_tokens=False)["input_ids"]


def find_turn(processor: Any) -> Turn:
    """The turn of a processor's template. Raises ModelError for one that writes a reply otherwise than it asks."""
    asked = {"role": "user", "content": [{"type": "text", "text": "?"}]}
    reply = {"role": "assistant", "content": [{"type": "text", "text": "REPLY"}]}
    before = processor.apply_chat_template([asked], tokenize=False, add_generation_prompt=True)
    whole = processor.apply_chat_template([asked, reply], tokenize=False)
    added = sorted(processor.tokenizer.get_added_vocab(), key=before.rfind)
    _, mark, header = before.rpartition(added[-1])
    if not mark or not whole.startswith(before + "REPLY"):
        raise ModelError(
            f"expected a chat template that writes a reply as it asks for one, found {before[-40:]!r} before it "
            f"and {whole[-60:]!r} after; replies can't be scored with this processor"
        )
    tokens = len(processor.tokenizer(header, add_special_tokens=False)["input_ids"])
    return Turn(processor.tokenizer, header, whole.removeprefix(before + "REPLY"), tokens)
