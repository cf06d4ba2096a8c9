"""The command line, with a verb made by hand in place of the real ones."""

import errno
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import Field

from visreason import __version__, cli, recipe
from visreason.errors import RunError


class Recipe(recipe.Recipe):
    """A small recipe."""

    data: str = Field(description="Problems to read [a file].")
    steps: int = Field(10, description="Updates of the model.", examples=[20])


@pytest.fixture
def verb(monkeypatch):
    """A verb named `sft` that notes what it was run with."""
    module = ModuleType("visreason.verbs.sft", "Fine-tune a thing [really].")
    module.Recipe, module.seen = Recipe, []
    module.run = lambda recipe, out: module.seen.append((recipe, out))
    monkeypatch.setitem(sys.modules, "visreason.verbs.sft", module)
    return module


def raising(error):
    def run(recipe, out):
        raise error

    return run


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_verb(words, capsys):
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.VERBS)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"visreason {__version__}"


def test_a_verb_gets_its_recipe_and_its_directory(verb):
    assert cli.main(["sft", "data=a.jsonl", "steps=3", "out=here"]) == 0
    found, out = verb.seen[0]
    assert (found.data, found.steps, out) == ("a.jsonl", 3, Path("here"))


def test_the_same_words_find_the_same_directory(verb):
    cli.main(["sft", "data=a", "steps=3"])
    cli.main(["sft", "steps=3", "data=a"])
    cli.main(["sft", "data=b", "steps=3"])
    outs = [out for _, out in verb.seen]
    assert outs[0] == outs[1] != outs[2]
    assert outs[0].parts[:2] == ("runs", "sft")


def test_help_of_a_verb_prints_every_field_with_sentence_type_and_default(verb, capsys):
    assert cli.main(["sft", "--help"]) == 0
    shown = capsys.readouterr().out
    for word in (
        "Fine-tune a thing [really].",
        "data",
        "required",
        "[a",
        "steps",
        "int",
        "10",
        "seed",
        "out",
    ):
        assert word in shown
    assert "visreason sft data=DATA steps=20" in shown
    assert verb.seen == []


def test_an_unknown_verb_is_refused_with_the_nearest(capsys):
    assert cli.main(["evalute"]) == 2
    assert "did you mean 'evaluate'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=a", "stesp=3"], "did you mean 'steps'"),
        (["steps=3"], "data is needed"),
        (["data=a", "steps=many"], "steps"),
        (["data=a", "loose"], "expected field=value"),
        (["nowhere.yaml"], "can't read the recipe"),
    ],
)
def test_wrong_words_end_with_status_2(verb, capsys, words, message):
    assert cli.main(["sft", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert verb.seen == []


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RunError("expected a, found b; do c"), 1, "expected a, found b; do c"),
        (KeyboardInterrupt(), 130, "the same command resumes"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x/metrics.jsonl"),
            1,
            "the disk is full while writing x/",
        ),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError: division by zero"),
    ],
)
def test_a_failed_run_ends_with_a_paragraph(verb, capsys, error, status, message):
    verb.run = raising(error)
    assert cli.main(["sft", "data=a"]) == status
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) == 1


def test_debug_shows_the_traceback(verb, capsys):
    verb.run = raising(ZeroDivisionError("division by zero"))
    assert cli.main(["sft", "data=a", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_library_that_is_not_installed_names_the_extra_that_brings_it(verb, monkeypatch, capsys):
    verb.run = raising(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert cli.main(["sft", "data=x"]) == 1
    assert "visreason[train]" in capsys.readouterr().err


def test_extras_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    wanted = project["optional-dependencies"]
    for extra, libraries in cli.EXTRAS.items():
        assert [re.match(r"[\w-]+", line).group() for line in wanted[extra]] == list(libraries)


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from visreason import cli
status = cli.main({words})
"""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["score", "samples=rows.jsonl", "out=run"], 0),
        *(([verb, "--help"], 0) for verb in cli.VERBS),
        (["sft", "model=x", "data=rows.jsonl"], 1),
    ],
)
def test_all_but_training_works_without_torch(words, status, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "Q?", "answer": "1", "response": "1"}\n')
    code = WITHOUT.format(names=cli.EXTRAS["train"], words=words) + f"assert status == {status}, status"
    source = str(Path(__file__).parents[1] / "src")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": source}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert status == 0 or "visreason[train]" in done.stderr
