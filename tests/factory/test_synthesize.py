"""Synthesizing: bad questions fall under their rules, agreement makes answers right, every intermediate is kept."""

import json
from collections import Counter

import pytest

from visreason.cli import main
from visreason.engine.script import Script
from visreason.errors import DataError
from visreason.factory import synthesize as making
from visreason.factory.evidence import Roles
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
        ({**SOUND, "type": ["MC"]}, "malformed"),
        ({**SOUND, "choices": {"A": "4"}}, "malformed"),
        ({**SOUND, "abilities": ["Reasoning", "Mathematics"]}, None),
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
    roles = Roles(engine, engine, engine, None, None, None, 2, 3, 100)
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
    roles = Roles(engine, engine, engine, None, None, None, 1, 3, 100)
    (made,) = making.synthesize([Problem("p", "Q?", (Image("a.png"),))], roles, 0)
    assert (made.rule, asked["questions"]) == ("no questions", 3)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("They agree.\n**Same.**", True), ("different", False), ("They are not the same.", None),
        ("They aren't different", None), ("same or different", None), ("Neither is the same", None), ("", None),
    ],
)  # fmt: skip
def test_a_denied_word_says_nothing(reply, found):
    if found is not None:
        assert making.read_word(reply, "same", "different") is found
        return
    with pytest.raises(DataError):
        making.read_word(reply, "same", "different")


CHOICE = Problem("p", "Which bar is highest?", choices=("red", "blue", "green"), check="choice")
FILL = Problem("p", "How many bars?")


@pytest.mark.parametrize(
    ("problem", "answer", "found"),
    [
        (CHOICE, "B", "B"), (CHOICE, "(b)", "B"), (CHOICE, "B. blue", "B"), (CHOICE, "blue", "B"),
        (CHOICE, "Neither", None), (CHOICE, "A or B", None), (FILL, " 4 ", "4"), (FILL, "", None),
    ],
)  # fmt: skip
def test_a_label_is_right_by_its_own_check(problem, answer, found):
    if found is not None:
        assert making.label(problem, answer) == found
        return
    with pytest.raises(DataError):
        making.label(problem, answer)


def engines(row, **said):
    """An engine that writes one question and answers it, unless `said` has other words for a prompt."""
    replies = {
        "Describe": "A bar.",
        "can't see": "[]",
        "Write 3": json.dumps([row]),
        "checked?": "valid",
        **said,
    }
    plain = "<think>I see four of them there.</think><answer>4</answer>"
    return Script(lambda c, i: next((r for k, r in replies.items() if k in str(c)), plain))


def one(engine, **roles):
    given = {"adjudicator": None, "judge": None, "refiner": None, **roles}
    found = Roles(engine, engine, engine, **given, rounds=1, questions=3, max_tokens=100)
    (made,) = making.synthesize([Problem("p", "Q?", (Image("a.png"),))], found, 0)
    return made


def test_options_lose_letters_of_their_own():
    row = {**SOUND, "type": "MC", "choices": ["A. two", "B) three", "(C) four"], "answer": "C"}
    said = "<think>I see four of them there.</think><answer>four</answer>"
    made = one(engines(row, **{"two": said}))
    (question,) = made.steps["questions"]
    assert (question["choices"], question["answer"], question["rule"]) == (
        ["two", "three", "four"],
        "C",
        None,
    )


@pytest.mark.parametrize(
    ("verdict", "rule"), [("4", None), ("Discard.", "discarded"), ("<answer>", "no verdict")]
)
def test_a_verdict_is_a_label_or_discards(verdict, rule):
    reader = "<think>It says there are five bars.</think><answer>5</answer>"
    settled = f"<think>I count four of them there.</think><answer>{verdict}</answer>"
    made = one(engines(SOUND, **{"content of that picture": reader, "Two people": settled}),
               adjudicator=engines(SOUND, **{"Two people": settled}))  # fmt: skip
    assert [q["rule"] for q in made.steps["questions"]] == [rule]


def test_a_refused_refining_is_no_thought():
    made = one(engines(SOUND), refiner=Script(lambda c, i: "I'm sorry, I can't help with that."))
    assert [q["rule"] for q in made.steps["questions"]] == ["thought"]


def test_a_round_without_questions_keeps_its_reason():
    made = one(engines(SOUND, **{"can't see": "What else?"}))
    assert "expected JSON" in made.steps["rounds"][0]


def test_questions_that_a_benchmark_holds_and_those_beyond_the_balance_are_dropped(bars, tmp_path):
    out = tmp_path / "run"
    assert (
        main(["synthesize", f"data={bars}", f"out={out}", *WORDS, "limit=12", "most_of={category: 5}"]) == 0
    )
    stage = manifest(out)["summary"]["funnel"][1]
    assert (stage["out"], stage["dropped"]["balance"] > 0) == (10, True)
    held = out / "problems.jsonl"
    words = ["limit=12", f"benchmarks={held}"]
    assert main(["synthesize", f"data={bars}", f"out={tmp_path / 'held'}", *WORDS, *words]) == 0
    pictures = manifest(tmp_path / "held")["summary"]["funnel"][0]
    kept = {i.sha256 for p in read_records(held, Problem) for i in p.images}
    assert pictures["dropped"]["benchmark"] >= len(kept)
