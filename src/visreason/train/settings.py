"""The recipe fields of training: what every verb shares, and what reinforcement learning adds. Those of training on
pairs are in `pair_settings`."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from visreason.names import engine_kind
from visreason.recipe import FILES, Asking, Data


class Training(Asking):
    """Settings of the loop, the optimizer, the memory and the checkpoints. Verbs add their data and objective."""

    data: Data = Field(
        description=f"What is learned from: {FILES}, or world:SPLIT:N.",
        examples=["train.jsonl"],
    )
    model: str = Field(
        description="Model to start from: a Hugging Face directory, a hub id, or a run directory."
    )
    steps: int | None = Field(
        None, ge=1, description="Optimizer steps; derived from `epochs` when not given."
    )
    epochs: float = Field(1.0, gt=0, description="Passes over the data, when `steps` is not given.")
    problems_per_step: int = Field(32, ge=1, description="Problems in each step.")
    optimizer: Literal["adamw", "adamw8bit", "muon"] = Field(
        "adamw",
        description="adamw8bit keeps its moments in 8 bits (bitsandbytes); muon orthogonalises the steps of matrices: "
        "for training from nothing.",
    )
    lr: float = Field(1e-5, gt=0, description="Peak learning rate.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="Learning rate after warm-up."
    )
    warmup: float = Field(
        0.05, ge=0, lt=1, description="Share of the steps over which the rate rises to its peak."
    )
    weight_decay: float = Field(
        0.0, ge=0, description="AdamW's decay of matrices; norms and biases never decay."
    )
    betas: tuple[float, float] = Field((0.9, 0.95), description="AdamW's momentum coefficients.")
    clip_norm: float = Field(
        1.0, gt=0, description="Largest gradient norm; larger gradients are scaled down."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="bfloat16 computes under autocast: trained weights and the optimizer stay float32, matrices that "
        "are not trained are held in bfloat16. auto is bfloat16 on a GPU that has it, float32 elsewhere.",
    )
    freeze: tuple[Literal["vision", "merger", "language"], ...] = Field(
        (), description="Parts that are not trained; with adapters lora_parts says what is."
    )
    lora_rank: int = Field(
        0, ge=0, description="Train low-rank adapters of this rank (peft) instead of all weights; 0 is off."
    )
    lora_alpha: int = Field(32, ge=1, description="Scale of the adapters, divided by their rank.")
    lora_parts: tuple[Literal["vision", "merger", "language"], ...] = Field(
        ("language",), description="Parts whose linear layers get adapters."
    )
    quantize: Literal["none", "4bit"] = Field(
        "none", description="Keep the base under the adapters in 4 bits (NF4, bitsandbytes), as QLoRA does."
    )
    checkpoint_activations: bool = Field(
        False, description="Recompute activations: less memory, about a third more time."
    )
    micro_batch_tokens: int = Field(
        16384, ge=16, description="Packed tokens of one forward; whole groups stay together."
    )
    share_trunk: bool = Field(
        True, description="Encode each prompt once for all its completions in the update."
    )
    save_every: int = Field(
        50, ge=1, description="Steps between checkpoints; a killed run resumes from the last."
    )
    keep: int = Field(
        2, ge=1, description="Checkpoints that are kept, beside that of the best held-out figure."
    )
    heldout: Data | None = Field(
        None,
        description="Held-out data to look at while training, given as data is; none of its problems is learned.",
    )
    heldout_every: int = Field(
        50,
        ge=1,
        description="Steps between looks at the held-out data, after the first and last one as well; a later step that "
        "is better than all before is saved.",
    )
    heldout_limit: int = Field(256, ge=1, description="Held-out problems looked at, the first ones.")
    shard_over: int | None = Field(
        None,
        ge=1,
        description="GPUs that share one copy of the model under torchrun; those of a node when not given.",
    )
    process_timeout_s: float = Field(
        1800.0,
        gt=0,
        description="Seconds that the processes of torchrun wait for one another: the longest rollout or reward of "
        "one, less the shortest of another. Beyond it the run fails, and the same command goes on.",
    )
    offload: bool = Field(
        False,
        description="Keep weights, gradients and optimizer in the CPU's memory and step there; a GPU holds a layer or "
        "two at a time (FSDP2).",
    )
    tensorboard: bool = Field(
        False, description="Also write TensorBoard events (needs the tensorboard package)."
    )

    @property
    def looks(self) -> bool:
        """Whether held-out data is looked at while training."""
        return self.heldout is not None

    def idle(self) -> dict[str, str]:
        lora: dict[str, str] = dict.fromkeys(("lora_alpha", "lora_parts", "quantize"), "lora_rank above 0")
        if self.lora_rank:
            lora = {"freeze": "lora_rank left out (lora_parts says what is trained)"}
        looks = {} if self.looks else dict.fromkeys(("heldout_every", "heldout_limit"), "heldout=...")
        return {**super().idle(), **lora, **looks, **({"epochs": "steps left out"} if self.steps else {})}


class Reinforcement(Training):
    """Settings of reinforcement learning: rollouts, rewards, the objective, and what stops a run gone wrong."""

    problems_per_step: int = Field(
        16, ge=1, description="Problems in each step; completions are this times the next field."
    )
    completions_per_problem: int = Field(
        8, ge=2, description="Completions sampled of each problem: the group."
    )
    max_completion_tokens: int = Field(
        1024, ge=1, description="Longest completion; longer ones are cut and counted."
    )
    temperature: float = Field(1.0, gt=0, description="Sampling temperature, in the loss as well.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Nucleus of the sampling; the loss knows nothing of what is cut off."
    )
    engine: str = Field(
        "hf",
        description="What samples: hf (the policy itself); vllm (beside it, with new weights after each update); or "
        "http://HOST/v1#MODEL, servers that read them in the run directory (visreason serve takes_weights=true).",
    )
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share vLLM's copy of the model.")
    memory_share: float = Field(
        0.4, gt=0, le=1, description="Share of the GPU's or the machine's memory that vLLM takes."
    )
    check_sync_every: int = Field(
        1, ge=1, description="Weight syncs between proofs that sampler and trainer give the same log-probs."
    )
    overlap: bool = Field(
        False, description="Sample the next batch while this one is learned: one step off-policy, corrected."
    )
    rewards: dict[str, float] = Field(
        {"correct": 1.0, "format": 1.0},
        description="Rewards and their weights: correct, format, learned:PATH, judge:ENGINE, or module:function.",
    )
    reward_timeout_s: float | None = Field(
        600.0,
        gt=0,
        description="Longest time that a reward module:function may take for a step's completions, in a thread of its "
        "own; null calls it in the main thread, unbounded.",
    )
    squash: Literal["sigmoid", "clip", "none"] = Field(
        "sigmoid", description="How a learned score is bounded, after centre and scale; clip is at -1 and 1."
    )
    squash_centre: float = Field(
        0.0, description="Learned score in the middle; about 15 for Skywork-VL-Reward-7B."
    )
    squash_scale: float = Field(1.0, gt=0, description="Learned scores to the unit of the bounded one.")
    advantage: Literal["group_zscore", "group_mean"] = Field(
        "group_zscore", description="Divide by the group's spread (GRPO) or not (Dr. GRPO)."
    )
    normalize: Literal["sequence", "token", "max_length"] = Field(
        "sequence",
        description="Completions count alike (GRPO), tokens do (DAPO), or fixed by the limit (Dr. GRPO).",
    )
    ratio: Literal["token", "sequence"] = Field(
        "token", description="Importance ratio of each token, or of the sequence (GSPO)."
    )
    clip_low: float = Field(0.2, gt=0, description="Lower clip of the ratio, 1 - clip_low.")
    clip_high: float = Field(0.2, gt=0, description="Upper clip of the ratio, 1 + clip_high (DAPO: 0.28).")
    dual_clip: float | None = Field(
        None, gt=1, description="Bound of the loss of bad completions; 3 in EasyR1."
    )
    kl: float = Field(
        0.0, ge=0, description="Weight of the KL (k3) to the frozen starting policy; 0 keeps no reference."
    )
    zero_spread: Literal["keep", "drop", "resample", "reuse"] = Field(
        "keep",
        description="Groups with equal rewards: keep, leave out, replace by further problems (DAPO) or earlier groups.",
    )
    buffer_groups: int = Field(
        64, ge=1, description="Latest groups with spread that zero_spread=reuse draws from, each once."
    )
    overlong: Literal["keep", "mask", "penalty"] = Field(
        "keep",
        description="Cut completions: keep their reward, leave them out of the loss, or charge their length (DAPO).",
    )
    overlong_margin: int = Field(
        128, ge=1, description="Tokens before the limit over which overlong=penalty rises to 1."
    )
    passes: int = Field(1, ge=1, description="Times each rollout is learned from.")
    minibatches: int = Field(
        1, ge=1, description="Updates that share the problems of a rollout, in each pass."
    )
    tis_cap: float | None = Field(
        2.0, gt=0, description="Cap of the importance weight between sampler and trainer; null is off."
    )
    stop_kl: float = Field(
        10.0, gt=0, description="Stop when the mean KL to the reference is above this (nats a token)."
    )
    stop_entropy: float = Field(
        1e-4, ge=0, description="Stop when the policy's mean entropy is under this (nats a token)."
    )
    stop_entropy_above: float | None = Field(
        None, gt=0, description="Stop when the mean entropy is above this (nats a token); null is off."
    )
    stop_unparsed: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Stop when more completions than this share had no answer, in stop_unparsed_steps steps in a row; "
        "null is off.",
    )
    stop_unparsed_steps: int = Field(5, ge=1, description="Steps in a row that stop_unparsed waits for.")
    warn_truncated: float = Field(
        0.2, ge=0, le=1, description="Warn when more completions than this share were cut off."
    )
    warn_unparsed: float = Field(
        0.5, ge=0, le=1, description="Warn when more completions than this share had no answer."
    )
    warn_zero_spread: float = Field(
        0.9, ge=0, le=1, description="Warn when more groups than this share had equal rewards."
    )

    def idle(self) -> dict[str, str]:
        kl = {} if self.kl else {"stop_kl": "kl above 0"}
        unparsed = {} if self.stop_unparsed is not None else {"stop_unparsed_steps": "stop_unparsed=..."}
        overlong = {} if self.overlong == "penalty" else {"overlong_margin": "overlong=penalty"}
        reuse = {} if self.zero_spread == "reuse" else {"buffer_groups": "zero_spread=reuse"}
        once = self.passes * self.minibatches == 1 and not self.reuses
        clips = ("clip_low", "clip_high", "dual_clip") if once else ()
        second = dict.fromkeys(
            clips, "a second update of each rollout (passes or minibatches above 1, or reuse)"
        )
        learned = any(name.startswith("learned:") for name in self.rewards)
        own = any(":" in name and name.partition(":")[0] not in ("learned", "judge") for name in self.rewards)
        bound = {} if own else {"reward_timeout_s": "a reward module:function"}
        squashing = () if learned else ("squash", "squash_centre", "squash_scale")
        squash = dict.fromkeys(squashing, "a reward learned:PATH")
        held = () if self.engine == "vllm" else ("tensor_parallel", "memory_share")
        synced = () if self.engine != "hf" else ("check_sync_every", "overlap")
        sampler = dict.fromkeys(held, "engine=vllm")
        sampler |= dict.fromkeys(synced, "engine=vllm or http://HOST/v1#MODEL")
        return {
            **super().idle(),
            **kl,
            **unparsed,
            **overlong,
            **reuse,
            **second,
            **bound,
            **squash,
            **sampler,
        }

    @field_validator("engine")
    @classmethod
    def _refuse_unknown(cls, engine: str) -> str:
        if engine not in ("hf", "vllm") and engine_kind(engine) != "http":
            raise ValueError(f"expected engine=hf, vllm or http://HOST/v1#MODEL, found {engine}")
        return engine

    @model_validator(mode="after")
    def _refuse_uncorrected(self) -> Self:
        if self.overlap and self.tis_cap is None:
            raise ValueError("overlap=true learns from the policy of the step before, which tis_cap=null leaves "
                             "uncorrected; give a cap, as tis_cap=2")  # fmt: skip
        return self

    @property
    def reuses(self) -> bool:
        """Whether earlier groups are learned from again, sampled by policies of whatever step."""
        return self.zero_spread == "reuse"
