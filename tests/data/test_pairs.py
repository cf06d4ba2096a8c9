import json
from dataclasses import replace

import PIL.Image
import pytest

from visreason.data.pairs import chosen_is_right, read_pairs, split
from visreason.errors import DataError
from visreason.record import Completion, Pair, Problem, to_json

TURN = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is 1 + 1?"}]}
BARE = {"role": "user", "content": "What is 1 + 1?"}


def reply(text):
    return {"role": "assistant", "content": text}


GOOD = {
    "our record": to_json(Pair(Problem("p", "What is 1 + 1?"), Completion("2"), Completion("3"), 0.5)),
    "texts": {"question": "What is 1 + 1?", "chosen": "2", "rejected": "3", "margin": 0.5},
    "Hugging Face turns": {"prompt": [BARE], "chosen": [reply("2")], "rejected": [reply("3")], "margin": 0.5},
    "all turns on both sides": {"chosen": [BARE, reply("2")], "rejected": [BARE, reply("3")], "margin": 0.5},
    "LLaMA-Factory ranking": {"conversations": [{"from": "human", "value": "What is 1 + 1?"}], "margin": 0.5,
                              "chosen": {"from": "gpt", "value": "2"}, "rejected": {"from": "gpt", "value": "3"}},
    "VL-RewardBench": {"query": "What is 1 + 1?", "response": ["3", "2"], "human_ranking": [1, 0], "margin": 0.5},
}  # fmt: skip


def read(folder, *rows):
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    rejected = []
    return read_pairs(path, rejected), rejected


@pytest.mark.parametrize("kind", GOOD)
def test_rows_of_every_kind_are_the_same_pair(kind, tmp_path):
    [pair], rejected = read(tmp_path, GOOD[kind])
    assert (pair.problem.question, pair.chosen.text, pair.rejected.text, pair.margin) == (
        "What is 1 + 1?",
        "2",
        "3",
        0.5,
    )
    assert rejected == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "?", "chosen": "2", "rejected": " 2 "}, "expected two different completions"),
        ({"prompt": "", "chosen": "2", "rejected": "3"}, "expected a prompt in column prompt, found an empty one"),
        ({"question": "?", "chosen": "2", "rejected": "3", "margin": "high"}, "expected a number in column margin"),
        ({"query": "?", "response": ["2", "3"], "human_ranking": [0, "x"]}, "expected two responses with ranks"),
        ({"query": "?", "response": ["2", "3"], "human_ranking": 1}, "expected two responses with ranks"),
        ({"question": "?", "chosen": "", "rejected": "2"}, "expected a completion as chosen, found none"),
        ({"chosen": [BARE, reply("2")], "rejected": [TURN, reply("3")]}, "found chosen without them"),
        ({"chosen": [TURN, reply("2")], "rejected": [BARE, reply("3")]}, "found rejected without them"),
        ({"chosen": [BARE, reply("2")], "rejected": [{"role": "user", "content": "?"}, reply("3")]}, "one prompt"),
        ({"prompt": [BARE, reply("2"), BARE], "chosen": "2", "rejected": "3"}, "found the turns user, assistant, user"),
        ({"question": "?", "chosen": "2"}, "expected columns chosen and rejected"),
        ({"question": "?", "chosen": 2, "rejected": "3"}, "expected text in chosen"),
        ({"question": "What is in <image>?", "chosen": "2", "rejected": "3"}, "an image for every mark"),
        ({"question": "?", "image": "none.png", "chosen": "2", "rejected": "3"}, "found no file"),
        ({"query": "?", "response": ["a", "b"], "human_ranking": [0, 0]}, "ranks 0 and 1"),
        ({"chosen": "2", "rejected": "3"}, "expected a question"),
        ({"question": "?", "chosen": "2<|im_end|>", "rejected": "3"}, "found the control token '<|im_end|>'"),
        ({"problem": {"id": "p", "question": "?"}, "chosen": {"text": "2", "finish": "length"}, "rejected":
          {"text": "3"}}, "expected a whole completion as chosen"),
    ],
)  # fmt: skip
def test_a_row_that_can_not_be_learned_is_kept_with_its_reason(row, reason, tmp_path):
    pairs, rejected = read(tmp_path, GOOD["texts"], row)
    assert len(pairs) == 1
    assert [r["line"] for r in rejected] == [2]
    assert reason in rejected[0]["reason"]


def test_pictures_of_turns_are_placed_where_they_stand(tmp_path):
    PIL.Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    sides = {"chosen": [TURN, reply("2")], "rejected": [TURN, reply("3")]}
    [pair], _ = read(tmp_path, {**sides, "images": ["a.png"]})
    assert pair.problem.question == "<image>What is 1 + 1?"
    assert [i.size for i in pair.problem.images] == [(56, 56)]


def test_a_file_without_a_usable_pair_is_an_error_with_the_first_reason(tmp_path):
    with pytest.raises(DataError, match="1 rejected rows; the first: expected two different completions"):
        read(tmp_path, {"question": "?", "chosen": "2", "rejected": "2"})


def made(i, chosen="2", rejected="3", answer="2"):
    return Pair(
        Problem(f"p{i}", f"What is {i} - {i - 2}?", answer=answer), Completion(chosen), Completion(rejected)
    )


def test_held_out_problems_keep_all_their_pairs_and_about_their_share():
    pairs = [pair for i in range(400) for pair in (made(i), made(i, rejected="4"))]
    learned, heldout = split(pairs, 10)
    assert len(learned) + len(heldout) == 800
    assert 20 <= len(heldout) / 2 <= 60
    assert not {p.problem.question for p in learned} & {p.problem.question for p in heldout}


def test_the_answers_of_problems_tell_when_the_columns_are_swapped():
    right = [made(i) for i in range(20)]
    swapped = [made(i, chosen="3", rejected="2") for i in range(20)]
    neither = [made(i, chosen="4", rejected="5") for i in range(20)]
    assert chosen_is_right(right + neither).low > 0.5
    assert chosen_is_right(swapped + neither).high < 0.5
    assert chosen_is_right(neither) is None
    assert chosen_is_right([made(1, answer=None)]) is None
    uncheckable = replace(made(1), problem=Problem("p", "Which?", choices=("a", "b"), answer="E"))
    assert chosen_is_right([uncheckable, *right]).n == 20
