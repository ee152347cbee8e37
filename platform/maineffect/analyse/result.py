"""AnalysisResult: the one versioned record that reports and dashboards read. They never estimate.

Field names and meanings are fixed by ``schema_version``; fields may be added. Not a number is written as null.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Aggregate",
    "AnalysisResult",
    "AnovaRow",
    "Attribution",
    "Curve",
    "CurveBand",
    "Effect",
    "HypothesisResult",
    "ItemVariance",
    "LenthResult",
    "Look",
    "Mean",
    "ModelSummary",
    "NotEstimable",
    "Profiler",
    "ResponseResult",
    "RunRow",
    "Screening",
    "SimpleEffect",
    "SweepFacts",
    "Trace",
    "Transported",
    "Trend",
]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_nan(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()}
        return data


class Effect(_Record):
    """One contrast of one term. For two-level factors the estimate is mean(high) − mean(low) = 2 × coefficient."""

    term: str
    contrast: str
    kind: Literal["main", "interaction"]
    estimate: float
    std_error: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    t: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    aliased_with: list[str] = Field(default_factory=list)
    simultaneous_low: float | None = None
    simultaneous_high: float | None = None
    p_permutation: float | None = None
    registered: bool = False
    type_s: float | None = None
    exaggeration: float | None = None


class AnovaRow(_Record):
    """One term of the analysis of variance."""

    term: str
    df: float
    df_error: float | None = None
    sum_sq: float
    mean_sq: float
    F: float | None = None
    p_value: float | None = None
    eta_sq: float | None = None
    omega_sq: float | None = None
    partial_eta_low: float | None = None
    partial_eta_high: float | None = None


class Mean(_Record):
    """A marginal mean, or why there is none."""

    term: str
    levels: dict[str, str | int | float | bool]
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str | None = None


class ModelSummary(_Record):
    """The fitted model."""

    formula: str
    sigma: float | None = None
    df_error: float | None = None
    r_squared: float | None = None
    adj_r_squared: float | None = None
    stratum: str = "run"


class LenthResult(_Record):
    """Lenth's pseudo standard error and margins of an unreplicated design."""

    pse: float
    margin_of_error: float
    simultaneous_margin: float


class NotEstimable(_Record):
    """A term that the runs cannot estimate, and why."""

    term: str
    reason: str


class ResponseResult(_Record):
    """Everything about one response."""

    effects: list[Effect] = Field(default_factory=list)
    anova: list[AnovaRow] = Field(default_factory=list)
    means: list[Mean] = Field(default_factory=list)
    model: ModelSummary
    lenth: LenthResult | None = None
    variance_components: dict[str, float] | None = None
    not_estimable: list[NotEstimable] = Field(default_factory=list)
    unit: str = ""
    goal: str = "maximize"
    smallest_effect: float | None = None
    smallest_detectable: float | None = None
    residuals: list[dict[str, Any]] = Field(default_factory=list)
    simple_effects: list[SimpleEffect] = Field(default_factory=list)


class HypothesisResult(_Record):
    """What the registered rule says about one hypothesis."""

    id: str
    response: str
    term: str
    verdict: Literal["supported", "refuted", "negligible", "inconclusive"]
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_adjusted: float | None = None
    sesoi: float | None = None
    replicates_needed: int | None = None
    direction: str = "different"
    p_value: float | None = None
    p_permutation: float | None = None
    statement: str = ""
    reason: str | None = None
    contrast: str = ""
    std_error: float | None = None
    df: float | None = None
    p_robust: float | None = None
    aliased_with: list[str] = Field(default_factory=list)


class SimpleEffect(_Record):
    """Effect of one factor (last minus first level) at one level of another, the rest averaged."""

    factor: str
    given: dict[str, str | int | float | bool]
    contrast: str
    estimate: float
    std_error: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None


class Look(_Record):
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


class Transported(_Record):
    """Effect of a factor (last minus first level) when the others follow the target; ``designed`` weights equally."""

    response: str
    factor: str
    target: dict[str, dict[str, float]]
    estimate: float
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    designed: float | None = None


class Trend(_Record):
    """Change of a factor's effect per unit, or per doubling (``log2``), of a numeric factor."""

    response: str
    factor: str
    covariate: str
    scale: Literal["linear", "log2"]
    slope: float
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None


class CurveBand(_Record):
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


class ItemVariance(_Record):
    """Variances of an item score (seed, item, seed × item) and what they advise."""

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


class Screening(_Record):
    """A model chosen by the data: exploratory, so that it has no p-values."""

    response: str
    method: Literal["aicc", "two_stage"]
    terms: list[str]
    aicc: float | None = None
    sigma: float | None = None
    exploratory: Literal[True] = True


class Aggregate(_Record):
    """Interquartile means of a factor's last and first level, and P(a run of the last scores higher)."""

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


class Attribution(_Record):
    """Share of a response's gap between two named configurations that one factor contributes (exact Shapley)."""

    response: str
    factor: str
    from_level: str | int | float | bool
    to_level: str | int | float | bool
    contribution: float
    ci_low: float | None = None
    ci_high: float | None = None
    gap: float


class RunRow(_Record):
    """One planned run as it ended: what the report draws as a dot."""

    run_id: str
    cell_id: str = ""
    levels: dict[str, str | int | float | bool]
    replicate: int | None = None
    block: str | int | None = None
    whole_plot: str | int | None = None
    status: str = "finished"
    attempts: int = 1
    seconds: float | None = None
    responses: dict[str, float | None] = Field(default_factory=dict)
    measures: dict[str, float | None] = Field(default_factory=dict)
    failure: str | None = None
    message: str | None = None
    tracking_run_id: str | None = None
    seed: int | None = None
    order: int | None = None


class Curve(_Record):
    """A training curve of one run."""

    run_id: str
    metric: str
    steps: list[int]
    values: list[float | None]


class Trace(_Record):
    """Predictions of one response over a profiler's grid; None where the runs do not support one."""

    estimate: list[float | None]
    half_width: list[float | None]


class Profiler(_Record):
    """Predicted means at every combination of some factors' levels, the last factor running fastest.

    ``averaged`` lists the factors over whose levels the predictions are averaged.
    """

    factors: list[str]
    levels: dict[str, list[str | int | float | bool]]
    averaged: list[str] = Field(default_factory=list)
    responses: dict[str, Trace]


class SweepFacts(_Record):
    """What a reader needs to trust the numbers: the plan, whether it was kept, and where everything came from."""

    sweep_id: str | None = None
    question: str = ""
    registered_hash: str | None = None
    registered_at: str | None = None
    deviations: list[str] = Field(default_factory=list)
    design: dict[str, Any] = Field(default_factory=dict)
    factors: list[dict[str, Any]] = Field(default_factory=list)
    provenance: dict[str, Any] = Field(default_factory=dict)
    baselines: list[dict[str, Any]] = Field(default_factory=list)
    cost: dict[str, float] = Field(default_factory=dict)


class AnalysisResult(_Record):
    """The analysis of one study on one table of runs."""

    schema_version: Literal[1] = 1
    study: str
    plan_hash: str | None = None
    n_runs: int
    n_missing: int
    responses: dict[str, ResponseResult]
    hypotheses: list[HypothesisResult] = Field(default_factory=list)
    attribution: list[Attribution] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    alpha: float = 0.05
    runs: list[RunRow] = Field(default_factory=list)
    curves: list[Curve] = Field(default_factory=list)
    facts: SweepFacts = Field(default_factory=SweepFacts)
    profiler: Profiler | None = None
    looks: list[Look] = Field(default_factory=list)
    transported: list[Transported] = Field(default_factory=list)
    trends: list[Trend] = Field(default_factory=list)
    curve_effects: list[CurveBand] = Field(default_factory=list)
    curve_responses: dict[str, ResponseResult] = Field(default_factory=dict)
    item_variances: list[ItemVariance] = Field(default_factory=list)
    screening: list[Screening] = Field(default_factory=list)
    aggregates: list[Aggregate] = Field(default_factory=list)
