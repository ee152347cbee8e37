"""The chance that further runs decide a claim, and how many replicates give it a chance of 80 %.

The chance is predictive: over what the runs leave open of the effect and of the variance, with the usual flat prior
(O'Hagan, Stevens and Campbell (2005) Pharm. Stat. 4:187; Spiegelhalter, Abrams and Myles (2004) ch. 6). Further runs
are analysed with those that there are (:func:`chance_of_decision`), or by themselves (:func:`assurance`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from maineffect.analyse.confirmatory.verdicts import Claim

__all__ = [
    "ASSURANCE",
    "Belief",
    "NewPhase",
    "Rule",
    "assurance",
    "chance_of_decision",
    "decided_by",
    "is_decided",
    "replicates_needed",
]

Floats = NDArray[np.float64]
Rule = Callable[[Floats, Floats, float], NDArray[np.bool_]]
"""(draws,) estimates of a new phase, their standard errors and degrees of freedom → whether the claim is decided."""
ASSURANCE = 0.8
_MOST_REPLICATES = 1_000
_POINTS = 512
_DRAWS = 4_096


@dataclass(frozen=True)
class NewPhase:
    """What a further phase will know of one contrast by itself.

    Attributes:
        variance: Variance of its estimate over the variance of the estimate so far.
        df: Error degrees of freedom of its own.
    """

    variance: float
    df: float


@dataclass(frozen=True)
class Belief:
    """A normal belief about an effect, in the response's units: what shrinkage leaves of it."""

    mean: float
    sd: float


@lru_cache(maxsize=2)
def _points(count: int) -> Floats:
    """(count, 4) of a Halton sequence: the same on every call, without a random state."""
    return np.asarray(stats.qmc.Halton(4, scramble=False).random(count + 1)[1:])


@lru_cache(maxsize=2)
def _normal(count: int) -> tuple[Floats, Floats]:
    """Two times (count,) standard normal numbers: of the effect, and of the new estimate."""
    u = _points(count)
    return np.asarray(special.ndtri(u[:, 1])), np.asarray(special.ndtri(u[:, 2]))


@lru_cache(maxsize=256)
def _chi_square(df: float, column: int, count: int) -> Floats:
    """(count,) numbers χ²: many claims of a study, and of simulated studies, have the same degrees of freedom."""
    return np.asarray(2 * special.gammaincinv(df / 2, _points(count)[:, column]))


def assurance(
    claim: Claim, level: float, phase: NewPhase, *, belief: Belief | None = None, rule: Rule | None = None
) -> float:
    """Predictive probability that a new phase decides a claim.

    The variance is drawn from its scaled inverse χ², the effect from b + s·t_ν (or a belief), the new phase's estimate
    and standard error given both.

    Args:
        claim: With its estimate b, standard error s and degrees of freedom ν so far.
        level: Two-sided level that the claim will be held to.
        phase: What the new phase will know of the contrast.
        belief: What is believed of the effect, where b was picked because it is large.
        rule: What decides; by default the registered verdict on the new phase alone.

    Returns:
        A number from 0 to 1; 0 where the new phase has no error degrees of freedom.
    """
    if not phase.df > 0:
        return 0.0
    first, second = _normal(_DRAWS)
    sd = 1 / np.sqrt(_chi_square(claim.df, 0, _DRAWS) / claim.df)  # σ given s, in units of s
    effect = claim.estimate + claim.std_error * sd * first if belief is None else belief.mean + belief.sd * first
    error = claim.std_error * np.sqrt(phase.variance) * sd
    spread = error * np.sqrt(_chi_square(phase.df, 3, _DRAWS) / phase.df)
    estimate = effect + error * second
    decided = is_decided(claim, estimate, spread, phase.df, level) if rule is None else rule(estimate, spread, phase.df)
    return float(np.mean(decided))


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
    added = extra * max(units - 1.0, 1.0)
    # σ² given s²: df·s²/χ²; here in units of s².
    first, second = _normal(_POINTS)
    variance = claim.df / _chi_square(claim.df, 0, _POINTS)
    effect = claim.estimate + claim.std_error * np.sqrt(variance) * first
    new = effect + claim.std_error * np.sqrt(variance * replicates / extra) * second
    pooled = (claim.df + variance * _chi_square(added, 3, _POINTS)) / (claim.df + added)
    estimate = (replicates * claim.estimate + extra * new) / (replicates + extra)
    error = claim.std_error * np.sqrt(pooled * replicates / (replicates + extra))
    return float(np.mean(is_decided(claim, estimate, error, claim.df + added, level)))


def is_decided(claim: Claim, estimate: Floats, error: Floats, df: float, level: float) -> NDArray[np.bool_]:
    """Whether the verdict would not be inconclusive: the rule of the verdicts, for many estimates at once.

    Args:
        claim: Whose estimate is not used.
        estimate: (n,) in the response's units.
        error: (n,) standard errors.
        df: Their degrees of freedom.
        level: Two-sided level of the claim.
    """
    wide, narrow = (-float(special.stdtrit(df, tail)) * error for tail in (level / 2, level))
    margin = claim.margin if claim.margin is not None else -np.inf
    return decided_by(
        claim,
        above=lambda bar: estimate - wide > bar,
        below=lambda bar: estimate + wide < bar,
        inside=np.abs(estimate) + narrow < margin,
    )


def decided_by(
    claim: Claim,
    *,
    above: Callable[[float], NDArray[np.bool_]],
    below: Callable[[float], NDArray[np.bool_]],
    inside: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether the verdict would not be inconclusive, from what many tests found.

    Args:
        claim: Whose estimate is not used.
        above: Value → (n,) whether the effect was found to lie above it.
        below: Likewise below it.
        inside: (n,) whether the effect was found to lie within ± the smallest effect of interest.
    """
    if claim.direction == "negligible":
        margin = claim.margin or 0.0
        return np.asarray(inside | above(margin) | below(-margin))
    bar = claim.margin or 0.0 if claim.barred else 0.0
    if claim.direction == "increase":
        return np.asarray(inside | above(bar) | below(0.0))
    if claim.direction == "decrease":
        return np.asarray(inside | below(-bar) | above(0.0))
    return np.asarray(inside | above(bar) | below(-bar))


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
