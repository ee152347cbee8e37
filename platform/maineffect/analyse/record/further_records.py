"""Records of what is asked beyond the registered effects; they are part of AnalysisResult."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Aggregate",
    "Contour",
    "CovariateUse",
    "CurveBand",
    "ItemEffect",
    "ItemModel",
    "ItemVariance",
    "Look",
    "Optimum",
    "PhaseDifference",
    "PhaseEstimate",
    "Record",
    "Screening",
    "SeedVariance",
    "Transported",
    "Trend",
]


class Record(BaseModel):
    """Frozen, strict, and without numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_nan(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()}
        return data


class PhaseEstimate(Record):
    """One contrast as one phase by itself has it; ``counts``: whether the verdict uses it, ``reason``: why not."""

    phase: int
    runs: int
    estimate: float | None = None
    std_error: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    counts: bool = True
    reason: str | None = None


class PhaseDifference(Record):
    """Phase × factor: by how much a main effect differs between the earlier runs and the new ones (Welch's t)."""

    response: str
    term: str
    contrast: str
    first: float
    second: float
    difference: float
    std_error: float
    df: float
    p_value: float
    p_adjusted: float | None = None


class Look(Record):
    """One interim look at one hypothesis; ``ci`` is the repeated confidence interval, valid at every look."""

    hypothesis: str
    look: int
    looks: int
    spending: str
    registered: bool
    alpha: float
    level: float | None = None
    p_value: float | None = None
    decision: Literal["efficacy", "futility", "continue", "end"]
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    conditional_power: float | None = None
    reason: str | None = None
    verdict: Literal["supported", "refuted", "negligible", "inconclusive"] | None = None


class Transported(Record):
    """Effect of a factor (last minus first level) when the others follow the target; ``designed`` weights equally.

    With a ``scale`` both are differences on it, and ``ratio`` is the effect's exponential.
    """

    response: str
    factor: str
    target: dict[str, dict[str, float]]
    estimate: float
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    designed: float | None = None
    std_error: float | None = None
    df: float | None = None
    scale: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


class CapabilityPair(Record):
    """How two responses go together: over the effects of the study's terms, and between runs of one cell.

    ``same`` says whether both measure one capability (they should move together), or not (they need not).
    """

    first: str
    second: str
    same: bool
    effects_r: float | None = None
    runs_r: float | None = None
    first_reliability: float | None = None
    second_reliability: float | None = None


class Trend(Record):
    """Change of a factor's effect per unit, or per doubling (``log2``), of a numeric factor."""

    response: str
    factor: str
    covariate: str
    scale: Literal["linear", "log2"]
    slope: float
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None


class CurveBand(Record):
    """Effect on a training metric over steps; the band holds for all steps together."""

    metric: str
    term: str
    contrast: str
    steps: list[float]
    estimate: list[float]
    band_low: list[float]
    band_high: list[float]
    critical: float
    first_step: float | None = None


class ItemVariance(Record):
    """Variances of an item score (seed, item, seed × item) and what they advise.

    ``block`` and ``block_item`` are between blocks (replicates) and blocks × items: a design in blocks is free of both.
    """

    score: str
    run: float
    item: float
    residual: float
    runs: int
    items: int
    runs_per_cell: float
    std_error: float
    advice: Literal["more seeds", "more items"]
    sentence: str
    on_boundary: list[str] = Field(default_factory=list)
    block: float | None = None
    block_item: float | None = None


class Screening(Record):
    """A model chosen by the data: exploratory, so that it has no p-values."""

    response: str
    method: Literal["aicc", "two_stage"]
    terms: list[str]
    aicc: float | None = None
    sigma: float | None = None
    exploratory: Literal[True] = True


class Aggregate(Record):
    """Interquartile means of a factor's last and first level, and P(a run of the last scores higher).

    With a ``scale`` the means were taken on it and are shown in the response's own units; the limits of the difference
    stay on the scale, and ``ratio`` is that of the two means, or of their odds.
    """

    response: str
    factor: str
    first_level: str | int | float | bool
    last_level: str | int | float | bool
    iqm_first: float
    iqm_last: float
    difference_low: float
    difference_high: float
    probability: float
    probability_low: float
    probability_high: float
    scale: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


class ItemEffect(Record):
    """A contrast of a term on item scores: log-odds of being right, and the difference of shares that it comes to.

    The interval of the log-odds has the degrees of freedom of the runs, and so has that of ``difference``.
    """

    term: str
    contrast: str
    log_odds: float | None = None
    std_error: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    difference: float
    difference_low: float | None = None
    difference_high: float | None = None


class ItemModel(Record):
    """Item scores of 0 and 1 with runs and items crossed.

    ``laplace``: binomial mixed model, standard deviations ``sd`` on the log-odds scale; ``two_way_clustered``: no
    log-odds, the intervals of ``difference`` are clustered by run and by item. ``part`` is empty for all items.
    """

    score: str
    part: str = ""
    method: Literal["laplace", "two_way_clustered"]
    runs: int
    items: int
    share: float
    sd: dict[str, float] = Field(default_factory=dict)
    on_boundary: list[str] = Field(default_factory=list)
    effects: list[ItemEffect] = Field(default_factory=list)


class SeedVariance(Record):
    """How much an effect differs between blocks (seeds): factor × block against the runs' error.

    ``std_error`` and the interval take the blocks as drawn from many (denominator: factor × block).
    """

    response: str
    term: str
    contrast: str
    sd: float
    on_boundary: bool
    blocks: int
    F: float | None = None
    df: float
    df_error: float | None = None
    p_value: float | None = None
    estimate: float
    std_error: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None


class CovariateUse(Record):
    """A covariate as it was fitted beside the design; ``sigma_without`` is the residual deviation before it."""

    name: str
    slope: float
    std_error: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    sigma_with: float | None = None
    sigma_without: float | None = None
    p_design: float | None = None


class Contour(Record):
    """Predictions over two factors, the second running fastest; the other curved factors are held where ``held`` says.

    ``height`` is None further from the middle than any run. ``region`` is at most 1 within the confidence region of the
    stationary point; None where that region has more than two factors.
    """

    across: str
    up: str
    held: dict[str, float] = Field(default_factory=dict)
    x: list[float]
    y: list[float]
    height: list[float | None]
    region: list[float | None] | None = None


class Optimum(Record):
    """What a response's second-order model says of its optimum, in the factors' units.

    ``stationary_low`` and ``stationary_high`` hold together with probability 1 − alpha; they are None where the runs do
    not bound the point, and ``established`` is then false: its nature may be another. ``eigenvalues`` are curvatures
    per squared half range of the levels, on the response's scale; ``axes`` has a row for each of them, ``weakest`` is
    the direction that is least certain to be curved. ``best`` lies within the levels and the runs.
    """

    response: str
    goal: str
    factors: list[str]
    averaged: list[str] = Field(default_factory=list)
    limits: list[tuple[float, float]]
    stationary: list[float] | None = None
    stationary_low: list[float] | None = None
    stationary_high: list[float] | None = None
    stationary_value: float | None = None
    inside: bool = False
    nature: Literal["maximum", "minimum", "saddle"] | None = None
    established: bool = False
    eigenvalues: list[float] = Field(default_factory=list)
    eigenvalue_errors: list[float] = Field(default_factory=list)
    axes: list[list[float]] = Field(default_factory=list)
    weakest: list[float] = Field(default_factory=list)
    best: list[float] | None = None
    best_on_edge: bool | None = None
    best_predicted: float | None = None
    best_low: float | None = None
    best_high: float | None = None
    lack_of_fit_p: float | None = None
    contours: list[Contour] = Field(default_factory=list)
