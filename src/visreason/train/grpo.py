"""The GRPO objective: rollouts of the current policy, their rewards, group advantages, the clipped loss.

Axes: P problems, G completions of each.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch

from visreason.engine import Engine, Sampling
from visreason.model.encode import Prompt
from visreason.model.forest import Branch, Tree
from visreason.model.policy import Policy
from visreason.prompt import Style, messages
from visreason.record import Problem, Sample, Score, from_json, to_json
from visreason.reward import Reward
from visreason.train import losses
from visreason.train.advantages import ADVANTAGES
from visreason.train.loop import Batch, order, total_steps
from visreason.train.losses import PolicyGradient
from visreason.train.rollouts import Rollout, from_row, rollout_metrics, spread, to_row
from visreason.train.settings import Reinforcement
from visreason.train.update import Update, score

RESAMPLE_ROUNDS = 4


@dataclass
class GRPO:
    """Batches of groups. `reference` is the frozen policy the KL is measured to, None where `kl` is 0.

    `sync` gives the engine the policy's weights before it is asked, and numbers to log; `rest` has it make room for the
    update. Both do nothing where engine and policy are one. With `overlap` a rollout is made with the weights of the
    step before, while that step is learned; the importance weight of the loss corrects it.
    """

    policy: Policy
    engine: Engine
    problems: list[Problem]
    style: Style
    reward: Reward
    settings: Reinforcement
    reference: Policy | None = None
    sync: Callable[[], dict[str, float]] = dict
    rest: Callable[[], None] = lambda: None
    heldout: list[Problem] = field(default_factory=list)
    cursor: int = 0
    buffer: list[dict[str, Any]] = field(default_factory=list)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    ahead: Future[Rollout] | None = None

    @property
    def longest(self) -> int:
        return self.settings.max_completion_tokens

    @property
    def memory(self) -> dict[str, Any]:
        """The groups that may be learned from again, and the rollout that was begun ahead, which is waited for."""
        if self.ahead is None:
            return {"groups": self.buffer}
        return {"groups": self.buffer, "ahead": to_row(self.ahead.result())}

    @memory.setter
    def memory(self, memory: dict[str, Any]) -> None:
        self.buffer = memory.get("groups", [])
        if row := memory.get("ahead"):
            self.ahead = Future()
            self.ahead.set_result(from_row(row))

    def batch(self, step: int) -> Batch:
        """Roll out the next problems, score and compare their completions, and plant the groups that teach."""
        s = self.settings
        rollout, numbers = self._rollout(step)
        rolled, kept, self.cursor = rollout.groups, self._taught(rollout.groups), rollout.cursor
        reused = self._reused(step, kept)
        fresh, kept = len(kept), kept + reused
        prompts = self.policy.encoder.all_asked([g[0].problem for g in kept], self.style)
        trees = list(map(self._tree, prompts, kept, self._advantages(kept)))
        trees = self._with_log_probs(trees, fresh)
        loss = PolicyGradient(s.clip_low, s.clip_high, s.dual_clip, s.ratio, s.kl, s.tis_cap)
        samples = [x for g in rolled for x in g]
        sampled = sum(len(x.completion.token_ids) for x in samples)
        metrics = {
            **rollout_metrics(rolled),
            "groups_learned": len(kept),
            **({"groups_reused": len(reused)} if s.zero_spread == "reuse" else {}),
            "seconds_rollout": rollout.seconds,
            "seconds_reward": rollout.seconds_reward,
            "rollout_tokens_per_s": sampled / rollout.seconds,
            **numbers,
        }
        return Batch(list(self._updates(trees)), loss, metrics, samples, s.temperature)

    def look(self) -> dict[str, float]:
        """Mean reward and accuracy of greedy answers to held-out problems."""
        few, s = self.heldout[: self.settings.heldout_limit], self.settings
        if not few:
            return {}
        if self.ahead:
            self.ahead.result()  # it asks the same engine, with the weights of the step before
        self.sync()
        samples, _ = self._answered(few, Sampling(1, 0.0, max_tokens=s.max_completion_tokens))
        if not s.overlap:
            self.rest()
        scores = [
            x.score for x in samples if x.score.reason != "errored"
        ]  # the engine's failures are not the model's
        if not scores:
            return {}
        reward, right = sum(x.value for x in scores), sum(x.correct for x in scores)
        figures = {"heldout/reward": reward / len(scores), "heldout/accuracy": right / len(scores)}
        return {**figures, "heldout_errored": len(samples) - len(scores)}

    def _rollout(self, step: int) -> tuple[Rollout, dict[str, float]]:
        """The rollout of a step and the numbers of the sync; with `overlap` the next one is begun."""
        s = self.settings
        ready = self.ahead.result() if self.ahead else None
        self.ahead = None
        numbers = self.sync()
        rollout = ready or self._roll_out(step, self.cursor)
        if not s.overlap:
            self.rest()
        elif step + 1 < total_steps(s, len(self.problems)):
            self.ahead = self.pool.submit(self._roll_out, step + 1, rollout.cursor)
        return rollout, numbers

    def _roll_out(self, step: int, cursor: int) -> Rollout:
        """Groups of the problems from `cursor` on, and further ones where those without spread are replaced."""
        s = self.settings
        start = time.perf_counter()
        rolled, rewarding = self._roll(step, 0, cursor, s.problems_per_step)
        cursor += s.problems_per_step
        for attempt in range(1, RESAMPLE_ROUNDS if s.zero_spread == "resample" else 1):
            missing = s.problems_per_step - len(self._taught(rolled))
            if missing <= 0:
                break
            more, seconds = self._roll(step, attempt, cursor, missing)
            rolled, rewarding = rolled + more, rewarding + seconds
            cursor += missing
        return Rollout(rolled, cursor, time.perf_counter() - start, rewarding)

    def _reused(self, step: int, kept: list[list[Sample]]) -> list[list[Sample]]:
        """Earlier groups in place of those without spread, drawn by their mean absolute advantage (the selective sample
        buffer of Skywork R1V2, arXiv 2504.16656); each once. The step's own groups join the buffer."""
        s = self.settings
        if s.zero_spread != "reuse":
            return []
        buffer = self.buffer
        rng, drawn = random.Random(f"{s.seed}/{step}/reuse"), []
        while buffer and len(kept) + len(drawn) < s.problems_per_step:
            (place,) = rng.choices(range(len(buffer)), [g["advantage"] for g in buffer])
            drawn.append([from_json(Sample, row) for row in buffer.pop(place)["samples"]])
        known = [g for g in kept if all(x.completion.logps for x in g if x.completion.token_ids)]
        sizes = [sum(map(abs, a)) / len(a) for a in self._advantages(known)]
        rows = [[to_json(x) for x in group] for group in known]
        buffer += [{"advantage": a, "samples": r} for a, r in zip(sizes, rows, strict=True) if a > 0]
        del buffer[: -s.buffer_groups]
        return drawn

    def _taught(self, groups: list[list[Sample]]) -> list[list[Sample]]:
        """The groups to learn from: something was sampled, and their rewards differ where that is asked for."""
        sampled = [g for g in groups if any(x.completion.token_ids for x in g)]
        return [g for g in sampled if self.settings.zero_spread == "keep" or spread(g) > 0]

    def _roll(self, step: int, attempt: int, cursor: int, count: int) -> tuple[list[list[Sample]], float]:
        """Groups of so many problems, and the seconds their rewards took."""
        s = self.settings
        problems = order(self.problems, s.seed, cursor, count)
        seed = (s.seed * 1_000_003 + step) * RESAMPLE_ROUNDS + attempt
        sampling = Sampling(
            s.completions_per_problem, s.temperature, s.top_p, 0, s.max_completion_tokens, seed
        )
        samples, seconds = self._answered(problems, sampling)
        scored = [replace(x, score=self._charge(x, x.score)) for x in samples]
        n = s.completions_per_problem
        return [scored[i : i + n] for i in range(0, len(scored), n)], seconds

    def _answered(self, problems: list[Problem], sampling: Sampling) -> tuple[list[Sample], float]:
        """The engine's answers to the problems, in order, with their rewards, and the seconds these took."""
        answers = self.engine.generate([messages(p, self.style) for p in problems], sampling)
        samples = [
            Sample(p, c, Score(0.0)) for p, group in zip(problems, answers, strict=True) for c in group
        ]
        start = time.perf_counter()
        scores = self.reward(samples)
        seconds = time.perf_counter() - start
        return [replace(x, score=v) for x, v in zip(samples, scores, strict=True)], seconds

    def _charge(self, sample: Sample, score: Score) -> Score:
        """The score less the soft overlong penalty (DAPO, arXiv 2503.14476 eq. 13), when that is asked for."""
        if self.settings.overlong != "penalty":
            return score
        s = self.settings
        over = len(sample.completion.token_ids) - (s.max_completion_tokens - s.overlong_margin)
        charge = 1.0 if sample.completion.finish == "length" else min(1.0, max(0.0, over / s.overlong_margin))
        return replace(score, value=score.value - charge, parts={**score.parts, "overlong": -charge})

    def _advantages(self, groups: list[list[Sample]]) -> list[list[float]]:
        if not groups:
            return []
        rewards_PG = torch.tensor([[x.score.value for x in g] for g in groups], dtype=torch.float64)
        return ADVANTAGES[self.settings.advantage](rewards_PG).tolist()

    def _tree(self, prompt: Prompt, group: list[Sample], advantages: list[float]) -> Tree:
        pairs = zip(group, advantages, strict=True)
        return Tree(prompt, tuple(self._branch(x, a) for x, a in pairs if x.completion.token_ids))

    def _branch(self, sample: Sample, advantage: float) -> Branch:
        completion = sample.completion
        n = len(completion.token_ids)
        weights = losses.token_weights(self.settings.normalize, n)
        if self.settings.overlong == "mask" and completion.finish == "length":
            weights = torch.zeros(n)
        fields = {"advantages": torch.full((n,), advantage)}
        if completion.logps:
            fields["sampler"] = torch.tensor(completion.logps)
        return Branch(torch.tensor(completion.token_ids), weights, fields, sample.problem.id)

    def _with_log_probs(self, trees: list[Tree], fresh: int) -> list[Tree]:
        """Log-probs of the policy before its first update, needed when a rollout is learned from more than once or
        later, and of the reference. The trees after the `fresh` ones were sampled by earlier policies, whose log-probs
        are the sampler's."""
        s = self.settings
        if s.passes * s.minibatches > 1 or s.reuses:
            old = score(self.policy, trees[:fresh], s, s.temperature)
            old += [b.fields["sampler"] for t in trees[fresh:] for b in t.branches]
            trees = _attach(trees, "old", old)
        if self.reference is not None:
            trees = _attach(trees, "reference", score(self.reference, trees, s, s.temperature))
        return trees

    def _updates(self, trees: list[Tree]) -> Iterator[Update]:
        s = self.settings
        bounds = [-(-len(trees) * i // s.minibatches) for i in range(s.minibatches + 1)]
        for _ in range(s.passes):
            for first, end in pairwise(bounds):
                if first == end:
                    continue
                part = trees[first:end]
                lengths = [int((b.weights > 0).sum()) for t in part for b in t.branches]
                yield Update(part, losses.batch_weight(s.normalize, lengths, s.max_completion_tokens))


def _attach(trees: list[Tree], name: str, values: list[torch.Tensor]) -> list[Tree]:
    left = iter(values)
    return [
        Tree(t.prompt, tuple(replace(b, fields={**b.fields, name: next(left)}) for b in t.branches))
        for t in trees
    ]
