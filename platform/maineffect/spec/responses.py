"""Responses (what is measured on every run) and hypotheses (what is claimed about them beforehand)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from maineffect.spec.factors import StrictModel

__all__ = ["Direction", "Goal", "Hypothesis", "Response", "Scale"]


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


class Scale(StrEnum):
    """The scale on which a response is analysed: effects are ratios on a log scale, ratios of odds on a logit scale."""

    LOG = "log"
    LOGIT = "logit"


class Response(StrictModel):
    """A number measured on every run."""

    name: str = Field(default="", description="Filled from the key in `responses:`.")
    goal: Goal = Field(default=Goal.MAXIMIZE, description="Which way is better.")
    smallest_effect: float | None = Field(
        default=None,
        gt=0,
        description="Smallest effect of interest, in the response's units; with a scale, a difference of logarithms "
        "(0.1 is a ratio of 1.11).",
    )
    unit: str = Field(default="", description="Unit, shown beside every effect.")
    description: str = Field(default="", description="What capability it measures, and how.")
    on_failure: float | None = Field(
        default=None, description="Score of a diverged or collapsed run, declared beforehand; absent: it stays missing."
    )
    capability: str | None = Field(
        default=None,
        description="The latent capability that it measures: responses of one capability should move together.",
    )
    reliability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Reliability as it was measured (`maineffect lab reliability`); a team's standards may ask for it.",
    )
    limits: tuple[float, float] | None = Field(
        default=None,
        description="Smallest and largest possible value, such as [0, 1]: where runs are lost, the report says what "
        "the worst values of theirs could make of each registered effect.",
    )

    scale: Scale | None = Field(
        default=None,
        description="log: effects are ratios; logit: ratios of odds, of a share between the limits ([0, 1] unless "
        "stated). Margins are differences on that scale.",
    )
    items: int | None = Field(
        default=None,
        ge=1,
        description="Items behind a share: with a scale, a share of 0 or 1 counts as (x + 1/2)/(n + 1).",
    )

    @model_validator(mode="after")
    def _check_limits(self) -> Response:
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits: {list(self.limits)} must be the smaller value, then the larger")
        if self.scale is Scale.LOG and self.limits is not None and self.limits[0] < 0:
            raise ValueError(f"scale: log needs values above 0, and limits: {list(self.limits)} permit others")
        if self.scale is not None and self.on_failure is not None and self.items is None:
            low, high = self.share_limits
            inside = self.on_failure > 0 if self.scale is Scale.LOG else low < self.on_failure < high
            if not inside:
                raise ValueError(f"on_failure: {self.on_failure:g} has no {self.scale}; state items, or another score")
        return self

    @property
    def share_limits(self) -> tuple[float, float]:
        """What 0 and 1 are to a share: the limits, or 0 and 1."""
        return self.limits or (0.0, 1.0)

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Options that came after the first registrations: unused, they leave old hashes alone."""
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if key not in _LATER or value is not None}


_LATER = ("scale", "items", "capability", "reliability")
_MINUS = " − "


class Hypothesis(StrictModel):
    """A claim registered before the first run."""

    id: str = Field(min_length=1, description="Short name, such as H1.")
    term: str = Field(min_length=1, description="A factor, or an interaction written A:B.")
    response: str = Field(
        min_length=1, description="The response it is about; two of them, with `contrast: difference`."
    )
    direction: Direction = Field(default=Direction.DIFFERENT, description="What is claimed of the effect.")
    smallest_effect: float | None = Field(default=None, gt=0, description="Overrides the response's own.")
    beyond: str = Field(
        default="zero",
        pattern="^(zero|smallest_effect)$",
        description="What the interval must lie beyond for `supported`: zero, or the smallest effect of interest.",
    )
    statement: str = Field(default="", description="The claim in words.")
    contrast: Literal["difference"] | None = Field(
        default=None,
        description="difference: the claim is that the factor moves the first of two responses more than the second.",
    )
    common_scale: Literal["run_sd", "headroom"] = Field(
        default="run_sd",
        description="What two responses are compared on: standard deviations of a run, or shares of the headroom "
        "between the factor's first level and the limit that the goal points to.",
    )
    suggested_by: str | None = Field(
        default=None,
        description="The sweep whose data suggested the claim: it is tested on the runs of a follow-up alone.",
    )

    @property
    def pair(self) -> tuple[str, str] | None:
        """The two responses of a difference."""
        if self.contrast is None:
            return None
        first, _, second = self.response.partition(_MINUS)
        return first, second

    @model_validator(mode="before")
    @classmethod
    def _name_the_difference(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("response"), list | tuple):
            return value
        names = value["response"]
        if len(names) != 2 or not all(isinstance(name, str) for name in names) or names[0] == names[1]:
            raise ValueError(f"response: {list(names)} must be two different responses")
        if value.get("contrast") != "difference":
            raise ValueError("response: a claim about two responses needs `contrast: difference`")
        return {**value, "response": _MINUS.join(names)}

    @model_validator(mode="after")
    def _check_contrast(self) -> Hypothesis:
        if self.pair is not None and not all(self.pair):
            raise ValueError("contrast: difference needs two responses, such as response: [evidence_use, resistance]")
        return self

    @model_serializer(mode="wrap")
    def _without_contrast(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A claim is written as before there were differences and follow-ups, unless it is one of theirs."""
        written: dict[str, Any] = handler(self)
        unused = {"contrast", "common_scale"} if self.contrast is None else set()
        unused |= {"suggested_by"} if self.suggested_by is None else set()
        return {key: value for key, value in written.items() if key not in unused}
