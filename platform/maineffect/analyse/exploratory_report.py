"""Questions beyond the registered effects, added to a finished AnalysisResult: none of them changes a verdict.

Transport to a target distribution, trends over covariates, learning curves, item scores, seed × factor, screening, the
optimum of a second-order model, and rliable-style aggregates (Agarwal et al. (2021)). A question that the runs cannot
answer becomes a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.exploratory.aggregate import aggregates
from maineffect.analyse.exploratory.capabilities import capability_pairs
from maineffect.analyse.exploratory.item_effects import item_models, score_tables
from maineffect.analyse.exploratory.items import ItemComponents, item_components
from maineffect.analyse.exploratory.learning import Curve, area_under_curve, curve_effects, steps_to_threshold
from maineffect.analyse.exploratory.on_target import beside_verdicts
from maineffect.analyse.exploratory.optimum import optima
from maineffect.analyse.exploratory.screening import definitive_screening, screen
from maineffect.analyse.exploratory.seed_by_factor import between_blocks
from maineffect.analyse.exploratory.simple_effects import scaling_trends
from maineffect.analyse.exploratory.transport import shown_target, targets_of, transported_effect
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.fit.responses import fit_responses
from maineffect.analyse.record.result import (
    AnalysisResult,
    CurveBand,
    ItemVariance,
    ResponseResult,
    Screening,
    Transported,
)
from maineffect.analyse.run import analyse
from maineffect.analyse.table.scales import aggregates_in_units, transported_in_ratios
from maineffect.contracts import Level
from maineffect.design.model.model import Design
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Response
from maineffect.spec.study import StudySpec

__all__ = ["add_exploratory", "item_variances"]

Floats = NDArray[np.float64]
_SCREENED_RUNS = 64
_SCREENED_FACTORS = 12


def add_exploratory(
    result: AnalysisResult,
    study: StudySpec,
    table: pd.DataFrame,
    *,
    design: Design | None = None,
    curves: Mapping[str, Mapping[str, Curve]] | None = None,
    items: Mapping[str, pd.DataFrame] | None = None,
    fits: Mapping[str, Fitted] | None = None,
) -> AnalysisResult:
    """Add what the plan and the data allow.

    Args:
        result: Of :func:`maineffect.analyse.run.analyse` on the same table.
        study: Its study.
        table: One row per run.
        design: As planned.
        curves: Metric → run id → (steps, values).
        items: Run id → item table with an ``item`` (or ``item_id``, ``id``) column and numeric scores.
        fits: The result's own, where they are at hand (:func:`maineffect.analyse.run.analyse_with_fits`).
    """
    warnings: list[str] = []
    fits = fit_responses(study, table, design=design) if fits is None else fits
    bands, derived = _curves(study, table, curves or {}, design, warnings)
    transported = transported_in_ratios(study, _transported(study, fits, warnings))
    hypotheses, moved = beside_verdicts(result.hypotheses, transported)
    warnings += moved
    return result.model_copy(
        update={
            "transported": transported,
            "hypotheses": hypotheses,
            "trends": [trend for fitted in fits.values() for trend in scaling_trends(fitted)],
            "aggregates": aggregates_in_units(study, [a for fitted in fits.values() for a in aggregates(fitted)]),
            "screening": _screening(study, fits, result, warnings),
            "curve_effects": bands,
            "curve_responses": derived,
            "item_variances": item_variances(
                items or {}, {r.run_id: r.cell_id for r in result.runs}, warnings, _blocks(result, study, design)
            ),
            "item_models": item_models(study, table, items or {}, design=design, warnings=warnings),
            "optima": optima(study, fits, [run.levels for run in result.runs], warnings),
            "seed_variances": between_blocks(fits, warnings),
            "capability_pairs": capability_pairs(study, fits),
            "warnings": list(dict.fromkeys([*result.warnings, *warnings])),
        }
    )


def _blocks(result: AnalysisResult, study: StudySpec, design: Design | None) -> dict[str, object] | None:
    """Block of every run, if there are several; where runs of a replicate may share a seed, else the replicate."""
    labels: list[dict[str, object]] = [{r.run_id: r.block for r in result.runs}]
    if design is None or study.design.common_random_numbers:
        labels.append({r.run_id: r.replicate for r in result.runs})
    for block_by_run in labels:
        if None not in block_by_run.values() and len(set(block_by_run.values())) > 1:
            return dict(block_by_run)
    return None


def _transported(study: StudySpec, fits: Mapping[str, Fitted], warnings: list[str]) -> list[Transported]:
    transported: list[Transported] = []
    targets = targets_of(study)
    if not targets:
        return transported
    for name, fitted in fits.items():
        for factor in study.factors:
            try:
                effect = transported_effect(fitted, factor, targets)
                equal = transported_effect(fitted, factor, []).estimate
            except AnalysisError as error:
                warnings.append(f"{name}: {error.message}")
                continue
            half = effect.half_width
            transported.append(
                Transported(
                    response=name,
                    factor=factor,
                    target=shown_target(targets, factor),
                    estimate=effect.estimate,
                    ci_low=None if half is None else effect.estimate - half,
                    ci_high=None if half is None else effect.estimate + half,
                    p_value=effect.p_value,
                    designed=equal,
                    std_error=effect.std_error,
                    df=effect.df,
                )
            )
    return transported


def _screening(
    study: StudySpec, fits: Mapping[str, Fitted], result: AnalysisResult, warnings: list[str]
) -> list[Screening]:
    """Small designs only: with many runs the registered model is the better answer."""
    screenings = []
    factors = tuple(study.factors.values())
    for name, fitted in fits.items():
        runs = [result.runs[i] for i in fitted.rows]
        if not 5 <= len(runs) <= _SCREENED_RUNS or len(factors) > _SCREENED_FACTORS or fitted.strata.split:
            continue
        try:
            if study.design.kind == "definitive_screening":
                x = np.column_stack([_coded([run.levels[f.name] for run in runs], f.levels) for f in factors])
                two = definitive_screening([f.name for f in factors], x, fitted.y, alpha=fitted.alpha)
                terms = [*two.main, *two.second]
                screenings.append(Screening(response=name, method="two_stage", terms=terms, sigma=two.sigma))
            else:
                rows = {f.name: [run.levels[f.name] for run in runs] for f in factors}
                curved = any("^2" in term for term in fitted.model.terms)
                best = screen(factors, rows, fitted.y, blocks=fitted.strata.blocks, quadratic=curved)
                screenings.append(Screening(response=name, method="aicc", terms=list(best.terms), aicc=best.aicc))
        except AnalysisError as error:
            warnings.append(f"screening of {name}: {error.message}")
    return screenings


def _coded(values: Sequence[Level], levels: Sequence[Level]) -> Floats:
    low, high = float(levels[0]), float(levels[-1])
    return np.array([(2 * float(v) - low - high) / (high - low) for v in values])


def _curves(
    study: StudySpec,
    table: pd.DataFrame,
    curves: Mapping[str, Mapping[str, Curve]],
    design: Design | None,
    warnings: list[str],
) -> tuple[list[CurveBand], dict[str, ResponseResult]]:
    """Bands of every metric, and areas and times to threshold analysed as responses (exploratory)."""
    bands: list[CurveBand] = []
    derived: dict[str, dict[str, float]] = {}
    for metric, metric_curves in curves.items():
        try:
            effect_curves = curve_effects(study, table, metric_curves, design=design)
        except AnalysisError as error:
            warnings.append(f"curves of {metric}: {error.message}")
            continue
        bands += [
            CurveBand(
                metric=metric, term=curve.term, contrast=curve.contrast, steps=curve.steps.tolist(),
                estimate=curve.estimate.tolist(), band_low=curve.band_low.tolist(), band_high=curve.band_high.tolist(),
                critical=curve.critical, first_step=curve.first_step,
            )
            for curve in effect_curves
            if np.isfinite(curve.band_low).all()
        ]  # fmt: skip
        derived[f"area under {metric}"] = {run: area_under_curve(*_finite(c)) for run, c in metric_curves.items()}
        if metric in study.analysis.thresholds:
            bar = study.analysis.thresholds[metric]
            reached = {run: steps_to_threshold(*_finite(c), bar) for run, c in metric_curves.items()}
            never = sum(value is None for value in reached.values())
            if never:
                warnings.append(f"{never} run(s) never reach {metric} {bar:g}: censored, left out of the time to it")
            derived[f"steps to {metric} {bar:g}"] = {run: v for run, v in reached.items() if v is not None}
    return bands, _as_responses(study, table, derived, design, warnings)


def _finite(curve: Curve) -> tuple[Floats, Floats]:
    values = np.array([np.nan if v is None else float(v) for v in curve[1]])
    finite = np.isfinite(values)
    return np.asarray(curve[0], dtype=float)[finite], values[finite]


def _as_responses(
    study: StudySpec,
    table: pd.DataFrame,
    derived: Mapping[str, Mapping[str, float]],
    design: Design | None,
    warnings: list[str],
) -> dict[str, ResponseResult]:
    if not derived:
        return {}
    plain = study.analysis.model_copy(update={"sequential": None, "overfit": {}})
    responses = {name: Response(name=name, unit="steps" if name.startswith("steps") else "") for name in derived}
    asked = study.model_copy(update={"responses": responses, "hypotheses": (), "analysis": plain})
    values = table.drop(columns=[name for name in study.responses if name in table])
    for name, value_by_run in derived.items():
        values = values.assign(**{name: values["run_id"].map(dict(value_by_run)).astype(float)})
    try:
        return dict(analyse(asked, values, design=design, draws=99).responses)
    except AnalysisError as error:
        warnings.append(f"summaries of curves: {error.message}")
        return {}


def item_variances(
    items: Mapping[str, pd.DataFrame],
    cells: Mapping[str, str],
    warnings: list[str],
    blocks: Mapping[str, object] | None = None,
) -> list[ItemVariance]:
    """Variance components of every numeric item score that all runs have on shared items.

    Args:
        items: Run id → item table.
        cells: Run id → cell.
        warnings: What could not be told apart is added here.
        blocks: Run id → block (replicate), if the design has several.
    """
    variances = []
    for score, wide in score_tables(items, warnings):
        complete = wide.dropna()
        if complete.empty or not np.ptp(complete.to_numpy()) > 0:
            continue
        conditions = [cells.get(str(run), "") for run in complete]
        run_blocks = None if blocks is None else [str(blocks.get(str(run))) for run in complete]
        try:
            parts = item_components(complete.to_numpy().T, conditions, blocks=run_blocks)
        except AnalysisError as error:
            warnings.append(f"items, {score}: {error.message}")
            continue
        variances.append(_advised(score, parts, len(conditions) / len(set(conditions))))
    return variances


def _advised(score: str, parts: ItemComponents, per_cell: float) -> ItemVariance:
    """Costs are not known here: the larger part of a comparison's variance names what to buy."""
    run, residual, items = parts.run, parts.residual, parts.items
    seeds = run >= residual / items
    se, floor = np.sqrt(2 * (run + residual / items) / per_cell), np.sqrt(2 * run / per_cell)
    share = run / (run + residual / items) if run + residual > 0 else 0.0
    sentence = (
        f"{'more seeds' if seeds else 'more items'}: {share:.0%} of the variance of a comparison of two cells comes "
        f"from seeds; its standard error is {se:.3g}, and stays above {floor:.3g} however many items"
    )
    return ItemVariance(
        score=score, run=run, item=parts.item, residual=residual, runs=parts.runs, items=items,
        runs_per_cell=per_cell, std_error=float(se), advice="more seeds" if seeds else "more items", sentence=sentence,
        on_boundary=list(parts.flags), block=parts.block, block_item=parts.block_item,
    )  # fmt: skip
