"""The value head of a reward model: one number from the final hidden state at a completion's last token, in float32.

Kept beside an ordinary Hugging Face directory as `value_head.safetensors`, in the layout of Skywork-VL-Reward-7B and of
LLaMA-Factory: `v_head.summary.weight` (1, D) and `v_head.summary.bias` (1,). D hidden, S tokens.
"""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers.utils.hub import cached_file

from visreason.errors import ModelError

FILES = ("value_head.safetensors", "value_head.bin")
PREFIX = "v_head."
KEYS = {PREFIX + "summary.weight", PREFIX + "summary.bias"}


class ValueHead(torch.nn.Module):
    """A linear layer to one score. `style` is how problems were put to the model when it learned to score, if known."""

    def __init__(self, width: int, style: str | None = None, seed: int = 0) -> None:
        super().__init__()
        self.style = style
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.summary = torch.nn.Linear(width, 1, dtype=torch.float32)
            # As first reward models were begun (Stiennon et al. 2020, arXiv 2009.01325, appendix B.1).
            torch.nn.init.normal_(self.summary.weight, std=(width + 1) ** -0.5)
            torch.nn.init.zeros_(self.summary.bias)

    def forward(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Scores (S,) of final hidden states (S, D), in float32 whatever the model computes in."""
        with torch.autocast(hidden_SD.device.type, enabled=False):
            return self.summary(hidden_SD.float())[:, 0]

    def save(self, folder: Path, tensors: dict[str, torch.Tensor] | None = None) -> None:
        """Write value_head.safetensors, of its own tensors or of those given, by the names in the file.

        One entry of metadata at most: several are written in any order.
        """
        tensors = tensors or {PREFIX + k: v for k, v in self.state_dict().items()}
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save_file(tensors, folder / FILES[0], {"style": self.style} if self.style else {"format": "pt"})


def find(path: str) -> Path | None:
    """The file with the head of a reward model's directory (or hub id); None where there is none."""
    return next((file for name in FILES if (file := _find(path, name))), None)


def read(path: str, width: int) -> ValueHead:
    """The head of a reward model's directory (or hub id) for hidden states of `width` numbers.

    Raises ModelError where there is none, where its tensors are named otherwise or are of another size, and where a
    number in it is not finite: a head that is not the trained one gives scores that look like any others.
    """
    file = find(path)
    if file is None:
        raise ModelError(
            f"expected {FILES[0]} (or {FILES[1]}) in {path}, found none: it is no reward model. Train one with "
            "visreason reward_model, or give the directory that holds the head"
        )
    try:
        tensors, metadata = _tensors(file)
    except (OSError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError) as e:
        raise ModelError(f"can't read the value head {file}: {str(e).splitlines()[0]}; fetch it again") from e
    if set(tensors) != KEYS:
        raise ModelError(
            f"expected the tensors {', '.join(sorted(KEYS))} in {file}, found {', '.join(sorted(tensors)) or 'none'}; "
            "rename them, or score with the model that this head was saved for"
        )
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    if shapes != {PREFIX + "summary.weight": (1, width), PREFIX + "summary.bias": (1,)}:
        raise ModelError(
            f"expected a head for hidden states of width {width} in {file}, found {shapes}; it belongs to another model"
        )
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise ModelError(f"expected finite numbers in {file}, found nan or inf; take an earlier checkpoint")
    head = ValueHead(width, metadata.get("style"))
    head.load_state_dict({name.removeprefix(PREFIX): t.float() for name, t in tensors.items()})
    return head


def _find(path: str, name: str) -> Path | None:
    if Path(path).exists():
        return Path(path) / name if (Path(path) / name).is_file() else None
    found = cached_file(path, name, _raise_exceptions_for_missing_entries=False)
    return Path(found) if found else None


def _tensors(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    if file.suffix == ".bin":
        return torch.load(file, map_location="cpu", weights_only=True), {}
    with safe_open(file, "pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
