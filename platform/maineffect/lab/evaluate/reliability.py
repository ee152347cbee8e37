"""Reliability: how much of a score is the run, and how much the luck of the draw.

A correlation depends on how different the runs are: the same instrument had an ICC of .996 over a wide range of
abilities and of .458 over a narrow one. The standard error of measurement does not, and the smallest detectable change
1.96·√2·SEM says in the score's own unit what two single runs must differ by. Gate on that.

Legend: R runs, K repeated measurements, N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from maineffect.errors import AnalysisError

__all__ = [
    "Icc",
    "InternalConsistency",
    "Retest",
    "SplitHalf",
    "chance_corrected",
    "icc",
    "internal_consistency",
    "reliability",
    "retest",
    "smallest_detectable_change",
    "standard_error_of_measurement",
]

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Icc:
    """Intraclass correlations of (runs, measurements).

    Attributes:
        agreement: ICC(2,1): measurements drawn at random, their mean differences count as error. Coefficients are
            None where nothing varies that they could be a share of.
        agreement_interval: 95 % by default (F with Satterthwaite's degrees of freedom).
        consistency: ICC(3,1): the measurements are fixed, their mean differences do not count.
        consistency_interval: 95 % by default (F).
        ms_runs: Mean square between runs (Shrout and Fleiss: BMS).
        ms_measurements: Mean square between measurements (JMS).
        ms_error: Residual mean square (EMS).
        sem_agreement: √(σ²_measurement + σ²_error).
        sem_consistency: √σ²_error.
    """

    agreement: float | None
    agreement_interval: Interval | None
    consistency: float | None
    consistency_interval: Interval | None
    ms_runs: float
    ms_measurements: float
    ms_error: float
    sem_agreement: float
    sem_consistency: float


def icc(scores: ArrayLike, confidence: float = 0.95) -> Icc:
    """ICC(2,1) and ICC(3,1) with intervals.

    Shrout and Fleiss (1979), Psychological Bulletin 86:420–428: coefficients p. 423, intervals pp. 424–425. Standard
    errors of measurement: de Vet, Terwee, Knol and Bouter (2006), J. Clin. Epidemiology 59:1033–1039.

    Args:
        scores: (R, K), complete.
        confidence: Of the intervals.

    Raises:
        AnalysisError: Fewer than two runs or measurements, or missing values.
    """
    y_RK = _complete(scores, "runs", "measurements")
    n, k = y_RK.shape
    bms, jms, ems = _mean_squares(y_RK)
    sem_consistency = float(np.sqrt(ems))
    sem_agreement = float(np.sqrt(ems + max(jms - ems, 0.0) / n))
    if bms + jms + ems == 0:
        return Icc(
            agreement=None,
            agreement_interval=None,
            consistency=None,
            consistency_interval=None,
            ms_runs=bms,
            ms_measurements=jms,
            ms_error=ems,
            sem_agreement=sem_agreement,
            sem_consistency=sem_consistency,
        )
    tail = 0.5 + confidence / 2
    agreement = (bms - ems) / (bms + (k - 1) * ems + k * (jms - ems) / n)
    if bms + ems == 0:  # The runs do not differ at all, only the measurements.
        return Icc(
            agreement=agreement,
            agreement_interval=None,
            consistency=None,
            consistency_interval=None,
            ms_runs=bms,
            ms_measurements=jms,
            ms_error=ems,
            sem_agreement=sem_agreement,
            sem_consistency=sem_consistency,
        )
    consistency = (bms - ems) / (bms + (k - 1) * ems)
    return Icc(
        agreement=agreement,
        agreement_interval=_agreement_interval(agreement, bms, jms, ems, n, k, tail),
        consistency=consistency,
        consistency_interval=_consistency_interval(bms, ems, n, k, tail),
        ms_runs=bms,
        ms_measurements=jms,
        ms_error=ems,
        sem_agreement=sem_agreement,
        sem_consistency=sem_consistency,
    )


def reliability(observed: float, error: float) -> float:
    """1 − σ²_E/σ²_X: the share of the variance between runs that is the runs' own (Lord and Novick, 1968, p. 61).

    Where errors are the deviations of repeated measurements from their run's mean, and σ²_X is the variance of single
    measurements, this is Shrout and Fleiss's (1979) ICC(1,1). It falls below 0 where the runs differ by less than
    their errors alone would make them.

    Args:
        observed: Variance between runs, σ²_X.
        error: Variance of the measurement of one run, σ²_E.

    Raises:
        AnalysisError: Variances that are none, or runs that do not differ.
    """
    if not (observed > 0 and error >= 0):
        raise AnalysisError(
            f"a variance of {observed:g} between runs and of {error:g} within", "reliability needs runs that differ"
        )
    return 1 - error / observed


def standard_error_of_measurement(sd: float, reliability: float) -> float:
    """SD·√(1 − reliability) (Lord and Novick, 1968, Statistical Theories of Mental Test Scores, p. 60, eq. 3.4.4)."""
    return float(sd * np.sqrt(max(1 - reliability, 0.0)))


def smallest_detectable_change(sem: float, confidence: float = 0.95) -> float:
    """z·√2·SEM: two single runs that differ by less cannot be told apart.

    Beckerman et al. (2001), Quality of Life Research 10:571–578.
    """
    return float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(2) * sem)


@dataclass(frozen=True)
class Retest:
    """The same runs measured twice.

    Attributes:
        runs: Number of runs.
        correlation: Pearson's; None if either measurement is constant.
        interval: By Fisher's z; None below four runs.
        icc: Intraclass correlations of the two measurements.
        sem: Standard error of measurement (agreement: a shift between draws is error too).
        smallest_detectable_change: 1.96·√2·SEM at 95 %.
    """

    runs: int
    correlation: float | None
    interval: Interval | None
    icc: Icc
    sem: float
    smallest_detectable_change: float


def retest(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> Retest:
    """Test–retest reliability of a response: repeated sampling on the same items, or a second draw of items.

    Args:
        first: (R,) response of every run.
        second: (R,) the same runs, measured again.
        confidence: Of the intervals and the smallest detectable change.
    """
    x_R, y_R = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if x_R.shape != y_R.shape or x_R.ndim != 1:
        raise AnalysisError(f"measurements of shapes {x_R.shape} and {y_R.shape}", "measure the same runs twice")
    both = icc(np.column_stack([x_R, y_R]), confidence)
    r = _correlation(x_R, y_R)
    return Retest(
        runs=len(x_R),
        correlation=r,
        interval=_fisher_interval(r, len(x_R), confidence),
        icc=both,
        sem=both.sem_agreement,
        smallest_detectable_change=smallest_detectable_change(both.sem_agreement, confidence),
    )


@dataclass(frozen=True)
class InternalConsistency:
    """What one administration tells of the reliability of a mean over items.

    Attributes:
        alpha: Cronbach's α = KR-20 for 0/1 scores = ICC(3,k); None if all runs score alike.
        sem: Standard error of a run's mean score for differences between runs on the same items: √(MS_error/N).
        smallest_detectable_change: 1.96·√2·SEM.
    """

    alpha: float | None
    sem: float
    smallest_detectable_change: float


def internal_consistency(scores: ArrayLike) -> InternalConsistency:
    """Hoyt's analysis of variance (1941, Psychometrika 6:153–160): α = 1 − MS_error/MS_runs.

    SEM = SD·√(1 − α) = √(MS_error/N) holds exactly. What all runs share, the items' difficulty, cancels.

    Args:
        scores: (R, N), complete.
    """
    y_RN = _complete(scores, "runs", "items")
    bms, _, ems = _mean_squares(y_RN)
    sem = float(np.sqrt(ems / y_RN.shape[1]))
    alpha = 1 - ems / bms if bms > 0 else None
    return InternalConsistency(alpha, sem, smallest_detectable_change(sem))


@dataclass(frozen=True)
class SplitHalf:
    """Agreement of two halves.

    Attributes:
        correlation: Between the halves' means; averaged over splits; None if a half is constant in every split.
        stepped_up: Spearman–Brown: reliability of both halves together.
        splits: Splits with an estimate.
    """

    correlation: float | None
    stepped_up: float | None
    splits: int


def chance_corrected(score: ArrayLike, floor: ArrayLike) -> Floats:
    """PC* = (PC − F)/(1 − F): 0 at the best registered shortcut, 1 at perfect, below 0 under the shortcut.

    The form of Cohen's κ (1960, Educ. Psych. Measurement 20:37–46) with the shortcut in the place of chance.

    Args:
        score: PC, share right.
        floor: F, the best shortcut's share; published with the battery version.

    Raises:
        AnalysisError: A floor of 1 or more: a shortcut that is always right leaves nothing to measure.
    """
    pc, f = np.asarray(score, dtype=float), np.asarray(floor, dtype=float)
    if np.any(f >= 1):
        raise AnalysisError("a shortcut scores 1 on this probe", "drop the probe, or make it discriminate")
    return np.asarray((pc - f) / (1 - f), dtype=float)


def _complete(scores: ArrayLike, rows: str, columns: str) -> Floats:
    y = np.asarray(scores, dtype=float)
    if y.ndim != 2 or min(y.shape) < 2 or not np.isfinite(y).all():
        raise AnalysisError(
            f"a {y.shape} table of {rows} by {columns}",
            f"reliability needs a complete table with at least two {rows} and two {columns}",
        )
    return y


def _mean_squares(y: Floats) -> tuple[float, float, float]:
    """Between rows, between columns, residual, of the two-way layout with one value a cell."""
    n, k = y.shape
    row, column, grand = y.mean(axis=1), y.mean(axis=0), y.mean()
    rest = y - row[:, None] - column + grand
    squares = np.array(
        [
            k * np.sum((row - grand) ** 2) / (n - 1),
            n * np.sum((column - grand) ** 2) / (k - 1),
            np.sum(rest**2) / ((n - 1) * (k - 1)),
        ]
    )
    squares[squares < 1e-20 * float(np.abs(y).max()) ** 2] = 0.0  # What rounding leaves of zero.
    bms, jms, ems = squares.tolist()
    return bms, jms, ems


def _consistency_interval(bms: float, ems: float, n: int, k: int, tail: float) -> Interval:
    if ems == 0:
        return 1.0, 1.0
    ratio, df = bms / ems, (n - 1) * (k - 1)
    low, high = ratio / stats.f.ppf(tail, n - 1, df), ratio * stats.f.ppf(tail, df, n - 1)
    return float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1))


def _agreement_interval(rho: float, bms: float, jms: float, ems: float, n: int, k: int, tail: float) -> Interval | None:
    if ems == 0:
        return (1.0, 1.0) if jms == 0 else None  # No residual: the approximation has no degrees of freedom.
    fj, rest = jms / ems, n * (1 + (k - 1) * rho) - k * rho
    v = (k - 1) * (n - 1) * (k * rho * fj + rest) ** 2 / ((n - 1) * k**2 * rho**2 * fj**2 + rest**2)
    above, below = float(stats.f.ppf(tail, n - 1, v)), float(stats.f.ppf(tail, v, n - 1))
    common = k * jms + (k * n - k - n) * ems
    low = n * (bms - above * ems) / (above * common + n * bms)
    high = n * (below * bms - ems) / (common + n * below * bms)
    # With hardly any variance between runs the approximate degrees of freedom vanish: no interval then.
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def _correlation(x_R: Floats, y_R: Floats) -> float | None:
    if min(float(np.ptp(x_R)), float(np.ptp(y_R))) == 0:
        return None
    return float(np.corrcoef(x_R, y_R)[0, 1])


def _fisher_interval(r: float | None, runs: int, confidence: float) -> Interval | None:
    """Fisher's z (1921, Metron 1:3–32)."""
    if r is None or runs < 4:
        return None
    middle = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    half = stats.norm.ppf(0.5 + confidence / 2) / np.sqrt(runs - 3)
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))
