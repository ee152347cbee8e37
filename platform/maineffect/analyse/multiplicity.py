"""Many questions at once: adjusted p-values and simultaneous intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maineffect.seeds import generator
from maineffect.spec.study import Correction

__all__ = ["adjust", "simultaneous_critical"]

Floats = NDArray[np.float64]
_DRAWS = 40_000


def adjust(p_values: Sequence[float], method: Correction) -> list[float]:
    """Adjusted p-values, in the given order.

    Holm (1979), Scand. J. Stat. 6:65–70; Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57:289–300.
    """
    p = np.asarray(p_values, dtype=float)
    m = len(p)
    if m == 0 or method is Correction.NONE:
        return [float(value) for value in p]
    order = np.argsort(p, kind="stable")
    ranked = p[order]
    if method is Correction.HOLM:
        stepped = np.maximum.accumulate(ranked * (m - np.arange(m)))
    else:
        stepped = np.minimum.accumulate((ranked * m / np.arange(1, m + 1))[::-1])[::-1]
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def simultaneous_critical(correlation: Floats, df: int, alpha: float) -> float:
    """Two-sided critical value of the largest |t| of a multivariate t (Hothorn, Bretz and Westfall 2008, Biom. J. 50).

    By seeded simulation; the Monte Carlo error of the value is below 0.02 at the default size.

    Args:
        correlation: (m, m) correlations of the estimates; may be singular.
        df: Degrees of freedom of the error.
    """
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    rng = generator(0, "simultaneous", len(correlation), df)
    normal = rng.standard_normal((_DRAWS, len(correlation))) @ root.T
    scale = np.sqrt(rng.chisquare(df, size=_DRAWS) / df)
    largest = np.abs(normal).max(axis=1) / scale
    return float(np.quantile(largest, 1 - alpha))
