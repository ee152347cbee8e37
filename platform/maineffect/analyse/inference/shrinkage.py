"""What is left of an estimate that was picked because it is large: normal empirical Bayes over a response's effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

__all__ = ["Shrunk", "shrink"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shrunk:
    """Effects as they are believed to be, in the response's units.

    Attributes:
        mean: (n,) posterior means.
        sd: (n,) posterior standard deviations.
        spread: Standard deviation τ of the true effects.
    """

    mean: Floats
    sd: Floats
    spread: float


def shrink(estimates: Sequence[float], std_errors: Sequence[float]) -> Shrunk:
    """Shrink the effects of one response towards zero, as far as their own spread says.

    Model: estimate bᵢ ~ N(θᵢ, sᵢ²), effect θᵢ ~ N(0, τ²); τ² maximises the marginal likelihood of all b. Then
    θᵢ | b ~ N(bᵢ·τ²/(τ² + sᵢ²), τ²sᵢ²/(τ² + sᵢ²)) (Morris (1983) JASA 78:47).
    With equal errors s, τ² = max(0, mean(b²) − s²). Effects have no preferred sign, so that their mean is zero.

    Args:
        estimates: n effects of one response.
        std_errors: n standard errors, positive.
    """
    b, variance = np.asarray(estimates, dtype=float), np.asarray(std_errors, dtype=float) ** 2
    if not b.size:
        return Shrunk(b, b.copy(), 0.0)

    def score(spread: float) -> float:
        """Derivative of the marginal log likelihood in τ², times 2."""
        total = spread + variance
        return float(np.sum(b**2 / total**2 - 1 / total))

    most = float(np.max(b**2))  # beyond it every term of the score is negative
    found = float(optimize.brentq(score, 0.0, most, xtol=1e-14 * most, rtol=1e-12)) if score(0.0) > 0 else 0.0
    kept = found / (found + variance)
    return Shrunk(b * kept, np.sqrt(kept * variance), float(np.sqrt(found)))
