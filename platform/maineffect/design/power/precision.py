"""How precisely a design estimates each term, and with how many degrees of freedom: read from its strata.

Fixed blocks take degrees of freedom; with whole plots V = σ²(I + ηZZ'), and a term that varies between whole plots is
tested against fewer of them, however many runs there are (Montgomery, Design and Analysis of Experiments, 8th ed.,
sec. 14.4). Denominator degrees of freedom follow Satterthwaite from the expected REML information, which gives the
classical ones exactly where the design is balanced; several columns are combined as by Fai and Cornelius (1996),
J. Statist. Comput. Simul. 54:363–378.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maineffect.design.model.model import Design
from maineffect.design.model.terms import ModelMatrix, model_matrix

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
        model: Model matrix over the runs, blocks included.
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
    model = model_matrix(design.factors, rows, names, blocks=[run.block for run in design.runs])
    if extra is not None:
        model = replace(model, matrix=np.hstack([model.matrix, extra]))
    labels = [run.whole_plot for run in design.runs]
    plots = _indicators([str(label) for label in labels])
    eta = design.variance_ratio if ratio is None else ratio
    if labels[0] is None or plots.shape[1] in (1, len(labels)):
        return _one_stratum(model)
    return _two_strata(model, plots, eta)


def _indicators(labels: Sequence[str]) -> Floats:
    groups = sorted(set(labels))
    return np.array([[float(label == other) for other in groups] for label in labels])


def _one_stratum(model: ModelMatrix) -> Precision:
    x = model.matrix
    covariance = _inverse(x.T @ x)
    spare = len(x) - x.shape[1]
    term_precisions = {
        term: TermPrecision(
            span.stop - span.start,
            float(spare) if spare > 0 else None,
            _unit_noncentrality(x[:, span], covariance[span, span]),
            "runs",
        )
        for term in model.terms
        for span in [model.spans[term]]
    }
    return Precision(model, covariance, term_precisions)


def _two_strata(model: ModelMatrix, plots: Floats, ratio: float) -> Precision:
    x = model.matrix
    n = len(x)
    inverse = _inverse(np.eye(n) + ratio * plots @ plots.T)
    covariance = _inverse(x.T @ inverse @ x)
    rank_x = int(np.linalg.matrix_rank(x))
    rank_all = int(np.linalg.matrix_rank(np.hstack([x, plots])))
    spare_plots, spare_runs = rank_all - rank_x, n - rank_all
    gradient = _Satterthwaite(x, inverse, plots, covariance) if spare_plots and spare_runs else None
    term_precisions = {}
    for term in model.terms:
        span = model.spans[term]
        columns = x[:, span]
        stratum = _stratum(columns, plots)
        if gradient is not None:
            df_error: float | None = gradient.df(span)
        elif stratum == "within whole plots" and spare_runs:
            # Whole plots without replication: only what varies within them has an error term.
            df_error = float(spare_runs)
        elif stratum == "whole plots" and spare_plots:
            df_error = float(spare_plots)
        else:
            df_error = None
        unit = _unit_noncentrality(columns, covariance[span, span])
        term_precisions[term] = TermPrecision(columns.shape[1], df_error, unit, stratum)
    return Precision(model, covariance, term_precisions)


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def _stratum(columns: Floats, plots: Floats) -> str:
    sizes = plots.sum(axis=0)
    means = plots @ ((plots.T @ columns) / sizes[:, None])
    if np.allclose(means, columns, atol=_TOLERANCE):
        return "whole plots"
    centred = means - columns.mean(axis=0)
    return "within whole plots" if np.allclose(centred, 0, atol=_TOLERANCE) else "both"


class _Satterthwaite:
    """Expected REML information of (σ², σ²η), and the df that it gives to contrasts."""

    def __init__(self, x: Floats, inverse: Floats, plots: Floats, covariance: Floats) -> None:
        self.covariance = covariance
        weighted = inverse @ x
        projection = inverse - weighted @ covariance @ weighted.T
        parts = [np.eye(len(x)), plots @ plots.T]
        moved = [projection @ part for part in parts]
        information = 0.5 * np.array([[float(np.sum(a * b.T)) for b in moved] for a in moved])
        self.variances = np.linalg.inv(information)
        # ∂C/∂σᵢ² = C X'V⁻¹VᵢV⁻¹X C, C the covariance of the coefficients.
        self.slopes = [covariance @ weighted.T @ part @ weighted @ covariance for part in parts]

    def df(self, span: slice) -> float:
        block = self.covariance[span, span]
        values, vectors = np.linalg.eigh(block)
        each = []
        for value, vector in zip(values, vectors.T, strict=True):
            slope = np.array([float(vector @ part[span, span] @ vector) for part in self.slopes])
            each.append(2 * value**2 / float(slope @ self.variances @ slope))
        if len(each) == 1:
            return float(each[0])
        expected = sum(df / (df - 2) for df in each if df > 2)
        count = len(each)
        return float(2 * expected / (expected - count)) if expected > count else float(min(each))


def _unit_noncentrality(columns: Floats, covariance: Floats) -> float:
    """λ when two settings of the term differ by one σ and the rest is as unfavourable as it can be.

    The smallest β'C⁻¹β with d'β = 1 is 1/(d'Cd), d the difference of two rows of the term: the inverse of the variance
    of that difference. Two levels: 1/(4·var β). With L balanced levels of n runs each: n/2, the "maximum difference"
    pattern of Cohen (1988), sec. 8.2.
    """
    rows = np.unique(np.round(columns, 12), axis=0)
    directions = (rows[:, None, :] - rows[None, :, :]).reshape(-1, rows.shape[1])
    spread = np.einsum("ij,jk,ik->i", directions, covariance, directions)
    worst = float(spread.max())
    return 1 / worst if worst > 0 else 0.0
