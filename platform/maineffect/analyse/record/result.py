"""AnalysisResult: the one versioned record that reports and dashboards read. They never estimate.

Field names and meanings are fixed by ``schema_version``; fields may be added. Not a number is written as null.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from maineffect.analyse.record.further_records import (
    Aggregate,
    CapabilityPair,
    Contour,
    CovariateUse,
    CurveBand,
    ItemEffect,
    ItemModel,
    ItemVariance,
    Look,
    Optimum,
    PhaseDifference,
    PhaseEstimate,
    Record,
    Screening,
    SeedVariance,
    Transported,
    Trend,
)
from maineffect.analyse.record.proposals import WhatNext
from maineffect.analyse.record.scaling import EffectOverSizes
from maineffect.analyse.record.searched import Searched
from maineffect.analyse.record.tuning import Tuned

__all__ = [
    "Aggregate",
    "AnalysisResult",
    "AnovaRow",
    "Attribution",
    "CapabilityPair",
    "Contour",
    "CovariateUse",
    "Curve",
    "CurveBand",
    "Effect",
    "HypothesisResult",
    "ItemEffect",
    "ItemModel",
    "ItemVariance",
    "LenthResult",
    "Look",
    "Mean",
    "ModelSummary",
    "NotEstimable",
    "Optimum",
    "PhaseDifference",
    "PhaseEstimate",
    "Profiler",
    "ResponseResult",
    "RunRow",
    "Screening",
    "SeedVariance",
    "SimpleEffect",
    "SweepFacts",
    "Trace",
    "Transported",
    "Trend",
]


class Effect(Record):
    """One contrast of one term. For two-level factors the estimate is mean(high) − mean(low) = 2 × coefficient.

    With a scale the estimate is a difference of logarithms or of logits, and ``ratio`` is its exponential: a ratio of
    means, or of odds.
    """

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
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


class AnovaRow(Record):
    """One term of the analysis of variance.

    ``omega_sq`` is the term's share of all variance, with limits by simulation from the fit; ``partial_eta_low`` and
    ``partial_eta_high`` are limits of its share beside the error alone.
    """

    term: str
    df: float
    df_error: float | None = None
    sum_sq: float
    mean_sq: float
    F: float | None = None
    p_value: float | None = None
    eta_sq: float | None = None
    omega_sq: float | None = None
    omega_low: float | None = None
    omega_high: float | None = None
    partial_eta_low: float | None = None
    partial_eta_high: float | None = None
    method: str | None = None


class Mean(Record):
    """A marginal mean, or why there is none."""

    term: str
    levels: dict[str, str | int | float | bool]
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str | None = None


class ModelSummary(Record):
    """The fitted model."""

    formula: str
    sigma: float | None = None
    df_error: float | None = None
    r_squared: float | None = None
    adj_r_squared: float | None = None
    stratum: str = "run"


class LenthResult(Record):
    """Lenth's pseudo standard error and margins of an unreplicated design."""

    pse: float
    margin_of_error: float
    simultaneous_margin: float


class NotEstimable(Record):
    """A term that the runs cannot estimate, and why."""

    term: str
    reason: str


class ResponseResult(Record):
    """Everything about one response.

    With a ``scale`` effects, predictions, residuals and standard deviations are on it, in the unit ``effect_unit``, and
    means in the response's own.
    """

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
    covariates: list[CovariateUse] = Field(default_factory=list)
    on_boundary: list[str] = Field(default_factory=list)
    scale: str | None = None
    effect_unit: str = ""

    @property
    def unit_of_effects(self) -> str:
        """The unit of effects and standard deviations, which a scale takes from that of the means."""
        return self.effect_unit or self.unit


class HypothesisResult(Record):
    """What the registered rule says about one hypothesis.

    ``finding`` lists the statements about the effect that remain possible, whatever was claimed. ``p_value`` is that of
    the test that decides (against zero, or against the bar of a claim beyond the smallest effect), ``p_adjusted`` the
    same within the family; two one-sided tests have fields of their own. ``level`` is what the claim is held to.
    ``answer`` is one clause that answers the statement, ``label`` the badge: the verdict and what qualifies it;
    ``post_hoc`` says why the claim does not count as registered before its runs; ``caveats`` stand beside the verdict.
    ``inference`` is what it is about: new seeds, or these; ``condition`` what all runs share besides, in words.
    ``phases`` is empty where there is one phase; ``suggested_by`` the sweep whose data suggested the claim.
    """

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
    assurance: float | None = None
    direction: str = "different"
    beyond: str = "zero"
    p_value: float | None = None
    p_permutation: float | None = None
    statement: str = ""
    reason: str | None = None
    contrast: str = ""
    std_error: float | None = None
    df: float | None = None
    p_robust: float | None = None
    p_wild: float | None = None
    aliased_with: list[str] = Field(default_factory=list)
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    scale: str | None = None
    finding: list[str] = Field(default_factory=list)
    level: float | None = None
    p_zero: float | None = None
    p_beyond: float | None = None
    p_equivalence: float | None = None
    p_equivalence_adjusted: float | None = None
    answer: str = ""
    label: str = ""
    post_hoc: str | None = None
    caveats: list[str] = Field(default_factory=list)
    transported: Transported | None = None
    transported_verdict: str | None = None
    inference: Literal["seeds", "these_seeds"] | None = None
    condition: str | None = None
    phases: list[PhaseEstimate] = Field(default_factory=list)
    suggested_by: str | None = None


class SimpleEffect(Record):
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
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


class Attribution(Record):
    """Share of a response's gap between two named configurations that one factor contributes (exact Shapley).

    With a ``scale`` shares and gap are differences on it: ``ratio`` is what the factor multiplies the mean (or the
    odds) by, and the factors' ratios multiply to ``gap_ratio``.
    """

    response: str
    factor: str
    from_level: str | int | float | bool
    to_level: str | int | float | bool
    contribution: float
    ci_low: float | None = None
    ci_high: float | None = None
    gap: float
    simultaneous: bool = False
    scale: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    gap_ratio: float | None = None


class RunRow(Record):
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


class Curve(Record):
    """A training curve of one run."""

    run_id: str
    metric: str
    steps: list[int]
    values: list[float | None]


class Trace(Record):
    """Predictions of one response over a profiler's grid; None where the runs do not support one.

    With a scale they are in the response's own units, with limits in place of a half-width.
    """

    estimate: list[float | None]
    half_width: list[float | None]
    low: list[float | None] | None = None
    high: list[float | None] | None = None


class Profiler(Record):
    """Predicted means at every combination of some factors' levels, the last factor running fastest.

    ``averaged`` lists the factors over whose levels the predictions are averaged.
    """

    factors: list[str]
    levels: dict[str, list[str | int | float | bool]]
    averaged: list[str] = Field(default_factory=list)
    responses: dict[str, Trace]


class SweepFacts(Record):
    """What a reader needs to trust the numbers: the plan, whether it was kept, and where everything came from."""

    sweep_id: str | None = None
    question: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    registered_hash: str | None = None
    registered_at: str | None = None
    deviations: list[str] = Field(default_factory=list)
    stopped: str | None = None
    design: dict[str, Any] = Field(default_factory=dict)
    factors: list[dict[str, Any]] = Field(default_factory=list)
    provenance: dict[str, Any] = Field(default_factory=dict)
    baselines: list[dict[str, Any]] = Field(default_factory=list)
    cost: dict[str, float] = Field(default_factory=dict)
    tuning: Tuned | None = None
    searched: Searched | None = None


class AnalysisResult(Record):
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
    item_models: list[ItemModel] = Field(default_factory=list)
    seed_variances: list[SeedVariance] = Field(default_factory=list)
    optima: list[Optimum] = Field(default_factory=list)
    capability_pairs: list[CapabilityPair] = Field(default_factory=list)
    phase_differences: list[PhaseDifference] = Field(default_factory=list)
    over_sizes: list[EffectOverSizes] = Field(default_factory=list)
    what_next: WhatNext | None = None
