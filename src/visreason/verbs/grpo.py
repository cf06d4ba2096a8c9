"""Train a model by reinforcement learning with rewards (GRPO and its relatives: DAPO, Dr. GRPO, GSPO)."""

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visreason.answer import check
from visreason.data import read_problems
from visreason.prompt import Style, messages
from visreason.record import Problem
from visreason.reward import Models, from_names
from visreason.store import Run
from visreason.train.settings import Reinforcement

if TYPE_CHECKING:
    from visreason.engine.http import HTTP
    from visreason.engine.sync import Synced
    from visreason.engine.vllm import VLLM
    from visreason.model.policy import Policy


WEIGHTS = "weights"
"""Folder of a run from which servers take the policy's weights."""
ROLLOUT_S = 3600.0
"""Longest wait for a server's answer to one problem."""


class Recipe(Reinforcement):
    """Group-relative policy optimisation."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. Raises Tripwire when training goes wrong; the same command resumes a killed run."""
    from visreason.model.policy import Policy
    from visreason.train import setup, sharding
    from visreason.train.grpo import GRPO
    from visreason.train.precision import precision

    completions = recipe.problems_per_step * recipe.completions_per_problem

    def objective(
        _: Run, policy: Policy, problems: list[Problem], heldout: list[Problem], style: Style, start: str
    ) -> GRPO:
        models = Models(recipe.device, precision(recipe), recipe.max_pixels, recipe.min_pixels,
                        recipe.max_prompt_tokens, recipe.squash, recipe.squash_centre, recipe.squash_scale)  # fmt: skip
        reward = from_names(recipe.rewards, style, models, recipe.reward_timeout_s)
        reference = setup.open_reference(recipe, policy, start) if recipe.kl > 0 else None
        reward = sharding.dealt_reward(reward)
        if recipe.engine != "hf":
            synced = _beside(policy, recipe, problems, style, start, out / WEIGHTS)
            more = {"sync": synced.sync, **({"rest": synced.engine.rest} if recipe.engine == "vllm" else {})}
            return GRPO(
                policy, synced.engine, problems, style, reward, recipe, reference, heldout=heldout, **more
            )
        from visreason.engine.hf import HF

        engine = sharding.dealt_engine(HF(policy), policy)
        return GRPO(policy, engine, problems, style, reward, recipe, reference, heldout=heldout)

    work = setup.Work(
        read=lambda paths, _, rejected, seen: _read(paths, recipe.rewards, rejected, seen),
        problem_of=lambda problem: problem,
        objective=objective,
        plan=lambda _: {
            "completions per problem": recipe.completions_per_problem,
            "completions per step": completions,
            "engine": recipe.engine + ", one step ahead of the update" * recipe.overlap,
            "completion tokens per step": f"at most {completions * recipe.max_completion_tokens:,}",
            "updates per step": recipe.passes * recipe.minibatches,
            **_cut_off(recipe.top_p),
            "rewards": " + ".join(f"{w:g} {name}" for name, w in recipe.rewards.items()),
        },
        finish=lambda *_: _put_away(out / WEIGHTS),
    )
    setup.train("grpo", recipe, out, work)


def _cut_off(top_p: float) -> dict[str, object]:
    """The plan's warning about tokens that are never sampled."""
    if top_p == 1:
        return {}
    why = (
        "not corrected: the loss gives probability to tokens that are never sampled, and drifts; give top_p=1"
    )
    return {f"WARNING: top_p={top_p:g}": why}


def _beside(
    policy: "Policy", recipe: Recipe, problems: list[Problem], style: Style, start: str, shelf: Path
) -> "Synced":
    """What gives the engine beside the policy its weights, proved on the first problem and on one with the most images;
    every vLLM and every server answers both."""
    from visreason.engine.sync import PROBE_TOKENS, Synced
    from visreason.train import sharding, update

    vllm = recipe.engine == "vllm"
    each = recipe.tensor_parallel if vllm else sharding.processes()
    engine = sharding.beside(lambda: _vllm(policy, recipe, start) if vllm else _servers(policy, recipe), each)
    several = sharding.engines(each) * len(recipe.engine.split(","))
    if vllm and not recipe.overlap:
        engine.rest()  # until it is asked: the longest micro-batch is tried before
    probes = {p.id: p for p in (problems[0], max(problems, key=lambda p: len(p.images)))}
    return Synced(
        policy,
        engine,
        [messages(p, style) for p in probes.values()] * several,
        lambda trees: update.score(policy, trees, recipe),
        sharding.written if vllm else partial(sharding.kept, shelf=shelf),
        recipe.check_sync_every,
        min(PROBE_TOKENS, recipe.max_completion_tokens),
    )


def _vllm(policy: "Policy", recipe: Recipe, start: str) -> "VLLM":
    from visreason.engine.vllm import VLLM

    return VLLM(
        start,
        dtype=str(policy.dtype).removeprefix("torch."),
        device=recipe.device,
        max_pixels=recipe.max_pixels,
        min_pixels=recipe.min_pixels,
        max_prompt_tokens=recipe.max_prompt_tokens,
        max_completion_tokens=recipe.max_completion_tokens,
        tensor_parallel=recipe.tensor_parallel,
        memory_share=recipe.memory_share,
        seed=recipe.seed % 2**31,
    )


def _servers(policy: "Policy", recipe: Recipe) -> "HTTP":
    """All of a step's problems are asked at once; what can't be answered at a time waits at the servers."""
    from visreason.engine.chat import Exact
    from visreason.engine.http import HTTP

    encoder = policy.encoder
    exact = Exact(encoder.visual_ids, dict(encoder.processor.image_processor.size))
    return HTTP(recipe.engine, recipe.problems_per_step, ROLLOUT_S, exact=exact)


def _put_away(shelf: Path) -> dict[str, Any]:
    """The last weights that were laid out for servers are those of the checkpoint."""
    shutil.rmtree(shelf, ignore_errors=True)
    return {}


def _read(
    paths: list[Path], rewards: dict[str, float], rejected: list[dict[str, Any]], seen: Path
) -> list[Problem]:
    """Problems whose answers the rewards can compare with; a judge takes those that rules can't."""
    problems = read_problems(paths, rejected, need_answer="correct" in rewards, seen=seen)
    if not any(name.startswith("judge:") for name in rewards):
        return problems
    reasons = {p.id: _unfit(p) for p in problems}
    rejected += [{"line": None, "reason": why, "row": {"id": i}} for i, why in reasons.items() if why]
    return [p for p in problems if not reasons[p.id]]


def _unfit(problem: Problem) -> str | None:
    if problem.answer is None:
        return "expected an answer to judge by, found none"
    if problem.check == "judge" or check(problem, problem.answer).correct:
        return None
    return f"expected an answer that is right by its own check, found {problem.answer!r}; rewrite it"
