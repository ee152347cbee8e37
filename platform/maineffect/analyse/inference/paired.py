"""The mean difference within pairs, with Student's interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["PairedTest", "paired"]


@dataclass(frozen=True)
class PairedTest:
    """What pairs say of a difference; None where they do not say it."""

    first: float | None
    second: float | None
    difference: float | None
    std_error: float | None
    low: float | None
    high: float | None
    p_value: float | None


def paired(first: Sequence[float], second: Sequence[float], alpha: float) -> PairedTest:
    """First minus second over pairs (Student 1908, Biometrika 6:1).

    Args:
        first: One value a pair.
        second: Its partners, in the same order.
        alpha: The interval holds with probability 1 − α.
    """
    n = len(first)
    if n == 0:
        return PairedTest(None, None, None, None, None, None, None)
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    means, difference = (float(np.mean(first)), float(np.mean(second))), float(gaps.mean())
    error = float(gaps.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    if not error > 0:
        return PairedTest(*means, difference, None, None, None, None)
    half = float(stats.t.isf(alpha / 2, n - 1)) * error
    p_value = float(2 * stats.t.sf(abs(difference) / error, n - 1))
    return PairedTest(*means, difference, error, difference - half, difference + half, p_value)
