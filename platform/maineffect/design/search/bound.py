"""Certified bounds: how good any design of this size could be.

The optimal approximate design over the candidate cells is a convex problem. At every measure ξ over the candidates the
equivalence theorem (Kiefer and Wolfowitz 1960, Can. J. Math. 12:363–366) gives a bound that no exact design exceeds,
whether or not the iteration has converged. The measure is found by the multiplicative algorithm (Silvey, Titterington
and Torsney 1978, Commun. Stat. A7:1379–1389).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_variance_bound", "log_determinant_bound", "split_plot_bound"]

Floats = NDArray[np.float64]

_STEPS = 4000
_CLOSE = 1e-6
_WORK = 2e9
_LEAST = 1e-10


def log_determinant_bound(rows: Floats, runs: float, fixed: Floats | None = None) -> float:
    """Upper bound of log|F + X'X| over all designs of so many runs from the candidate rows.

    At M = F + mM(ξ): |M*|^(1/p) ≤ |M|^(1/p)·(tr(M⁻¹F) + m·max f'M⁻¹f)/p, because the geometric mean of the eigenvalues
    of M⁻¹M* is at most their average.

    Args:
        rows: (N, p) candidate rows that span the model.
        runs: m, runs to be chosen.
        fixed: (p, p) F, information of runs that exist already.
    """
    p = rows.shape[1]
    fixed_information = np.zeros((p, p)) if fixed is None else fixed
    weights = np.full(len(rows), 1 / len(rows))
    best = np.inf
    for _ in range(_steps(rows)):
        matrix = _information(rows, weights, runs, fixed_information)
        inverse = np.linalg.inv(matrix)
        logdet = float(np.linalg.slogdet(matrix)[1])
        variance = np.einsum("ij,ij->i", rows @ inverse, rows)
        taken = float(np.sum(inverse * fixed_information))
        gap = p * float(np.log((taken + runs * variance.max()) / p))
        best = min(best, logdet + gap)
        if gap <= p * _CLOSE:
            break
        weights = weights * variance
        weights /= weights.sum()
    return best


def average_variance_bound(rows: Floats, weight: Floats, runs: float, fixed: Floats | None = None) -> float:
    """Lower bound of trace(W(F + X'X)⁻¹), the average prediction variance in units of σ², over all designs.

    Φ(M) = tr(WM⁻¹) is convex; its tangent at sM, with the best s, gives Φ(M*) ≥ Φ(M)²/(tr(GF) + m·max f'Gf) with
    G = M⁻¹WM⁻¹ (Atkinson, Donev and Tobias 2007, Optimum Experimental Designs, sec. 9.5 and 10.6).

    Args:
        rows: (N, p) candidate rows that span the model.
        weight: (p, p) W, average of ff' over the region of interest.
        runs: m, runs to be chosen.
        fixed: (p, p) F, information of runs that exist already.
    """
    p = rows.shape[1]
    fixed_information = np.zeros((p, p)) if fixed is None else fixed
    weights = np.full(len(rows), 1 / len(rows))
    best = 0.0
    for _ in range(_steps(rows)):
        inverse = np.linalg.inv(_information(rows, weights, runs, fixed_information))
        gradient = inverse @ weight @ inverse
        value = float(np.sum(inverse * weight))
        slope = np.einsum("ij,ij->i", rows @ gradient, rows)
        bound = value**2 / (float(np.sum(gradient * fixed_information)) + runs * float(slope.max()))
        best = max(best, bound)
        if bound >= value * (1 - _CLOSE):
            break
        weights = weights * np.sqrt(slope)
        weights /= weights.sum()
    return best


def split_plot_bound(rows: Floats, between: Sequence[bool], sizes: Sequence[int], ratio: float) -> float:
    """Upper bound of log|X'V⁻¹X| for whole plots of the given sizes, V = I + ηZZ'.

    Columns that are constant within whole plots have the information of Σ m/(1 + mη) runs exactly; the others have at
    most that of as many independent runs. Fischer's inequality (Horn and Johnson 2013, Matrix Analysis, theorem 7.8.5)
    bounds the determinant by the product of the two.

    Args:
        rows: (N, p) candidate rows.
        between: (p,) whether a column holds hard-to-change factors only (the intercept does).
        sizes: Runs in each whole plot.
        ratio: η, variance between whole plots over the variance of a run.
    """
    outer = np.asarray(between)
    effective = float(sum(size / (1 + size * ratio) for size in sizes))
    runs = float(sum(sizes))
    whole = log_determinant_bound(np.unique(np.round(rows[:, outer], 12), axis=0), effective)
    inner = rows[:, ~outer]
    if inner.shape[1] == 0:
        return whole
    return min(whole + log_determinant_bound(inner, runs), log_determinant_bound(rows, runs))


def _steps(rows: Floats) -> int:
    n, p = rows.shape
    return int(min(_STEPS, max(20, _WORK / (4 * n * p * p))))


def _information(rows: Floats, weights: Floats, runs: float, fixed_information: Floats) -> Floats:
    active = weights > _LEAST * weights.max()
    share = weights[active] / weights[active].sum()
    return np.asarray(fixed_information + runs * (rows[active].T * share) @ rows[active])
