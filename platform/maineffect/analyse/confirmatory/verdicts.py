"""The registered rule: supported, refuted, negligible or inconclusive, and what would decide it.

supported     the interval lies beyond zero (or the smallest effect of interest, as registered) as claimed
refuted       it lies beyond zero in the other direction
negligible    two one-sided tests: the 1 − 2α interval lies inside ± the smallest effect of interest
inconclusive  otherwise, with the number of further replicates that would decide it if the estimate stayed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special, stats

from maineffect.analyse.inference.equivalence import tost

__all__ = ["Claim", "Verdict", "decide", "decision_p_value", "replicates_needed"]

Verdict = Literal["supported", "refuted", "negligible", "inconclusive"]
_MOST_REPLICATES = 1_000


@dataclass(frozen=True)
class Claim:
    """A hypothesis with its estimate.

    Attributes:
        direction: ``increase``, ``decrease``, ``different`` or ``negligible``.
        beyond: What the interval must lie beyond: ``zero`` or ``smallest_effect``.
        margin: Smallest effect of interest δ, if any.
        estimate: In the response's units.
        std_error: Its standard error.
        df: Degrees of freedom.
        critical: Half-width of the 1 − α interval in standard errors.
    """

    direction: str
    beyond: str
    margin: float | None
    estimate: float
    std_error: float
    df: float
    critical: float

    @property
    def bar(self) -> float:
        """What the interval must lie beyond."""
        return self.margin if self.beyond == "smallest_effect" and self.margin else 0.0


def decision_p_value(claim: Claim) -> float:
    """P-value of the registered decision, the one that is adjusted within the family.

    Two-sided against zero; against ±δ where the claim is ``beyond: smallest_effect``; TOST for a claim
    of negligibility.
    """
    if claim.direction == "negligible" and claim.margin:
        return tost(claim.estimate, claim.std_error, claim.df, claim.margin).p_value
    t = (abs(claim.estimate) - claim.bar) / claim.std_error
    return float(min(1.0, 2 * stats.t.sf(t, claim.df)))


def decide(claim: Claim, p_adjusted: float, alpha: float) -> tuple[Verdict, str]:
    """Verdict and, where it needs one, the reason.

    Args:
        claim: With its estimate.
        p_adjusted: The decision's p-value, adjusted within the registered family.
        alpha: Error rate.
    """
    low = claim.estimate - claim.critical * claim.std_error
    high = claim.estimate + claim.critical * claim.std_error
    inside = claim.margin is not None and (
        tost(claim.estimate, claim.std_error, claim.df, claim.margin, alpha).p_value <= alpha
    )
    if claim.direction == "negligible":
        return _negligible(claim, low, high, p_adjusted, alpha)
    up, down = low > claim.bar, high < -claim.bar
    claimed = {"increase": up, "decrease": down, "different": up or down}[claim.direction]
    opposite = {"increase": high < 0, "decrease": low > 0, "different": False}[claim.direction]
    if claimed and p_adjusted <= alpha:
        small = inside and claim.bar == 0
        return "supported", "though it is smaller than the smallest effect of interest" if small else ""
    if opposite and p_adjusted <= alpha:
        return "refuted", "the effect has the opposite direction"
    if inside:
        return "negligible", ""
    if claimed or opposite:
        return "inconclusive", f"not after adjustment for the registered family (p = {p_adjusted:.3g})"
    return "inconclusive", "the interval leaves it open"


def _negligible(claim: Claim, low: float, high: float, p_adjusted: float, alpha: float) -> tuple[Verdict, str]:
    margin = claim.margin or 0.0
    if p_adjusted <= alpha:
        return "negligible", ""
    if margin and (low > margin or high < -margin):
        return "refuted", "the effect is larger than the smallest effect of interest"
    return "inconclusive", "the interval reaches beyond the smallest effect of interest"


def replicates_needed(claim: Claim, alpha: float, replicates: int, runs_per_replicate: int) -> int | None:
    """Further replicates after which the interval would decide, were estimate and variance to stay as they are.

    Args:
        claim: With its estimate.
        alpha: Two-sided error rate, already divided by the family's size if one wants to be careful.
        replicates: Replicates so far.
        runs_per_replicate: Runs that a further replicate adds.

    Returns:
        None when not even a thousand would: the estimate sits on the border of the decision.
    """
    size = abs(claim.estimate)
    extra = np.arange(1, _MOST_REPLICATES + 1)
    se = claim.std_error * np.sqrt(replicates / (replicates + extra))
    df = claim.df + extra * max(runs_per_replicate - 1, 1)
    # Quantiles by the special function: SciPy's distributions cost more than all of the analysis around them.
    wide, narrow = (-special.stdtrit(df, tail) * se for tail in (alpha / 2, alpha))
    decided = np.zeros(len(extra), dtype=bool)
    if claim.direction != "negligible":
        decided |= size - claim.bar > wide
    elif claim.margin is not None:
        decided |= size - wide > claim.margin
    if claim.margin is not None:
        decided |= size + narrow < claim.margin
    return int(extra[np.argmax(decided)]) if decided.any() else None
