"""Responses (what is measured on every run) and hypotheses (what is claimed about them beforehand)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from maineffect.spec.factors import StrictModel

__all__ = ["Direction", "Goal", "Hypothesis", "Response"]


class Goal(StrEnum):
    """Which way is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"
    NONE = "none"


class Direction(StrEnum):
    """What a hypothesis claims about an effect."""

    INCREASE = "increase"
    DECREASE = "decrease"
    DIFFERENT = "different"
    NEGLIGIBLE = "negligible"


class Response(StrictModel):
    """A number measured on every run."""

    name: str = Field(default="", description="Filled from the key in `responses:`.")
    goal: Goal = Field(default=Goal.MAXIMIZE, description="Which way is better.")
    smallest_effect: float | None = Field(
        default=None, gt=0, description="Smallest effect of interest, in the response's units."
    )
    unit: str = Field(default="", description="Unit, shown beside every effect.")
    description: str = Field(default="", description="What capability it measures, and how.")
    on_failure: float | None = Field(
        default=None, description="Score of a diverged or collapsed run, declared beforehand; absent: it stays missing."
    )
    limits: tuple[float, float] | None = Field(
        default=None,
        description="Smallest and largest possible value, such as [0, 1]: where runs are lost, the report says what "
        "the worst values of theirs could make of each registered effect.",
    )

    @model_validator(mode="after")
    def _check_limits(self) -> Response:
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits: {list(self.limits)} must be the smaller value, then the larger")
        return self


class Hypothesis(StrictModel):
    """A claim registered before the first run."""

    id: str = Field(min_length=1, description="Short name, such as H1.")
    term: str = Field(min_length=1, description="A factor, or an interaction written A:B.")
    response: str = Field(min_length=1, description="The response it is about.")
    direction: Direction = Field(default=Direction.DIFFERENT, description="What is claimed of the effect.")
    smallest_effect: float | None = Field(default=None, gt=0, description="Overrides the response's own.")
    beyond: str = Field(
        default="zero",
        pattern="^(zero|smallest_effect)$",
        description="What the interval must lie beyond for `supported`: zero, or the smallest effect of interest.",
    )
    statement: str = Field(default="", description="The claim in words.")
