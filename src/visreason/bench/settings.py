"""What an evaluation is asked for: the fields of `visreason evaluate`, and which of them go together."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from visreason.bench import BENCHES, suites
from visreason.names import OFFICIAL
from visreason.recipe import FILES, Answering, Data, Decoding

DECODING = ("temperature", "top_p", "top_k", "repetition_penalty", "max_completion_tokens")
ASKED = (
    "model", "samples", "seed", *DECODING, "max_prompt_tokens", "precision", "max_pixels", "min_pixels",
)  # fmt: skip
BENCH_ONLY = (
    "completions", "split", "extraction", "judge", "judge_cache", "integer", "random_fallback", "partial", "rewards",
    "trials",
)  # fmt: skip


class Evaluating(Answering, Decoding):
    """What answers, what is asked, how it is decoded, how answers are read."""

    ROLES = ("model", "judge")

    data: Data = Field(
        "",
        description=f"Problems: {FILES}, or world:SPLIT:N; of a benchmark the file or "
        "folder its authors publish, or hub:OWNER/NAME[@REVISION]; not needed where completions carry their problems.",
        examples=["world:heldout:500"],
    )
    model: str = Field(
        "",
        description="Engine: hf:PATH, vllm:PATH, http://HOST/v1#MODEL, script:FILE.jsonl, a run directory, or world.",
        examples=["runs/grpo/a"],
    )
    bench: str | None = Field(
        None,
        description=f"Benchmark, whose rules then hold: {', '.join((*BENCHES, *suites.SUITES))}, or module:object.",
    )
    split: str | None = Field(None, description="Split of the benchmark; its first when not given.")
    completions: Path | None = Field(
        None, description="Answers made elsewhere, in place of a model: a file or folder as it was released."
    )
    extraction: Literal["rule", "stored", "judge"] = Field(
        "rule",
        description="How answers are read: by rule from the raw responses, as stored in released files, or by a judge.",
    )
    judge: str | None = Field(None, description="Engine that extracts and judges (extraction=judge).")
    judge_cache: Path = Field(
        Path("runs/judge.sqlite"),
        description="Replies of judges (SQLite); nothing in it is asked again, and runs may share it.",
    )
    integer: Literal["strict", "float"] = Field(
        "strict",
        description="MathVista's whole numbers: int(text), as in published labels, or int(float(text)).",
    )
    random_fallback: bool = Field(
        False,
        description="Guess where no option can be read, as MMMU's published figures do; else it is unparsed.",
    )
    partial: bool = Field(
        False,
        description="Make figures of fewer problems or completions than the split has, labelled so; else refused.",
    )
    trials: int = Field(
        1,
        ge=1,
        description="How often the model, as a judge, sees each pair of a reward benchmark, in shuffled orders.",
    )
    rewards: Path | None = Field(
        None,
        description="Rewards of the samples, as score writes or as rows of id and reward: gives best of n.",
    )
    samples: int = Field(1, ge=1, description="Answers to each problem.")
    max_completion_tokens: int = Field(
        1024, ge=1, description="Longest answer; longer ones are cut and counted."
    )
    block: int = Field(
        128, ge=1, description="Problems asked at a time; a resumed run goes on after the last whole block."
    )

    def idle(self) -> dict[str, str]:
        without: dict[str, str] = {} if self.bench else dict.fromkeys(BENCH_ONLY, "bench")
        if self.completions:
            without |= dict.fromkeys((*DECODING, "trials", "block"), "a model")
        elif self.bench:
            without |= {"rewards": "completions"}
        if self.extraction != "judge":
            without |= dict.fromkeys(("judge", "judge_cache"), "extraction=judge")
        return {**super().idle(), **without}

    @model_validator(mode="after")
    def _need(self) -> Self:
        fields = type(self).model_fields
        if not self.model and not self.completions:
            raise ValueError(
                f"model is needed: {fields['model'].description} Give model=... (or completions=...)"
            )
        if self.model.startswith("learned:"):
            raise ValueError(
                f"expected an engine that answers, found the reward model {self.model}, which gives scores: `visreason "
                f"score samples=DATA reward={self.model} out=RUN`, then give completions=RUN/scores.jsonl with "
                "extraction=stored in place of model"
            )
        if self.model and self.completions:
            raise ValueError("expected a model or completions, found both; leave one out")
        if not self.data and not self.completions:
            raise ValueError(f"data is needed: {fields['data'].description} Give data=...")
        if self.bench and isinstance(self.data, list):
            raise ValueError("a benchmark's data is one file or folder, as its authors publish it; give one")
        if self.extraction == "judge" and self.judge is None:
            raise ValueError("extraction=judge needs an engine; give judge=...")
        if self.extraction == "stored" and self.model:
            raise ValueError(
                "extraction=stored reads released completions; give completions=... in place of model"
            )
        if self.style == OFFICIAL and not self.bench:
            raise ValueError("style=official is a benchmark's own prompt; give bench=...")
        return self
