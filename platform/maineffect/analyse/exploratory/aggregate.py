"""Aggregates over runs: interquartile mean and probability of improvement, with studentised intervals.

Agarwal et al. (2021) NeurIPS, "Deep RL at the edge of the statistical precipice", with intervals that hold for few
runs: the percentile bootstrap covers .79 of a nominal .95 at three runs a level. The probability of improvement has
Newcombe's interval (2006, Stat. Med. 25:559), the trimmed mean Yuen's (1974, Biometrika 61:165).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.record.result import Aggregate

__all__ = ["aggregates", "interquartile_mean"]

Floats = NDArray[np.float64]
Interval = tuple[float, float]
_TRIMMED = 0.25
_FEWEST = 3
_TINY = 1e-9


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores (25 % trimmed at each end)."""
    ordered = np.sort(np.asarray(scores, dtype=float), axis=None)
    cut = int(_TRIMMED * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


def aggregates(fitted: Fitted) -> list[Aggregate]:
    """Every factor's last level against its first, by interquartile means and the probability of improvement.

    Args:
        fitted: One response.
    """
    comparisons = []
    for name, factor in fitted.surface.factors.items():
        codes = _levels(fitted, name)
        if codes is None:
            continue
        first, last = fitted.y[codes == 0], fitted.y[codes == len(factor.levels) - 1]
        if min(len(first), len(last)) < _FEWEST:
            continue
        probability = float(_wins(last, first).mean())
        better = _better(probability, len(first), len(last), fitted.alpha)
        moved = _moved(first, last, fitted.alpha)
        comparisons.append(
            Aggregate(
                response=fitted.name,
                factor=name,
                first_level=factor.levels[0],
                last_level=factor.levels[-1],
                iqm_first=interquartile_mean(first),
                iqm_last=interquartile_mean(last),
                difference_low=moved[0],
                difference_high=moved[1],
                probability=probability,
                probability_low=better[0],
                probability_high=better[1],
            )
        )
    return comparisons


def _levels(fitted: Fitted, name: str) -> NDArray[np.int64] | None:
    """Level index of each run, read from the model; None where the factor has no main effect in it."""
    if name not in fitted.model.spans:
        return None
    run_codes, level_codes = fitted.model.matrix[:, fitted.model.spans[name]], fitted.model.parts[name]
    distance = np.abs(run_codes[:, None, :] - level_codes[None, :, :]).sum(axis=2)
    return np.where(distance.min(axis=1) < 1e-9, distance.argmin(axis=1), -1).astype(np.int64)


def _wins(x: Floats, y: Floats) -> Floats:
    """(n,) share of y that each x is above, ties counting half."""
    ordered = np.sort(y)
    left, right = (np.searchsorted(ordered, x, side) for side in ("left", "right"))
    return np.asarray((left + right) / (2 * len(y)))


def _moved(first: Floats, last: Floats, alpha: float) -> Interval:
    """Interval of the difference of interquartile means: Yuen's t with Welch's degrees of freedom."""
    (before, spare), (after, more) = _trimmed_error(first), _trimmed_error(last)
    variance = before**2 + after**2
    moved = interquartile_mean(last) - interquartile_mean(first)
    if variance == 0:
        return moved, moved
    df = variance**2 / (before**4 / spare + after**4 / more)
    half = float(stats.t.isf(alpha / 2, df) * np.sqrt(variance))
    return moved - half, moved + half


def _trimmed_error(scores: Floats) -> tuple[float, int]:
    """Standard error of the interquartile mean, from the Winsorised sum of squares (Yuen (1974), eq. 2.1); its df."""
    n, cut = len(scores), int(_TRIMMED * len(scores))
    ordered = np.sort(scores)
    winsorised = np.clip(ordered, ordered[cut], ordered[n - cut - 1])
    kept = n - 2 * cut
    return float(np.sqrt(np.sum((winsorised - winsorised.mean()) ** 2) / (kept * (kept - 1)))), kept - 1


def _better(p: float, first: int, last: int, alpha: float) -> Interval:
    """Interval of P(last > first) from two sample sizes, by inverting (p − θ)² = t²V(θ).

    V is Hanley and McNeil's variance with both sizes at their mean (Newcombe (2006) Stat. Med. 25:559, method 5), the
    quantile that of t with n + m − 2 degrees of freedom. It has a width also where every last run beats every first.
    """
    size = (first + last) / 2
    t = float(stats.t.isf(alpha / 2, first + last - 2))

    def excess(theta: float) -> float:
        spread = 1 + (size - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (p - theta) ** 2 - t**2 * theta * (1 - theta) * spread / (first * last)

    low = 0.0 if p <= 0 else float(optimize.brentq(excess, 0.0, min(p, 1 - _TINY)))
    high = 1.0 if p >= 1 else float(optimize.brentq(excess, max(p, _TINY), 1.0))
    return low, high
