"""Error terms from the design: one stratum, or whole plots and runs.

A test takes its error from the stratum in which its factor was randomised. In a split plot one-stratum least squares
can reverse every conclusion (Box, Hunter and Hunter (2005), ch. 9), so whole plots are never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.anova import contains, row_name, term_space, tested_rows
from maineffect.analyse.fit.least_squares import Estimates, Inference, LeastSquares, OrdinaryInference, least_squares
from maineffect.analyse.fit.mixed import MixedInference, fit_mixed, grouping
from maineffect.analyse.fit.model import AnalysisModel
from maineffect.analyse.fit.robust import RobustInference
from maineffect.analyse.inference.shares import Stratum, TermSquares, shares_in_split_plot
from maineffect.analyse.record.result import AnovaRow
from maineffect.analyse.table.strata import Strata
from maineffect.errors import AnalysisError

__all__ = ["choose_inference", "f_test", "wald_anova", "with_robust_tests", "with_split_plot_shares"]

Floats = NDArray[np.float64]
WHOLE_PLOT = "whole_plot"
_OWN = 1 - 1e-6
"""Leverage of a run that fits itself: its residual says nothing, and neither does a robust variance."""


@dataclass(frozen=True)
class _Reduced:
    """A mixed fit on a basis of X, asked in the model's own columns (X short of full rank)."""

    inner: MixedInference
    transform: Floats
    original: Floats

    @property
    def beta(self) -> Floats:
        return self.original

    @property
    def sigma2(self) -> float:
        return self.inner.sigma2

    @property
    def df_error(self) -> float:
        return self.inner.df_error

    def contrasts(self, c: Floats) -> Estimates:
        return self.inner.contrasts(c @ self.transform)

    def covariance(self, c: Floats) -> Floats:
        return self.inner.covariance(c @ self.transform)


@dataclass(frozen=True)
class _WithinPlots:
    """Whole plots without replication: only what varies within them can be tested."""

    fit: LeastSquares
    within: LeastSquares
    column: int = 0

    @property
    def beta(self) -> Floats:
        return np.asarray(self.fit.beta[:, self.column])

    @property
    def sigma2(self) -> float:
        return OrdinaryInference(self.within).sigma2

    @property
    def df_error(self) -> float:
        return float(self.within.df_error)

    def _padded(self, c: Floats) -> Floats:
        return np.hstack([c, np.zeros((len(c), self.within.x.shape[1] - c.shape[1]))])

    def contrasts(self, c: Floats) -> Estimates:
        padded = self._padded(c)
        inner = OrdinaryInference(self.within).contrasts(padded)
        estimable = self.within.estimable(padded)
        return Estimates(
            c @ self.beta, np.where(estimable, inner.std_error, np.nan), np.where(estimable, inner.df, np.nan)
        )

    def covariance(self, c: Floats) -> Floats:
        return OrdinaryInference(self.within).covariance(self._padded(c))


def choose_inference(
    fit: LeastSquares, column: int, y: Floats, strata: Strata, *, robust: str | None
) -> tuple[Inference, MixedInference | None, list[str]]:
    """The inference that the design licences.

    Returns:
        It, the mixed fit if there is one, and what a reader must know.
    """
    if strata.scattered and not strata.split:
        return _over_random_blocks(fit, column, y, strata)
    if not strata.split:
        if robust == "hc3":
            return RobustInference(fit, column, "hc3"), None, []
        if robust == "hc2" and fit.df_error > 0 and fit.sse[column] > 0:
            notes = [
                "runs were lost from a balanced design: HC2 standard errors with Bell–McCaffrey degrees of freedom"
            ]
            if RobustInference(fit).leverage.max() >= _OWN:
                notes.append(
                    "some runs are all that is left of what they tell (leverage 1): effects that rest on them have no "
                    "error estimate; run the lost cells again, or fit fewer terms"
                )
            return RobustInference(fit, column, "hc2"), None, notes
        return OrdinaryInference(fit, column), None, []
    assert strata.whole_plots is not None
    labels = strata.whole_plots
    plot_names = sorted(set(labels))
    dummies = np.array([[float(label == plot) for plot in plot_names] for label in labels])
    within = least_squares(np.hstack([fit.x, dummies]), y[:, None])
    spare = within.rank - fit.rank
    if fit.sse[column] == 0:
        return OrdinaryInference(fit, column), None, ["the model fits the runs exactly: there is no error estimate"]
    if spare == 0 or within.df_error == 0:
        why = "whole plots are not replicated" if spare == 0 else "nothing varies freely within whole plots"
        return (
            _WithinPlots(fit, within, column),
            None,
            [f"{why}: effects that vary between them have no error estimate"],
        )
    try:
        return _mixed(fit, column, y, _random(strata))
    except AnalysisError as error:
        return _WithinPlots(fit, within, column), None, [error.message]


def _random(strata: Strata) -> dict[str, Floats]:
    """Random effects of the strata: name → ZZ'."""
    random_effects = {}
    if strata.scattered and strata.blocks is not None:
        random_effects["block"] = grouping(strata.blocks)
    if strata.split and strata.whole_plots is not None:
        random_effects[WHOLE_PLOT] = grouping(strata.whole_plots)
    return random_effects


def _over_random_blocks(
    fit: LeastSquares, column: int, y: Floats, strata: Strata
) -> tuple[Inference, MixedInference | None, list[str]]:
    """Blocks as drawn from many; where that cannot be fitted, what varies within blocks is tested within them."""
    if fit.sse[column] == 0:
        return OrdinaryInference(fit, column), None, ["the model fits the runs exactly: there is no error estimate"]
    try:
        return _mixed(fit, column, y, _random(strata), keep_negative=_alike(fit.x, strata.blocks or ()))
    except AnalysisError as error:
        labels = strata.blocks or ()
        dummies = np.array([[float(label == block) for block in sorted(set(labels))] for label in labels])
        within = least_squares(np.hstack([fit.x, dummies]), y[:, None])
        return _WithinPlots(fit, within, column), None, [f"random blocks: {error.message}"]


def _mixed(
    fit: LeastSquares, column: int, y: Floats, random: Mapping[str, Floats], *, keep_negative: bool = True
) -> tuple[Inference, MixedInference | None, list[str]]:
    """The mixed fit with variances free below 0, as the classical analysis has them; where that breaks, bounded.

    Args:
        fit: Least squares of the same model.
        column: Which response.
        y: (n,) response.
        random: Random effects.
        keep_negative: Whether a variance estimated below 0 stays so: it makes tests of balanced runs exact.
    """
    try:
        inference, mixed, notes = _free_fit(fit, column, y, random)
        if (keep_negative or not mixed.on_boundary) and _healthy(mixed):
            return inference, mixed, notes
    except AnalysisError:
        mixed = None
    x = fit.x if fit.rank == fit.x.shape[1] else fit.basis
    bounded = fit_mixed(x, y, random, bounded=True)
    kept = {name: g for name, g in random.items() if name not in bounded.on_boundary}
    gone = [name.replace("_", " ") for name in random if name not in kept]
    notes = [f"the variance between {name}s is estimated as 0 (boundary): it is left out" for name in gone]
    if not kept:
        return OrdinaryInference(fit, column), None, notes
    inference, mixed, more = _free_fit(fit, column, y, kept)
    return inference, mixed, [*notes, *more]


def _free_fit(
    fit: LeastSquares, column: int, y: Floats, random: Mapping[str, Floats]
) -> tuple[Inference, MixedInference, list[str]]:
    if fit.rank == fit.x.shape[1]:
        mixed = fit_mixed(fit.x, y, random)
        return mixed, mixed, _boundary(mixed)
    mixed = fit_mixed(fit.basis, y, random)
    transform = np.linalg.pinv(fit.x) @ fit.basis
    return _Reduced(mixed, transform, fit.beta[:, column]), mixed, _boundary(mixed)


def _healthy(mixed: MixedInference) -> bool:
    """Whether every coefficient has degrees of freedom that runs can give: near a singular V they are nonsense."""
    df = np.array([mixed.df_of(row) for row in np.eye(mixed.x.shape[1])])
    return bool(np.all(np.isfinite(df)) and df.min() >= 1 - 1e-6 and df.max() <= len(mixed.y))


def _alike(x: Floats, labels: Sequence[object]) -> bool:
    """Whether every block holds the same rows of the model."""
    rows: dict[object, list[tuple[float, ...]]] = {}
    for label, row in zip(labels, np.round(x, 9), strict=True):
        rows.setdefault(label, []).append(tuple(row))
    first, *others = (sorted(block) for block in rows.values())
    return all(block == first for block in others)


def _boundary(mixed: MixedInference) -> list[str]:
    return [
        f"the variance between {name.replace('_', ' ')}s is estimated as 0 (boundary)" for name in mixed.on_boundary
    ]


def wald_anova(
    model: AnalysisModel, inference: Inference, mixed: MixedInference | None, y: Floats, kind: str
) -> list[AnovaRow]:
    """ANOVA whose F and denominator come from the inference: each term's own stratum (without one there is no F)."""
    total = float(np.sum((y - y.mean()) ** 2))
    centred = y - y.mean()
    rows = []
    for term in tested_rows(model):
        if kind == "III" and any(contains(name, term) for name in model.partial):
            continue
        space = term_space(model, term, kind)
        df = space.shape[1]
        if df == 0:
            continue
        ss = float(np.sum((space.T @ centred) ** 2))
        tested = f_test(inference, mixed, space.T @ model.matrix)
        f, df_error, p, method = tested if tested is not None else (None, None, None, "")
        error = ss / df / f if f else float("nan")
        rows.append(
            AnovaRow(
                term=row_name(term),
                df=df,
                df_error=df_error,
                sum_sq=ss,
                mean_sq=ss / df,
                F=f,
                p_value=p,
                eta_sq=ss / total if total > 0 else None,
                omega_sq=(ss - df * error) / (total + error) if f and total > 0 else None,
                method=method or None,
            )
        )
    return rows


def with_split_plot_shares(
    table: Sequence[AnovaRow], mixed: MixedInference | None, strata: Strata, alpha: float
) -> list[AnovaRow]:
    """Rows with limits of ω², where runs and whole plots are the only strata and both have an error."""
    plots = strata.whole_plots
    tested = [row for row in table if row.F and row.df_error is not None]
    if mixed is None or plots is None or strata.scattered or len(tested) < len(table) or not tested:
        return list(table)
    count, n = len(set(plots)), len(plots)
    above = [row.df_error for row in tested if row.df_error is not None and row.df_error < count]
    df_plots = min(above) if above else _spare_plots(mixed, plots)
    if df_plots <= 0:
        return list(table)
    sigma2, of_plots = mixed.components["residual"], mixed.components[WHOLE_PLOT]
    rows = [TermSquares(r.sum_sq, r.df, r.mean_sq / r.F, r.df_error) for r in tested if r.F and r.df_error is not None]
    run, plot = Stratum(sigma2, mixed.df_error), Stratum(sigma2 + of_plots * n / count, df_plots)
    found = shares_in_split_plot(rows, run, plot, count, n, alpha)
    return [
        row.model_copy(update={"omega_low": low, "omega_high": high})
        for row, (low, high) in zip(table, found, strict=True)
    ]


def _spare_plots(mixed: MixedInference, plots: Sequence[object]) -> float:
    """Degrees of freedom between plots that the model leaves."""
    names = sorted({str(plot) for plot in plots})
    dummies = np.array([[float(str(plot) == name) for name in names] for plot in plots])
    both = int(np.linalg.matrix_rank(np.hstack([mixed.x, dummies])))
    return float(both - np.linalg.matrix_rank(mixed.x))


def with_robust_tests(
    table: Sequence[AnovaRow], model: AnalysisModel, inference: RobustInference, y: Floats, kind: str
) -> list[AnovaRow]:
    """Rows whose tests trust unequal variances no more than the contrasts do; sums of squares stay.

    A Wald F of the robust covariance: with HC3 on the error's degrees of freedom (car::Anova, white.adjust), with HC2
    on the smallest of its contrasts.
    """
    tests = {row.term: row for row in wald_anova(model, inference, None, y, kind)}
    return [
        row.model_copy(
            update={
                "F": tests[row.term].F,
                "df_error": tests[row.term].df_error,
                "p_value": tests[row.term].p_value,
                "partial_eta_low": None,
                "partial_eta_high": None,
                "omega_low": None,
                "omega_high": None,
                "method": inference.kind.upper(),
            }
        )
        for row in table
        if row.term in tests
    ]


def f_test(inference: Inference, mixed: MixedInference | None, rows: Floats) -> tuple[float, float, float, str] | None:
    """Wald F of (l, p) independent contrasts: F, denominator degrees of freedom, p-value, name of an approximation.

    None where the inference has no error for one of them.
    """
    if mixed is not None:
        transformed = rows @ inference.transform if isinstance(inference, _Reduced) else rows
        test = mixed.f_test(transformed)
        return test.F, test.df_error, test.p_value, test.method
    estimates = inference.contrasts(rows)
    if not np.all(np.isfinite(estimates.std_error)):
        return None
    f = float(estimates.estimate @ np.linalg.solve(inference.covariance(rows), estimates.estimate)) / len(rows)
    df = float(estimates.df.min())
    return f, df, float(stats.f.sf(f, len(rows), df)), ""
