"""Settings of :func:`maineffect.lab.adapters.gym_agent.train_gym_agent`. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from maineffect.errors import PluginError

__all__ = ["EnvironmentSettings", "GymEvaluation", "GymPolicy", "GymSettings", "PpoSettings"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnvironmentSettings(_Section):
    """Which environment, with which arguments."""

    entry: str = Field(min_length=1, description="A registered Gymnasium id, or module:factory.")
    args: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments; bind factors to environment.args.<name>."
    )
    max_steps: int = Field(default=500, ge=1, description="Longest episode; a longer one is truncated.")
    choices: tuple[str, ...] = Field(
        default=(), description="For environments over text: the texts among which the policy chooses."
    )
    text_features: int = Field(
        default=128, ge=8, description="For environments over text: buckets that the observation's words are hashed to."
    )


class GymPolicy(_Section):
    """A multi-layer perceptron with a policy head and a value head."""

    width: int = Field(default=64, ge=1, description="Units per hidden layer.")
    layers: int = Field(default=2, ge=1, description="Hidden layers.")


class PpoSettings(_Section):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) on whole episodes."""

    steps: int = Field(default=40, ge=0, description="Batches of episodes.")
    episodes: int = Field(default=16, ge=1, description="Episodes per batch.")
    epochs: int = Field(default=4, ge=1, description="Passes over each batch.")
    minibatches: int = Field(default=4, ge=1, description="Updates per pass.")
    learning_rate: float = Field(default=3e-3, gt=0, description="Adam's.")
    discount: float = Field(default=0.99, ge=0, le=1, description="Of a reward one step later.")
    gae: float = Field(default=0.95, ge=0, le=1, description="Lambda of generalised advantage estimation.")
    advantage: Literal["mean", "std"] = Field(
        default="mean",
        description="mean: centred per batch; std: also divided by the batch's spread, which makes the step size "
        "depend on the environment's factors, and makes noise look like reward where there is none.",
    )
    clip: float = Field(default=0.2, gt=0, description="Of the ratio to the weights before the batch.")
    entropy: float = Field(default=0.01, ge=0, description="Weight of the entropy bonus.")
    value: float = Field(default=0.5, ge=0, description="Weight of the value loss.")
    grad_clip: float = Field(default=0.5, gt=0, description="Largest gradient norm.")
    checkpoint_every: int = Field(default=10, ge=1, description="Steps between checkpoints.")


class GymEvaluation(_Section):
    """Held-out episodes, the same for every run of a study."""

    episodes: int = Field(default=64, ge=1, description="Episodes.")
    greedy: bool = Field(default=True, description="Take the likeliest action instead of sampling.")
    args: dict[str, Any] | None = Field(
        default=None,
        description="Arguments that replace the environment's in evaluation, so that cells trained in different "
        "environments are measured in one. Left out: every run is measured in its own.",
    )


class GymSettings(_Section):
    """All settings of ``maineffect.lab.adapters.gym_agent:train_gym_agent``."""

    environment: EnvironmentSettings
    policy: GymPolicy = Field(default_factory=GymPolicy)
    train: PpoSettings = Field(default_factory=PpoSettings)
    evaluation: GymEvaluation = Field(default_factory=GymEvaluation)

    @model_validator(mode="after")
    def _environment_exists(self) -> GymSettings:
        from maineffect.lab.adapters.entries import check_entry

        try:
            check_entry(self.environment.entry, self.environment.args)
            if self.evaluation.args is not None:
                check_entry(self.environment.entry, {**self.environment.args, **self.evaluation.args})
        except PluginError as error:
            raise ValueError(str(error)) from None
        return self
