"""Multiplicity: adjusted p-values and simultaneous critical values.

Holm (1979) Scand. J. Statist. 6:65; Benjamini and Hochberg (1995) JRSS-B 57:289; Benjamini and Yekutieli (2001)
Ann. Statist. 29:1165; Hommel (1988) Biometrika 75:383; Hochberg (1988) Biometrika 75:800.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, optimize, special, stats

from maineffect.errors import AnalysisError
from maineffect.seeds import generator

__all__ = ["METHODS", "adjust", "max_t_critical", "max_t_p_values", "studentized_maximum_modulus"]

Floats = NDArray[np.float64]
_DRAWS = 40_000


def _none(p: Floats) -> Floats:
    return p.copy()


def _holm(p: Floats) -> Floats:
    return np.maximum.accumulate(p * np.arange(len(p), 0, -1))


def _bh(p: Floats) -> Floats:
    m = len(p)
    return np.minimum.accumulate((p * m / np.arange(1, m + 1))[::-1])[::-1]


METHODS: dict[str, Callable[[Floats], Floats]] = {
    "none": _none,
    "holm": _holm,
    "bh": _bh,
}
"""Method → adjustment of ascending p-values."""


def adjust(p_values: Sequence[float | None] | Floats, method: str) -> list[float | None]:
    """Adjusted p-values in the order given.

    Args:
        p_values: m p-values; None (no test) stays None and does not count.
        method: One of :data:`METHODS`.

    Raises:
        AnalysisError: Unknown method, or a p-value outside [0, 1].
    """
    if method not in METHODS:
        raise AnalysisError(f"no correction {method!r}", f"known: {', '.join(METHODS)}")
    tested = [i for i, p in enumerate(p_values) if p is not None and np.isfinite(p)]
    p = np.array([p_values[i] for i in tested], dtype=float)
    if np.any((p < 0) | (p > 1)):
        raise AnalysisError(f"a p-value lies outside 0 to 1: {p.tolist()}", "pass p-values, not test statistics")
    result: list[float | None] = [None] * len(p_values)
    if len(p):
        order = np.argsort(p, kind="stable")
        adjusted = np.minimum(METHODS[method](p[order]), 1.0)
        for rank, i in enumerate(order):
            result[tested[int(i)]] = float(adjusted[rank])
    return result


@lru_cache(maxsize=512)
def studentized_maximum_modulus(alpha: float, count: int, df: float) -> float:
    """Upper α point of max|tᵢ| for independent numerators over one χ²: by integration.

    P(max|t| ≤ c) = ∫ (2Φ(cs) − 1)^m f(s) ds, s² ~ χ²_df/df. Stoline and Ury (1979) Technometrics 21:87.
    """
    if not np.isfinite(df) or df > 1e6:
        return float(stats.norm.isf((1 - (1 - alpha) ** (1 / count)) / 2))
    low, high = (float(np.sqrt(stats.chi2.ppf(q, df) / df)) for q in (1e-13, 1 - 1e-13))

    # The logarithm of χ²_df's density: stats.chi2.pdf takes ten times as long for one number.
    log_gamma, log_power = float(special.gammaln(df / 2)), float(np.log(2) * df / 2)

    def exceed(c: float) -> float:
        def integrand(s: float) -> float:
            x = df * s * s
            density = 2 * df * s * float(np.exp(special.xlogy(df / 2 - 1, x) - x / 2 - log_gamma - log_power))
            return float((2 * special.ndtr(c * s) - 1) ** count) * density

        return 1 - integrate.quad(integrand, low, high, limit=200, points=[1.0])[0] - alpha

    start = float(stats.t.isf(alpha / 2, df))
    stop = float(stats.t.isf(alpha / (2 * count), df)) + 1e-6
    return start if count == 1 else float(optimize.brentq(exceed, start, stop, xtol=1e-8))


def _draw_maxima(correlation: Floats, df: float) -> Floats:
    """Ascending draws of max|t|, seeded by the problem's size, the same on every call."""
    rng = generator(0, "max-t", correlation.shape[0], round(df * 1000) if np.isfinite(df) else "inf")
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    z = np.abs(rng.standard_normal((_DRAWS, len(values))) @ root.T).max(axis=1)
    scale = np.sqrt(rng.chisquare(df, _DRAWS) / df) if np.isfinite(df) else 1.0
    maxima = np.empty(_DRAWS)
    maxima[:] = z / scale
    maxima.sort()
    return maxima


@lru_cache(maxsize=64)
def _maxima(correlation: bytes, size: int, df: float) -> Floats:
    return _draw_maxima(np.array(np.frombuffer(correlation, dtype=np.float64)).reshape(size, size), df)


def _correlation(covariance: ArrayLike) -> Floats:
    matrix = np.asarray(covariance, dtype=float)
    sd = np.sqrt(np.diag(matrix))
    return np.asarray(np.round(matrix / np.outer(sd, sd), 9), dtype=np.float64)


def max_t_critical(covariance: ArrayLike, df: float, alpha: float) -> float:
    """Critical value of max|t| over k contrasts: simultaneous intervals are estimate ± value × standard error.

    Args:
        covariance: (k, k) of the contrasts, non-zero variances.
        df: Error degrees of freedom.
        alpha: Family error rate.

    Independent contrasts are integrated, others simulated (seeded, multivariate t; Hothorn, Bretz and Westfall
    (2008) Biom. J. 50:346).
    """
    correlation = _correlation(covariance)
    size = correlation.shape[0]
    if np.allclose(correlation, np.eye(size), atol=1e-8):
        return studentized_maximum_modulus(float(alpha), size, float(df))
    return float(np.quantile(_maxima(correlation.tobytes(), size, float(df)), 1 - alpha))


def max_t_p_values(covariance: ArrayLike, t: ArrayLike, df: float) -> Floats:
    """Single-step max-|t| adjusted p-values of k contrasts, by seeded simulation: (1 + hits)/(1 + draws)."""
    correlation = _correlation(covariance)
    maxima = _maxima(correlation.tobytes(), correlation.shape[0], float(df))
    below = np.searchsorted(maxima, np.abs(np.asarray(t, dtype=float)), side="left")
    simulated = (1.0 + len(maxima) - below) / (1.0 + len(maxima))
    single = 2 * special.stdtr(df, -np.abs(np.asarray(t, dtype=float)))
    return np.asarray(np.clip(simulated, single, 1.0))
