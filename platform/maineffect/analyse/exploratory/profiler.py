"""What the fitted models predict at every combination of levels: the numbers behind a prediction profiler.

A profiler lets a reader move one factor and see all responses follow (Derringer and Suich 1980, J. Quality Technology
12:214, draw the traces). The grid is computed here, so that a page moves between numbers and never estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.record.result import Profiler, Trace
from maineffect.spec.factors import Factor

__all__ = ["MOST_CELLS", "predict_grid"]

Floats = NDArray[np.float64]
MOST_CELLS = 256
"""Combinations of levels that a profiler holds; weaker factors beyond it are averaged over."""


def predict_grid(fits: Mapping[str, Fitted], factors: Sequence[Factor]) -> Profiler | None:
    """Predicted mean and interval of every response at every combination of the strongest factors' levels.

    Args:
        fits: Response → fit.
        factors: In the study's order.

    Returns:
        The grid, the last factor running fastest; None when no model has a factor in it.
    """
    usable = {name: fitted for name, fitted in fits.items() if fitted.model.terms}
    chosen = _strongest(usable, factors)
    if not chosen:
        return None
    grid = [dict(zip((f.name for f in chosen), cell, strict=True)) for cell in product(*(f.levels for f in chosen))]
    rows: dict[int, Floats] = {}
    traces: dict[str, Trace] = {}
    for name, fitted in usable.items():
        if id(fitted.model) not in rows:
            rows[id(fitted.model)] = np.array([fitted.surface.at(cell) for cell in grid])
        traces[name] = _trace(fitted, rows[id(fitted.model)])
    return Profiler(
        factors=[f.name for f in chosen],
        levels={f.name: list(f.levels) for f in chosen},
        averaged=[f.name for f in factors if f not in chosen],
        responses=traces,
    )


def _trace(fitted: Fitted, rows: Floats) -> Trace:
    predicted, estimable = fitted.inference.contrasts(rows), fitted.fit.estimable(rows)
    with np.errstate(invalid="ignore"):
        half = stats.t.isf(fitted.alpha / 2, predicted.df) * predicted.std_error
    shown = estimable & np.isfinite(half) & (predicted.std_error > 0)
    return Trace(
        estimate=[float(v) if ok else None for v, ok in zip(predicted.estimate, estimable, strict=True)],
        half_width=[float(v) if ok else None for v, ok in zip(half, shown, strict=True)],
    )


def _strongest(fits: Mapping[str, Fitted], factors: Sequence[Factor]) -> list[Factor]:
    """Factors whose grid fits, those with the largest share of any response's spread first."""
    shares = {factor.name: 0.0 for factor in factors}
    for fitted in fits.values():
        spread = float(np.std(fitted.y)) or 1.0
        for factor in factors:
            if factor.name in fitted.model.spans:
                rows = np.array([fitted.surface.at({factor.name: level}) for level in factor.levels])
                means = fitted.inference.contrasts(rows).estimate
                shares[factor.name] = max(shares[factor.name], float(np.ptp(means)) / spread)
            elif any(factor.name in term.split(":") for term in fitted.model.terms):
                shares[factor.name] = max(shares[factor.name], 1e-9)
    chosen: set[str] = set()
    cells = 1
    for factor in sorted(factors, key=lambda f: -shares[f.name]):
        if shares[factor.name] > 0 and cells * len(factor.levels) <= MOST_CELLS:
            chosen.add(factor.name)
            cells *= len(factor.levels)
    return [factor for factor in factors if factor.name in chosen]
