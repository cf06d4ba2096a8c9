"""Recipes from files and words."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from visreason import recipe
from visreason.errors import UsageError
from visreason.recipe import default_out, describe, fill


class Part(BaseModel):
    """A nested setting."""

    size: int


class Recipe(recipe.Recipe):
    """One field of each kind."""

    data: str = Field(description="Problems to read.")
    steps: int = Field(10, ge=1, description="Updates.")
    lr: float = Field(1e-4, description="Learning rate.")
    kind: Literal["a", "b"] = Field("a", description="Which.")
    names: list[str] = Field([], description="Several.")
    weights: dict[str, float] = Field({"x": 1.0}, description="Of each.")
    limit: int | None = Field(5, description="At most.")
    part: Part | None = Field(None, description="Nested.")


def test_words_fill_typed_fields():
    found = fill(
        Recipe,
        ["data=a=b.jsonl", "steps=3", "lr=2e-5", "names=[u, v]", "weights={x: 2}", "limit=null", "kind=b"],
    )
    assert found.model_dump(exclude={"out", "seed", "part"}) == {
        "data": "a=b.jsonl", "steps": 3, "lr": 2e-5, "kind": "b", "names": ["u", "v"], "weights": {"x": 2.0},
        "limit": None,
    }  # fmt: skip


def test_words_win_over_the_file(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("verb: sft\ndata: from file\nsteps: 7\nlr: 1e-3\n")
    found = fill(Recipe, [str(path), "steps=8"])
    assert (found.data, found.steps, found.lr) == ("from file", 8, 1e-3)


@pytest.mark.parametrize("text", ["[1, 2]", "{x: 1}", "[unclosed"])
def test_brackets_in_a_text_are_text(text):
    assert fill(Recipe, [f"data={text}"]).data == text


def test_a_recipe_of_another_verb_is_refused(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{"verb": "sft", "data": "a"}')
    assert fill(Recipe, [str(path)], "sft").data == "a"
    with pytest.raises(
        UsageError, match=r"expected a recipe of grpo in .*json, found one of sft; give it to"
    ):
        fill(Recipe, [str(path)], "grpo")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=a", "step=3"], "unknown field 'step'; did you mean 'steps'"),
        (["data=a", "zzz=3"], r"unknown field 'zzz'\. Fields: out, seed, data"),
        ([], r"data is needed: Problems to read\. Give data="),
        (["data=a", "steps=0"], "steps: .*greater than or equal to 1, found '0'"),
        (["data=a", "steps=three"], "steps: .*valid integer.*found 'three'"),
        (["data=a", "kind=c"], "kind: .*'a' or 'b', found 'c'"),
        (["data=a", "part={}"], "part.size"),
        (["data=a", "--steps", "3"], "expected field=value, found '--steps'"),
        (["data=a", "r.yaml"], "a recipe file, if any, comes first"),
    ],
)
def test_wrong_words_are_refused_by_field(words, message):
    with pytest.raises(UsageError, match=message):
        fill(Recipe, words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "expected fields in .*, found list"),
        (b"", "found NoneType"),
        (b"data: [", "is not YAML"),
        (b"data: a\nstep: 1\n", "did you mean 'steps'"),
        (b"1: 2\n", "unknown field '1'"),
        (b"data: \xff\xfe\n", "can't read the recipe"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, message):
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        fill(Recipe, [str(path)])


def test_a_missing_file_is_refused():
    with pytest.raises(UsageError, match=r"can't read the recipe nowhere\.yaml: No such file"):
        fill(Recipe, ["nowhere.yaml"])


def test_the_default_directory_is_named_by_content():
    one, same, other = (
        fill(Recipe, words) for words in (["data=a"], ["data=a", "steps=10"], ["data=a", "steps=11"])
    )
    assert default_out("sft", one) == default_out("sft", same) != default_out("sft", other)
    assert default_out("sft", fill(Recipe, ["data=a", "out=here"])) == Path("here")


def test_every_field_is_described_required_ones_first():
    rows = describe(Recipe)
    assert rows[0] == ("data", "str", "required", "Problems to read.")
    assert ("kind", "a | b", '"a"', "Which.") in rows
    assert ("limit", "int | None", "5", "At most.") in rows
    assert {r[0] for r in rows} == set(Recipe.model_fields)
    assert all(sentence.endswith(".") for *_, sentence in rows)
