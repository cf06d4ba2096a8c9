"""Train a model by reinforcement learning with rewards (GRPO and its relatives: DAPO, Dr. GRPO, GSPO)."""

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
    from visreason.engine.sync import Synced
    from visreason.engine.vllm import VLLM
    from visreason.model.load import Policy
    from visreason.train.sharding import Beside


class Recipe(Reinforcement):
    """Group-relative policy optimisation."""


def run(recipe: Recipe, out: Path) -> None:
    """Train and seal the run. Raises Tripwire when training goes wrong; the same command resumes a killed run."""
    from visreason.model.load import Policy
    from visreason.train import setup, sharding
    from visreason.train.grpo import GRPO

    completions = recipe.problems_per_step * recipe.completions_per_problem

    def objective(_: Run, policy: Policy, problems: list[Problem], style: Style, start: str) -> GRPO:
        models = Models(recipe.device, recipe.precision, recipe.max_pixels, recipe.min_pixels, recipe.max_prompt_tokens,
                        recipe.squash, recipe.squash_centre, recipe.squash_scale)  # fmt: skip
        reward = from_names(recipe.rewards, style, models)
        reference = setup.open_reference(recipe, policy, start) if recipe.kl > 0 else None
        reward = sharding.dealt_reward(reward, recipe.completions_per_problem)
        if recipe.engine == "vllm":
            engine, synced = _vllm_beside(policy, recipe, problems, style, start)
            more = {"sync": synced.sync, "rest": engine.rest}
            return GRPO(policy, engine, problems, style, reward, recipe, reference, **more)
        from visreason.engine.hf import HF

        engine = sharding.dealt_engine(HF(policy), policy)
        return GRPO(policy, engine, problems, style, reward, recipe, reference)

    work = setup.Work(
        read=lambda path, _, rejected: _read(path, recipe.rewards, rejected),
        problem_of=lambda problem: problem,
        objective=objective,
        plan=lambda _: {
            "completions per problem": recipe.completions_per_problem,
            "completions per step": completions,
            "engine": recipe.engine + ", one step ahead of the update" * recipe.overlap,
            "completion tokens per step": f"at most {completions * recipe.max_completion_tokens:,}",
            "updates per step": recipe.passes * recipe.minibatches,
            "rewards": " + ".join(f"{w:g} {name}" for name, w in recipe.rewards.items()),
        },
    )
    setup.train("grpo", recipe, out, work)


def _vllm_beside(
    policy: "Policy", recipe: Recipe, problems: list[Problem], style: Style, start: str
) -> "tuple[VLLM | Beside, Synced]":
    """vLLM, and what gives it the policy's weights, proved on the first problem and on one with the most images."""
    from visreason.engine.sync import PROBE_TOKENS, Synced
    from visreason.engine.vllm import VLLM
    from visreason.train import sharding, update

    def opened() -> VLLM:
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

    engine = sharding.beside(opened, recipe.tensor_parallel)
    if not recipe.overlap:
        engine.rest()  # until it is asked: the longest micro-batch is tried before
    probes = {p.id: p for p in (problems[0], max(problems, key=lambda p: len(p.images)))}
    synced = Synced(
        policy,
        engine,
        [messages(p, style) for p in probes.values()] * sharding.engines(recipe.tensor_parallel),
        lambda trees: update.score(policy, trees, recipe),
        sharding.written,
        recipe.check_sync_every,
        min(PROBE_TOKENS, recipe.max_completion_tokens),
    )
    return engine, synced


def _read(path: Path, rewards: dict[str, float], rejected: list[dict[str, Any]]) -> list[Problem]:
    """Problems whose answers the rewards can compare with; a judge takes those that rules can't."""
    problems = read_problems(path, rejected, need_answer="correct" in rewards)
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
