"""Recipes that follow one another are right words: every command of recipes/factory.sh fills its verb's recipe."""

import importlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from visreason.recipe import fill

RECIPES = Path(__file__).parent.parent.parent / "recipes"
STUB = """#!/usr/bin/env python3
import json, pathlib, sys
print(json.dumps(sys.argv[1:]), file=open("said.jsonl", "a"))
out = pathlib.Path(next(w for w in sys.argv if w.startswith("out="))[4:])
out.mkdir(parents=True)
(out / "samples.jsonl").write_text("{}\\n" * 7)
"""


def test_every_command_of_the_factory_is_one(tmp_path):
    stub = tmp_path / "visreason"
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", str(RECIPES / "factory.sh")], cwd=tmp_path, env=environment, check=True)
    said = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    filled = [fill(importlib.import_module(f"visreason.verbs.{verb}").Recipe, words) for verb, *words in said]
    assert len(filled) == 15
    (answers,) = [r for r in filled if str(r.out).endswith("factory/answers")]
    assert answers.limit == 7


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*/smoke.yaml")), ids=lambda p: p.parent.name)
def test_smoke_recipes_need_the_package_alone(path):
    assert "tests." not in path.read_text()
    fill(importlib.import_module(f"visreason.verbs.{path.parent.name}").Recipe, [str(path)])
