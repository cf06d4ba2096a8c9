import json
import re
from collections import deque
from dataclasses import replace

import pytest
import torch

from tests.model.world import STYLE
from tests.train import rewards
from tests.train.test_resume import Killed, die, on_call
from visreason import cli
from visreason.engine.hf import HF
from visreason.errors import ModelError, RunError, Tripwire, UsageError
from visreason.model import patches
from visreason.model.load import load
from visreason.prompt import style
from visreason.recipe import fill
from visreason.record import Completion, Problem, Sample, Score
from visreason.reward import from_names
from visreason.store import checkpoints, read_records
from visreason.train import loop, optimizer, tripwires, update
from visreason.train.grpo import GRPO, RESAMPLE_ROUNDS
from visreason.train.losses import PolicyGradient
from visreason.train.rollouts import rollout_metrics, spread
from visreason.train.settings import Reinforcement
from visreason.verbs import grpo


class Answers:
    """An engine that gives out groups it was handed, in order, and notes what it was asked."""

    name = "answers"

    def __init__(self, *groups):
        self.groups, self.asked = deque(groups), []

    def generate(self, conversations, sampling):
        self.asked.append((conversations, sampling))
        return [self.groups.popleft() for _ in conversations]


def completion(reward, tokens=3, finish="stop"):
    """A completion whose text is the reward it will get."""
    first = 20 + round(10 * reward) if isinstance(reward, (int, float)) else 20
    return Completion(str(reward), finish, "answers", tuple(range(first, first + tokens)))


def group(*values):
    return [completion(v) for v in values]


def by_text(samples):
    return [Score(float(s.completion.text)) for s in samples]


def settings(**changes):
    fields = {"problems_per_step": 3, "completions_per_problem": 2, "max_completion_tokens": 20, "lr": 1e-3}
    return Reinforcement(model="m", data="d", **{**fields, **changes})


@pytest.fixture
def objective(policy, drawn):
    """Makes a GRPO objective on given groups; `reference` as in GRPO."""

    def make(groups, reference=None, **changes):
        engine = groups if isinstance(groups, HF) else Answers(*groups)
        return GRPO(policy, engine, drawn, style(STYLE), by_text, settings(**changes), reference)

    return make


def lengths(batch):
    """Completions in each tree of each update."""
    return [[len(t.branches) for t in u.trees] for u in batch.updates]


# Which groups are learned from


def test_groups_without_spread_are_kept_or_dropped(objective):
    groups = [group(1, 1), group(0, 1), group(0, 0)]
    kept = objective(groups).batch(0)
    dropped = objective(groups, zero_spread="drop").batch(0)
    assert (lengths(kept), lengths(dropped)) == ([[2, 2, 2]], [[2]])
    assert [u.weight for b in (kept, dropped) for u in b.updates] == [6, 2]
    for batch, learned in ((kept, 3), (dropped, 1)):
        assert batch.metrics["groups_learned"] == learned
        assert batch.metrics["share/zero_spread"] == pytest.approx(2 / 3)
        assert (batch.metrics["completions"], len(batch.samples)) == (6, 6)


def test_the_prompts_of_a_step_are_encoded_in_one_call(objective, policy, monkeypatch):
    calls, encode = [], policy.encoder._encode
    monkeypatch.setattr(policy.encoder, "_encode", lambda asked: calls.append(len(asked)) or encode(asked))
    objective([group(0, 1)] * 3).batch(0)
    assert [n for n in calls if n] == [3]


def test_a_picture_is_read_once_for_a_rollout_its_log_probs_and_its_updates(
    objective, policy, world, monkeypatch
):
    opened, open_image = [], patches.open_image
    monkeypatch.setattr(patches, "open_image", lambda image: opened.append(image) or open_image(image))
    made = objective(HF(policy), load(str(world / "small"), device="cpu"), kl=0.1, passes=2, minibatches=2)
    made.reward = lambda samples: [Score(float(i % 2)) for i, _ in enumerate(samples)]
    batch = made.batch(0)
    for step in batch.updates:
        update.apply(policy, optimizer.build(policy, made.settings), step, batch.loss, made.settings)
    shown = {image for x in batch.samples for image in x.problem.images}
    assert len(batch.updates) == 4
    assert sorted(opened, key=str) == sorted(shown, key=str)


def test_a_step_without_any_spread_makes_no_update(objective):
    batch = objective([group(1, 1)] * 3, zero_spread="drop", passes=2, minibatches=2).batch(0)
    assert (batch.updates, len(batch.samples)) == ([], 6)


def test_resampling_asks_further_problems_until_the_step_is_full(objective):
    rounds = [
        [group(1, 1), group(0, 1), group(0, 0)],
        [group(1, 0), group(0, 0)],
        [group(1, 1)],
        [group(0, 1)],
    ]
    made = objective([g for r in rounds for g in r], zero_spread="resample")
    batch = made.batch(0)
    assert [len(asked) for asked, _ in made.engine.asked] == [3, 2, 1, 1]
    assert lengths(batch) == [[2, 2, 2]]
    assert (made.cursor, len(batch.samples)) == (7, 14)
    assert len({s.problem.id for s in batch.samples}) == 7
    assert len({sampling.seed for _, sampling in made.engine.asked}) == 4


def test_resampling_ends_even_if_no_group_ever_has_spread(objective):
    made = objective([group(1, 1)] * 3 * RESAMPLE_ROUNDS, zero_spread="resample")
    batch = made.batch(0)
    assert (len(made.engine.asked), batch.updates) == (RESAMPLE_ROUNDS, [])


def test_every_round_of_every_step_has_its_own_seed(objective):
    made = objective([group(1, 1)] * 36, zero_spread="resample")
    for step in range(3):
        made.batch(step)
    assert len({sampling.seed for _, sampling in made.engine.asked}) == 3 * RESAMPLE_ROUNDS


def test_a_group_whose_charges_leave_no_advantage_is_not_kept_for_later(objective):
    even = [replace(completion(value, tokens), logps=(-1.0,) * tokens) for value, tokens in ((1, 8), (0, 4))]
    changes = {
        "zero_spread": "reuse",
        "overlong": "penalty",
        "overlong_margin": 4,
        "max_completion_tokens": 8,
    }
    made = objective([even, group(1, 1), group(1, 1)] * 2, **changes)
    for step in range(2):
        assert made.batch(step).metrics["groups_learned"] == 1
    assert made.memory["groups"] == []


def test_learning_one_step_late_needs_its_correction():
    with pytest.raises(UsageError, match="leaves uncorrected; give a cap"):
        fill(grpo.Recipe, ["model=m", "data=d", "engine=vllm", "overlap=true", "tis_cap=null"])


def test_a_group_that_the_engine_could_not_answer_is_counted_and_not_learned_from(objective):
    broken = [Completion("no such image", finish="error")] * 2

    def errored(samples):
        failed = [s.completion.finish == "error" for s in samples]
        return [
            Score(0.0, reason="errored") if f else by_text([s])[0]
            for f, s in zip(failed, samples, strict=True)
        ]

    made = objective([broken, group(0, 1), broken], micro_batch_tokens=16)
    made.reward = errored
    batch = made.batch(0)
    assert lengths(batch) == [[2]]
    assert batch.metrics["share/errored"] == pytest.approx(2 / 3)
    chosen = made.settings
    numbers = update.apply(
        made.policy, optimizer.build(made.policy, chosen), batch.updates[0], batch.loss, chosen
    )
    assert numbers["grad_norm"] > 0


# Advantages and weights in the batch


def branches(batch):
    return [b for u in batch.updates for t in u.trees for b in t.branches]


@pytest.mark.parametrize(
    ("advantage", "scale"), [("group_zscore", 1 / (0.5**0.5 + 1e-4)), ("group_mean", 1.0)]
)
def test_every_token_of_a_completion_has_its_advantage(objective, advantage, scale):
    groups = [[completion(0, 2), completion(1, 5)], group(3, 3), group(1, 0)]
    found = [
        b.fields["advantages"].tolist() for b in branches(objective(groups, advantage=advantage).batch(0))
    ]
    expected = [
        [-0.5 * scale] * 2,
        [0.5 * scale] * 5,
        [0.0] * 3,
        [0.0] * 3,
        [0.5 * scale] * 3,
        [-0.5 * scale] * 3,
    ]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize(("normalize", "weight"), [("sequence", 2), ("token", 7), ("max_length", 40)])
def test_weights_are_those_of_the_normalisation(objective, normalize, weight):
    batch = objective([[completion(0, 2), completion(1, 5)]], normalize=normalize, problems_per_step=1).batch(
        0
    )
    each = {"sequence": [0.5] * 2 + [0.2] * 5}.get(normalize, [1.0] * 7)
    assert torch.cat([b.weights for b in branches(batch)]).tolist() == pytest.approx(each)
    assert [u.weight for u in batch.updates] == [weight]


def test_overlong_mask_leaves_cut_completions_out_of_the_loss_only(objective):
    groups = [[completion(0, 4), completion(1, 20, "length")]]
    batch = objective(groups, overlong="mask", problems_per_step=1).batch(0)
    short, cut = branches(batch)
    assert (short.weights.sum().item(), cut.weights.abs().sum().item()) == (1.0, 0.0)
    assert short.fields["advantages"][0] < 0 < cut.fields["advantages"][0]
    assert [s.score.value for s in batch.samples] == [0, 1]


def soft_overlong_punishment(length, longest, cache):
    """DAPO (arXiv 2503.14476) eq. 13."""
    if length <= longest - cache:
        return 0.0
    return ((longest - cache) - length) / cache if length <= longest else -1.0


@pytest.mark.parametrize("tokens", [1, 12, 13, 16, 19, 20])
def test_overlong_penalty_is_that_of_dapo(objective, tokens):
    groups = [
        [
            completion(1, tokens),
            completion(0.5, 21 if tokens == 20 else 1, "length" if tokens == 20 else "stop"),
        ]
    ]
    batch = objective(groups, overlong="penalty", overlong_margin=8, problems_per_step=1).batch(0)
    expected = soft_overlong_punishment(tokens, 20, 8)
    assert batch.samples[0].score.value == pytest.approx(1 + expected)
    assert batch.samples[0].score.parts["overlong"] == pytest.approx(expected)
    assert batch.metrics["reward/overlong"] == pytest.approx((expected - (tokens == 20)) / 2)


def test_the_charge_for_length_makes_no_group_worth_learning_from(objective):
    groups = [[completion(1, 20), completion(1, 1)], [completion(1, 20), completion(0, 1)]]
    changes = {"overlong": "penalty", "overlong_margin": 8, "zero_spread": "drop", "problems_per_step": 2}
    assert objective(groups, **changes).batch(0).metrics["groups_learned"] == 1


def test_a_cut_completion_is_charged_in_full(objective):
    groups = [[completion(1, 20, "length"), completion(1, 1)]]
    batch = objective(groups, overlong="penalty", overlong_margin=8, problems_per_step=1).batch(0)
    assert [s.score.value for s in batch.samples] == [0.0, 1.0]


# Several updates for each rollout


def test_later_updates_of_a_rollout_see_the_log_probs_before_the_first(objective):
    groups = [group(0, 1), group(1, 0), group(2, 0)]
    made = objective(groups, passes=2, minibatches=2, lr=1e-2, clip_low=0.01, clip_high=0.01)
    batch = made.batch(0)
    assert lengths(batch) == [[2, 2], [2], [2, 2], [2]]
    assert [u.weight for u in batch.updates] == [4, 2, 4, 2]
    moved = []

    def watched(logps_S, forest):
        moved.append((logps_S - forest.fields["old"]).abs().max().item())
        return batch.loss(logps_S, forest)

    adamw = optimizer.build(made.policy, made.settings)
    numbers = [update.apply(made.policy, adamw, u, watched, made.settings) for u in batch.updates]
    assert moved[0] < 1e-5
    assert min(moved[1:]) > 1e-3
    assert numbers[0]["clip_share"] == 0
    assert max(n["clip_share"] for n in numbers[1:]) > 0


def forwards(model):
    """A list that grows with every forward of a model's language part."""
    calls = []
    model.model.language_model.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_on_policy_costs_one_forward_and_no_more(objective):
    made = objective([group(0, 1)] * 3)
    calls = forwards(made.policy.model)
    batch = made.batch(0)
    assert calls == []
    assert all("old" not in b.fields for b in branches(batch))
    adamw = optimizer.build(made.policy, made.settings)
    update.apply(made.policy, adamw, batch.updates[0], batch.loss, made.settings)
    assert len(calls) == 1


@pytest.mark.parametrize(("changes", "own", "others"), [({"minibatches": 2}, 1, 0), ({"kl": 0.1}, 0, 1)])
def test_old_and_reference_log_probs_cost_one_forward_each(objective, world, changes, own, others):
    reference = load(str(world / "small"), device="cpu") if "kl" in changes else None
    made = objective([group(0, 1)] * 3, reference, **changes)
    calls = forwards(made.policy.model)
    other = forwards(reference.model) if reference else []
    batch = made.batch(0)
    assert (len(calls), len(other)) == (own, others)
    assert all(("reference" in b.fields, "old" in b.fields) == (others, own) for b in branches(batch))


# What is logged


def sample(problem, text, value, reason, parts, tokens, finish="stop"):
    return Sample(problem, completion(text, tokens, finish), Score(value, None, reason, parts))


def test_metrics_of_a_rollout_are_the_numbers_one_counts_by_hand():
    problem = Problem("p", "?", answer="1")
    groups = [
        [
            sample(problem, "a", 2.0, "exact", {"correct": 1.0, "format": 1.0}, 4),
            sample(problem, "b", 0.0, "truncated", {"correct": 0.0, "format": 0.0}, 9, "length"),
        ],
        [
            sample(problem, "c", 1.0, "unparsed", {"correct": 0.0, "format": 1.0}, 2),
            sample(problem, "d", 1.0, "choice", {"correct": 1.0, "format": 0.0}, 7),
        ],
        [
            sample(problem, "e", 0.0, "errored", {"correct": 0.0, "format": 0.0}, 0, "error"),
            sample(problem, "f", 0.0, "wrong", {"correct": 0.0, "format": 0.0}, 2),
        ],
    ]
    assert rollout_metrics(groups) == pytest.approx(
        {
            "reward": 4 / 6,
            "reward_std": 2**0.5 / 3,
            "reward/correct": 2 / 6,
            "reward/format": 2 / 6,
            "completion_length": 24 / 6,
            "completion_length/correct": 5.5,
            "completion_length/wrong": 13 / 3,
            "share/truncated": 1 / 6,
            "share/unparsed": 1 / 6,
            "share/errored": 1 / 6,
            "share/zero_spread": 2 / 3,
            "completions": 6,
        }
    )
    assert [spread(g) for g in groups] == [2.0, 0.0, 0.0]


def test_the_reward_is_correct_plus_format_exactly(objective, drawn):
    form = style(STYLE)

    def written(problem):
        right, wrong = form.target("t", problem.answer), form.target("t", "no such answer")
        return [Completion(t, token_ids=(20,)) for t in (right, wrong, problem.answer, right)]

    class Solver:
        name = "solver"

        def generate(self, conversations, sampling):
            by_question = {p.question: p for p in drawn}
            asked = ["\n".join(x.get("text", "") for m in c for x in m["content"]) for c in conversations]
            return [written(next(p for q, p in by_question.items() if q in text)) for text in asked]

    made = objective([], completions_per_problem=4)
    made.engine, made.reward = Solver(), from_names({"correct": 1.0, "format": 1.0}, form)
    metrics = made.batch(0).metrics
    assert metrics["reward/correct"] == 3 / 4
    assert metrics["reward/format"] == 3 / 4
    assert metrics["reward"] == metrics["reward/correct"] + metrics["reward/format"]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampler_and_trainer_agree_on_the_log_probs_of_every_token(policy, objective, temperature):
    policy.encoder.eos_ids = tuple(range(20, 60))  # completions of many lengths
    made = objective(HF(policy), temperature=temperature, top_p=0.9, completions_per_problem=4)
    made.reward = rewards.even
    batch = made.batch(0)
    trees = batch.updates[0].trees
    assert len({len(b.ids) for b in branches(batch)}) > 3
    trainer = update.score(policy, trees, made.settings, temperature)
    sampler = [b.fields["sampler"] for b in branches(batch)]
    assert max((t - s).abs().max().item() for t, s in zip(trainer, sampler, strict=True)) < 1e-5
    adamw = optimizer.build(policy, made.settings)
    numbers = update.apply(policy, adamw, batch.updates[0], batch.loss, made.settings, batch.temperature)
    assert 0 < numbers["logp_mismatch"] < 1e-5


# Runs


def run(world, out, **changes):
    fields = {
        "style": STYLE, "steps": 4, "problems_per_step": 2, "completions_per_problem": 4, "max_completion_tokens": 8,
        "rewards": {"tests.train.rewards:even": 1.0}, "lr": 1e-3, "save_every": 1, "device": "cpu",
    }  # fmt: skip
    data, model = str(world / "train.jsonl"), str(world / "small")
    grpo.run(grpo.Recipe(model=model, data=data, **{**fields, **changes}), out)


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_the_kl_to_the_reference_begins_at_zero_and_grows(world, tmp_path):
    run(world, tmp_path, kl=0.01)
    kl = [row["kl"] for row in rows(tmp_path)]
    assert kl[0] < 1e-9
    assert 1e-9 < kl[1] < kl[3]


@pytest.mark.parametrize(
    ("changes", "reached", "message"),
    [
        (
            {"kl": 0.01, "stop_kl": 1e-6},
            2,
            r"step 2: KL to the reference is .* above stop_kl=1e-06; lower lr",
        ),
        (
            {"stop_entropy": 100.0},
            1,
            r"step 1: the policy's entropy is .* under stop_entropy=100.0: it has collapsed",
        ),
        (
            {"stop_entropy_above": 0.5},
            1,
            r"step 1: the policy's entropy is .* above stop_entropy_above=0.5: it answers at random; lower lr",
        ),
        (
            {"stop_unparsed": 0.5, "stop_unparsed_steps": 3, "rewards": {"tests.train.rewards:unread": 1.0}},
            3,
            r"step 3: 100% of the completions had no answer, above stop_unparsed=0.5 for 3 steps in a row; look at",
        ),
    ],
)
def test_a_fatal_bound_stops_the_run_and_keeps_the_last_good_checkpoint(
    world, tmp_path, changes, reached, message
):
    with pytest.raises(Tripwire, match=message):
        run(world, tmp_path, **changes)
    assert [row["step"] for row in rows(tmp_path)] == list(range(1, reached + 1))
    assert [c.name for c in checkpoints(tmp_path)] == [f"step_{i:06d}" for i in range(1, reached)]
    assert not (tmp_path / "manifest.json").exists()
    for folder in checkpoints(tmp_path):
        load(str(folder), device="cpu")


def test_a_loss_that_is_not_finite_stops_the_run_with_step_and_samples_to_look_at(
    world, tmp_path, monkeypatch
):
    def diverged(self, logps_S, forest):
        return (logps_S * float("inf")).sum(), {}

    monkeypatch.setattr(PolicyGradient, "__call__", diverged)
    with pytest.raises(
        Tripwire, match=r"step 1: the loss is (nan|-?inf) on a micro-batch with [a-z]+-[0-9a-f]{16}"
    ):
        run(world, tmp_path)
    kept = list(read_records(tmp_path / "samples.jsonl", Sample))
    assert len(kept) == 8


def test_warnings_say_what_to_do_and_each_is_printed_once(world, tmp_path, capsys):
    run(world, tmp_path, rewards={"tests.train.rewards:constant": 1.0})
    shown = " ".join(capsys.readouterr().err.split())
    assert len(re.findall(r"step 1: \d+% truncated: raise max_completion_tokens", shown)) == 1
    assert shown.count("100% zero spread: the problems are too easy or too hard to learn from") == 1
    assert shown.count("% truncated") == 1


def test_answers_that_can_be_read_again_begin_the_count_anew():
    limits = settings(stop_unparsed=0.5, stop_unparsed_steps=3)
    found, seen = 0, []
    for share in (0.6, 0.6, 0.5, 0.6, 0.9):
        found = tripwires.unparsed_steps(found, {"share/unparsed": share}, limits)
        seen.append(found)
    assert seen == [1, 2, 0, 1, 2]
    assert tripwires.unparsed_steps(5, {"share/unparsed": 1.0}, settings()) == 0


def test_a_stopped_run_that_goes_on_counts_the_steps_before_it(world, tmp_path, monkeypatch):
    """The third step in a row stops it, though the process began with the second."""
    changes = {"stop_unparsed": 0.5, "stop_unparsed_steps": 3, "rewards": {"tests.train.rewards:unread": 1.0}}
    with monkeypatch.context() as patch:
        patch.setattr(update, "apply", on_call(2, update.apply, before=die))
        with pytest.raises(Killed):
            run(world, tmp_path, **changes)
    with pytest.raises(Tripwire, match=r"step 3: .* for 3 steps in a row"):
        run(world, tmp_path, **changes)


def test_the_largest_difference_of_a_log_prob_is_logged_beside_the_mean(objective, monkeypatch):
    made = objective([group(1, 0)], problems_per_step=1)
    batch = made.batch(0)
    trees = [replace(t, branches=tuple(replace(b, fields={**b.fields, "sampler": torch.arange(3.0) - 5})
                                       for b in t.branches)) for t in batch.updates[0].trees]  # fmt: skip
    sgd = torch.optim.SGD(made.policy.model.parameters(), lr=0.0)
    found = update.apply(made.policy, sgd, replace(batch.updates[0], trees=trees), batch.loss, settings())
    scored = torch.cat(update.score(made.policy, trees, settings()))
    apart = (scored - torch.cat([torch.arange(3.0) - 5] * 2)).abs()
    assert found["logp_mismatch/largest"] == pytest.approx(apart.max().item(), abs=1e-5)
    assert found["logp_mismatch"] == pytest.approx(apart.mean().item(), abs=1e-5)
    parts = [{"a": 1.0, "x/largest": 3.0}, {"a": 2.0, "x/largest": 1.0}]
    assert loop._joined(parts) == {"a": 1.5, "x/largest": 3.0}


def test_the_plan_warns_of_a_nucleus_that_the_loss_does_not_know(world, tmp_path, capsys):
    run(world, tmp_path, top_p=0.9, steps=1)
    shown = " ".join(capsys.readouterr().err.split())
    assert "WARNING: top_p=0.9" in shown
    assert "not corrected" in shown
    assert rows(tmp_path)[0]["seconds_reward"] >= 0


def test_warnings_begin_above_their_bounds():
    limits = settings(warn_truncated=0.2, warn_unparsed=0.5, warn_zero_spread=0.9)
    at = {"share/truncated": 0.2, "share/unparsed": 0.5, "share/zero_spread": 0.9}
    assert tripwires.check(at, limits) == []
    above = tripwires.check({k: v + 0.01 for k, v in at.items()}, limits)
    assert [w.split(":")[0] for w in above] == ["21% truncated", "51% unparsed", "91% zero spread"]


def test_a_run_in_which_nothing_can_be_learned_ends_with_the_weights_it_began_with(world, tmp_path):
    run(world, tmp_path, rewards={"tests.train.rewards:constant": 1.0}, zero_spread="drop")
    last = load(str(checkpoints(tmp_path)[-1]), device="cpu").model.state_dict()
    first = load(str(world / "small"), device="cpu").model.state_dict()
    assert all(torch.equal(last[name], value) for name, value in first.items())
    assert [row["groups_learned"] for row in rows(tmp_path)] == [0] * 4


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            rewards.raises,
            r"reward 'tests.train.rewards:even' raised ZeroDivisionError on problem '.+': nothing to",
        ),
        (
            rewards.nan,
            r"finite value of reward 'tests.train.rewards:even' on problem '.+', found Score\(value=nan",
        ),
        (rewards.too_few, r"expected 8 scores of reward .*, found 7"),
    ],
)
def test_a_broken_reward_stops_the_run_and_earlier_records_stay(
    world, tmp_path, monkeypatch, broken, message
):
    calls = []
    even = rewards.even

    def later_broken(samples):
        calls.append(1)
        return even(samples) if len(calls) <= 2 else broken(samples)

    monkeypatch.setattr(rewards, "even", later_broken)
    with pytest.raises(RunError, match=message):
        run(world, tmp_path, save_every=2)
    assert [row["step"] for row in rows(tmp_path)] == [1, 2]
    assert len(list(read_records(tmp_path / "samples.jsonl", Sample))) == 16
    assert [c.name for c in checkpoints(tmp_path)] == ["step_000002"]
    monkeypatch.setattr(rewards, "even", even)
    run(world, tmp_path, save_every=2)
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4]


def test_a_reward_that_hangs_stops_the_run_with_its_name(world, tmp_path):
    message = r"reward 'tests.train.rewards:hangs' for 8 completions within reward_timeout_s=0.2, found none"
    with pytest.raises(RunError, match=message):
        run(world, tmp_path, rewards={"tests.train.rewards:hangs": 1.0}, reward_timeout_s=0.2)


def test_a_bounded_reward_is_the_one_it_bounds_and_raises_what_it_raises():
    layout, x = style(STYLE), sample(Problem("p", "?"), "a", 0.0, "wrong", {}, 4)
    free, bound = (from_names({"tests.train.rewards:even": 1.0}, layout, timeout_s=t) for t in (None, 60))
    assert free([x]) == bound([x])
    with pytest.raises(RunError, match="raised ZeroDivisionError on problem 'p'"):
        from_names({"tests.train.rewards:raises": 1.0}, layout, timeout_s=60)([x])


def test_a_broken_reward_is_a_paragraph_on_the_command_line(world, tmp_path, capsys):
    words = [
        f"model={world}/small",
        f"data={world}/train.jsonl",
        f"style={STYLE}",
        "steps=1",
        "problems_per_step=1",
    ]
    words += ["completions_per_problem=2", "max_completion_tokens=4", "device=cpu", f"out={tmp_path}"]
    assert cli.main(["grpo", *words, "rewards={tests.train.rewards:raises: 1.0}"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "visreason: reward 'tests.train.rewards:raises' raised ZeroDivisionError on problem "
    )


def test_a_problem_is_learned_from_as_often_as_its_turn_comes(drawn, objective):
    made = objective([group(0, 1)] * 3 * 16, problems_per_step=3)
    seen = [s.problem.id for step in range(16) for s in made.batch(step).samples[::2]]
    assert sorted(seen) == sorted([p.id for p in drawn] * 2)
    assert seen[: len(drawn)] != seen[len(drawn) :]


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ({"stop_kl": 1.0}, "kl above 0"),
        ({"overlong_margin": 64}, "overlong=penalty"),
        ({"lora_alpha": 64}, "lora_rank above 0"),
        ({"dual_clip": 3.0}, "a second update of each rollout .*"),
        ({"clip_high": 0.28}, "a second update of each rollout .*"),
        ({"steps": 3, "epochs": 2}, "steps left out"),
    ],
)
def test_a_field_without_effect_is_refused(words, needed):
    with pytest.raises(
        UsageError, match=rf"^{list(words)[-1]} has no effect without {needed}; leave it out$"
    ):
        fill(Reinforcement, ["model=m", "data=d", *(f"{k}={v}" for k, v in words.items())])
    resolved = settings().model_dump()
    assert Reinforcement(**resolved).model_dump() == resolved


def test_a_full_memory_stops_the_run_with_what_to_lower(world, tmp_path, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(update, "apply", full)
    recipe = grpo.Recipe(
        model=str(world / "small"), data=str(world / "train.jsonl"), style=STYLE, device="cpu", steps=1,
        max_completion_tokens=4, problems_per_step=2, completions_per_problem=2,
    )  # fmt: skip
    with pytest.raises(RunError, match=r"^step 1: the memory of cpu is full .*lower micro_batch_tokens"):
        grpo.run(recipe, tmp_path / "run")


def test_prompts_are_shared_or_the_run_is_refused(world, tmp_path):
    recipe = grpo.Recipe(
        model=str(world / "small"),
        data=str(world / "train.jsonl"),
        style=STYLE,
        device="cpu",
        share_trunk=False,
    )
    with pytest.raises(ModelError, match=r"share_trunk=false.*trained by sft alone"):
        grpo.run(recipe, tmp_path / "run")


# Engines beside the policy


class Beside:
    """An engine with weights of its own, as a number; it notes which ones it answered with."""

    name = "beside"

    def __init__(self):
        self.trained = self.weights = 0
        self.events = []

    def generate(self, conversations, sampling):
        self.events.append(("answers", self.weights))
        return [group(0, 1) for _ in conversations]

    def sync(self):
        self.weights = self.trained
        self.events.append(("synced", self.weights))
        return {"sync_difference": 0.5}

    def rest(self):
        self.events.append(("rests", self.weights))


@pytest.fixture
def beside(policy, drawn):
    """Runs steps, each followed by an update of the weights; the events, and batches with their cursors."""

    def steps(count, **changes):
        engine = Beside()
        made = GRPO(
            policy, engine, drawn, style(STYLE), by_text, settings(engine="vllm", steps=count, **changes),
            sync=engine.sync, rest=engine.rest,
        )  # fmt: skip
        batches = []
        for step in range(count):
            batches.append((made.batch(step), made.cursor))
            engine.trained += 1
        return engine.events, batches

    return steps


def test_an_engine_answers_with_the_weights_of_the_step_and_rests_while_it_is_learned(beside):
    events, batches = beside(3)
    assert events == [e for w in range(3) for e in (("synced", w), ("answers", w), ("rests", w))]
    assert [b.metrics["sync_difference"] for b, _ in batches] == [0.5] * 3


def test_with_overlap_the_next_rollout_has_the_weights_of_the_step_before_it(beside):
    events, _ = beside(4, overlap=True)
    assert [w for what, w in events if what == "answers"] == [0, 0, 1, 2]
    assert [w for what, w in events if what == "synced"] == [0, 1, 2, 3]
    assert not [w for what, w in events if what == "rests"]


def test_with_overlap_problems_and_cursors_are_those_without(beside):
    def asked(**changes):
        return [([s.problem.id for s in b.samples], cursor) for b, cursor in beside(4, **changes)[1]]

    assert asked(overlap=True) == asked()


def test_with_overlap_a_resumed_run_goes_on_with_the_rollout_that_was_begun(policy, drawn):
    def made(engine):
        return GRPO(
            policy, engine, drawn, style(STYLE), by_text, settings(engine="vllm", steps=4, overlap=True),
            sync=engine.sync, rest=engine.rest,
        )  # fmt: skip

    def steps(objective, engine, chosen):
        for step in chosen:
            yield objective.batch(step).samples
            engine.trained += 1

    whole = Beside()
    expected = list(steps(made(whole), whole, range(4)))
    before, after = Beside(), Beside()
    killed = made(before)
    found = list(steps(killed, before, range(2)))
    after.trained = after.weights = before.trained
    resumed = made(after)
    resumed.cursor, resumed.memory = killed.cursor, json.loads(json.dumps(killed.memory))
    found += steps(resumed, after, range(2, 4))
    assert found == expected
    assert before.events + after.events == whole.events


def test_a_failure_of_a_rollout_ahead_is_raised(policy, drawn):
    engine = Beside()
    made = GRPO(
        policy, engine, drawn, style(STYLE), by_text, settings(engine="vllm", overlap=True, steps=3),
        sync=engine.sync,
    )  # fmt: skip
    engine.generate = lambda *_: [group(0, 1)] * 3  # type: ignore[method-assign]
    made.batch(0)

    def fail(*_):
        raise RunError("the engine died")

    made.ahead.result()  # type: ignore[union-attr]
    engine.generate = fail  # type: ignore[method-assign]
    made.batch(1)
    with pytest.raises(RunError, match="the engine died"):
        made.batch(2)


@pytest.mark.parametrize(
    "field", ["overlap=true", "check_sync_every=2", "tensor_parallel=2", "memory_share=0.5"]
)
def test_fields_of_vllm_are_refused_without_it(field):
    with pytest.raises(UsageError, match="no effect without engine=vllm"):
        fill(Reinforcement, ["model=m", "data=d", field])


def test_an_engine_that_is_none_is_refused():
    for engine in ("vlm", "vllm:m", "script:a.jsonl"):
        with pytest.raises(UsageError, match="expected engine=hf, vllm or http"):
            fill(Reinforcement, ["model=m", "data=d", f"engine={engine}"])
    assert fill(Reinforcement, ["model=m", "data=d", "engine=http://a/v1", "overlap=true"]).overlap
