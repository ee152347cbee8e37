"""What the registered rule says: supported, refuted, negligible or inconclusive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from maineffect.spec.responses import Direction

__all__ = ["Evidence", "Verdict", "judge", "replicates_needed"]

Verdict = Literal["supported", "refuted", "negligible", "inconclusive"]


@dataclass(frozen=True)
class Evidence:
    """An estimate with what is needed to judge it.

    Attributes:
        margin: Smallest effect of interest, if stated.
        beyond: How far from zero the interval must lie for the claim (zero or the margin).
    """

    estimate: float
    std_error: float
    df: float
    p_adjusted: float | None
    alpha: float
    direction: Direction
    margin: float | None
    beyond: float

    def interval(self, alpha: float) -> tuple[float, float]:
        """Two-sided t interval."""
        half = float(stats.t.isf(alpha / 2, self.df)) * self.std_error
        return self.estimate - half, self.estimate + half


def judge(evidence: Evidence) -> Verdict:
    """Apply the rule.

    Supported: the interval lies beyond zero (or the margin, as registered) in the claimed direction and the adjusted
    p-value is below alpha. Refuted: the same in the other direction. Negligible: the 1 − 2α interval lies inside the
    margins (two one-sided tests; Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657–680). Else inconclusive.
    """
    low, high = evidence.interval(evidence.alpha)
    below_alpha = evidence.p_adjusted is None or evidence.p_adjusted < evidence.alpha
    up, down = below_alpha and low > evidence.beyond, below_alpha and high < -evidence.beyond
    inner_low, inner_high = evidence.interval(2 * evidence.alpha)
    inside = evidence.margin is not None and -evidence.margin < inner_low and inner_high < evidence.margin
    if evidence.direction is Direction.NEGLIGIBLE:
        margin = evidence.margin or 0.0
        outside = below_alpha and (low > margin or high < -margin)
        return "negligible" if inside else "refuted" if outside else "inconclusive"
    claims = {
        Direction.INCREASE: (up, down),
        Direction.DECREASE: (down, up),
        Direction.DIFFERENT: (up or down, False),
    }
    supported, refuted = claims[evidence.direction]
    if supported:
        return "supported"
    if refuted:
        return "refuted"
    return "negligible" if inside else "inconclusive"


def replicates_needed(evidence: Evidence, replicates: int, most: int = 1000) -> int | None:
    """Replicates in all at which the present estimate would be decided, either way; None beyond ``most``.

    The standard error shrinks with the root of the replicates; its own uncertainty is ignored, so this is a planning
    figure, not a promise.
    """
    for count in range(replicates + 1, most + 1):
        error = evidence.std_error * np.sqrt(replicates / count)
        df = evidence.df * count / replicates
        half = float(stats.t.isf(evidence.alpha / 2, df)) * error
        inner = float(stats.t.isf(evidence.alpha, df)) * error
        if abs(evidence.estimate) - half > evidence.beyond:
            return count
        if evidence.margin is not None and abs(evidence.estimate) + inner < evidence.margin:
            return count
    return None
