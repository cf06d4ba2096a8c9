"""The recipe fields of training on pairs: reward models, and preference optimisation."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from visreason.recipe import Data
from visreason.train.settings import Training


class Stage(BaseModel):
    """A stretch of reward-model training: which pairs it learns from, at which rate, how often it sees them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: Literal["images", "text", "all"] = "all"
    lr: float = Field(gt=0)
    epochs: float = Field(1.0, gt=0)


class OnPairs(Training):
    """What reward models and preference optimisation share: the two sides of a pair are branches of one tree."""

    @model_validator(mode="after")
    def _refuse_apart(self) -> Self:
        if not self.share_trunk:
            raise ValueError(
                "expected share_trunk=true: the two sides of a pair are branches of one tree; leave it out"
            )
        return self


class RewardModelling(OnPairs):
    """Settings of reward-model training."""

    style: str = Field(
        "direct",
        description="How a problem is put to the model, then and when it scores; kept with the head.",
    )
    freeze: tuple[Literal["vision", "merger", "language"], ...] = Field(
        ("vision",), description="Parts that are not trained."
    )
    heldout: Data | None = Field(
        None,
        description="Held-out pairs, given as data is; a part of the data's problems when left out. All "
        "are scored at the end.",
    )
    heldout_one_in: int = Field(
        20,
        ge=2,
        description="One problem in so many is held out, with all its pairs, where heldout is not given.",
    )
    margins: bool = Field(
        False, description="Ask the scores to differ by the pairs' own margins (Llama 2, section 3.2.2)."
    )
    centre: float = Field(
        0.0, ge=0, description="Weight of the squared sum of a pair's scores, which keeps scores around 0."
    )
    along: float = Field(
        0.0,
        ge=0,
        description="Weight of the same loss at every token from where the sides differ (DeepSpeed-Chat).",
    )
    lm_head: Literal["keep", "drop"] = Field(
        "keep", description="Whether the saved model keeps its matrix to words, which scoring does not need."
    )
    stages: tuple[Stage, ...] = Field(
        (),
        description="Stages in turn, each with pairs (images, text, all), lr, epochs; one over all when empty.",
    )

    def idle(self) -> dict[str, str]:
        heldout = {"heldout_one_in": "heldout left out"} if self.heldout else {}
        stages = dict.fromkeys(("lr", "epochs", "steps"), "stages left out") if self.stages else {}
        return {**super().idle(), **heldout, **stages}

    @property
    def looks(self) -> bool:
        """Always: without held-out data a part of the pairs is held out."""
        return True


class Preferring(OnPairs):
    """Settings of preference optimisation."""

    lr: float = Field(1e-6, gt=0, description="Peak learning rate.")
    beta: float = Field(0.1, gt=0, description="Scale of the implicit rewards, beta log(policy / reference).")
    dpo: float = Field(
        0.8, ge=0, description="Weight of the preference loss: DPO alone is dpo=1 bco=0 nll=0."
    )
    bco: float = Field(0.2, ge=0, description="Weight of the quality loss, each side against a threshold.")
    nll: float = Field(1.0, ge=0, description="Weight of the chosen side's cross-entropy.")
    normalize: Literal["sequence", "token"] = Field(
        "sequence",
        description="Cross-entropy of each completion over its length (MPO), or of all tokens alike (TRL).",
    )
    threshold: Literal["mean", "zero"] = Field(
        "mean", description="Of the quality loss: the mean reward of the steps before (BCO), or 0 (TRL)."
    )

    @model_validator(mode="after")
    def _refuse_no_loss(self) -> Self:
        if self.dpo + self.bco + self.nll == 0:
            raise ValueError("expected a weight above 0 among dpo, bco and nll, found none; give one")
        return self

    def idle(self) -> dict[str, str]:
        return {
            **super().idle(),
            **({} if self.nll else {"normalize": "nll above 0"}),
            **({} if self.bco else {"threshold": "bco above 0"}),
            **({} if self.bco or self.dpo else {"beta": "dpo or bco above 0"}),
        }
