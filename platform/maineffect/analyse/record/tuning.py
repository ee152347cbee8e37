"""Records of what was tuned before the registered runs; they are part of AnalysisResult."""

from __future__ import annotations

from pydantic import Field

from maineffect.analyse.record.further_records import Record
from maineffect.contracts import Level

__all__ = ["GroupError", "NuisanceCurve", "NuisanceInteraction", "TrialScore", "Tuned", "TunedGroup"]


class TunedGroup(Record):
    """What one group of runs was tuned to, and what that cost.

    ``default_score`` and ``predicted`` are on the trials' items, ``obtained`` is the mean of the group's registered
    runs. Points are in their order: the values of each nuisance, and the score, None where a training diverged.
    ``levels`` are those that the group's runs have in common, ``set_aside`` counts trials that the choice went without.
    """

    group: str
    levels: dict[str, Level] = Field(default_factory=dict)
    runs: int
    trials: int
    set_aside: int = 0
    diverged: int
    seconds: float
    values: dict[str, float] | None = None
    predicted: float | None = None
    std_error: float | None = None
    default_score: float | None = None
    obtained: float | None = None
    on_edge: list[str] = Field(default_factory=list)
    points: list[dict[str, float | None]] = Field(default_factory=list)


class TrialScore(Record):
    """One trial run that came to a score: in which cell, at which values, and where these lie on [−1, 1]."""

    levels: dict[str, Level]
    values: dict[str, float]
    coded: dict[str, float]
    score: float


class NuisanceInteraction(Record):
    """Whether the best value of a nuisance depends on a factor: F test of factor × slope over all trials.

    ``p_adjusted`` is over all pairs of a factor and a nuisance (Holm). ``compromise`` says that levels of the factor
    share one value, so that one of them may be favoured.
    """

    factor: str
    nuisance: str
    F: float
    df: int
    df_error: float
    p_value: float
    p_adjusted: float
    compromise: bool


class NuisanceCurve(Record):
    """The response over one nuisance at one level of a factor.

    ``points`` are means over the trials at a value, ``x`` and ``fitted`` the quadratic through them; None where there
    are too few.
    """

    factor: str
    level: Level
    nuisance: str
    points: list[tuple[float, float]]
    x: list[float] = Field(default_factory=list)
    fitted: list[float] = Field(default_factory=list)


class GroupError(Record):
    """The error of an effect between tuned groups, and what it would be if tuning had added nothing.

    The first decides; ``std_error_runs`` takes every run for a unit of its own.
    """

    response: str
    term: str
    contrast: str
    std_error: float
    df: float
    std_error_runs: float
    df_runs: float


class Tuned(Record):
    """How the settings that are no factors were tuned before the registered runs."""

    scope: str | list[str]
    response: str
    goal: str
    sampler: str
    select: str
    nuisance: dict[str, tuple[float, float]]
    log: list[str] = Field(default_factory=list)
    defaults: dict[str, float]
    groups: list[TunedGroup]
    interactions: list[NuisanceInteraction] = Field(default_factory=list)
    curves: list[NuisanceCurve] = Field(default_factory=list)
    errors: list[GroupError] = Field(default_factory=list)
