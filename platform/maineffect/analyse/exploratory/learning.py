"""Learning curves: effects over training steps with simultaneous bands, and summaries of a curve as responses.

All steps are fitted at once on one model matrix. A band holds for every step together: its critical value is that of
max|t| over steps, by permutation of whole residual curves within blocks (Freedman and Lane (1983); ter Braak (1992)),
so that each step keeps its own error variance; with many degrees of freedom by the multivariate t (Hothorn, Bretz and
Westfall (2008)), which takes one variance for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from maineffect.analyse.confirmatory.randomisation import arrangements
from maineffect.analyse.fit.least_squares import LeastSquares, OrdinaryInference, least_squares
from maineffect.analyse.fit.model import build_model
from maineffect.analyse.fit.surface import Surface
from maineffect.analyse.inference.multiplicity import max_t_critical
from maineffect.analyse.table.runs import read_runs
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.errors import AnalysisError
from maineffect.seeds import generator
from maineffect.spec.study import StudySpec

__all__ = ["CurveEffect", "area_under_curve", "curve_effects", "on_grid", "steps_to_threshold"]

Floats = NDArray[np.float64]
Curve = tuple[Sequence[float], Sequence[float | None]]
_POINTS = 50
_DRAWS, _FEWEST = 499, 1_000
_MANY = 60
"""From so many degrees of freedom on all steps may share one variance estimate."""


@dataclass(frozen=True)
class CurveEffect:
    """One contrast at every step.

    Attributes:
        term: Of the model.
        contrast: Its label.
        steps: (T,) training steps.
        estimate: (T,) in the metric's units.
        std_error: (T,).
        band_low: (T,), the lower end of the simultaneous band.
        band_high: (T,).
        critical: Half-width of the band in standard errors.
        first_step: First step from which the band excludes 0 until the end; None if there is none.
    """

    term: str
    contrast: str
    steps: Floats
    estimate: Floats
    std_error: Floats
    band_low: Floats
    band_high: Floats
    critical: float
    first_step: float | None


def _clean(curve: Curve) -> tuple[Floats, Floats]:
    steps = np.asarray(curve[0], dtype=float)
    values = np.array([np.nan if v is None else float(v) for v in curve[1]])
    finite = np.isfinite(values)
    order = np.argsort(steps[finite], kind="stable")
    return steps[finite][order], values[finite][order]


def on_grid(curves: Sequence[Curve], points: int = _POINTS) -> tuple[Floats, Floats]:
    """Interpolate curves to the steps that all of them cover.

    Returns:
        (T,) steps and (n, T) values.

    Raises:
        AnalysisError: A curve has fewer than two points, or they have no common range.
    """
    cleaned = [_clean(curve) for curve in curves]
    if any(len(steps) < 2 for steps, _ in cleaned):
        raise AnalysisError("a learning curve needs two points at least", "log the metric more often")
    low, high = max(s[0] for s, _ in cleaned), min(s[-1] for s, _ in cleaned)
    if not low < high:
        raise AnalysisError("the curves have no common range of steps", "compare runs that were trained for as long")
    longest = max(len(steps) for steps, _ in cleaned)
    grid = np.linspace(low, high, min(points, longest))
    return grid, np.array([np.interp(grid, steps, values) for steps, values in cleaned])


def curve_effects(
    study: StudySpec,
    table: pd.DataFrame,
    curves: Mapping[str, Curve],
    *,
    design: Design | None = None,
    points: int = _POINTS,
) -> list[CurveEffect]:
    """Effects of every term of the study on one metric over training.

    Args:
        study: Whose terms are fitted.
        table: Runs, with ``run_id``.
        curves: Run id → (steps, values).
        design: For strata that the table does not carry.
        points: At most so many steps.

    Raises:
        AnalysisError: Split plots (their strata need one fit a step), no curves, or no error degrees of freedom.
    """
    runs = read_runs(study, table, design)
    rows = [i for i, run_id in enumerate(runs.run_ids) if run_id in curves]
    if runs.strata.split:
        raise AnalysisError(
            "learning curves of split plots are not analysed", "analyse summaries of the curves instead"
        )
    if len(rows) < 2:
        raise AnalysisError("fewer than two runs have a curve", "log the metric in every run")
    steps, values = on_grid([curves[runs.run_ids[i]] for i in rows], points)
    levels = {name: [run_levels[i] for i in rows] for name, run_levels in runs.levels.items()}
    factors = tuple(study.factors.values())
    model = build_model(
        factors, levels, expand_terms(factors, study.analysis.terms), blocks=runs.strata.take(rows).blocks
    )
    fit = least_squares(model.matrix, values)
    if fit.df_error < 1:
        raise AnalysisError("no degrees of freedom are left for error", "replicate, or fit fewer terms")
    surface = Surface(model)
    contrasts = [c for term in model.terms for c in surface.contrasts(term)]
    contrasts = [c for c in contrasts if fit.estimable(c.row[None, :]).all()]
    if not contrasts:
        return []
    asked = np.array([c.row for c in contrasts])
    criticals = _bands(fit, asked, runs.strata.take(rows).blocks, study.analysis.alpha)
    result = []
    for contrast, critical in zip(contrasts, criticals.tolist(), strict=True):
        step_estimates = [OrdinaryInference(fit, t).contrasts(contrast.row[None, :]) for t in range(len(steps))]
        estimate = np.array([float(at_step.estimate[0]) for at_step in step_estimates])
        se = np.array([float(at_step.std_error[0]) for at_step in step_estimates])
        low, high = estimate - critical * se, estimate + critical * se
        first = _first_lasting(steps, (low > 0) | (high < 0), np.sign(estimate))
        result.append(
            CurveEffect(
                term=contrast.term,
                contrast=contrast.label,
                steps=steps,
                estimate=estimate,
                std_error=se,
                band_low=low,
                band_high=high,
                critical=critical,
                first_step=first,
            )
        )
    return result


def _bands(fit: LeastSquares, rows: Floats, blocks: Sequence[object] | None, alpha: float) -> Floats:
    """(k,) half-widths in standard errors that hold at every step together."""
    usable = np.flatnonzero(fit.sse > 0)
    if not len(usable):
        return np.full(len(rows), np.nan)
    residuals = fit.residuals[:, usable]
    groups = (
        np.zeros(len(residuals), dtype=int) if blocks is None else np.unique(np.array(blocks), return_inverse=True)[1]
    )
    if fit.df_error > _MANY or arrangements(groups.tolist()) < _FEWEST:
        return np.full(len(rows), max_t_critical(residuals.T @ residuals, float(fit.df_error), alpha))
    weights = rows @ fit.unscaled @ fit.x.T
    scale = np.linalg.norm(weights, axis=1)
    rng = generator(0, "bands", *residuals.shape)
    by_group = np.argsort(groups, kind="stable")
    largest = np.empty((_DRAWS, len(rows)))
    for draw in range(_DRAWS):
        drawn = np.empty_like(by_group)
        drawn[by_group] = by_group[np.argsort(groups[by_group] + rng.random(len(groups)))]
        e = residuals[drawn]
        left = np.sum(e**2, axis=0) - np.sum((fit.basis.T @ e) ** 2, axis=0)
        error = np.sqrt(np.maximum(left, 0.0) / fit.df_error)
        # A step at which an arrangement leaves no error says nothing.
        t = np.abs(weights @ e) / np.where(error > 0, error, np.inf)
        largest[draw] = t.max(axis=1) / scale
    return np.asarray(np.quantile(largest, 1 - alpha, axis=0, method="higher"))


def _first_lasting(steps: Floats, outside: NDArray[np.bool_], sign: Floats) -> float | None:
    """First step from which the band stays off 0 on one side."""
    lasting = outside & (sign == sign[-1])
    if not lasting[-1]:
        return None
    broken = np.flatnonzero(~lasting)
    return float(steps[0 if not len(broken) else broken[-1] + 1])


def area_under_curve(steps: ArrayLike, values: ArrayLike) -> float:
    """Mean height of a curve over its steps (trapezoids): a response in the metric's own units."""
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def steps_to_threshold(steps: ArrayLike, values: ArrayLike, threshold: float) -> float | None:
    """Steps until a curve first reaches a threshold, interpolated; None when it never does (censored, not slow)."""
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    reached = np.flatnonzero(y >= threshold)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (threshold - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))
