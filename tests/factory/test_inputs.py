"""Engines of pipelines are made as the recipe says, and options that none of them takes are refused."""

import pytest

from visreason.errors import UsageError
from visreason.factory import inputs
from visreason.recipe import fill
from visreason.reward.judge import MAX_TOKENS
from visreason.verbs import curate, distill, formalize, synthesize

FOUR_GPUS = ["tensor_parallel=4", "memory_share=0.9", "max_pixels=1000000", "max_prompt_tokens=16384"]


def options_of(monkeypatch, tmp_path, *words):
    found = {}
    monkeypatch.setattr(inputs, "connect", lambda spec, **options: found.update(options))
    recipe = fill(distill.Recipe, ["data=d", "teacher=vllm:m", *words])
    inputs.Engines(recipe, tmp_path).get("teacher", recipe.teacher)
    return found


def test_an_engine_is_made_for_the_longest_reply_and_with_all_that_is_said_about_it(monkeypatch, tmp_path):
    found = options_of(monkeypatch, tmp_path, "max_completion_tokens=8192", *FOUR_GPUS)
    assert found["max_completion_tokens"] == 8192
    assert (found["tensor_parallel"], found["memory_share"]) == (4, 0.9)
    assert (found["max_pixels"], found["max_prompt_tokens"]) == (1_000_000, 16_384)


def test_an_engine_of_short_replies_can_still_judge(monkeypatch, tmp_path):
    assert (
        options_of(monkeypatch, tmp_path, "max_completion_tokens=64")["max_completion_tokens"] == MAX_TOKENS
    )


HTTP, SCRIPT = "http://localhost:1/v1", "script:a.jsonl"


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (distill, [f"teacher={SCRIPT}", f"judge={HTTP}", "concurrency=4"]),
        (distill, [f"teacher={HTTP}", "judge=m", "max_pixels=9000", "device=cpu", "precision=float32"]),
        (distill, [f"teacher={HTTP}", "base=vllm:m", "tensor_parallel=2"]),
        (synthesize, [f"seer={HTTP}", "writer=vllm:m", "memory_share=0.9"]),
        (formalize, [f"describer={HTTP}", "boxes=dino", "device=cpu"]),
        (curate, [f"judge={HTTP}", "surrogate=m", "max_pixels=9000"]),
        (curate, ["judge=vllm:m", "tensor_parallel=2"]),
    ],
)
def test_an_option_is_taken_where_one_of_several_engines_takes_it(verb, words):
    fill(verb.Recipe, ["data=d", *words])


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        (distill, [f"teacher={SCRIPT}", "judge=m", "concurrency=4"], "concurrency has no effect without a server"),
        (distill, [f"teacher={HTTP}", "max_pixels=9000"], "max_pixels has no effect without a model in process"),
        (distill, ["teacher=m", "tensor_parallel=2"], "tensor_parallel has no effect without an engine vllm:PATH"),
        (formalize, [f"describer={HTTP}", "device=cpu"], "device has no effect without a model in process"),
        (curate, ["near=null", "device=cpu"], "device has no effect without a model in process"),
        (curate, ["surrogate=m", "precision=float32"], "precision has no effect without a model in process"),
        (synthesize, ["seer=vllm:a", "writer=vllm:b", "reader=vllm:c"], "at most 0.33 for 3 vllm engines, found 0.4"),
    ],
)  # fmt: skip
def test_an_option_that_no_engine_takes_is_refused(verb, words, message):
    with pytest.raises(UsageError, match=message):
        fill(verb.Recipe, ["data=d", *words])
