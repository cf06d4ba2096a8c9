"""What stands around the loop: the policy to train, the problems that fit, the plan that is printed, the seal."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.table import Table

from visreason import store
from visreason.data import has_meta
from visreason.data.files import shown
from visreason.errors import DataError, ModelError
from visreason.model import adapters, parts
from visreason.model import load as loading
from visreason.model.policy import Policy
from visreason.prompt import Style, messages, style
from visreason.record import Problem
from visreason.train import checkpoint, heldout, memory, sharding, trial
from visreason.train.loop import Loop, Objective, total_steps
from visreason.train.pair_settings import OnPairs, RewardModelling
from visreason.train.precision import halves, precision
from visreason.train.reward_model import with_head
from visreason.train.settings import Training
from visreason.train.telling import console
from visreason.world.source import data_files, model_folder

T = TypeVar("T")


@dataclass(frozen=True)
class Work(Generic[T]):
    """What a verb brings to a run. `read` gets the files of the data, the style, the list of rejected rows, and the
    file of pictures that are known; `objective` the run, policy, items, those held out, style and the model that the
    run starts from; an objective may have its own `steps`. `plan` gives the verb's rows of the plan. `opened` may add
    to the policy, given the folder it was loaded from; `finish` gives what the summary has to say of the trained
    objective."""

    read: Callable[[list[Path], Style, list[dict[str, Any]], Path], Iterable[T]]
    problem_of: Callable[[T], Problem]
    objective: Callable[[store.Run, Policy, list[T], list[T], Style, str], Objective]
    plan: Callable[[list[T]], dict[str, object]]
    opened: Callable[[Policy, str], None] = lambda policy, path: None
    finish: Callable[[store.Run, Any], dict[str, Any]] = lambda run, objective: {}


def train(verb: str, recipe: Training, out: Path, work: Work[Any]) -> None:
    """The course of a training run: read, open the policy, set aside what doesn't fit, print the plan, fit, seal. A
    finished run is left as it is."""
    with sharding.meeting(recipe):
        record = sharding.Shared.open(out, verb, recipe.model_dump(mode="json"))
        if record.finished:
            console.print(f"{out} is finished; nothing to do")
            return
        _train(record, recipe, work)


def _train(record: store.Run, recipe: Training, work: Work[Any]) -> None:
    layout, out = style(recipe.style), record.path
    if not isinstance(recipe, RewardModelling) and (said := store.of_other_style(recipe.model, recipe.style)):
        console.print(f"[bold yellow]{said}")
    data = sharding.by_first(lambda: data_files(recipe.data, out, layout))
    start = sharding.by_first(lambda: model_folder(recipe.model, out, layout, recipe.seed))
    rejected: list[dict[str, Any]] = []
    read = sharding.after_first(lambda: work.read(data, layout, rejected, out / store.PICTURES))
    items = [i for i in read if has_meta(work.problem_of(i), recipe.where)][: recipe.limit]
    aside: list[dict[str, Any]] = []
    held, source = _held_out(recipe, layout, out, work, aside)
    print_plan("memory of each process", memory.plan(start, recipe))
    policy, resumed = open_policy(record, recipe, start, work.opened)
    items = within_budget(policy, items, work.problem_of, layout, rejected)
    held = within_budget(policy, held, work.problem_of, layout, aside) if held else []
    aside = [{**row, "reason": f"held out: {row['reason']}"} for row in aside]
    items = heldout.apart(items, held, work.problem_of, rejected)
    keep_rejected(record, rejected + aside)
    made = work.objective(record, policy, items, held, layout, start)
    steps = getattr(made, "steps", None) or total_steps(recipe, len(items))
    loop = Loop(record, policy, made, recipe, steps)
    counts = {"problems": len(items), "set aside": len(rejected), **heldout.plan(recipe, len(held))}
    per_step = {"problems per step": recipe.problems_per_step, **work.plan(items), "steps": steps}
    print_plan(record.verb, {**counts, **per_step, **plan_of(policy, recipe)})
    problems = [work.problem_of(i) for i in items]
    trial.check_forest(policy, next((p for p in problems if p.images), problems[0]), layout)
    if policy.device.type == "cuda":
        trial.try_longest(policy, problems, made.longest, layout, recipe)
    if loop.fit(resumed):
        inputs = [*data, *source, *store.model_files(start)]
        counts = {"problems": len(items), "rejected": len(rejected)}
        counts |= {"held out": len(held), "held out, rejected": len(aside)} if source else {}
        seal(
            record,
            policy,
            steps,
            inputs,
            counts,
            {**heldout.best(record, loop.best), **work.finish(record, made)},
        )


def _held_out(
    recipe: Training, layout: Style, out: Path, work: Work[T], aside: list[dict[str, Any]]
) -> tuple[list[T], list[Path]]:
    """The items that `heldout` names and their files, nothing where it names none; rows of no use go to `aside`."""
    if (spec := recipe.heldout) is None:
        return [], []
    files = sharding.by_first(lambda: data_files(spec, out / "heldout", layout))
    read = sharding.after_first(lambda: work.read(files, layout, aside, out / store.PICTURES))
    items = [i for i in read if has_meta(work.problem_of(i), recipe.where)]
    if not items:
        raise DataError(
            f"expected held-out problems in {shown(files)}, found none with {recipe.where}; give others"
        )
    return items, files


def open_policy(
    run: store.Run,
    settings: Training,
    start: str,
    opened: Callable[[Policy, str], None] = lambda policy, path: None,
) -> tuple[Policy, Path | None]:
    """The policy to train, frozen and adapted as asked, and the run's last sound checkpoint, None where it begins.

    Weights that several processes wrote are read into the model at `start` later, beside the optimizer's.
    """
    found, damaged = sharding.by_first(lambda: checkpoint.last_sound(run.path))
    for sentence in damaged:
        console.print(f"[bold red]{sentence}; the one before is taken", soft_wrap=True)
    resumed = str(found) if found and not checkpoint.sharded(found) else None
    policy = _opened(settings, start, resumed, opened)
    if settings.checkpoint_activations:
        policy.checkpoint_activations()
    sharding.shard(policy, settings)
    if found:
        console.print(f"resuming from {found}", soft_wrap=True)
    return policy, found


def put_together(folder: Path, settings: Training, start: str, to: Path) -> None:
    """The weights of a checkpoint that several processes wrote, as the Hugging Face directory `to`; `settings` and
    `start` are the run's. Raises RunError for a checkpoint that can't be read."""
    head = with_head if isinstance(settings, RewardModelling) else lambda *_: None
    policy = _opened(settings, start, None, lambda policy, path: head(policy, path, settings))
    checkpoint.load_weights(folder, policy)
    policy.save(to)


def _opened(
    settings: Training, start: str, resumed: str | None, opened: Callable[[Policy, str], None]
) -> Policy:
    """The policy at `start`, or as it was saved at `resumed`, frozen and adapted as asked."""
    lora = settings.lora_rank > 0
    frozen = parts.PARTS if lora else settings.freeze
    policy = _load(settings, resumed if resumed and not lora else start, frozen)
    policy.share &= settings.share_trunk
    if isinstance(settings, OnPairs) and not policy.share:
        raise ModelError(
            f"expected a model whose language layers see every earlier token, found another attention in {start}: the "
            "two sides of a pair are branches of one tree. Such a model can be trained by sft alone"
        )
    policy.name = start  # records name the model the run began with, wherever it goes on from
    if lora and resumed:
        adapters.load_lora(policy, resumed)
    elif lora:
        adapters.add_lora(policy, settings.lora_rank, settings.lora_alpha, settings.lora_parts, settings.seed)
    else:
        parts.freeze(policy, settings.freeze)
    opened(policy, resumed or start)
    return policy


def open_reference(settings: Training, trained: Policy, start: str) -> Policy:
    """The frozen starting policy, for the KL: under adapters it is there already."""
    if settings.lora_rank:
        return adapters.without_adapters(trained)
    policy = _load(settings, start, parts.PARTS)
    policy.model.requires_grad_(False)
    sharding.shard(policy, settings)
    return policy


def within_budget(
    policy: Policy,
    items: list[T],
    problem_of: Callable[[T], Problem],
    layout: Style,
    rejected: list[dict[str, Any]],
) -> list[T]:
    """The items whose prompt fits `max_prompt_tokens`; the others go to `rejected`. A prompt is never cut.

    Raises DataError when none fits.
    """
    kept = []
    for item in items:
        problem = problem_of(item)
        conversation = messages(problem, layout)
        if policy.encoder.fits(conversation):
            kept.append(item)
            continue
        tokens = policy.encoder.count(conversation)
        reason = f"the prompt has {tokens} tokens, max_prompt_tokens is {policy.encoder.max_tokens}"
        rejected.append({"line": None, "reason": reason, "row": {"id": problem.id}})
    if not kept:
        why = rejected[-1]["reason"] if items else "where and limit leave none"
        raise DataError(f"expected problems to train on, found none: {why}")
    return kept


def keep_rejected(run: store.Run, rejected: list[dict[str, Any]]) -> None:
    """Write what was set aside, with line and reason, and say how much it is."""
    if said := run.set_aside(rejected):
        console.print(said, style="yellow", markup=False)


def print_plan(title: str, rows: dict[str, object]) -> None:
    """The plan of a long run, before it starts."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)


def plan_of(policy: Policy, settings: Training) -> dict[str, object]:
    """The rows of the plan that every objective has."""
    sizes = [(p.numel(), p.requires_grad) for _, p in policy.named_parameters()]
    trained, everything = sum(n for n, t in sizes if t), sum(n for n, _ in sizes)
    computes = f"{precision(settings)}{' by default' * (settings.precision == 'auto')}"
    return {
        "tokens of a micro-batch": settings.micro_batch_tokens,
        "parameters trained": f"{trained:,} of {everything:,}",
        "optimizer": f"{settings.optimizer}, lr {settings.lr:g}, {settings.schedule}",
        "precision, device": f"{computes}, {policy.device} ({policy.attention_path})",
        "checkpoint every": f"{settings.save_every} steps, {settings.keep} kept",
    }


def seal(
    run: store.Run,
    policy: Policy,
    steps: int,
    inputs: list[Path],
    counts: dict[str, int],
    found: dict[str, Any],
) -> None:
    """Write the manifest of a training run and name its checkpoint."""
    last = checkpoint.place(run.path, steps)
    summary = {"steps": steps, "checkpoint": str(last.relative_to(run.path)), **found}
    run.seal(summary, inputs, counts, str(policy.device))
    console.print(f"done: {last}")


def _load(settings: Training, path: str, frozen: tuple[parts.Part, ...]) -> Policy:
    return loading.load(
        path,
        device=settings.device,
        autocast=halves(settings),
        max_pixels=settings.max_pixels,
        min_pixels=settings.min_pixels,
        max_prompt_tokens=settings.max_prompt_tokens,
        quantised=settings.quantize == "4bit",
        spread=sharding.together(),
        empty=sharding.waits(),
        scores=isinstance(settings, RewardModelling),
        frozen=frozen,
    )
