"""Mixed models by REML with Kenward–Roger or Satterthwaite degrees of freedom.

y = Xβ + Σ Z_k u_k + e, V = Σ θ_k G_k with G_k = Z_k Z_k' and G_e = I. REML by iterated MINQUE (Rao, 1971; equal to
Fisher scoring; Searle, Casella and McCulloch (1992) Variance Components, ch. 6). Adjusted covariance and denominator
degrees of freedom: Kenward and Roger (1997) Biometrics 53:983; in balanced split plots they equal the classical
strata analysis. Tests leave variances unbounded below (V stays positive definite), as the classical analysis does:
truncation at zero would distort the error rate. What is *reported* as a variance is never below 0, and flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from maineffect.analyse.fit.least_squares import Estimates
from maineffect.errors import AnalysisError

__all__ = ["FTest", "MixedInference", "fit_mixed", "grouping"]

Floats = NDArray[np.float64]
RESIDUAL = "residual"
_ITERATIONS = 200
_MOST_RUNS = 3_000
_NO_MOMENTS = 4.0
_SAME = 1e-6


def grouping(labels: Sequence[object]) -> Floats:
    """G = ZZ' of a random intercept: (n, n), one where two rows share a label."""
    codes = np.unique(np.array([str(label) for label in labels]), return_inverse=True)[1]
    return np.asarray(codes[:, None] == codes[None, :], dtype=float)


@dataclass(frozen=True)
class FTest:
    """An F test with its degrees of freedom; ``method`` names the approximation where it is not the usual one."""

    F: float
    df: int
    df_error: float
    p_value: float
    method: str = ""


@dataclass(frozen=True)
class MixedInference:
    """A REML fit that answers questions about contrasts.

    Attributes:
        x: (n, p), full column rank.
        y: (n,).
        names: Variance components in the order of ``theta``, the residual last.
        theta: (K,) variances as used in V (may be negative for all but the residual unless bounded).
        beta: (p,).
        phi: (p, p) covariance of β̂ at θ̂.
        loglik: REML log-likelihood.
        method: ``kenward_roger`` or ``satterthwaite``.
    """

    x: Floats
    y: Floats
    names: tuple[str, ...]
    theta: Floats
    beta: Floats
    phi: Floats
    loglik: float
    method: str
    matrices: tuple[Floats, ...] = field(repr=False)

    @property
    def sigma2(self) -> float:
        """Residual variance."""
        return float(self.theta[-1])

    @property
    def df_error(self) -> float:
        """Degrees of freedom of the residual variance (Satterthwaite: 2θ²/Var θ̂)."""
        return float(2 * self.theta[-1] ** 2 / self._variances[-1, -1])

    @property
    def components(self) -> dict[str, float]:
        """Variances as reported: never below 0."""
        return {name: max(0.0, float(value)) for name, value in zip(self.names, self.theta, strict=True)}

    @property
    def on_boundary(self) -> tuple[str, ...]:
        """Components whose estimate is at or below 0."""
        floor = 1e-8 * float(np.abs(self.theta).max())
        return tuple(name for name, value in zip(self.names[:-1], self.theta[:-1], strict=True) if value <= floor)

    @cached_property
    def _pieces(self) -> tuple[list[Floats], list[list[Floats]], Floats]:
        """P_i, Q_ij of Kenward and Roger (1997) and W, the covariance of θ̂ from the expected information."""
        v_inverse = np.linalg.inv(sum(t * g for t, g in zip(self.theta, self.matrices, strict=True)))
        vx = v_inverse @ self.x
        gvx = [g @ vx for g in self.matrices]
        p = [-(vx.T @ gvx_i) for gvx_i in gvx]
        q = [[gvx_i.T @ v_inverse @ other for other in gvx] for gvx_i in gvx]
        projector = v_inverse - vx @ self.phi @ vx.T
        pg = [projector @ g for g in self.matrices]
        information = np.array([[0.5 * np.sum(a * b.T) for b in pg] for a in pg])
        return p, q, np.linalg.pinv(information, rcond=1e-12)

    @property
    def _variances(self) -> Floats:
        return self._pieces[2]

    @cached_property
    def adjusted(self) -> Floats:
        """Φ_A = Φ + 2Φ{Σ W_ij (Q_ij − P_iΦP_j)}Φ; Φ itself under Satterthwaite."""
        if self.method == "satterthwaite":
            return self.phi
        p, q, w = self._pieces
        inner = sum(w[i, j] * (q[i][j] - p[i] @ self.phi @ p[j]) for i in range(len(p)) for j in range(len(p)))
        return np.asarray(self.phi + 2 * self.phi @ inner @ self.phi)

    def covariance(self, c: Floats) -> Floats:
        """(k, k) covariance of (k, p) contrasts."""
        return np.asarray(c @ self.adjusted @ c.T)

    def contrasts(self, c: Floats) -> Estimates:
        """Estimates with their own degrees of freedom."""
        variance = np.einsum("kp,pq,kq->k", c, self.adjusted, c)
        df = np.array([self.df_of(row) for row in c])
        return Estimates(c @ self.beta, np.sqrt(np.where(variance > 0, variance, np.nan)), df)

    def df_of(self, row: Floats) -> float:
        """2(c'Φc)²/(g'Wg), g the gradient of c'Φc in θ: Satterthwaite, and Kenward–Roger for one contrast."""
        p, _, w = self._pieces
        half = self.phi @ row
        gradient = np.array([-(half @ p_i @ half) for p_i in p])
        spread = float(gradient @ w @ gradient)
        return float(2 * (row @ half) ** 2 / spread) if spread > 0 else float("inf")

    def f_test(self, rows: Floats) -> FTest:
        """Wald F of (l, p) linearly independent rows, scaled as Kenward and Roger (1997), sec. 2.3.

        With four or fewer denominator degrees of freedom an F has no variance, and with two or fewer no mean, so that
        nothing can be matched to its moments: there it is the exact F of the stratum, or else Satterthwaite's (Fai and
        Cornelius (1996) J. Stat. Comput. Simul. 54:363).
        """
        count = len(rows)
        estimate = rows @ self.beta
        wald = float(estimate @ np.linalg.solve(rows @ self.adjusted @ rows.T, estimate)) / count
        if count == 1 or self.method == "satterthwaite":
            df = self.df_of(rows[0]) if count == 1 else self._satterthwaite_df(rows)
            return FTest(wald, count, df, float(stats.f.sf(wald, count, df)))
        alone = self._separate_df(rows)
        if np.ptp(alone) <= _SAME * alone.max():
            # One stratum: the classical F, which Kenward and Roger's equals where its moments exist.
            df = float(alone.mean())
            return FTest(wald, count, df, float(stats.f.sf(wald, count, df)))
        if alone.min() <= _NO_MOMENTS:
            plain = float(estimate @ np.linalg.solve(rows @ self.phi @ rows.T, estimate)) / count
            df = self._satterthwaite_df(rows)
            return FTest(plain, count, df, float(stats.f.sf(plain, count, df)), "Satterthwaite")
        df, scale = self._kenward_roger(rows)
        return FTest(scale * wald, count, df, float(stats.f.sf(scale * wald, count, df)))

    def _kenward_roger(self, rows: Floats) -> tuple[float, float]:
        p, _, w = self._pieces
        size = len(rows)
        theta = rows.T @ np.linalg.solve(rows @ self.phi @ rows.T, rows)
        u = [theta @ self.phi @ p_i @ self.phi for p_i in p]
        a1 = sum(w[i, j] * np.trace(u[i]) * np.trace(u[j]) for i in range(len(p)) for j in range(len(p)))
        a2 = sum(w[i, j] * np.trace(u[i] @ u[j]) for i in range(len(p)) for j in range(len(p)))
        b = (a1 + 6 * a2) / (2 * size)
        g = ((size + 1) * a1 - (size + 4) * a2) / ((size + 2) * a2)
        base = 3 * size + 2 * (1 - g)
        c1, c2, c3 = g / base, (size - g) / base, (size + 2 - g) / base
        mean = 1 / (1 - a2 / size)
        variance = 2 / size * (1 + c1 * b) / ((1 - c2 * b) ** 2 * (1 - c3 * b))
        rho = variance / (2 * mean**2)
        df = 4 + (size + 2) / (size * rho - 1)
        return float(df), float(df / (mean * (df - 2)))

    def _separate_df(self, rows: Floats) -> Floats:
        """Degrees of freedom of l uncorrelated contrasts that span the rows."""
        _, vectors = np.linalg.eigh(rows @ self.phi @ rows.T)
        return np.array([self.df_of(direction @ rows) for direction in vectors.T])

    def _satterthwaite_df(self, rows: Floats) -> float:
        """Fai and Cornelius (1996): independent single contrasts, matched on the mean of their sum; 2 without one."""
        df = self._separate_df(rows)
        if np.ptp(df) <= _SAME * df.max():
            return float(df.mean())
        if df.min() <= 2:
            return 2.0
        expected = float(np.sum(df / (df - 2)))
        return 2 * expected / (expected - len(rows))


def fit_mixed(
    x: Floats,
    y: Floats,
    random: Mapping[str, Floats],
    *,
    bounded: bool = False,
    method: str = "kenward_roger",
) -> MixedInference:
    """Fit by REML.

    Args:
        x: (n, p), full column rank.
        y: (n,), finite.
        random: Component → G = ZZ', (n, n); the residual is added.
        bounded: Hold variances at 0 or above (for variance components); tests leave them free.
        method: ``kenward_roger`` or ``satterthwaite``.

    Raises:
        AnalysisError: The components cannot be told apart, or nothing is left to estimate them, or too many runs, or
            the iteration does not converge.
    """
    n, p = x.shape
    if n <= p:
        raise AnalysisError("no runs are left to estimate the variances", "fit fewer terms or add whole plots")
    if n > _MOST_RUNS:
        raise AnalysisError(
            f"{n} runs are too many for a dense mixed model (at most {_MOST_RUNS})", "analyse means of whole plots"
        )
    scale = float(np.std(y)) or 1.0
    z = (y - y.mean()) / scale
    names = (*random, RESIDUAL)
    matrices = (*random.values(), np.eye(n))
    theta, converged = _reml(x, z, matrices, bounded=bounded)
    if not converged:
        raise AnalysisError(
            f"REML has not converged after {_ITERATIONS} steps", "fit fewer terms, or run more whole plots or blocks"
        )
    v = sum(t * g for t, g in zip(theta, matrices, strict=True))
    factor = linalg.cho_factor(v, lower=True)
    vx = linalg.cho_solve(factor, x)
    phi = np.linalg.inv(x.T @ vx)
    beta = phi @ (vx.T @ z)
    rest = z - x @ beta
    logdet = 2 * np.log(np.diag(factor[0])).sum() - np.linalg.slogdet(phi)[1]
    loglik = -0.5 * (logdet + rest @ linalg.cho_solve(factor, rest) + (n - p) * np.log(2 * np.pi))
    beta = beta * scale
    # The mean that was taken out goes back through whatever columns span it.
    beta = np.asarray(beta, dtype=np.float64) + np.linalg.lstsq(x, np.full(n, y.mean()), rcond=None)[0]
    loglik -= (n - p) * np.log(scale)
    return MixedInference(
        x=x,
        y=y,
        names=names,
        theta=theta * scale**2,
        beta=beta,
        phi=np.asarray(phi * scale**2, dtype=np.float64),
        loglik=float(loglik),
        method=method,
        matrices=matrices,
    )


def _projector(x: Floats, matrices: Sequence[Floats], theta: Floats) -> Floats | None:
    """P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹, or None where V is not positive definite."""
    v = sum(t * g for t, g in zip(theta, matrices, strict=True))
    try:
        factor = linalg.cho_factor(v, lower=True)
    except linalg.LinAlgError:
        return None
    if np.diag(factor[0]).min() ** 2 < 1e-10 * np.diag(v).max():
        return None
    inverse = linalg.cho_solve(factor, np.eye(len(x)))
    vx = inverse @ x
    return np.asarray(inverse - vx @ np.linalg.solve(x.T @ vx, vx.T))


def _reml(x: Floats, z: Floats, matrices: Sequence[Floats], *, bounded: bool) -> tuple[Floats, bool]:
    """(K,) variances, and whether they have converged."""
    count = len(matrices)
    theta = np.full(count, 0.5 / count)
    free = np.ones(count, dtype=bool)
    for _ in range(_ITERATIONS):
        projector = _projector(x, matrices, theta)
        assert projector is not None, "V starts, and is kept, positive definite"
        pg = [projector @ g for g in matrices]
        pz = projector @ z
        s = np.array([[np.sum(a * b.T) for b in pg] for a in pg])
        q = np.array([pz @ g @ pz for g in matrices])
        if np.linalg.cond(s / np.sqrt(np.outer(np.diag(s), np.diag(s)))) > 1e10:
            raise AnalysisError(
                "the variance components cannot be told apart", "whole plots need more than one run, and replicates"
            )
        target = np.zeros(count)
        target[free] = np.linalg.solve(s[np.ix_(free, free)], q[free])
        if bounded:
            free = _free(theta, target, s, q, free)
            target = np.zeros(count)
            target[free] = np.linalg.solve(s[np.ix_(free, free)], q[free])
            target = np.where(free, np.maximum(target, 0.0), 0.0)
        # A step that had to be cut to stay inside is short for that reason, and is no sign of convergence.
        wanted = step = target - theta
        while _projector(x, matrices, theta + step) is None:
            step = step / 2
            if np.abs(step).max() < 1e-12:
                return theta, False
        theta = theta + step
        if np.abs(wanted).max() <= 1e-11 * max(float(np.abs(theta).max()), 1e-8):
            return theta, True
    return theta, False


def _free(theta: Floats, target: Floats, s: Floats, q: Floats, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Components off the boundary: those estimated below 0 are held at 0, those whose score points up are let go."""
    score = q - s @ theta
    result = free.copy()
    result[:-1] &= ~(target[:-1] < 0)
    result[:-1] |= ~free[:-1] & (score[:-1] > 0)
    return result
