"""The decoding that model cards ask for reaches the engine from every verb that samples."""

import json

import pytest

from visreason import cli
from visreason.engine.script import Script
from visreason.recipe import fill
from visreason.verbs import ask, distill, evaluate, grpo

CARD = ["temperature=0.7", "top_p=0.8", "top_k=20", "repetition_penalty=1.05"]
HERE = "tests.verbs.test_decoding"


def answer(conversation, i):
    return "<think>I count.</think>\n<answer>2</answer>"


@pytest.mark.parametrize("verb", ["evaluate", "ask", "distill"])
def test_a_model_cards_decoding_reaches_the_engine(verb, tmp_path, monkeypatch):
    asked, generate = [], Script.generate
    monkeypatch.setattr(Script, "generate", lambda self, c, s: (asked.append(s), generate(self, c, s))[1])
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"id": "p", "question": "What is 1 + 1?", "answer": "2"}) + "\n")
    words = {
        "evaluate": [f"data={data}", f"model=script:{HERE}:answer"],
        "ask": ["question=What?", f"model=script:{HERE}:answer"],
        "distill": [f"data={data}", f"teacher=script:{HERE}:answer", "n=1"],
    }[verb]
    assert cli.main([verb, *words, *CARD, f"out={tmp_path / 'run'}"]) == 0
    (found,) = asked
    assert (found.temperature, found.top_p, found.top_k, found.repetition_penalty) == (0.7, 0.8, 20, 1.05)


@pytest.mark.parametrize("verb", [evaluate, ask])
def test_cuts_of_what_is_sampled_are_refused_where_nothing_is(verb, capsys):
    words = ["data=d", "model=m"] if verb is evaluate else ["question=q", "model=m"]
    for word in ("top_p=0.8", "top_k=20"):
        with pytest.raises(cli.UsageError, match="has no effect without temperature above 0"):
            fill(verb.Recipe, [*words, word])
    fill(verb.Recipe, [*words, "repetition_penalty=1.05"])


def test_the_loss_knows_nothing_of_cuts_and_penalties_so_grpo_takes_none():
    assert not {"top_k", "repetition_penalty"} & grpo.Recipe.model_fields.keys()
    assert {"top_k", "repetition_penalty"} <= distill.Recipe.model_fields.keys()
