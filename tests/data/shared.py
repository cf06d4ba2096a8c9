"""Where the real data sets lie: VISREASON_SHARED, or a folder `shared` beside the repository. Tests skip without it."""

import os
from pathlib import Path

import pytest


def shared(path: str) -> Path:
    """A file or folder of the real data; skips the test when it is not there."""
    root = os.environ.get("VISREASON_SHARED") or Path(__file__).parents[3] / "shared"
    found = Path(root) / path
    if not found.exists():
        pytest.skip(f"needs {path}; set VISREASON_SHARED to the folder that holds it")
    return found
