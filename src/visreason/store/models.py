"""The model that a run trained: its checkpoints, files and style."""

from pathlib import Path

from visreason.errors import RunError
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

    Raises RunError when the run is not finished, since its last checkpoint would be another one tomorrow.
    """
    found = checkpoints(Path(spec))
    if not found:
        return spec
    if not (Path(spec) / MANIFEST).exists():
        raise RunError(
            f"expected a finished run in {spec}, found one still under way; give one of its checkpoints, as {found[-1]}"
        )
    return str(found[-1])


def of_other_style(spec: str, style: str) -> str:
    """What to say where a run trained the model in another style than it is asked in now; empty where none did."""
    path = Path(spec.removeprefix("hf:").removeprefix("vllm:"))
    recipe = next((p / RECIPE for p in (path, *path.parents[:2]) if (p / RECIPE).is_file()), None)
    found = read_json(recipe) if recipe else {}
    trained = found.get("style") if found.get("verb") in ("sft", "grpo", "mpo") else None
    if trained in (None, style):
        return ""
    return (
        f"{spec} was trained in style={trained}, and is asked in {style}; give style={trained} to keep to it"
    )
