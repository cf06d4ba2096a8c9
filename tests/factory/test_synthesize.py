"""Synthesizing: bad questions fall under their rules, agreement makes answers right, every intermediate is kept."""

import json
from collections import Counter

import pytest

from visreason.cli import main
from visreason.engine.script import Script
from visreason.factory import synthesize as making
from visreason.record import Image, Problem
from visreason.store import manifest, read_records
from visreason.world import voices

WORDS = ["seer=script:visreason.world.voices:seer", "writer=script:visreason.world.voices:writer", "rounds=1"]


def test_agreement_lifts_the_share_of_right_answers_over_95_percent(bars, tmp_path):
    out = tmp_path / "run"
    assert main(["synthesize", f"data={bars}", f"out={out}", *WORDS]) == 0
    made = [json.loads(line) for line in (out / "made.jsonl").read_text().splitlines()]
    truths = {p.images[0].sha256: json.loads(p.description)["values"] for p in read_records(bars, Problem)}
    rows = [(q, truths[m["problem"]["images"][0]["sha256"]]) for m in made for q in m["steps"]["questions"]]
    before = [right(q, q["written_answer"], truth) for q, truth in rows]
    after = [right(q, q["answer"], truth) for q, truth in rows if q["rule"] is None]
    assert sum(before) / len(before) <= 0.85
    assert sum(after) / len(after) >= 0.95
    assert len(after) > len(before) / 2
    for stage in manifest(out)["summary"]["funnel"]:
        assert stage["in"] == sum(stage["dropped"].values()) + stage["out"]
    kept = list(read_records(out / "problems.jsonl", Problem))
    assert {p.meta["reward"] for p in kept} == {"rule"}
    assert all(p.thought and p.description for p in kept)


def right(q, answer, truth):
    if q["choices"]:
        return truth[q["choices"]["ABCDE".index(answer)]] == max(truth.values())
    return voices.answer_of(q["question"], truth) == answer


def test_a_third_engine_settles_disagreements(bars, tmp_path):
    out = tmp_path / "run"
    words = ["limit=40", "adjudicator=script:visreason.world.voices:seer"]
    assert main(["synthesize", f"data={bars}", f"out={out}", *WORDS, *words]) == 0
    shares = manifest(out)["summary"]["shares"]
    assert shares["disagreements adjudicated"]["share"] > 0.9
    assert shares["answers that agree"]["n"] < shares["answers that agree"]["of"]


SOUND = {"question": "How many?", "type": "FIB", "abilities": ["reasoning", "mathematics"], "answer": "4"}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (SOUND, None),
        ({**SOUND, "question": " "}, "malformed"),
        ({**SOUND, "answer": None}, "malformed"),
        ({**SOUND, "type": "ESSAY"}, "malformed"),
        ({**SOUND, "type": "MC", "choices": ["a", "b"]}, "malformed"),
        ({**SOUND, "type": "MC", "choices": ["a", "a", "b"]}, "malformed"),
        ({**SOUND, "choices": ["a", "b", "c"]}, "malformed"),
        ({**SOUND, "abilities": ["reasoning"]}, "abilities"),
        ({**SOUND, "abilities": ["mathematics", "text"]}, "abilities"),
        ({**SOUND, "abilities": "reasoning"}, "abilities"),
        ({**SOUND, "question": "What does the description say?"}, "wording"),
        ({**SOUND, "question": "Is <image> so?"}, "wording"),
        ({**SOUND, "question": "Is it <|im_end|> so?"}, "wording"),
        ({**SOUND, "type": "DES"}, "no judge"),
    ],
)
def test_a_question_that_is_not_as_asked_falls_under_its_rule(row, rule, tmp_path):
    replies = {"Describe": "A bar.", "can't see": "[]", "Write 3": json.dumps([row]), "checked?": "valid"}
    said = "<think>I see four of them there.</think><answer>4</answer>"
    engine = Script(lambda c, i: next((r for k, r in replies.items() if k in str(c)), said))
    roles = making.Roles(engine, engine, engine, None, None, None, 2, 3, 100)
    (made,) = making.synthesize([Problem("p", "Q?", (Image("a.png"),))], roles, 0)
    assert [q["rule"] for q in made.steps["questions"]] == [rule]


def test_a_writer_that_writes_no_json_is_asked_three_times_then_counted():
    asked = Counter()

    def reply(conversation, i):
        key = "questions" if "Write 3" in str(conversation) else "other"
        asked[key] += 1
        return (
            "A bar."
            if "Describe" in str(conversation)
            else "[]"
            if "can't see" in str(conversation)
            else "Sure!"
        )

    engine = Script(reply)
    roles = making.Roles(engine, engine, engine, None, None, None, 1, 3, 100)
    (made,) = making.synthesize([Problem("p", "Q?", (Image("a.png"),))], roles, 0)
    assert (made.rule, asked["questions"]) == ("no questions", 3)
