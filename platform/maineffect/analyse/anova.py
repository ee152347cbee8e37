"""Analysis of variance: Type III with sum coding, Type II on request."""

from __future__ import annotations

import numpy as np
from scipy import stats

from maineffect.analyse.fit import Fit
from maineffect.analyse.result import AnovaRow
from maineffect.design.terms import term_factors

__all__ = ["anova_table", "f_statistic"]


def f_statistic(fit: Fit, term: str) -> tuple[float, int, float]:
    """Sum of squares, degrees of freedom and F of a term, given all others (Type III under sum-to-zero coding)."""
    span = fit.model.spans[term]
    beta = fit.coefficients[span]
    df = span.stop - span.start
    sum_sq = float(beta @ np.linalg.solve(fit.unscaled[span, span], beta))
    with np.errstate(divide="ignore", invalid="ignore"):
        return sum_sq, df, float(np.float64(sum_sq / df) / np.float64(fit.mse))


def _residual_ss(fit: Fit, y: np.ndarray[tuple[int], np.dtype[np.float64]], terms: list[str]) -> float:
    spans = fit.model.spans
    kept = ["1", *(["block"] if "block" in spans else []), *terms]
    x = np.hstack([fit.model.matrix[:, spans[name]] for name in kept])
    beta, *_ = np.linalg.lstsq(x, y, rcond=None)
    gone = y - x @ beta
    return float(gone @ gone)


def _type_two(fit: Fit, y: np.ndarray[tuple[int], np.dtype[np.float64]], term: str) -> float:
    """Reduction by a term among the terms that do not contain it (Fox 2016, Applied Regression, sec. 8.2)."""
    inside = set(term_factors(term))
    others = [t for t in fit.model.terms if t != term and not inside < set(term_factors(t))]
    return _residual_ss(fit, y, others) - _residual_ss(fit, y, [*others, term])


def anova_table(fit: Fit, sum_of_squares: str) -> list[AnovaRow]:
    """One row per term.

    η² = SS/SS_total; ω² = (SS − df·MSE)/(SS_total + MSE) (Hays 1973; Olejnik and Algina 2003, Psychol. Methods 8:434).
    """
    y = fit.model.matrix @ fit.coefficients + fit.residuals
    rows = []
    for term in [*(["block"] if "block" in fit.model.spans else []), *fit.model.terms]:
        sum_sq, df, _ = f_statistic(fit, term)
        if sum_of_squares == "II" and term != "block":
            sum_sq = _type_two(fit, y, term)
        tested = fit.df_error > 0 and fit.mse > 0
        ratio = sum_sq / df / fit.mse if tested else None
        rows.append(
            AnovaRow(
                term=term,
                df=df,
                df_error=fit.df_error if fit.df_error > 0 else None,
                sum_sq=sum_sq,
                mean_sq=sum_sq / df,
                F=ratio,
                p_value=None if ratio is None else float(stats.f.sf(ratio, df, fit.df_error)),
                eta_sq=sum_sq / fit.total if fit.total > 0 else None,
                omega_sq=(sum_sq - df * fit.mse) / (fit.total + fit.mse)
                if fit.df_error > 0 and fit.total > 0
                else None,
            )
        )
    return rows
