"""Reward models and preferences from the command line: curate, reward_model, score, mpo, grpo with a learned reward."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model.world import STYLE
from tests.reward.test_learned import untied
from tests.train.pairs import drawn_pairs, pairs_file
from visreason import cli
from visreason.data.pairs import content
from visreason.record import Completion, Pair, Sample, Score, to_json
from visreason.store import checkpoints, manifest, read_records, read_rows, write_records

HERE = "script:tests.verbs.test_rewards"
SHORT = ("device=cpu", f"style={STYLE}", "problems_per_step=4", "lr=1e-3")


def obey(capsys, *words):
    """Exit status, and what was printed."""
    status = cli.main([str(w) for w in words])
    printed = capsys.readouterr()
    return status, " ".join((printed.err + printed.out).split())


@pytest.fixture(scope="module")
def scorer(world, tmp_path_factory):
    """A run of reward_model on the drawn pairs, long enough to rank them."""
    out = tmp_path_factory.mktemp("scorer") / "rm"
    words = ["reward_model", f"model={world}/small", f"data={pairs_file(world)}", *SHORT, "steps=30",
             "heldout_one_in=4", "heldout_every=10", f"out={out}"]  # fmt: skip
    assert cli.main(words) == 0
    return out


def samples_file(world, path):
    """Four samples of each of eight problems; one in four is the worked solution."""
    pairs = drawn_pairs(world)[:16]
    samples = []
    for pair in pairs[::2]:
        texts = [pair.rejected.text, pair.chosen.text, "<think>hm</think>\n<answer>0</answer>", "7"]
        samples += [Sample(pair.problem, Completion(t), Score(0.0)) for t in texts]
    write_records(path, samples)
    return path


def test_a_reward_model_learns_to_rank_and_says_how_well(scorer):
    summary = manifest(scorer)["summary"]
    assert summary["pair_accuracy"]["value"] >= 0.9
    assert 0 < summary["length_bias"]["longer_chosen"] <= 1
    rows = [row for _, row in read_rows(scorer / "metrics.jsonl")]
    assert [r["step"] for r in rows if "heldout/accuracy" in r] == [1, 10, 20, 30]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert (checkpoints(scorer)[-1] / "value_head.safetensors").is_file()


def test_samples_are_scored_and_the_best_of_them_is_chosen(scorer, world, tmp_path, capsys):
    file, out = samples_file(world, tmp_path / "samples.jsonl"), tmp_path / "score"
    status, printed = obey(
        capsys, "score", f"samples={file}", f"reward=learned:{scorer}", "device=cpu", f"out={out}"
    )
    assert status == 0
    assert "of 4 completions: mean" in printed
    found = {k: v["value"] for k, v in manifest(out)["summary"]["best_of"]["4"].items()}
    assert found["oracle"] == found["best"] == 1.0
    assert 0.25 <= found["mean"] < 0.5
    scored = list(read_records(out / "samples.jsonl", Sample))
    assert {tuple(s.score.parts) for s in scored} == {("correct", "learned")}
    page = (out / "report" / "index.html").read_text()
    assert "best of n" in page
    assert "score against length" in page


def test_scoring_that_was_killed_goes_on_and_ends_the_same(scorer, world, tmp_path, capsys):
    file, out = samples_file(world, tmp_path / "samples.jsonl"), tmp_path / "score"
    words = ["score", f"samples={file}", f"reward=learned:{scorer}", "device=cpu"]
    obey(capsys, *words, f"out={tmp_path / 'whole'}")
    obey(capsys, *words, f"out={out}")
    (out / "manifest.json").unlink()
    lines = (out / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (out / "samples.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:20])
    assert obey(capsys, *words, f"out={out}")[0] == 0
    assert (out / "samples.jsonl").read_bytes() == (tmp_path / "whole" / "samples.jsonl").read_bytes()


def test_samples_in_any_order_go_on_after_a_kill(scorer, world, tmp_path, capsys):
    file, out = samples_file(world, tmp_path / "samples.jsonl"), tmp_path / "score"
    rows = file.read_text().splitlines(keepends=True)
    file.write_text("".join(rows[::2] + rows[1::2]))
    words = ["score", f"samples={file}", f"reward=learned:{scorer}", "device=cpu", f"out={out}"]
    assert obey(capsys, *words)[0] == 0
    (out / "manifest.json").unlink()
    assert obey(capsys, *words)[0] == 0


def test_scores_of_other_pairs_are_not_gone_on_with(scorer, world, tmp_path, capsys):
    file, out = tmp_path / "pairs.jsonl", tmp_path / "score"
    write_records(file, drawn_pairs(world))
    words = ["score", f"samples={file}", f"reward=learned:{scorer}", "device=cpu", f"out={out}"]
    assert obey(capsys, *words)[0] == 0
    (out / "manifest.json").unlink()
    write_records(file, list(reversed(drawn_pairs(world))))
    status, said = obey(capsys, *words)
    assert status == 1
    assert "the data changed since the run began" in said


def test_pairs_are_scored_and_swapped_columns_are_called_out(scorer, world, tmp_path, capsys):
    swapped = [replace(p, chosen=p.rejected, rejected=p.chosen) for p in drawn_pairs(world)]
    write_records(tmp_path / "swapped.jsonl", swapped)
    words = [f"reward=learned:{scorer}", "device=cpu"]
    status, printed = obey(capsys, "score", f"samples={pairs_file(world)}", *words, f"out={tmp_path / 'a'}")
    assert status == 0
    assert "under chance" not in printed
    assert manifest(tmp_path / "a")["summary"]["pair_accuracy"]["value"] >= 0.9
    assert "calibration" in (tmp_path / "a" / "report" / "index.html").read_text()
    status, printed = obey(
        capsys, "score", f"samples={tmp_path}/swapped.jsonl", *words, f"out={tmp_path / 'b'}"
    )
    assert "under chance: are the columns chosen and rejected swapped?" in printed
    _, printed = obey(capsys, "reward_model", f"model={world}/small", f"data={tmp_path}/swapped.jsonl", *SHORT,
                      "steps=1", "heldout_one_in=4", f"out={tmp_path / 'c'}")  # fmt: skip
    assert "it is the chosen one in 0.0 %" in printed


def test_two_stages_in_one_recipe_each_with_its_pairs_and_its_rate(world, tmp_path, capsys):
    stages = "[{pairs: images, lr: 1.0e-3, epochs: 0.5}, {pairs: all, lr: 1.0e-4, epochs: 0.25}]"
    status, printed = obey(capsys, "reward_model", f"model={world}/small", f"data={pairs_file(world)}", "device=cpu",
                           f"style={STYLE}", "problems_per_step=4", "heldout_one_in=4", f"stages={stages}",
                           f"out={tmp_path / 'rm'}")  # fmt: skip
    assert status == 0, printed
    rows = [row for _, row in read_rows(tmp_path / "rm" / "metrics.jsonl")]
    first, second = ([r for r in rows if r["stage"] == i] for i in (1, 2))
    assert first
    assert second
    assert max(r["lr"] for r in first) == pytest.approx(1e-3)
    assert max(r["lr"] for r in second) == pytest.approx(1e-4)


def test_a_held_out_prompt_over_the_budget_is_set_aside(world, tmp_path, capsys):
    first, *rest = drawn_pairs(world)
    long = replace(first, problem=replace(first.problem, question="Which? " * 200))
    write_records(tmp_path / "heldout.jsonl", [*rest[:3], long])
    words = [f"model={world}/small", f"data={pairs_file(world)}", *SHORT, "steps=1", "max_prompt_tokens=300"]
    heldout = f"heldout={tmp_path}/heldout.jsonl"
    status, printed = obey(capsys, "reward_model", *words, heldout, f"out={tmp_path / 'rm'}")
    assert status == 0, printed
    counts = manifest(tmp_path / "rm")["counts"]
    assert (counts["held out"], counts["held out, rejected"]) == (3, 1)
    rows = [row for _, row in read_rows(tmp_path / "rm" / "rejected.jsonl")]
    assert any(r["reason"].startswith("held out: the prompt has") for r in rows)


def test_pairs_of_held_out_problems_are_not_learned(world, tmp_path, capsys):
    first, *_ = pairs = drawn_pairs(world)
    write_records(tmp_path / "heldout.jsonl", [first])
    words = [f"model={world}/small", f"data={pairs_file(world)}", *SHORT, "steps=1"]
    heldout = f"heldout={tmp_path}/heldout.jsonl"
    status, printed = obey(capsys, "reward_model", *words, heldout, f"out={tmp_path / 'rm'}")
    assert status == 0, printed
    assert "not learned: its problem is held out" in printed
    counts = manifest(tmp_path / "rm")["counts"]
    same = sum(content(p.problem) == content(first.problem) for p in pairs)
    assert (counts["problems"], counts["rejected"]) == (len(pairs) - same, same)


def test_a_reward_model_trains_without_its_matrix_to_words(world, tmp_path, capsys):
    untied(world / "small").save(tmp_path / "untied")
    words = [f"model={tmp_path}/untied", f"data={pairs_file(world)}", *SHORT, "steps=2", "heldout_one_in=4"]
    status, printed = obey(capsys, "reward_model", *words, "lm_head=drop", f"out={tmp_path / 'rm'}")
    assert status == 0, printed
    assert "scores differ by" in printed
    words = [f"reward=learned:{tmp_path / 'rm'}", f"samples={pairs_file(world)}", "device=cpu"]
    assert obey(capsys, "score", *words, f"out={tmp_path / 'score'}")[0] == 0


def test_mpo_prefers_the_chosen_side_and_computes_the_reference_once(world, tmp_path, capsys, monkeypatch):
    out = tmp_path / "mpo"
    words = [
        "mpo",
        f"model={world}/small",
        f"data={pairs_file(world)}",
        *SHORT,
        "steps=8",
        "save_every=4",
        f"out={out}",
    ]
    assert obey(capsys, *words)[0] == 0
    rows = [row for _, row in read_rows(out / "metrics.jsonl")]
    assert rows[0]["loss/dpo"] == pytest.approx(0.6931, abs=1e-3), "the policy starts as its reference"
    assert rows[-1]["reward/chosen"] > rows[-1]["reward/rejected"]
    assert rows[-1]["threshold"] != 0
    reference = [row for _, row in read_rows(out / "reference.jsonl")]
    assert len(reference) == len(drawn_pairs(world))
    assert all(row["chosen"] < 0 for row in reference)


def test_a_learned_reward_is_bounded_and_logged_raw_beside_the_rules(scorer, world, tmp_path, capsys):
    out = tmp_path / "grpo"
    rewards = f"{{correct: 1, format: 0.5, learned:{scorer}: 0.5}}"
    status, printed = obey(capsys, "grpo", f"model={world}/small", f"data={world}/train.jsonl", *SHORT, "steps=1",
                           "completions_per_problem=2", "max_completion_tokens=6", f"rewards={rewards}",
                           "squash_scale=2", f"out={out}")  # fmt: skip
    assert status == 0, printed
    samples = list(read_records(out / "samples.jsonl", Sample))
    for s in samples:
        parts = s.score.parts
        bounded = torch.sigmoid(torch.tensor(parts["learned_raw"] / 2)).item()
        assert parts["learned"] == pytest.approx(bounded, abs=1e-6)
        total = parts["correct"] + 0.5 * parts["format"] + 0.5 * parts["learned"]
        assert s.score.value == pytest.approx(total)
    row = next(row for _, row in read_rows(out / "metrics.jsonl"))
    assert {"reward/correct", "reward/format", "reward/learned", "reward/learned_raw"} <= row.keys()


def test_pairs_of_samples_are_curated_stage_by_stage_and_the_counts_add_up(scorer, world, tmp_path, capsys):
    pairs = drawn_pairs(world)[:20]
    longer = replace(pairs[0], rejected=Completion(pairs[0].rejected.text + " "))
    write_records(tmp_path / "pairs.jsonl", [*pairs, longer, pairs[3]])
    out = tmp_path / "curated"
    words = ["curate", f"data={tmp_path}/pairs.jsonl", "near=0.6", f"judge={HERE}:prefer_worked",
             f"surrogate={scorer}", "weakest=0.2", "narrowest=0.0", "device=cpu", f"regenerate={HERE}:answer",
             f"out={out}"]  # fmt: skip
    status, printed = obey(capsys, *words)
    assert status == 0, printed
    counts = manifest(out)["counts"]
    dropped = {k: v for k, v in counts.items() if k.startswith("dropped_")}
    assert counts["read"] == 22 == counts["kept"] + sum(dropped.values())
    assert dropped["dropped_exact"] == 2
    assert dropped["dropped_near"] > 0
    assert len(list(read_records(out / "pairs.jsonl", Pair))) == counts["kept"]
    reasons = [(row["stage"], row["reason"]) for _, row in read_rows(out / "dropped.jsonl")]
    assert len(reasons) == sum(dropped.values())


def test_shards_of_curation_make_the_undivided_run_and_ask_no_pair_twice(scorer, world, tmp_path, capsys):
    write_records(tmp_path / "pairs.jsonl", drawn_pairs(world)[:20])
    words = ["curate", f"data={tmp_path}/pairs.jsonl", "near=0.6", f"judge={HERE}:prefer_worked",
             f"surrogate={scorer}", "weakest=0.2", "narrowest=0.0", "device=cpu",
             f"regenerate={HERE}:answer"]  # fmt: skip
    assert obey(capsys, *words, f"out={tmp_path / 'whole'}")[0] == 0
    parts = [tmp_path / f"part{i}" for i in (1, 2, 3)]
    for i, out in enumerate(parts, 1):
        assert obey(capsys, *words, f"shard={i}/3", f"out={out}")[0] == 0
        counts = manifest(out)["counts"]
        dropped = sum(v for k, v in counts.items() if k.startswith("dropped_"))
        assert counts["read"] == counts["kept"] + dropped + counts["another_shard"]
    merged = tmp_path / "merged"
    assert obey(capsys, "merge", f"runs=[{','.join(map(str, parts))}]", f"out={merged}")[0] == 0
    for name in ("pairs.jsonl", "dropped.jsonl", "judge.jsonl"):
        assert (merged / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert manifest(merged)["counts"] == manifest(tmp_path / "whole")["counts"]


def prefer_worked(conversation, i):
    text = conversation[-1]["content"][-1]["text"]
    first = text.split("[Answer 1]")[1].split("[Answer 2]")[0]
    hasty = "I guess" in first or "It may be" in first
    return f"Overall Judgment: Answer {2 if hasty else 1} is better."


def answer(conversation, i):
    return "<think>hm</think>\n<answer>0</answer>"


def test_a_run_of_curation_that_was_killed_asks_nothing_twice(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("visreason.verbs.curate.BLOCK", 4)
    write_records(tmp_path / "pairs.jsonl", drawn_pairs(world)[:12])
    words = ["curate", f"data={tmp_path}/pairs.jsonl", "near=null", "device=cpu"]
    judge = f"judge={HERE}:dies_after_nine_pairs"
    asked.clear()
    assert obey(capsys, *words, judge, f"out={tmp_path / 'out'}")[0] == 1
    before = len(asked)
    assert obey(capsys, *words, judge, f"out={tmp_path / 'out'}")[0] == 0
    assert len(asked) - before == 2 * 4, "the last block alone"
    assert manifest(tmp_path / "out")["counts"]["kept"] == 12


def test_a_curation_of_data_that_changed_is_refused(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("visreason.verbs.curate.BLOCK", 4)
    pairs = drawn_pairs(world)[:12]
    write_records(tmp_path / "pairs.jsonl", pairs)
    words = ["curate", f"data={tmp_path}/pairs.jsonl", "near=null", "device=cpu"]
    judge = f"judge={HERE}:dies_after_nine_pairs"
    asked.clear()
    assert obey(capsys, *words, judge, f"out={tmp_path / 'out'}")[0] == 1
    write_records(tmp_path / "pairs.jsonl", pairs[1:])
    status, printed = obey(capsys, *words, judge, f"out={tmp_path / 'out'}")
    assert status == 1
    assert "the data changed since the run began" in printed


asked = []


def dies_after_nine_pairs(conversation, i):
    asked.append(conversation)
    if len(asked) == 19:
        raise RuntimeError("killed")
    return prefer_worked(conversation, i)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["reward_model", "share_trunk=false"], 2, "expected share_trunk=true"),
        (["mpo", "share_trunk=false"], 2, "expected share_trunk=true"),
        (["reward_model", "margins=true"], 1, "needs a margin of every pair"),
        (["reward_model", "heldout_one_in=1000000"], 1, "expected pairs to learn and pairs held out"),
        (["reward_model", "lm_head=drop"], 1, "tied to the embedding"),
        (
            ["reward_model", "stages=[{pairs: text, lr: 1}]"],
            2,
            "expected pairs for stage 1 (text), found none",
        ),
        (
            ["reward_model", "stages=[{pairs: all, lr: 1}]", "lr=1"],
            2,
            "lr has no effect without stages left out",
        ),
        (["mpo", "dpo=0", "bco=0", "nll=0"], 2, "a weight above 0 among dpo, bco and nll"),
        (["mpo", "bco=0", "threshold=zero"], 2, "threshold has no effect without bco above 0"),
    ],
)
def test_bad_words_are_a_paragraph(words, status, message, world, tmp_path, capsys):
    pairs = [replace(p, margin=None) for p in drawn_pairs(world) if p.problem.images]
    write_records(tmp_path / "pairs.jsonl", pairs)
    short = [w for w in SHORT if not (w.startswith("lr") and any("lr" in x for x in words))]
    data = [f"model={world}/small", f"data={tmp_path}/pairs.jsonl", f"out={tmp_path / 'run'}"]
    steps = [] if any("stages" in w for w in words) else ["steps=1"]
    found = obey(capsys, words[0], *data, *short, *words[1:], *steps)
    assert found[0] == status
    assert message in found[1]
    assert "unexpected" not in found[1]


def test_a_pair_of_equal_sides_is_set_aside_and_the_others_are_learned(world, tmp_path, capsys):
    pairs = drawn_pairs(world)
    rows = [to_json(p) for p in pairs] + [to_json(replace(pairs[0], rejected=pairs[0].chosen))]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(r, default=str) + "\n" for r in rows))
    status, printed = obey(capsys, "mpo", f"model={world}/small", f"data={tmp_path}/pairs.jsonl", *SHORT, "steps=1",
                           f"out={tmp_path / 'mpo'}")  # fmt: skip
    assert status == 0, printed
    assert manifest(tmp_path / "mpo")["counts"] == {"problems": len(pairs), "rejected": 1}


@pytest.mark.parametrize(
    ("damage", "message"),
    [("none", "it is no reward model"), ("width", "width 32"), ("nan", "expected finite numbers")],
)
def test_a_reward_model_that_is_none_is_refused(damage, message, scorer, world, tmp_path, capsys):
    folder = tmp_path / "rm"
    shutil.copytree(checkpoints(scorer)[-1], folder)
    head = load_file(folder / "value_head.safetensors")
    if damage == "none":
        (folder / "value_head.safetensors").unlink()
    elif damage == "width":
        save_file(head | {"v_head.summary.weight": torch.zeros(1, 8)}, folder / "value_head.safetensors")
    else:
        save_file(
            head | {"v_head.summary.bias": torch.tensor([float("nan")])}, folder / "value_head.safetensors"
        )
    words = [
        "score",
        f"samples={pairs_file(world)}",
        f"reward=learned:{folder}",
        "device=cpu",
        f"out={tmp_path / 'o'}",
    ]
    status, printed = obey(capsys, *words)
    assert status == 1
    assert message in printed
