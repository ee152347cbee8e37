"""Intervals of ω², a term's share of all variance, by simulation from the fit.

The share is λ_T·E_T over Σ λ_j·E_j + N·σ²: λ are the noncentralities of the terms, E their strata's expected error mean
squares, σ² the variance of a run over its strata, N the runs. Each unknown is drawn from its exact confidence
distribution: E = MS_error·f/χ²_f, and λ solves P(χ²_df(λ) ≥ SS/E) = U (generalised pivotal quantities; Hannig, Iyer and
Patterson (2006) J. Am. Stat. Assoc. 101:254; for λ alone they give Steiger's (2004) limits exactly). A share that may
be none has limit 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.stats import qmc

__all__ = ["Stratum", "TermSquares", "shares_in_one_stratum", "shares_in_split_plot"]

Floats = NDArray[np.float64]
_POINTS = 10
"""2^10 draws: with quasi-random points a 2.5 % quantile is within about a quarter of a percentage point."""
_LARGE = 300.0
_START, _STEPS, _SMALL_STEP = 1e-3, 8, 1e-7


@dataclass(frozen=True)
class TermSquares:
    """A term's sum of squares with its own error.

    Attributes:
        sum_sq: Of the term.
        df: Its degrees of freedom.
        error: Mean square that it is tested against.
        df_error: Degrees of freedom of that.
    """

    sum_sq: float
    df: float
    error: float
    df_error: float


@dataclass(frozen=True)
class Stratum:
    """An error mean square and its degrees of freedom."""

    mean_sq: float
    df: float


def shares_in_one_stratum(
    rows: Sequence[tuple[float, float]], model: tuple[float, float], error: Stratum, runs: int, alpha: float
) -> list[tuple[float, float]]:
    """Intervals of the total ω² of terms that share their error.

    Args:
        rows: (sum of squares, df) of each term.
        model: Sum of squares and df of everything that is fitted beside the mean: what a term does not have of it, the
            rest of the model has, orthogonal to the term.
        error: Of the fit.
        runs: N.
        alpha: 1 − coverage.
    """
    u = _uniform()
    variance = _mean_square(error, 0)
    found = []
    for sum_sq, df in rows:
        own = _noncentrality(sum_sq / variance, df, u[:, 1])
        left = model[1] - df
        rest = _noncentrality(max(model[0] - sum_sq, 0.0) / variance, left, u[:, 2]) if left > 0 else np.zeros(len(u))
        found.append(_limits(own / (runs + own + rest), alpha))
    return found


def shares_in_split_plot(
    rows: Sequence[TermSquares], run: Stratum, plot: Stratum, plots: int, runs: int, alpha: float
) -> list[tuple[float, float]]:
    """Intervals of the total ω² of terms of two strata; the variance of a run is that within plots and that of plots.

    Args:
        rows: Terms; those tested on fewer degrees of freedom than there are plots are in the plots' stratum.
        run: Error within plots.
        plot: Error between plots, per run: σ² + m·σ²_plot for m runs a plot.
        plots: Whole plots.
        runs: N.
        alpha: 1 − coverage.
    """
    u = _uniform()
    within, between = _mean_square(run, 0), _mean_square(plot, 1)
    of_plots = np.maximum(between - within, 0.0) * plots / runs
    squares = []
    for j, row in enumerate(rows):
        error = _mean_square(Stratum(row.error, row.df_error), 1 if row.df_error < plots else 0)
        # One stream for each term: the same points in another order.
        own = np.random.default_rng(j).permutation(u[:, 2])
        squares.append(error * _noncentrality(row.sum_sq / error, row.df, own))
    total = runs * (within + of_plots) + np.sum(squares, axis=0)
    return [_limits(square / total, alpha) for square in squares]


@lru_cache(maxsize=1)
def _uniform() -> Floats:
    return np.asarray(qmc.Sobol(3, rng=np.random.default_rng(1)).random_base2(_POINTS))


@lru_cache(maxsize=32)
def _chi_squares(column: int, df: float) -> Floats:
    return np.asarray(stats.chi2.ppf(_uniform()[:, column], df))


def _mean_square(stratum: Stratum, column: int) -> Floats:
    """Draws of an expected mean square, from its confidence distribution."""
    return np.asarray(stratum.mean_sq * stratum.df / _chi_squares(column, stratum.df))


def _noncentrality(ratio: Floats, df: float, u: Floats) -> Floats:
    """λ with P(χ²_df(λ) ≥ ratio) = u, and 0 where even λ = 0 reaches more."""
    found = np.zeros(len(u))
    # There the distribution is normal for every purpose.
    large = ratio > max(_LARGE, 10 * df)
    found[large] = _if_normal(ratio[large], df, u[large])
    exact = ~large & (ratio > _reached(u.tobytes(), df))
    found[exact] = _exact(ratio[exact], df, u[exact])
    return np.nan_to_num(found)


@lru_cache(maxsize=32)
def _reached(u: bytes, df: float) -> Floats:
    """What χ²_df exceeds with these probabilities: the same for every term of so many degrees of freedom."""
    return np.asarray(special.chdtri(df, np.frombuffer(u, dtype=np.float64)))


def _if_normal(ratio: Floats, df: float, u: Floats) -> Floats:
    """λ as if the noncentral χ² were normal, with mean df + λ and variance 2df + 4λ."""
    z = special.ndtri(1 - u)
    root = -2 * z + np.sqrt(np.maximum(4 * z**2 + 4 * ratio - 2 * df, 0.0))
    return np.asarray(np.maximum((root**2 - 2 * df) / 4, 0.0))


def _exact(ratio: Floats, df: float, u: Floats) -> Floats:
    """λ > 0 by Newton's method, several times faster than scipy's search; that one takes what has not converged.

    The steps are in √(2df + 4λ): of it Φ⁻¹(P(χ²_df(λ) < ratio)) is nearly a line. The derivative of P by λ is
    -f(ratio; df + 2, λ), f the noncentral density (Johnson, Kotz and Balakrishnan (1995) ch. 29).
    """
    target = special.ndtri(1 - u)
    found = np.maximum(_if_normal(ratio, df, u), _START)
    left = np.arange(len(u))
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            at, a, b = found[left], np.sqrt(ratio[left]), np.sqrt(found[left])
            below = special.ndtr(a - b) - special.ndtr(-a - b) if df == 1 else special.chndtr(ratio[left], df, at)
            z, scale = special.ndtri(below), np.sqrt(2 * df + 4 * at)
            density = 0.5 * np.exp(-((a - b) ** 2) / 2) * (a / b) ** (df / 2) * special.ive(df / 2, a * b)
            slope = -density * scale / 2 * np.sqrt(2 * np.pi) * np.exp(z**2 / 2)
            step = (target[left] - z) / slope
            found[left] = np.maximum((np.maximum(scale + step, 0.0) ** 2 - 2 * df) / 4, at / 10)
            # The error after a step is of the order of the step's square.
            left = left[~(np.abs(step) <= _SMALL_STEP * scale)]
            if not len(left):
                break
    found[left] = special.chndtrinc(ratio[left], df, 1 - u[left])
    return found


def _limits(draws: Floats, alpha: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)
