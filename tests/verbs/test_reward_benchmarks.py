"""VL-RewardBench from the command line, in the form it is published in: by a judge in trials, by a reward model."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.model.world import STYLE
from tests.train.pairs import drawn_pairs, pairs_file
from visreason import cli
from visreason.record import Sample
from visreason.store import manifest, read_records

JUDGE = "script:tests.verbs.test_reward_benchmarks"
IDS = ("RLAIF-V-1", "mathverse_2", "wildvision_3", "hallucination_4", "17", "RLHF-5")


def first_is_better(conversation, i):
    return "Both are fine.\n**Overall Judgment:** Answer 1 is better."


def good_is_better(conversation, i):
    """Sees which answer is the good one, but says nothing that can be read of the pair 17."""
    text = conversation[-1]["content"][-1]["text"]
    if "Question 17" in text:
        return "Hard to say."
    return f"Overall Judgment: Answer {1 + (text.index('a bad one') < text.index('a good one'))} is better."


def rows(world):
    """Pairs as VL-RewardBench publishes them: two responses, their ranks, the picture's bytes in the row."""
    found = []
    shown = [p for p in drawn_pairs(world) if p.problem.images]
    for i, (name, pair) in enumerate(zip(IDS, shown, strict=False)):
        responses = [pair.chosen.text, pair.rejected.text][:: -1 if i % 2 else 1]
        with open(pair.problem.images[0].path, "rb") as picture:
            image = {"bytes": picture.read(), "path": f"{name}.png"}
        found.append({"id": name, "query": f"<image>\n{pair.problem.question}", "response": responses, "image": image,
                      "human_ranking": [1, 0] if i % 2 else [0, 1], "models": ["a", "b"]})  # fmt: skip
    return found


@pytest.fixture
def published(world, tmp_path):
    path = tmp_path / "data" / "test-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(rows(world)), path)
    return path


@pytest.fixture
def told(tmp_path):
    """Pairs in which a judge of text alone can see the good answer."""
    path = tmp_path / "told.json"
    pairs = [{"id": n, "query": f"Question {n}", "response": ["a good one", "a bad one"][:: -1 if i % 2 else 1],
              "human_ranking": [1, 0] if i % 2 else [0, 1]} for i, n in enumerate(IDS)]  # fmt: skip
    path.write_text(json.dumps(pairs))
    return path


def figures(out, *words):
    assert (
        cli.main([str(w) for w in ("evaluate", "bench=vl_rewardbench", "partial=true", *words, f"out={out}")])
        == 0
    )
    return {name: f["value"] for name, f in manifest(out)["summary"]["figures"].items()}


def test_a_judge_sees_every_pair_in_shuffled_orders_and_the_majority_counts(told, tmp_path):
    words = (f"data={told}", "style=official", "trials=7")
    found = figures(tmp_path / "good", *words, f"model={JUDGE}:good_is_better")
    assert (found["Overall"], found["Macro"], found["position 1"], found["position 2"]) == (
        100,
        100,
        100,
        100,
    )
    samples = list(read_records(tmp_path / "good" / "samples.jsonl", Sample))
    assert [s.problem.id for s in samples[:8]] == [f"RLAIF-V-1#{k}" for k in range(1, 8)] + ["mathverse_2#1"]
    sealed = manifest(tmp_path / "good")
    assert (sealed["counts"]["n"], sealed["counts"]["unparsed"]) == (42, 7)
    assert sealed["summary"]["figures"]["Overall"]["n"] == 5  # the pair without a verdict is left out
    card = sealed["summary"]["protocol"]
    assert card["rules"]["trials"] == 7
    assert "Overall Judgment: Answer X is better" in card["prompt"]["trial"]


def test_a_judge_that_likes_the_first_answer_is_found_out_by_position(told, tmp_path):
    found = figures(tmp_path / "first", f"data={told}", f"model={JUDGE}:first_is_better", "trials=9")
    assert (found["position 1"], found["position 2"]) == (100, 0)


def test_limit_counts_pairs_and_not_trials(told, tmp_path):
    figures(tmp_path / "run", f"data={told}", f"model={JUDGE}:good_is_better", "trials=3", "limit=2")
    assert manifest(tmp_path / "run")["counts"]["n"] == 6


def test_a_reward_models_scores_of_the_published_pairs_make_the_figures(world, published, tmp_path, capsys):
    model = tmp_path / "rm"
    words = ["reward_model", f"model={world}/small", f"data={pairs_file(world)}", "device=cpu", f"style={STYLE}",
             "problems_per_step=4", "lr=1e-3", "steps=30", "heldout_one_in=4", f"out={model}"]  # fmt: skip
    assert cli.main(words) == 0
    scores = tmp_path / "scores"
    assert (
        cli.main(["score", f"samples={published}", f"reward=learned:{model}", "device=cpu", f"out={scores}"])
        == 0
    )
    found = figures(
        tmp_path / "run", f"data={published}", f"completions={scores}/scores.jsonl", "extraction=stored"
    )
    ranked = manifest(scores)["summary"]["pair_accuracy"]["value"]
    assert found["Overall"] == pytest.approx(100 * ranked)
    assert ranked > 0.5
    assert manifest(tmp_path / "run")["summary"]["figures"]["Overall"]["n"] == len(IDS)


def test_a_reward_model_as_the_engine_is_told_the_way(told, tmp_path, capsys):
    words = [
        "evaluate",
        "bench=vl_rewardbench",
        f"data={told}",
        "model=learned:runs/rm",
        f"out={tmp_path / 'run'}",
    ]
    assert cli.main(words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "`visreason score samples=DATA reward=learned:runs/rm out=RUN`" in said
    assert "completions=RUN/scores.jsonl with extraction=stored" in said


def test_scores_are_no_responses_to_be_read_by_rule(told, tmp_path, capsys):
    (tmp_path / "s.jsonl").write_text(json.dumps({"id": "17", "chosen_score": 1.0, "rejected_score": 0.0}))
    words = [
        "evaluate",
        "bench=vl_rewardbench",
        f"data={told}",
        f"completions={tmp_path / 's.jsonl'}",
        "partial=true",
    ]
    assert cli.main([*words, f"out={tmp_path / 'run'}"]) == 1
    assert "found a verdict alone; give extraction=stored" in " ".join(capsys.readouterr().err.split())
