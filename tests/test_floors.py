"""The rooms of DESIGN.md section 5: imports point down, torch stays in its rooms, help and the package are light."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "visreason"
FLOORS = {
    "record": 0, "errors": 0, "names": 0,
    "store": 1, "recipe": 1, "stats": 1, "cores": 1, "prompt": 1, "answer": 1,
    "model": 2, "data": 2,
    "engine": 3, "world": 3,
    "reward": 4,
    "bench": 5, "train": 5, "view": 5, "factory": 5,
    "verbs": 6,
    "cli": 7,
}  # fmt: skip
WITHIN_FLOOR = {("record", "errors"), ("names", "errors")}
"""Records and names raise the errors of their own floor; every other room stands alone on its floor."""
TORCH_ROOMS = (
    "model",
    "engine/hf",
    "engine/decode",
    "engine/draw",
    "engine/vllm",
    "engine/sync",
    "reward/learned",
    "train",
    "factory/boxes",
)
LAZY_TORCH = ("world/vlm", "verbs")
"""Torch may be imported inside a function here: the step into a heavy room."""
HEAVY = ("torch", "torchvision", "transformers", "peft", "accelerate")

MODULES = sorted(p for p in SRC.rglob("*.py") if p not in (SRC / "__main__.py", SRC / "__init__.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SRC).with_suffix("").as_posix()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module by its full name, and whether the import stands at the top of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) not in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import; write it out"
            yield from ((f"{node.module}.{alias.name}", id(node) not in inside) for alias in node.names)


def in_rooms(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}/") for room in rooms)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    room = name_of(path).split("/")[0]
    assert room in FLOORS, f"{room} has no floor; give it one in DESIGN.md section 5 and here"
    for target, _ in imports(path):
        if (
            not target.startswith("visreason.")
            or (other := target.split(".")[1]) not in FLOORS
            or other == room
        ):
            continue
        allowed = FLOORS[other] < FLOORS[room] or (room, other) in WITHIN_FLOOR
        assert allowed, f"{room} (floor {FLOORS[room]}) imports {target} (floor {FLOORS[other]})"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_torch_stays_in_its_rooms(path):
    name = name_of(path)
    if in_rooms(name, TORCH_ROOMS):
        return
    for target, at_top in imports(path):
        if target.split(".")[0] in HEAVY:
            assert in_rooms(name, LAZY_TORCH), f"{name} imports {target}; torch lives in {TORCH_ROOMS}"
            assert not at_top, f"{name} imports {target} at the top; import it in the function that needs it"


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).startswith("verbs/")], ids=name_of)
def test_verbs_never_import_verbs(path):
    assert not [t for t, _ in imports(path) if t.startswith("visreason.verbs")]


@pytest.mark.parametrize(
    "code",
    [
        "import visreason",
        "from visreason import cli; cli.main(['--help'])",
        "from visreason import cli; [cli.main([verb, '--help']) for verb in cli.VERBS]",
        "import visreason.answer, visreason.prompt, visreason.data, visreason.store, visreason.stats",
    ],
)
def test_light_things_stay_light(code):
    heavy = ("torch", "transformers", "pandas", "matplotlib")
    check = f"\nimport sys; found = [m for m in {heavy!r} if m in sys.modules]; assert not found, found"
    done = subprocess.run(
        [sys.executable, "-c", code + check],
        env={**os.environ, "PYTHONPATH": str(SRC.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
