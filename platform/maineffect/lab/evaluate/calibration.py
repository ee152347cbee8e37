"""Calibration and selective answering: does the stated confidence tell what will be right?

How an item without an answer counts is said in :mod:`maineffect.lab.evaluate.endings`.

Legend: N items, B bins, R bootstrap draws. Every function is invariant to the order of the items.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.endings import Abstention, Statements, abstention, statements
from maineffect.seeds import generator

__all__ = [
    "Abstention",
    "Brier",
    "CorrectedError",
    "RiskCoverage",
    "Statements",
    "abstention",
    "accuracy_at_coverage",
    "brier",
    "calibration_bins",
    "calibration_error",
    "calibration_responses",
    "corrected_calibration_error",
    "matched_coverage",
    "risk_coverage",
    "squared_calibration_error",
    "statements",
]

Floats = NDArray[np.float64]
Binning = Literal["mass", "width"]


@dataclass(frozen=True)
class Brier:
    """A Brier score and its decomposition: score = reliability − resolution + uncertainty + within.

    Attributes:
        score: Mean squared difference of forecast and outcome; 0 is perfect, 1 is always certain and wrong.
        reliability: Squared distance of stated from observed frequency (0 is calibrated).
        resolution: How far the bins' frequencies lie from the base rate (more is better).
        uncertainty: Base rate × (1 − base rate).
        within: Variance less covariance inside bins; exactly 0 when bins hold one distinct forecast.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier(forecast: ArrayLike, outcome: ArrayLike, bins: int | None = None) -> Brier:
    """Brier score (Brier, 1950, Mon. Weather Rev. 78:1–3) with Murphy's partition (1973, J. Appl. Meteor. 12:595–600).

    With bins that mix forecasts, the within-bin terms of Stephenson, Coelho and Jolliffe (2008, Weather and
    Forecasting 23:752–757, eq. 7) keep the identity exact.

    Args:
        forecast: (N,) probabilities.
        outcome: (N,) 0 or 1.
        bins: Number of equal-mass bins; None: one bin for each distinct forecast (Murphy's own).
    """
    f_N, o_N = _pair(forecast, outcome)
    groups_N = np.unique(f_N, return_inverse=True)[1] if bins is None else calibration_bins(f_N, bins)
    n_B, f_B, o_B = _bin_means(f_N, o_N, groups_N)
    base, total = float(o_N.mean()), len(f_N)
    reliability = float(np.sum(n_B * (f_B - o_B) ** 2)) / total
    resolution = float(np.sum(n_B * (o_B - base) ** 2)) / total
    spread_N = f_N - f_B[groups_N]
    within = float(np.mean(spread_N**2 - 2 * spread_N * (o_N - o_B[groups_N])))
    return Brier(float(np.mean((f_N - o_N) ** 2)), reliability, resolution, base * (1 - base), within)


def calibration_bins(forecast: ArrayLike, bins: int, kind: Binning = "mass") -> NDArray[np.intp]:
    """Bin of every forecast, 0 to at most ``bins`` − 1, without empty numbers.

    Args:
        forecast: (N,) probabilities.
        bins: Most bins.
        kind: ``mass``: equal counts; equal forecasts never part (they go where their middle rank goes), so fewer
            bins may come out. ``width``: equal widths, closed on the right, the last bin included.
    """
    f_N = np.asarray(forecast, dtype=float)
    if bins < 1:
        raise AnalysisError(f"{bins} bins", "use at least one bin")
    if kind == "width":
        raw_N = np.ceil(f_N * bins) - 1
    else:
        raw_N = np.floor((_middle_ranks(f_N) - 0.5) / len(f_N) * bins)
    return np.unique(np.clip(raw_N, 0, bins - 1), return_inverse=True)[1]


def _middle_ranks(f_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ties in their middle: ``scipy.stats.rankdata``, whose module takes .7 s of every run to import."""
    _, which_N, counts = np.unique(f_N, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which_N])


def squared_calibration_error(
    forecast: ArrayLike, outcome: ArrayLike, bins: int = 15, kind: Binning = "mass", *, debias: bool = True
) -> float:
    """Debiased ECE²: Σ_b (n_b/N)[(f̄_b − ō_b)² − ō_b(1 − ō_b)/(n_b − 1)] (Kumar, Liang and Ma, 2019, NeurIPS, def. 5.1).

    Zero in expectation for a calibrated agent, so single values may be negative: never clip before averaging. Bins
    with one item admit no unbiased estimate and count as 0.
    """
    f_N, o_N = _pair(forecast, outcome)
    n_B, f_B, o_B = _bin_means(f_N, o_N, calibration_bins(f_N, bins, kind))
    squared_B = (f_B - o_B) ** 2
    if debias:
        squared_B = np.where(n_B > 1, squared_B - o_B * (1 - o_B) / np.maximum(n_B - 1, 1), 0.0)
    return float(np.sum(n_B * squared_B) / len(f_N))


def calibration_error(forecast: ArrayLike, outcome: ArrayLike, bins: int = 15, kind: Binning = "mass") -> float:
    """Expected calibration error Σ_b (n_b/N)|f̄_b − ō_b| (Naeini, Cooper and Hauskrecht, 2015, AAAI, p. 2903).

    Biased upwards: a perfectly calibrated agent with 200 items and 15 bins shows about .086. Use it for plots, and
    :func:`corrected_calibration_error` or :func:`squared_calibration_error` for comparisons.
    """
    f_N, o_N = _pair(forecast, outcome)
    gap_B = np.bincount(calibration_bins(f_N, bins, kind), weights=f_N - o_N)
    return float(np.abs(gap_B).sum() / len(f_N))


@dataclass(frozen=True)
class CorrectedError:
    """ECE, corrected for its bias.

    Attributes:
        plain: The biased ECE.
        corrected: 2·ECE − mean of the bootstrap's ECE; may fall below 0.
        std_error: Standard deviation over bootstrap draws.
        if_calibrated: Mean ECE of a perfectly calibrated agent that states the same forecasts.
        p_value: Chance that such an agent shows this ECE or a larger one.
    """

    plain: float
    corrected: float
    std_error: float
    if_calibrated: float
    p_value: float


def corrected_calibration_error(
    forecast: ArrayLike, outcome: ArrayLike, bins: int = 15, *, seed: int = 0, draws: int = 400
) -> CorrectedError:
    """Bootstrap bias-corrected ECE (Efron and Tibshirani, 1993, An Introduction to the Bootstrap, p. 138, eq. 10.41).

    The absolute value has a kink at 0, so for a nearly calibrated agent the correction removes only √2 − 1 = 41 % of
    the bias; ``if_calibrated`` (consistency resampling: Bröcker and Smith, 2007, Weather and Forecasting 22:651–661)
    shows what is left to chance, and :func:`squared_calibration_error` is unbiased.
    """
    f_N, o_N = _pair(forecast, outcome)
    order = np.lexsort((o_N, f_N))  # A canonical order: the same items draw the same samples however they arrive.
    f_N, o_N = f_N[order], o_N[order]
    groups_N = calibration_bins(f_N, bins)
    bins_NB = np.eye(int(groups_N.max()) + 1)[groups_N]
    plain = calibration_error(f_N, o_N, bins)
    rng = generator(seed, "calibration", "bootstrap")
    counts_RN = rng.multinomial(len(f_N), np.full(len(f_N), 1 / len(f_N)), size=draws)
    drawn_R = np.abs((counts_RN * (f_N - o_N)) @ bins_NB).sum(axis=1) / len(f_N)
    outcomes_RN = rng.random((draws, len(f_N))) < f_N
    calibrated_R = np.abs((f_N - outcomes_RN) @ bins_NB).sum(axis=1) / len(f_N)
    return CorrectedError(
        plain,
        2 * plain - float(drawn_R.mean()),
        float(drawn_R.std(ddof=1)),
        float(calibrated_R.mean()),
        (1 + int(np.sum(calibrated_R >= plain - 1e-12))) / (1 + draws),
    )


@dataclass(frozen=True)
class RiskCoverage:
    """Errors among the k items that were accepted first, k = 1..N; equal ranks are averaged over their orders.

    Attributes:
        coverage_N: k/N.
        risk_N: Share of errors among the first k (selective risk).
        aurc: Mean selective risk over k: area under the risk–coverage curve.
        augrc: Mean over k of (errors among the first k)/N: area under the generalised curve.
        answered: Share of items that were answered; beyond it the curve is forced (see :func:`risk_coverage`).
    """

    coverage_N: Floats
    risk_N: Floats
    aurc: float
    augrc: float
    answered: float


def risk_coverage(run_statements: Statements) -> RiskCoverage:
    """Risk–coverage curve, AURC (Geifman and El-Yaniv, 2017, NeurIPS) and AUGRC (Traub et al., 2024, NeurIPS, eq. 7).

    AUGRC is the probability that a random item is both accepted and wrong, averaged over coverages; unlike AURC it does
    not weigh the errors among the few most confident answers beyond the rest.

    The rule for items without an answer. They are accepted last: declined ones (confidence 0) after every answer, and
    unparsed ones after those. Declining an unanswerable question is right and no error; declining an answerable one, or
    writing nothing that can be read, is an error (the scoring of SQuAD 2.0: on a question without an answer abstaining
    scores 1 and any answer 0; Rajpurkar, Jia and Liang, 2018, ACL). So declining what cannot be answered beats bluffing
    on it at any confidence; a run that declines everything has the share of answerable questions as its AURC, one that
    can never be read the worst values (1 and (N + 1)/2N). Both areas depend on the order of confidences alone: bluffing
    at .3 and at 0 differ only in the Brier score.
    """
    errors_N = _errors_among_first(run_statements)
    k_N = np.arange(1, len(errors_N) + 1)
    total = len(errors_N)
    return RiskCoverage(
        k_N / total,
        errors_N / k_N,
        float(np.mean(errors_N / k_N)),
        float(np.mean(errors_N) / total),
        float(run_statements.answered_N.mean()),
    )


def accuracy_at_coverage(run_statements: Statements, coverage: float) -> float:
    """Accuracy among the ``coverage`` share of items of which the run was surest (linear between whole items).

    Comparing runs at one coverage keeps the run that abstains more from looking better. Beyond the run's own
    coverage, items without an answer count as in :func:`risk_coverage`.

    Args:
        run_statements: One run's statements.
        coverage: In (0, 1], best from :func:`matched_coverage`.
    """
    if not 0 < coverage <= 1:
        raise AnalysisError(f"coverage {coverage:g}", "use a share above 0 and at most 1")
    errors_N = np.concatenate([[0.0], _errors_among_first(run_statements)])
    k = coverage * (len(errors_N) - 1)
    return float(1 - np.interp(k, np.arange(len(errors_N)), errors_N) / k)


def matched_coverage(runs: Iterable[Statements], least: float = 0.1) -> float:
    """The largest coverage that every run reaches by itself, but at least ``least`` (a run may never answer)."""
    return max([min(float(run.answered_N.mean()) for run in runs), least])


def calibration_responses(run_statements: Statements, bins: int = 15) -> dict[str, float]:
    """One run's calibration as responses; finite for every run, one that never answers included."""
    curve = risk_coverage(run_statements)
    return {
        "brier": brier(run_statements.forecast_N, run_statements.outcome_N).score,
        "squared_calibration_error": squared_calibration_error(
            run_statements.forecast_N, run_statements.outcome_N, bins
        ),
        "aurc": curve.aurc,
        "augrc": curve.augrc,
    }


def _errors_among_first(run_statements: Statements) -> Floats:
    """(N,) expected errors among the k surest items, over all orders of equal confidences.

    Declined items come after every answer, unparsed ones after those.
    """
    last_N = np.where(run_statements.unparsed_N, 2.0, 1.0)
    rank_N = np.where(run_statements.answered_N, -run_statements.forecast_N, last_N)
    groups_N, size_B = np.unique(rank_N, return_inverse=True, return_counts=True)[1:]
    wrong_B = np.bincount(groups_N, weights=~run_statements.correct_N) / size_B
    return np.cumsum(np.repeat(wrong_B, size_B))


def _pair(forecast: ArrayLike, outcome: ArrayLike) -> tuple[Floats, Floats]:
    f_N, o_N = np.asarray(forecast, dtype=float), np.asarray(outcome, dtype=float)
    if f_N.shape != o_N.shape or f_N.ndim != 1 or f_N.size == 0:
        raise AnalysisError(f"{f_N.shape} forecasts and {o_N.shape} outcomes", "pass one of each an item")
    if not (np.all((f_N >= 0) & (f_N <= 1)) and np.all((o_N == 0) | (o_N == 1))):
        raise AnalysisError("forecasts lie in 0 to 1 and outcomes are 0 or 1", "turn items into them by statements()")
    return f_N, o_N


def _bin_means(f_N: Floats, o_N: Floats, groups_N: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """Count, mean forecast and mean outcome of every bin."""
    n_B = np.bincount(groups_N).astype(float)
    return n_B, np.bincount(groups_N, weights=f_N) / n_B, np.bincount(groups_N, weights=o_N) / n_B
