"""Least squares over many responses at once, and what one may ask of a fit.

Rank is decided on columns of unit length, so that no unit of measurement changes what is estimable; responses are
centred first, so that neither a large mean nor a tiny scale costs digits. (X'X)⁻¹ is computed once for all responses.
Searle (1971) Linear Models, ch. 5: a contrast c'β is estimable when c lies in the row space of X.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimates", "Inference", "LeastSquares", "OrdinaryInference", "least_squares"]

Floats = NDArray[np.float64]
_RANK = 1e-9
_EXACT = 1e-22
"""Residual over total sum of squares below which a fit is exact (rounding error squared)."""


@dataclass(frozen=True)
class Estimates:
    """k contrasts with what is known of their precision; NaN where there is no error estimate.

    Attributes:
        estimate: (k,) in the response's units.
        std_error: (k,).
        df: (k,) degrees of freedom of t.
    """

    estimate: Floats
    std_error: Floats
    df: Floats


class Inference(Protocol):
    """A fitted response that answers questions about contrasts, whatever the strata."""

    @property
    def beta(self) -> Floats:
        """(p,) coefficients."""
        ...

    @property
    def sigma2(self) -> float:
        """Residual variance; NaN without error degrees of freedom."""
        ...

    @property
    def df_error(self) -> float:
        """Residual degrees of freedom (of the run stratum)."""
        ...

    def contrasts(self, c: Floats) -> Estimates:
        """Estimate (k, p) contrasts."""
        ...

    def covariance(self, c: Floats) -> Floats:
        """(k, k) covariance of (k, p) contrasts."""
        ...


@dataclass(frozen=True)
class LeastSquares:
    """Fit of m responses on one model matrix.

    Attributes:
        x: (n, p).
        beta: (p, m), minimum norm where the rank is short.
        unscaled: (p, p), a generalised inverse of X'X.
        basis: (n, r) orthonormal columns spanning X.
        fitted: (n, m).
        residuals: (n, m).
        sse: (m,) residual sums of squares; exactly 0 for an exact fit.
        total: (m,) sums of squares about the mean.
        rank: r.
        row_basis: (p, r) basis of the row space, in scaled coordinates.
        scale: (p,) lengths of the columns.
    """

    x: Floats
    beta: Floats
    unscaled: Floats
    basis: Floats
    fitted: Floats
    residuals: Floats
    sse: Floats
    total: Floats
    rank: int
    row_basis: Floats
    scale: Floats

    @property
    def df_error(self) -> int:
        """Runs minus rank."""
        return int(self.x.shape[0]) - self.rank

    def estimable(self, c: Floats) -> NDArray[np.bool_]:
        """Which of (k, p) contrasts the runs determine."""
        scaled = c / self.scale
        rest = scaled - (scaled @ self.row_basis) @ self.row_basis.T
        size = np.linalg.norm(scaled, axis=1)
        return np.asarray(np.linalg.norm(rest, axis=1) <= 1e-7 * np.where(size > 0, size, 1.0))


def least_squares(x: Floats, y: Floats) -> LeastSquares:
    """Fit m responses.

    Args:
        x: (n, p), first column ones.
        y: (n, m), finite.
    """
    scale = np.linalg.norm(x, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    u, s, vt = np.linalg.svd(x / scale, full_matrices=False)
    rank = int(np.sum(s > _RANK * s[0]))
    u, s, vt = u[:, :rank], s[:rank], vt[:rank]
    mean = y.mean(axis=0)
    centred = y - mean
    # Largest first to unity, so that squares of 1e±200 neither overflow nor vanish.
    size = np.abs(centred).max(axis=0)
    unit = np.where(size > 0, size, 1.0)
    z = centred / unit
    beta = (vt.T / s) @ (u.T @ z) / scale[:, None]
    fitted = u @ (u.T @ z)
    residuals = z - fitted
    total = np.sum(z**2, axis=0)
    constant = np.ptp(y, axis=0) <= 4 * np.finfo(float).eps * np.abs(y).max(axis=0)
    sse = np.sum(residuals**2, axis=0)
    # Rounding of y itself limits what a residual can mean when the mean is large.
    noise = (8 * np.finfo(float).eps * np.abs(mean) / unit) ** 2 * len(y)
    exact = (sse <= _EXACT * total) | (sse <= noise) | constant | (len(y) == rank)
    sse = np.where(exact, 0.0, sse)
    beta = np.where(constant, 0.0, beta) * unit
    beta[0] += mean
    unscaled = (vt.T / s**2) @ vt / np.outer(scale, scale)
    return LeastSquares(
        x=x,
        beta=beta,
        unscaled=unscaled,
        basis=u,
        fitted=np.where(constant, 0.0, fitted) * unit + mean,
        residuals=np.where(exact, 0.0, residuals) * unit,
        sse=sse * unit**2,
        total=np.where(constant, 0.0, total) * unit**2,
        rank=rank,
        row_basis=vt.T,
        scale=scale,
    )


@dataclass(frozen=True)
class OrdinaryInference:
    """t inference from one residual variance (one stratum)."""

    fit: LeastSquares
    column: int = 0

    @property
    def beta(self) -> Floats:
        """(p,) coefficients."""
        return np.asarray(self.fit.beta[:, self.column])

    @property
    def df_error(self) -> float:
        """Runs minus rank."""
        return float(self.fit.df_error)

    @property
    def sigma2(self) -> float:
        """Mean squared error; NaN without error degrees of freedom or for an exact fit."""
        sse = float(self.fit.sse[self.column])
        return sse / self.fit.df_error if self.fit.df_error > 0 and sse > 0 else float("nan")

    def contrasts(self, c: Floats) -> Estimates:
        """c'β̂ with √(s²·c'(X'X)⁻¹c) on n − rank degrees of freedom."""
        variance = np.einsum("kp,pq,kq->k", c, self.fit.unscaled, c) * self.sigma2
        df = np.full(len(c), self.df_error if self.fit.df_error > 0 else np.nan)
        return Estimates(c @ self.beta, np.sqrt(np.where(variance > 0, variance, np.nan)), df)

    def covariance(self, c: Floats) -> Floats:
        """s²·C(X'X)⁻¹C'."""
        return np.asarray(c @ self.fit.unscaled @ c.T * self.sigma2)
