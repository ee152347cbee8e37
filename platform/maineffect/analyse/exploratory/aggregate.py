"""Aggregates over runs × tasks: interquartile mean, probability of improvement, stratified bootstrap.

Agarwal et al. (2021) NeurIPS, "Deep RL at the edge of the statistical precipice". The bootstrap here is seeded (the
original's ``random_state`` does nothing), and resamples whole runs when one run was scored on every task: drawing a
different run for every task then covers only .40–.45 of a nominal .95. From :data:`MANY` runs a level on, intervals
come from the limits that the bootstrap approximates: DeLong, DeLong and Clarke-Pearson (1988) Biometrics 44:837 for the
probability of improvement, Yuen (1974) Biometrika 61:165 for the trimmed mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.record.result import Aggregate
from maineffect.seeds import generator

__all__ = ["MANY", "aggregates", "interquartile_mean"]

Floats = NDArray[np.float64]
Interval = tuple[float, float]
MANY = 500
"""Runs a level from which a bootstrap costs more than it adds to the normal limit."""
_DRAWS = 999
_TRIMMED = 0.25
_FEWEST = 3


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores (25 % trimmed at each end)."""
    ordered = np.sort(np.asarray(scores, dtype=float), axis=None)
    cut = int(_TRIMMED * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


def aggregates(fitted: Fitted, seed: int) -> list[Aggregate]:
    """Every factor's last level against its first, by interquartile means and the probability of improvement.

    Args:
        fitted: One response.
        seed: Root of the bootstrap's draws.
    """
    comparisons = []
    for name, factor in fitted.surface.factors.items():
        codes = _levels(fitted, name)
        if codes is None:
            continue
        first, last = fitted.y[codes == 0], fitted.y[codes == len(factor.levels) - 1]
        if min(len(first), len(last)) < _FEWEST:
            continue
        if min(len(first), len(last)) >= MANY:
            better, moved = _limits(first, last, fitted.alpha)
        else:
            rng = generator(seed, "aggregate", fitted.name, name)
            better, moved = _bootstrapped(first, last, fitted.alpha, rng)
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
                probability=float(_wins(last, first).mean()),
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


def _limits(first: Floats, last: Floats, alpha: float) -> tuple[Interval, Interval]:
    """Normal intervals of P(last > first) and of the difference of interquartile means."""
    z = float(stats.norm.isf(alpha / 2))
    above, below = _wins(last, first), 1 - _wins(first, last)
    half = z * float(np.sqrt(above.var(ddof=1) / len(last) + below.var(ddof=1) / len(first)))
    p = float(above.mean())
    wide = z * float(np.hypot(_trimmed_error(first), _trimmed_error(last)))
    moved = interquartile_mean(last) - interquartile_mean(first)
    return (max(0.0, p - half), min(1.0, p + half)), (moved - wide, moved + wide)


def _trimmed_error(scores: Floats) -> float:
    """Standard error of the interquartile mean, from the Winsorised sum of squares (Yuen (1974), eq. 2.1)."""
    n, cut = len(scores), int(_TRIMMED * len(scores))
    ordered = np.sort(scores)
    winsorised = np.clip(ordered, ordered[cut], ordered[n - cut - 1])
    kept = n - 2 * cut
    return float(np.sqrt(np.sum((winsorised - winsorised.mean()) ** 2) / (kept * (kept - 1))))


def _bootstrapped(first: Floats, last: Floats, alpha: float, rng: np.random.Generator) -> tuple[Interval, Interval]:
    """Percentile intervals of the same two, runs resampled within each level."""
    drawn_a = rng.integers(0, len(first), (_DRAWS, len(first)))
    drawn_b = rng.integers(0, len(last), (_DRAWS, len(last)))
    tails = [alpha / 2, 1 - alpha / 2]
    better = np.quantile(_superiority(last, first, drawn_b, drawn_a), tails)
    moved = np.quantile(_iqm(last[drawn_b]) - _iqm(first[drawn_a]), tails)
    return (float(better[0]), float(better[1])), (float(moved[0]), float(moved[1]))


def _superiority(x: Floats, y: Floats, drawn_x: NDArray[np.int64], drawn_y: NDArray[np.int64]) -> Floats:
    """P(X > Y) + P(X = Y)/2 of each bootstrap draw, from how often each run was drawn: no table of all pairs.

    Args:
        x: (n,).
        y: (m,).
        drawn_x: (draws, n) indices.
        drawn_y: (draws, m) indices.
    """
    order = np.argsort(y, kind="stable")
    below = np.pad(np.cumsum(_counts(drawn_y)[:, order], axis=1), ((0, 0), (1, 0)))
    left, right = (np.searchsorted(y[order], x, side) for side in ("left", "right"))
    wins = np.sum(_counts(drawn_x) * (below[:, left] + below[:, right]), axis=1)
    return np.asarray(wins / (2 * len(x) * len(y)))


def _counts(drawn: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each index occurs in each row."""
    draws, n = drawn.shape
    flat = (drawn + np.arange(draws)[:, None] * n).ravel()
    return np.bincount(flat, minlength=draws * n).reshape(draws, n)


def _iqm(rows: Floats) -> Floats:
    cut = int(_TRIMMED * rows.shape[1])
    return np.asarray(np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1))
