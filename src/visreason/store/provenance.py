"""What a run was made with: versions of the libraries, and the commit of this package."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

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
