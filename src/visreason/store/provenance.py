"""What a run was made with: versions of the libraries, the commit of this package, and files by their hashes."""

import platform
import subprocess
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from visreason.store.lines import sha256

PACKAGE = Path(__file__).parents[1]


def versions() -> dict[str, str]:
    """Of Python, of this package and of the libraries that matter to a result, where they are installed."""
    found = {"python": platform.python_version()}
    for name in ("visreason", "torch", "transformers", "peft", "vllm"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def files(paths: Collection[Path]) -> dict[Path, dict[str, Any]]:
    """Hash and size of files; of training state (`trainer.pt`, shards with an optimizer) and of a run's checkpoints
    before its last the size alone, the hash being None: of a large model they are terabytes, and nobody asks for it."""
    last: dict[Path, Path] = {}
    for step in sorted({path.parent for path in paths if path.parent.parent.name == "checkpoint"}):
        last[step.parent] = step

    def told(path: Path) -> dict[str, Any]:
        state = path.suffix == ".pt" or path.parent.name == "shards"
        earlier = last.get(path.parent.parent, path.parent) != path.parent
        return {"sha256": None if state or earlier else sha256(path), "bytes": path.stat().st_size}

    with ThreadPoolExecutor() as pool:  # hashing lets other threads run
        return dict(zip(paths, pool.map(told, paths), strict=True))


def commit() -> str | None:
    """The commit of the working tree this package runs from, when it is one that git tracks; "+dirty" behind it where
    the package's files are others."""
    tracked = _git(
        "ls-files", "--error-unmatch", "__init__.py"
    )  # not so in a .venv inside another repository
    head = _git("rev-parse", "HEAD") if tracked else None
    changed = _git("--no-optional-locks", "status", "--porcelain", ".")
    return f"{head}+dirty" if head and changed else head


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return done.stdout.strip() or None
