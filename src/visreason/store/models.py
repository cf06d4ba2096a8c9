"""The model that a run trained: its checkpoints, files and style."""

from pathlib import Path

from visreason.errors import ModelError, RunError
from visreason.store.lines import read_json
from visreason.store.run import MANIFEST, RECIPE


def model_files(spec: str) -> list[Path]:
    """What answered, for a manifest: weights and settings in a directory, or a script's file; none of a hub id."""
    path = Path(spec)
    return (
        [path]
        if path.is_file()
        else sorted(p for p in path.glob("*") if p.suffix in (".safetensors", ".json"))
    )


def checkpoints(run: Path) -> list[Path]:
    """The complete checkpoints of a training run, oldest first."""
    return sorted(p for p in (run / "checkpoint").glob("step_*") if p.suffix != ".tmp")


def model_path(spec: str) -> str:
    """A finished run's last checkpoint, or the spec itself when it is no run.

    Raises ModelError for a path that leads nowhere, which the hub need not be asked for; RunError when the run is not
    finished, since its last checkpoint would be another one tomorrow.
    """
    if is_path(spec) and not Path(spec).exists():
        raise ModelError(
            f"expected a model or a run at {spec}, found nothing there; check the path (a model of the hub "
            "is OWNER/NAME)"
        )
    found = checkpoints(Path(spec))
    if not found:
        return spec
    if not (Path(spec) / MANIFEST).exists():
        raise RunError(
            f"expected a finished run in {spec}, found one still under way; give one of its checkpoints, as {found[-1]}"
        )
    return str(found[-1])


def is_path(spec: str) -> bool:
    """Whether a spec is a path of this machine, and not OWNER/NAME of the hub or an engine's.

    >>> [is_path(s) for s in ("runs/sft/a", "/models/a", "./a", "Qwen/Qwen2.5-VL-7B-Instruct", "script:a/b.jsonl")]
    [True, True, True, False, False]
    """
    if spec.startswith((".", "/", "~")):
        return True
    folders = Path(spec).parts[:-1]
    if not folders or ":" in folders[0]:
        return False
    return folders[0] == "runs" or len(folders) > 1 or Path(*folders).is_dir()


def of_other_style(spec: str, style: str) -> str:
    """What to say where a run trained the model in another style than it is asked in now; empty where none did."""
    trained = _trained_style(spec)
    if trained in (None, style):
        return ""
    return (
        f"{spec} was trained in style={trained}, and is asked in {style}; give style={trained} to keep to it"
    )


def _trained_style(spec: str) -> str | None:
    """The style in which a run trained the model that it or its checkpoint holds; None of what no run made."""
    path = Path(spec.removeprefix("hf:").removeprefix("vllm:"))
    recipe = next((p / RECIPE for p in (path, *path.parents[:2]) if (p / RECIPE).is_file()), None)
    found = read_json(recipe) if recipe else {}
    if found.get("verb") == "merge" and found.get("checkpoint"):
        return _trained_style(found["checkpoint"])
    return found.get("style") if found.get("verb") in ("sft", "grpo", "mpo") else None
