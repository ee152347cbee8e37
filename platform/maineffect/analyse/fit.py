"""Ordinary least squares on run-level responses: one factorisation, any number of right-hand sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maineffect.design.terms import ModelMatrix

__all__ = ["Fit", "least_squares"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        model: Model matrix (n, p) of full column rank.
        coefficients: (p,).
        unscaled: (p, p), the inverse of X'X.
        residuals: (n,).
        df_error: n − p.
        mse: Residual mean square; NaN when saturated.
        total: Sum of squares about the mean.
    """

    model: ModelMatrix
    coefficients: Floats
    unscaled: Floats
    residuals: Floats
    df_error: int
    mse: float
    total: float

    @property
    def rss(self) -> float:
        """Residual sum of squares."""
        return float(self.residuals @ self.residuals)

    def estimate(self, contrast: Floats) -> float:
        """c'β."""
        return float(contrast @ self.coefficients)

    def std_error(self, contrast: Floats) -> float:
        """√(s² c'(X'X)⁻¹c); NaN when saturated."""
        return float(np.sqrt(self.mse * (contrast @ self.unscaled @ contrast)))


def least_squares(model: ModelMatrix, y: Floats) -> Fit:
    """Fit by QR. The matrix must have full column rank (terms are chosen so beforehand)."""
    x = model.matrix
    q, r = np.linalg.qr(x)
    inverse = np.linalg.inv(r)
    coefficients = inverse @ (q.T @ y)
    residuals = y - x @ coefficients
    # What is left of an exactly fitted response is rounding, not variance.
    residuals[np.abs(residuals) < 1e-12 * max(1e-300, float(np.abs(y).max()))] = 0.0
    df = x.shape[0] - x.shape[1]
    mse = float(residuals @ residuals) / df if df > 0 else float("nan")
    centred = y - y.mean()
    return Fit(model, coefficients, inverse @ inverse.T, residuals, df, mse, float(centred @ centred))
