"""``tuning:``: nuisance settings that are tuned before the registered runs, with equal budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from maineffect.spec.factors import Factor, StrictModel
from maineffect.spec.responses import Goal, Response

__all__ = ["FEWEST_MODELLED", "GROUPS_VARIANCE", "Nuisance", "Tuning", "check_groups", "check_tuning", "coefficients"]

FEWEST_MODELLED = 12
"""Trials from which on a sampler that models the earlier ones is more than random search."""
GROUPS_VARIANCE = 0.2
"""Variance that tuning adds between groups over run variance, where nothing better is known: about what 8 trials of one
setting left in simulated studies."""
_PER_COEFFICIENT = 2.5


class Nuisance(StrictModel):
    """A setting that is no factor, and whose best value may depend on the factors."""

    binds: str = Field(min_length=1, description="Dotted setting that it drives, such as train.learning_rate.")
    range: tuple[float, float] = Field(description="Smallest and largest value.")
    scale: Literal["linear", "log"] = Field(default="linear", description="Scale on which values are spread.")
    default: float = Field(description="What would be taken without tuning; the first trial of every group.")

    @model_validator(mode="after")
    def _check_range(self) -> Nuisance:
        low, high = self.range
        if not low < high:
            raise ValueError(f"range goes from the smaller to the larger value, not from {low:g} to {high:g}")
        if self.scale == "log" and low <= 0:
            raise ValueError(f"a log scale needs values above 0, and range begins at {low:g}")
        if not low <= self.default <= high:
            raise ValueError(f"default {self.default:g} is not within [{low:g}, {high:g}]")
        return self


class Tuning(StrictModel):
    """Phase 0 of a sweep: every group of runs gets equally many trials, on seeds and items of their own."""

    scope: Literal["shared", "replicate", "cell"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="What gets one value: shared (all runs; a trial is run in every cell), replicate (every run its "
        "own; the claim is then about training with this tuning procedure), cell (the replicates of a cell), or a list "
        "of factors (the runs that agree in them). The last two make the group the unit of what was tuned."
    )
    nuisance: dict[str, Nuisance] = Field(min_length=1, max_length=4, description="What is tuned.")
    trials: int = Field(ge=4, le=64, description="Trials of every group; the default is the first.")
    response: str = Field(description="Response that is tuned for, by its goal; measured on items of its own.")
    select: Literal["smooth", "best"] = Field(
        default="smooth",
        description="smooth: the best point of a quadratic through the trials; best: the trial with the best value, "
        "which is mostly noise.",
    )
    sampler: Literal["sobol", "tpe", "gp"] = Field(
        default="sobol", description="sobol: the same points for all groups; tpe, gp: by the group's earlier trials."
    )
    batch: int = Field(default=4, ge=1, le=16, description="Trials that tpe and gp propose at a time.")
    variance_ratio: float | None = Field(
        default=None,
        ge=0,
        description="Variance that tuning adds between groups over run variance, for power: 0.2 if it is not stated. "
        "For scope: cell, or a list of factors.",
    )

    @model_validator(mode="after")
    def _check_trials(self) -> Tuning:
        if self.sampler != "sobol" and self.trials < FEWEST_MODELLED:
            raise ValueError(
                f"{self.sampler} is random search with {self.trials} trials: give {FEWEST_MODELLED}, or sampler: sobol"
            )
        needed = _PER_COEFFICIENT * coefficients(len(self.nuisance))
        if self.select == "smooth" and self.trials < needed:
            raise ValueError(
                f"select: smooth fits {coefficients(len(self.nuisance))} coefficients and needs {needed:g} trials, not "
                f"{self.trials}: give more, or select: best"
            )
        if self.variance_ratio is not None and self.scope in ("shared", "replicate"):
            raise ValueError(f"variance_ratio is about groups of runs, and scope: {self.scope} has none; leave it out")
        bound = [nuisance.binds for nuisance in self.nuisance.values()]
        if len(set(bound)) < len(bound):
            raise ValueError(f"two nuisances drive {max(bound, key=bound.count)}")
        return self


def check_groups(tuning: Tuning, factors: Mapping[str, Factor], others: Mapping[str, bool]) -> None:
    """Hold groups of runs that are tuned together to the rest of the study.

    Args:
        tuning: Of the study.
        factors: Of the study.
        others: What would be a stratum beside the groups, or has its error elsewhere: name in the file → whether it is
            asked for.

    Raises:
        ValueError: A group is named by what is no factor, or the study has strata that the groups do not fit into.
    """
    if tuning.scope in ("shared", "replicate"):
        return
    if tuning.scope != "cell":
        if unknown := [name for name in tuning.scope if name not in factors]:
            raise ValueError(f"tuning.scope: no factor {unknown[0]!r}; factors: {', '.join(factors)}")
        if len(set(tuning.scope)) < len(tuning.scope):
            raise ValueError("tuning.scope: a factor is listed twice")
    if asked := [name for name, there in others.items() if there]:
        raise ValueError(
            f"tuning.scope: groups that share a tuned value are a stratum of their own, which {asked[0]} knows nothing "
            "of; use scope: replicate, or drop it"
        )


def coefficients(nuisances: int) -> int:
    """Coefficients of a quadratic in so many variables."""
    return (nuisances + 1) * (nuisances + 2) // 2


def check_tuning(tuning: Tuning, factors: Mapping[str, Factor], responses: Mapping[str, Response]) -> None:
    """Hold a tuning to the other parts of its study.

    Raises:
        ValueError: A nuisance is a factor, or drives what a factor drives; or the response cannot be tuned for.
    """
    drives: dict[str, Any] = {factor.setting: name for name, factor in factors.items()}
    for name, nuisance in tuning.nuisance.items():
        where = f"tuning.nuisance.{name}"
        if name in factors:
            raise ValueError(f"{where}: {name!r} is a factor of the study; tune something else, or drop the factor")
        for setting, factor in drives.items():
            if f"{nuisance.binds}.".startswith(f"{setting}.") or f"{setting}.".startswith(f"{nuisance.binds}."):
                raise ValueError(
                    f"{where}: {nuisance.binds} is driven by the factor {factor!r}: it cannot be tuned too"
                )
    if tuning.response not in responses:
        raise ValueError(f"tuning.response: no response {tuning.response!r}; responses: {', '.join(responses)}")
    if responses[tuning.response].goal is Goal.NONE:
        raise ValueError(f"tuning.response: {tuning.response} has no goal (maximize or minimize) to tune for")
