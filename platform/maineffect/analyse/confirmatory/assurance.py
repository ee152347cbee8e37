"""How many further replicates would decide a claim, with a chance of 80 %.

The chance is predictive: over what the runs leave open of the effect and of the variance, with the usual flat prior
(O'Hagan, Stevens and Campbell (2005) Pharm. Stat. 4:187; Spiegelhalter, Abrams and Myles (2004) ch. 6).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from maineffect.analyse.confirmatory.verdicts import Claim

__all__ = ["ASSURANCE", "chance_of_decision", "replicates_needed"]

Floats = NDArray[np.float64]
ASSURANCE = 0.8
_MOST_REPLICATES = 1_000
_POINTS = 512


@lru_cache(maxsize=1)
def _points() -> Floats:
    """(points, 4) of a Halton sequence: the same on every call, without a random state."""
    return np.asarray(stats.qmc.Halton(4, scramble=False).random(_POINTS + 1)[1:])


def chance_of_decision(claim: Claim, level: float, replicates: int, extra: int, units: float) -> float:
    """Predictive probability that the claim is supported, refuted or found negligible after further replicates.

    Args:
        claim: With its estimate, standard error and degrees of freedom so far.
        level: Two-sided level that the claim is held to within its family.
        replicates: Replicates so far.
        extra: Further ones.
        units: Experimental units of the claim's stratum in one replicate; each further replicate adds units − 1
            degrees of freedom, as the replicate itself costs one.
    """
    u = _points()
    added = extra * max(units - 1.0, 1.0)
    # σ² given s²: df·s²/χ²; here in units of s².
    variance = claim.df / (2 * special.gammaincinv(claim.df / 2, u[:, 0]))
    effect = claim.estimate + claim.std_error * np.sqrt(variance) * special.ndtri(u[:, 1])
    new = effect + claim.std_error * np.sqrt(variance * replicates / extra) * special.ndtri(u[:, 2])
    pooled = (claim.df + variance * 2 * special.gammaincinv(added / 2, u[:, 3])) / (claim.df + added)
    estimate = (replicates * claim.estimate + extra * new) / (replicates + extra)
    error = claim.std_error * np.sqrt(pooled * replicates / (replicates + extra))
    return float(np.mean(_decided(claim, estimate, error, claim.df + added, level)))


def _decided(claim: Claim, estimate: Floats, error: Floats, df: float, level: float) -> NDArray[np.bool_]:
    """Whether the verdict would not be inconclusive: the rule of the verdicts, for many estimates at once."""
    wide, narrow = (-float(special.stdtrit(df, tail)) * error for tail in (level / 2, level))
    inside = np.zeros(len(estimate), dtype=bool) if claim.margin is None else np.abs(estimate) + narrow < claim.margin
    if claim.direction == "negligible":
        return np.asarray(inside | (np.abs(estimate) - wide > (claim.margin or 0.0)))
    bar = claim.margin or 0.0 if claim.barred else 0.0
    claimed, other = {
        "increase": (estimate - wide > bar, estimate + wide < 0),
        "decrease": (estimate + wide < -bar, estimate - wide > 0),
    }.get(claim.direction, (np.abs(estimate) - wide > bar, np.zeros(len(estimate), dtype=bool)))
    return np.asarray(inside | claimed | other)


def replicates_needed(claim: Claim, level: float, replicates: int, units: float) -> int | None:
    """Fewest further replicates after which a verdict is reached with a chance of 80 %.

    Args:
        claim: With its estimate.
        level: Two-sided level that the claim is held to within its family.
        replicates: Replicates so far.
        units: Experimental units of the claim's stratum in one replicate.

    Returns:
        None when not even a thousand would.
    """

    def enough(extra: int) -> bool:
        return chance_of_decision(claim, level, replicates, extra, units) >= ASSURANCE

    if not enough(_MOST_REPLICATES):
        return None
    low, high = 0, 1
    while not enough(high):
        low, high = high, min(2 * high, _MOST_REPLICATES)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
