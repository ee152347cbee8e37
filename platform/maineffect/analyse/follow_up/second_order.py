"""Our own second-order surrogate: least squares, its lack of fit, and limits that hold over the whole box at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.follow_up.box import Box, Points
from maineffect.seeds import generator

__all__ = ["SecondOrder", "fit_second_order"]

Floats = NDArray[np.float64]
_RANK = 1e-9
_DRAWS = 4000
_PLACES = 400


@dataclass(frozen=True)
class SecondOrder:
    """A fitted quadratic.

    Attributes:
        box: Where it holds.
        beta: (p,) coefficients; a last one for runs with a level of their own.
        unscaled: (p, p) (X'X)⁻¹.
        sigma2: Variance of a run.
        df: Its degrees of freedom.
        most: Largest leverage of a run: beyond it a prediction is an extrapolation.
        lack_of_fit_p: p-value of the lack of fit; None where runs are not repeated.
        phased: Whether some runs have a level of their own.
    """

    box: Box
    beta: Floats
    unscaled: Floats
    sigma2: float
    df: int
    most: float
    lack_of_fit_p: float | None
    phased: bool
    by = "quadratic"

    def _rows(self, points: Points) -> Floats:
        rows = self.box.second_order(points)
        return np.column_stack([rows, np.zeros(len(rows))]) if self.phased else rows

    def predict(self, points: Points) -> tuple[Floats, Floats]:
        """(n,) predictions of a new run's mean, and (n,) their standard errors."""
        rows = self._rows(points)
        leverage = np.einsum("ij,jk,ik->i", rows, self.unscaled, rows)
        return rows @ self.beta, np.sqrt(self.sigma2 * np.maximum(leverage, 0.0))

    def known(self, points: Points) -> NDArray[np.bool_]:
        """(n,) whether a point is no extrapolation: no further from the runs than the furthest run.

        Hidden extrapolation by leverage (Montgomery, Peck and Vining, Linear Regression Analysis, 5th ed., sec. 3.8).
        """
        rows = self._rows(points)
        return np.asarray(np.einsum("ij,jk,ik->i", rows, self.unscaled, rows) <= self.most * (1 + 1e-9))

    def critical(self, alpha: float) -> float:
        """Standard errors to either side that hold for every point of the box at once.

        The 1 − α quantile of the largest |t| over the box, by simulation (Sa and Edwards 1993, Biometrics 49:905 use
        the same maximum): at most Scheffé's √(p·F), and right for a point that the data chose.
        """
        places = self.box.filled
        chosen = generator(0, "places", len(places)).permutation(len(places))[:_PLACES]
        last = np.arange(max(0, len(places) - 2**self.box.k - 1), len(places))  # corners and centre
        rows = self._rows(places.take(np.unique(np.concatenate([chosen, last]))))
        root = np.linalg.cholesky(self.unscaled)
        along = rows @ root
        along /= np.linalg.norm(along, axis=1)[:, None]
        draw = generator(0, "largest t", self.df)
        largest = np.abs(along @ draw.normal(size=(along.shape[1], _DRAWS))).max(axis=0)
        largest /= np.sqrt(draw.chisquare(self.df, size=_DRAWS) / self.df)
        return float(np.quantile(largest, 1 - alpha))


def fit_second_order(
    box: Box, points: Points, y: Floats, apart: NDArray[np.bool_], *, spent_df: int = 0
) -> SecondOrder | None:
    """Fit a quadratic to the runs of a sweep and of a search.

    Args:
        box: Where they lie.
        points: Of the runs.
        y: (n,) values.
        apart: (n,) which runs have a level of their own, so that a drift is no effect.
        spent_df: Degrees of freedom that the sweep's blocks and fixed factors took.

    Returns:
        None where the runs do not determine it, or leave nothing for error.
    """
    x = box.second_order(points)
    phased = bool(apart.any() and not apart.all())
    if phased:
        x = np.column_stack([x, apart.astype(float)])
    n, p = x.shape
    df = n - p - spent_df
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    if n < p or df < 1 or s[-1] <= _RANK * s[0]:
        return None
    beta = vt.T @ ((u.T @ y) / s)
    unscaled = (vt.T / s**2) @ vt
    residual = y - x @ beta
    sse = float(residual @ residual)
    if not sse > 1e-20 * float(y @ y):
        return None
    lack = _lack_of_fit(points, apart, y, sse, p, spent_df)
    return SecondOrder(box, beta, unscaled, sse / df, df, float((u**2).sum(axis=1).max()), lack, phased)


def _lack_of_fit(
    points: Points, apart: NDArray[np.bool_], y: Floats, sse: float, p: int, spent_df: int
) -> float | None:
    """What the model leaves of the means of repeated settings, against the spread within them.

    Montgomery, Design and Analysis of Experiments (8th ed.), sec. 11.3.
    """
    keys = np.column_stack([np.round(points.x, 9), points.kinds, apart])
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.ravel()
    count = int(group.max()) + 1
    means = np.bincount(group, y) / np.bincount(group)
    pure, df_pure, df = float(np.sum((y - means[group]) ** 2)), len(y) - count - spent_df, count - p
    if df < 1 or df_pure < 1 or not pure > 1e-12 * float(y @ y):
        return None
    return float(stats.f.sf(max(sse - pure, 0.0) / df / (pure / df_pure), df, df_pure))
