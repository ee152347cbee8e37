"""How precisely a design estimates each term, and with how many degrees of freedom: read from its strata.

Fixed blocks take degrees of freedom; with whole plots V = σ²(I + ηZZ'), and a term that varies between whole plots is
tested against fewer of them, however many runs there are (Montgomery, Design and Analysis of Experiments, 8th ed.,
sec. 14.4). Denominator degrees of freedom follow Satterthwaite from the expected REML information, which gives the
classical ones exactly where the design is balanced; several columns are combined as by Fai and Cornelius (1996),
J. Statist. Comput. Simul. 54:363–378.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maineffect.design.model.model import Design
from maineffect.design.model.reduced import PlotSums, chunks, triangle
from maineffect.design.model.terms import ModelMatrix

__all__ = ["Precision", "TermPrecision", "precision_of"]

Floats = NDArray[np.float64]

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class TermPrecision:
    """One term.

    Attributes:
        df: Degrees of freedom of the term.
        df_error: Denominator degrees of freedom; None without an error term.
        unit_noncentrality: λ of an effect of one σ (two levels: last minus first; else the least favourable pattern in
            which two levels differ by one σ).
        stratum: ``runs``, ``whole plots``, ``within whole plots`` or ``both``.
    """

    df: int
    df_error: float | None
    unit_noncentrality: float
    stratum: str


@dataclass(frozen=True)
class Precision:
    """All terms of a design.

    Attributes:
        model: Model matrix over the runs, blocks included, as its triangle R.
        covariance: (p, p) covariance of the coefficients over σ².
        terms: Term → precision.
    """

    model: ModelMatrix
    covariance: Floats
    terms: Mapping[str, TermPrecision]


def precision_of(
    design: Design, terms: Sequence[str] | None = None, ratio: float | None = None, extra: Floats | None = None
) -> Precision:
    """Precision of every term under the design's own blocks and whole plots.

    Args:
        terms: Estimable terms; default: the design's.
        ratio: η, whole-plot variance over run variance; default: the design's.
        extra: (n, q) further columns that the analysis fits (curvature of centre runs), in run order.
    """
    rows = {f.name: [design.levels_of(run)[f.name] for run in design.runs] for f in design.factors}
    names = tuple(design.terms if terms is None else terms)
    labels = [run.whole_plot for run in design.runs]
    blocks = [run.block for run in design.runs]

    def parts() -> Iterator[ModelMatrix]:
        return chunks(design.factors, rows, names, blocks=blocks, extra=extra)

    model, distinct = _reduced(parts())
    if labels[0] is None or len(set(labels)) in (1, len(labels)):
        return _one_stratum(model, len(labels), distinct)
    plots = PlotSums.of(labels, (part.matrix for part in parts()))
    within = triangle(_within(parts(), plots))
    return _two_strata(model, distinct, plots, within, design.variance_ratio if ratio is None else ratio)


def _reduced(parts: Iterator[ModelMatrix]) -> tuple[ModelMatrix, dict[str, Floats]]:
    """The model with R in place of X, and the distinct rows of each term."""
    first: ModelMatrix | None = None
    distinct: dict[str, Floats] = {}

    def matrices() -> Iterator[Floats]:
        nonlocal first
        for part in parts:
            first = first or part
            for term in part.terms:
                found = np.unique(np.round(part.matrix[:, part.spans[term]], 12), axis=0)
                known = distinct.get(term)
                distinct[term] = found if known is None else np.unique(np.vstack([known, found]), axis=0)
            yield part.matrix

    r = triangle(matrices())
    assert first is not None
    return replace(first, matrix=r), distinct


def _within(parts: Iterator[ModelMatrix], plots: PlotSums) -> Iterator[Floats]:
    """What the columns have within whole plots."""
    means, at = plots.means, 0
    for part in parts:
        yield part.matrix - means[plots.codes[at : at + len(part.matrix)]]
        at += len(part.matrix)


def _one_stratum(model: ModelMatrix, n: int, distinct: Mapping[str, Floats]) -> Precision:
    covariance = _inverse(model.matrix.T @ model.matrix)
    spare = n - model.matrix.shape[1]
    term_precisions = {
        term: TermPrecision(
            span.stop - span.start,
            float(spare) if spare > 0 else None,
            _unit_noncentrality(distinct[term], covariance[span, span]),
            "runs",
        )
        for term in model.terms
        for span in [model.spans[term]]
    }
    return Precision(model, covariance, term_precisions)


def _two_strata(
    model: ModelMatrix, distinct: Mapping[str, Floats], plots: PlotSums, within: Floats, ratio: float
) -> Precision:
    n, inner = len(plots.codes), within.T @ within
    strata = _Strata(inner, plots, ratio)
    covariance = _inverse(strata.gram(1.0, strata.weights))
    rank_x = int(np.linalg.matrix_rank(model.matrix))
    singular = np.linalg.svd(within, compute_uv=False)
    tolerance = np.linalg.norm(model.matrix, 2) * max(model.matrix.shape) * np.finfo(float).eps
    rank_all = len(plots.sizes) + int(np.sum(singular > tolerance))
    spare_plots, spare_runs = rank_all - rank_x, n - rank_all
    gradient = _Satterthwaite(strata, covariance) if spare_plots and spare_runs else None
    between = plots.means - plots.sums.sum(axis=0) / n
    term_precisions = {}
    for term in model.terms:
        span = model.spans[term]
        stratum = _stratum(within[:, span], between[:, span], n)
        if gradient is not None:
            df_error: float | None = gradient.df(span)
        elif stratum == "within whole plots" and spare_runs:
            # Whole plots without replication: only what varies within them has an error term.
            df_error = float(spare_runs)
        elif stratum == "whole plots" and spare_plots:
            df_error = float(spare_plots)
        else:
            df_error = None
        unit = _unit_noncentrality(distinct[term], covariance[span, span])
        term_precisions[term] = TermPrecision(span.stop - span.start, df_error, unit, stratum)
    return Precision(model, covariance, term_precisions)


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _stratum(within: Floats, between: Floats, n: int) -> str:
    """Where a term varies: its columns within plots (as R) and the means of the plots about the mean."""
    if np.linalg.norm(within) <= _TOLERANCE * np.sqrt(n):
        return "whole plots"
    return "within whole plots" if np.abs(between).max(initial=0.0) <= _TOLERANCE else "both"


class _Strata:
    """V = I + ηZZ' and what commutes with it: one value within plots, and one for the means of plots of each size."""

    def __init__(self, inner: Floats, plots: PlotSums, ratio: float) -> None:
        self.inner, self.runs = inner, len(plots.codes)
        self.sizes, self.counts = np.unique(plots.sizes, return_counts=True)
        sums = [plots.sums[plots.sizes == size] for size in self.sizes]
        self.outer = [(part.T / size) @ part for part, size in zip(sums, self.sizes, strict=True)]
        self.weights: Floats = 1 / (1 + self.sizes * ratio)

    def gram(self, inside: float, means: Floats) -> Floats:
        """X'FX of the matrix F with these values."""
        return np.asarray(inside * self.inner + sum(m * outer for m, outer in zip(means, self.outer, strict=True)))

    def trace(self, inside: float, means: Floats) -> float:
        """Trace of F."""
        return float((self.runs - self.counts.sum()) * inside + np.sum(self.counts * means))


class _Satterthwaite:
    """Expected REML information of (σ², σ²η), and the df that it gives to contrasts.

    With P = W − WXCX'W and W = V⁻¹ it is ½tr(PVᵢPVⱼ) = ½[tr(WVᵢWVⱼ) − 2tr(CX'WVᵢWVⱼWX) + tr(CX'WVᵢWXCX'WVⱼWX)]: all of
    it is in sums over plots, whatever the number of runs.
    """

    def __init__(self, strata: _Strata, covariance: Floats) -> None:
        self.covariance = covariance
        w = strata.weights
        # ∂V/∂σ² = I and ∂V/∂(σ²η) = ZZ': values within plots, and for means of plots of each size.
        parts = [(1.0, np.ones_like(w)), (0.0, strata.sizes)]
        moved = [covariance @ strata.gram(inside, means * w**2) for inside, means in parts]
        # ∂C/∂σᵢ² = C X'V⁻¹VᵢV⁻¹X C, C the covariance of the coefficients.
        self.slopes = [part @ covariance for part in moved]
        information = np.empty((2, 2))
        for i, (inside, means) in enumerate(parts):
            for j, (other, others) in enumerate(parts):
                plain = strata.trace(inside * other, means * others * w**2)
                once = np.sum(covariance * strata.gram(inside * other, means * others * w**3).T)
                information[i, j] = 0.5 * (plain - 2 * once + np.sum(moved[i] * moved[j].T))
        self.variances = np.linalg.inv(information)

    def df(self, span: slice) -> float:
        block = self.covariance[span, span]
        values, vectors = np.linalg.eigh(block)
        each = []
        for value, vector in zip(values, vectors.T, strict=True):
            slope = np.array([float(vector @ part[span, span] @ vector) for part in self.slopes])
            each.append(2 * value**2 / float(slope @ self.variances @ slope))
        if len(each) == 1:
            # Exact where the design is balanced; one degree of freedom must not become .9999999 and no test.
            whole = round(float(each[0]))
            return float(whole) if abs(each[0] - whole) < _TOLERANCE else float(each[0])
        expected = sum(df / (df - 2) for df in each if df > 2)
        count = len(each)
        return float(2 * expected / (expected - count)) if expected > count else float(min(each))


def _unit_noncentrality(rows: Floats, covariance: Floats) -> float:
    """λ when two settings of the term differ by one σ and the rest is as unfavourable as it can be.

    The smallest β'C⁻¹β with d'β = 1 is 1/(d'Cd), d the difference of two rows of the term: the inverse of the variance
    of that difference. Two levels: 1/(4·var β). With L balanced levels of n runs each: n/2, the "maximum difference"
    pattern of Cohen (1988), sec. 8.2.
    """
    directions = (rows[:, None, :] - rows[None, :, :]).reshape(-1, rows.shape[1])
    spread = np.einsum("ij,jk,ik->i", directions, covariance, directions)
    worst = float(spread.max())
    return 1 / worst if worst > 0 else 0.0
