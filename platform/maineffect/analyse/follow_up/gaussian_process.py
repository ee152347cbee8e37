"""A Gaussian process for surfaces that are no quadratic: its mean, and how well the runs know it.

Rasmussen and Williams (2006), Gaussian Processes for Machine Learning: Matérn 5/2 with a length for each factor, a mean
for each phase estimated with it (sec. 2.7), hyperparameters by their posterior mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, stats

from maineffect.analyse.follow_up.box import Box, Points

__all__ = ["GaussianProcess", "fit_gaussian_process"]

Floats = NDArray[np.float64]
_STARTS = (0.0, 0.7, -0.7)
_PRIOR = (0.3, 0.8, -1.0, 1.5)  # log length: mean, sd; log noise over signal variance: mean, sd
_JITTER = 1e-8


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process.

    Attributes:
        box: Where it holds.
        inputs: (n, d) coded runs.
        length: (d,) lengths.
        factor: Cholesky factor of the runs' covariance, noise included.
        basis: (n, q) mean of each phase.
        weights: (n,) covariance⁻¹ (y − mean).
        mean: (q,) fitted means.
        scale2: Variance of the surface.
    """

    box: Box
    inputs: Floats
    length: Floats
    factor: Floats
    basis: Floats
    weights: Floats
    mean: Floats
    scale2: float
    lack_of_fit_p = None
    by = "gaussian process"

    def predict(self, points: Points) -> tuple[Floats, Floats]:
        """(n,) means of the surface in the new phase, and (n,) their standard deviations."""
        cross = _matern(_inputs(self.box, points), self.inputs, self.length)
        here = np.zeros((len(points), self.basis.shape[1]))
        here[:, 0] = 1.0
        solved = linalg.cho_solve((self.factor, True), cross.T)
        rest = here - solved.T @ self.basis
        whitened = linalg.solve_triangular(self.factor, self.basis, lower=True)
        spread = np.einsum("ij,jk,ik->i", rest, np.linalg.inv(whitened.T @ whitened), rest)
        variance = 1.0 - np.einsum("ij,ji->i", cross, solved) + spread
        return here @ self.mean + cross @ self.weights, np.sqrt(self.scale2 * np.maximum(variance, 0.0))

    def known(self, points: Points) -> NDArray[np.bool_]:
        """(n,) all true: away from the runs the mean goes back to that of all."""
        return np.ones(len(points), dtype=bool)

    def critical(self, alpha: float) -> float:
        """Standard deviations to either side for as many places as the box has independent ones (Šidák)."""
        places = float(np.prod(np.maximum(1.0, 2.0 / self.length)))
        return float(stats.norm.isf((1 - (1 - alpha) ** (1 / min(places, 64.0))) / 2))


def fit_gaussian_process(box: Box, points: Points, y: Floats, apart: NDArray[np.bool_]) -> GaussianProcess:
    """Fit a process to the runs of a sweep and of a search.

    Args:
        box: Where they lie.
        points: Of the runs.
        y: (n,) values, not all equal.
        apart: (n,) which runs have a level of their own.
    """
    inputs = _inputs(box, points)
    both = bool(apart.any() and not apart.all())
    basis = np.column_stack([np.ones(len(y)), apart.astype(float)]) if both else np.ones((len(y), 1))
    d = inputs.shape[1]
    bounds = [(-2.5, 3.0)] * d + [(-6.0, 3.0)]

    def badness(theta: Floats) -> float:
        return _badness(theta, inputs, basis, y)[0]

    starts = [np.append(np.full(d, start), _PRIOR[2]) for start in _STARTS]
    tried = [optimize.minimize(badness, start, bounds=bounds, method="L-BFGS-B") for start in starts]
    best = np.asarray(min(tried, key=lambda result: float(result.fun)).x, dtype=float)
    _, factor, mean, weights, scale2 = _badness(best, inputs, basis, y)
    return GaussianProcess(box, inputs, np.exp(best[:-1]), factor, basis, weights, mean, scale2)


def _inputs(box: Box, points: Points) -> Floats:
    return np.hstack([points.x, box.contrasts(points)])


def _matern(a: Floats, b: Floats, length: Floats) -> Floats:
    r = np.sqrt(5 * (((a[:, None, :] - b[None, :, :]) / length) ** 2).sum(-1))
    return np.asarray((1 + r + r * r / 3) * np.exp(-r))


def _badness(theta: Floats, inputs: Floats, basis: Floats, y: Floats) -> tuple[float, Floats, Floats, Floats, float]:
    """Minus the log posterior, the variance of the surface profiled out; and what was computed on the way."""
    n = len(y)
    covariance = _matern(inputs, inputs, np.exp(theta[:-1])) + np.exp(theta[-1]) * np.eye(n) + _JITTER * np.eye(n)
    factor = np.linalg.cholesky(covariance)
    h = linalg.solve_triangular(factor, basis, lower=True)
    z = linalg.solve_triangular(factor, y, lower=True)
    mean = np.linalg.lstsq(h, z, rcond=None)[0]
    rest = z - h @ mean
    freedom = n - basis.shape[1]
    scale2 = max(float(rest @ rest) / freedom, 1e-300)
    likelihood = 0.5 * freedom * np.log(scale2) + float(np.log(np.diag(factor)).sum())
    likelihood += 0.5 * float(np.linalg.slogdet(h.T @ h)[1])
    prior = float((((theta[:-1] - _PRIOR[0]) / _PRIOR[1]) ** 2).sum() + ((theta[-1] - _PRIOR[2]) / _PRIOR[3]) ** 2) / 2
    weights = linalg.solve_triangular(factor, rest, lower=True, trans="T")
    return float(likelihood) + prior, np.asarray(factor), np.asarray(mean), np.asarray(weights), scale2
