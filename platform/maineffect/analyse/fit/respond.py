"""One response: model, effects, ANOVA, marginal means, Lenth, residuals → ResponseResult."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from maineffect.analyse.fit.anova import anova_table, with_shares
from maineffect.analyse.fit.empty_cells import needs
from maineffect.analyse.fit.least_squares import Estimates, Inference, LeastSquares
from maineffect.analyse.fit.mixed import MixedInference
from maineffect.analyse.fit.model import BLOCK, CURVATURE, AnalysisModel
from maineffect.analyse.fit.robust import RobustInference
from maineffect.analyse.fit.strata import choose_inference, wald_anova, with_robust_tests, with_split_plot_shares
from maineffect.analyse.fit.surface import Contrast, Surface
from maineffect.analyse.inference.lenth import Lenth, lenth
from maineffect.analyse.inference.multiplicity import max_t_critical
from maineffect.analyse.record.result import (
    AnovaRow,
    Effect,
    LenthResult,
    Mean,
    ModelSummary,
    NotEstimable,
    ResponseResult,
)
from maineffect.analyse.table.strata import Strata
from maineffect.design.model.terms import term_factors
from maineffect.design.power.analytic import smallest_detectable
from maineffect.spec.responses import Response

__all__ = ["Answer", "Fitted", "answer", "answer_all", "fit_response"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A response with its model and the inference that its design licences."""

    name: str
    y: Floats
    rows: tuple[int, ...]
    model: AnalysisModel
    surface: Surface
    fit: LeastSquares
    column: int
    inference: Inference
    mixed: MixedInference | None
    strata: Strata
    lenth: Lenth | None
    alpha: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What is known of one contrast."""

    estimate: float
    std_error: float | None
    df: float | None
    half_width: float | None
    p_value: float | None

    @property
    def t(self) -> float | None:
        """Estimate over standard error."""
        return None if self.std_error is None else self.estimate / self.std_error


def fit_response(
    name: str, y: Floats, rows: Sequence[int], model: AnalysisModel, fit: LeastSquares, column: int,
    strata: Strata, *, alpha: float, robust: str | None,
) -> Fitted:  # fmt: skip
    """Choose the inference and, without error degrees of freedom, Lenth's method."""
    inference, mixed, notes = choose_inference(fit, column, y, strata, robust=robust)
    judged = _judge_unreplicated(model, fit, column, alpha) if fit.df_error == 0 and not strata.mixed else None
    if float(fit.total[column]) == 0:
        notes = [*notes, "the response is constant: there is nothing to explain"]
    elif fit.df_error > 0 and float(fit.sse[column]) == 0:
        notes = [*notes, "the model fits the runs exactly: there is no error estimate"]
    elif fit.df_error == 0 and judged is None and not strata.mixed:
        notes = [*notes, "no degrees of freedom are left for error: no intervals (replicate, or fit fewer terms)"]
    values, counts = np.unique(y, return_counts=True)
    if len(values) > 1 and 2 * counts.max() > len(y):
        said = (
            f"{counts.max()} of {len(y)} runs have the same value, {values[counts.argmax()]:g}: intervals and p-values"
        )
        notes = [*notes, f"{said} assume values that vary (train longer, or choose items of another difficulty)"]
    return Fitted(
        name=name,
        y=y,
        rows=tuple(rows),
        model=model,
        surface=Surface(model),
        fit=fit,
        column=column,
        inference=inference,
        mixed=mixed,
        strata=strata,
        lenth=judged,
        alpha=alpha,
        notes=tuple(notes),
    )


def _effect_columns(model: AnalysisModel) -> list[int]:
    return [j for term in model.terms for j in range(model.spans[term].start, model.spans[term].stop)]


def _judge_unreplicated(model: AnalysisModel, fit: LeastSquares, column: int, alpha: float) -> Lenth | None:
    """Lenth's method, where the single-degree effects are uncorrelated (else it does not apply)."""
    columns = _effect_columns(model)
    if len(columns) < 3 or fit.rank < fit.x.shape[1]:
        return None
    covariance = fit.unscaled[np.ix_(columns, columns)]
    sd = np.sqrt(np.diag(covariance))
    if not np.allclose(covariance / np.outer(sd, sd), np.eye(len(columns)), atol=1e-8):
        return None
    return lenth(fit.beta[columns, column] / sd * _unit(fit), alpha)


def _unit(fit: LeastSquares) -> float:
    """Lenth's effects are scaled like two-level effects: variance 4σ²/n."""
    return 2 / float(np.sqrt(len(fit.x)))


def answer(fitted: Fitted, row: Floats) -> Answer:
    """Estimate, interval and p-value of one contrast, by t or, without error degrees of freedom, by Lenth."""
    return answer_all(fitted, row[None, :])[0]


def answer_all(fitted: Fitted, rows: Floats) -> list[Answer]:
    """As :func:`answer`, for (k, p) contrasts."""
    estimates = fitted.inference.contrasts(rows)
    return [
        _by_lenth(fitted, row, float(estimates.estimate[i])) if fitted.lenth else _by_t(estimates, i, fitted.alpha)
        for i, row in enumerate(rows)
    ]


def _by_t(estimates: Estimates, i: int, alpha: float) -> Answer:
    estimate, se, df = float(estimates.estimate[i]), float(estimates.std_error[i]), float(estimates.df[i])
    if not np.isfinite(se) or not se > 0 or not df > 0:
        return Answer(estimate, None, None, None, None)
    # What stats.t calls, without its checks: they took a tenth of an analysis.
    half = -float(special.stdtrit(df, alpha / 2)) * se
    return Answer(estimate, se, df, half, float(2 * special.stdtr(df, -abs(estimate) / se)))


def _by_lenth(fitted: Fitted, row: Floats, estimate: float) -> Answer:
    """A contrast of one column is judged by that column's ratio; others keep their estimate only."""
    assert fitted.lenth is not None
    columns = _effect_columns(fitted.model)
    used = [j for j in np.flatnonzero(row) if j in columns]
    if len(used) != 1 or np.count_nonzero(row) != 1:
        return Answer(estimate, None, None, None, None)
    factor = float(np.sqrt(row @ fitted.fit.unscaled @ row)) / _unit(fitted.fit)
    p = fitted.lenth.p_values[columns.index(int(used[0]))]
    return Answer(estimate, None, None, fitted.lenth.margin_of_error * factor, p)


def respond(fitted: Fitted, spec: Response, kind: str, run_ids: Sequence[str]) -> ResponseResult:
    """Everything about one response."""
    anova, refused = _anova(fitted, kind)
    contrasts = [c for term in fitted.model.terms for c in fitted.surface.contrasts(term)]
    effects, lost = _effects(fitted, contrasts)
    smallest = _smallest_detectable(fitted, effects)
    return ResponseResult(
        effects=effects,
        anova=anova,
        means=_means(fitted),
        model=_summary(fitted),
        lenth=None
        if fitted.lenth is None
        else LenthResult(
            pse=fitted.lenth.pse,
            margin_of_error=fitted.lenth.margin_of_error,
            simultaneous_margin=fitted.lenth.simultaneous_margin,
        ),
        variance_components=(components := _components(fitted, anova)),
        on_boundary=_on_boundary(components),
        not_estimable=_merged([*fitted.model.not_estimable, *lost, *refused]),
        unit=spec.unit,
        goal=str(spec.goal),
        smallest_effect=spec.smallest_effect,
        smallest_detectable=smallest,
        residuals=_residuals(fitted, run_ids),
    )


def _anova(fitted: Fitted, kind: str) -> tuple[list[AnovaRow], list[NotEstimable]]:
    table, refused = anova_table(fitted.model, fitted.fit, fitted.y, fitted.column, kind, fitted.alpha)
    if fitted.strata.mixed and fitted.fit.sse[fitted.column] > 0:
        table = wald_anova(fitted.model, fitted.inference, fitted.mixed, fitted.y, kind)
        table = with_split_plot_shares(table, fitted.mixed, fitted.strata, fitted.alpha)
    elif isinstance(fitted.inference, RobustInference):
        table = with_robust_tests(table, fitted.model, fitted.inference, fitted.y, kind)
    else:
        table = with_shares(table, fitted.fit, fitted.column, fitted.alpha)
    return table, refused


def _effects(fitted: Fitted, contrasts: list[Contrast]) -> tuple[list[Effect], list[NotEstimable]]:
    if not contrasts:
        return [], []
    rows = np.array([contrast.row for contrast in contrasts])
    estimable = fitted.fit.estimable(rows)
    answers = answer_all(fitted, rows)
    wide = _simultaneous(fitted, rows, answers, estimable)
    effects: list[Effect] = []
    for contrast, found, ok, half in zip(contrasts, answers, estimable, wide, strict=True):
        if not ok:
            continue
        effects.append(
            Effect(
                term=contrast.term,
                contrast=contrast.label,
                kind=contrast.kind,
                estimate=found.estimate,
                std_error=found.std_error,
                df=found.df,
                ci_low=None if found.half_width is None else found.estimate - found.half_width,
                ci_high=None if found.half_width is None else found.estimate + found.half_width,
                t=found.t,
                p_value=found.p_value,
                aliased_with=list(fitted.model.aliased_with.get(contrast.term, ())),
                simultaneous_low=None if half is None else found.estimate - half,
                simultaneous_high=None if half is None else found.estimate + half,
            )
        )
    return effects, _refused_contrasts(fitted, contrasts, estimable)


def _refused_contrasts(fitted: Fitted, contrasts: list[Contrast], estimable: NDArray[np.bool_]) -> list[NotEstimable]:
    """One entry per term of which some contrasts need empty cells."""
    lost: dict[str, list[str]] = {}
    for contrast, ok in zip(contrasts, estimable, strict=True):
        if not ok:
            lost.setdefault(contrast.term, []).append(contrast.label)
    counts = {term: sum(contrast.term == term for contrast in contrasts) for term in lost}
    return [
        NotEstimable(
            term=term,
            reason=("" if len(labels) == counts[term] else f"{', '.join(labels)}: ")
            + needs(fitted.model.empty, term_factors(term)),
        )
        for term, labels in lost.items()
    ]


def _merged(entries: list[NotEstimable]) -> list[NotEstimable]:
    """One entry per term."""
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        reasons.setdefault(entry.term, []).append(entry.reason)
    return [NotEstimable(term=term, reason="; ".join(term_reasons)) for term, term_reasons in reasons.items()]


def _simultaneous(
    fitted: Fitted, rows: Floats, answers: list[Answer], estimable: NDArray[np.bool_]
) -> list[float | None]:
    """Half-widths that hold for all effects of the response at once."""
    if fitted.lenth is not None:
        ratio = fitted.lenth.simultaneous_margin / fitted.lenth.margin_of_error
        return [
            None if contrast_answer.half_width is None else contrast_answer.half_width * ratio
            for contrast_answer in answers
        ]
    usable = [i for i, contrast_answer in enumerate(answers) if contrast_answer.std_error is not None and estimable[i]]
    if not usable:
        return [None] * len(answers)
    df = min(contrast_answer.df for contrast_answer in (answers[i] for i in usable) if contrast_answer.df is not None)
    critical = max_t_critical(fitted.inference.covariance(rows[usable]), round(df, 6), fitted.alpha)
    return [
        critical * contrast_answer.std_error if i in usable and contrast_answer.std_error else None
        for i, contrast_answer in enumerate(answers)
    ]


def _means(fitted: Fitted) -> list[Mean]:
    """Marginal means of every factor, and cell means of every pair in the model."""
    surface = fitted.surface
    fitted_terms = {frozenset(term_factors(term)) for term in fitted.model.terms}
    names = [factor.name for factor in fitted.model.factors]
    wanted = [(name,) for name in names if any(name in group for group in fitted_terms)]
    pairs = [pair for pair in combinations(names, 2) if any(set(pair) <= group for group in fitted_terms)]
    cells = [(group, cell) for group in [*wanted, *pairs] for cell in surface.cells(group)]
    if not cells:
        return []
    rows = np.array([surface.at(cell) for _, cell in cells])
    estimable = fitted.fit.estimable(rows)
    # Without an error estimate a mean has no interval (Lenth judges effects, not means).
    estimates = fitted.inference.contrasts(rows)
    means = []
    for i, (group, cell) in enumerate(cells):
        mean_answer = _by_t(estimates, i, fitted.alpha)
        if not estimable[i]:
            means.append(Mean(term=":".join(group), levels=cell, reason=needs(fitted.model.empty, group, cell)))
            continue
        half = mean_answer.half_width
        means.append(
            Mean(
                term=":".join(group),
                levels=cell,
                estimate=mean_answer.estimate,
                ci_low=None if half is None else mean_answer.estimate - half,
                ci_high=None if half is None else mean_answer.estimate + half,
            )
        )
    return means


def _summary(fitted: Fitted) -> ModelSummary:
    parts = [
        "1",
        *(name.removeprefix(":") for name in (BLOCK, CURVATURE) if name in fitted.model.spans),
        *fitted.model.terms,
        *fitted.model.covariates,
    ]
    total, sse = float(fitted.fit.total[fitted.column]), float(fitted.fit.sse[fitted.column])
    n, df = len(fitted.y), fitted.fit.df_error
    r2 = 1 - sse / total if total > 0 else None
    sigma2 = fitted.inference.sigma2
    exact = sse == 0
    return ModelSummary(
        formula=f"{fitted.name} ~ {' + '.join(parts)}" + _random_part(fitted),
        sigma=0.0 if exact and df > 0 else (float(np.sqrt(sigma2)) if sigma2 > 0 else None),
        df_error=float(fitted.inference.df_error) if df > 0 else None,
        r_squared=r2,
        adj_r_squared=1 - (sse / df) / (total / (n - 1)) if df > 0 and total > 0 else None,
        stratum=_stratum(fitted),
    )


def _stratum(fitted: Fitted) -> str:
    above = [name for name, there in (("block", fitted.strata.scattered), ("whole plot", fitted.strata.split)) if there]
    return " + ".join([*above, "run"])


def _random_part(fitted: Fitted) -> str:
    return "" if fitted.mixed is None else "".join(f" + (1 | {name})" for name in fitted.mixed.names[:-1])


def _on_boundary(components: dict[str, float] | None) -> list[str]:
    """Components whose estimate is 0."""
    return [name for name, value in (components or {}).items() if not value > 0]


def _components(fitted: Fitted, anova: list[AnovaRow]) -> dict[str, float] | None:
    if fitted.mixed is not None:
        return fitted.mixed.components
    sigma2 = fitted.inference.sigma2
    if not sigma2 > 0:
        return None
    components = {"residual": float(sigma2)}
    blocks = fitted.strata.blocks
    row = next((entry for entry in anova if entry.term == "block"), None)
    if row is not None and blocks is not None and fitted.model.has_blocks:
        sizes = np.unique(np.array(blocks), return_counts=True)[1]
        typical = (sizes.sum() - np.sum(sizes**2) / sizes.sum()) / (len(sizes) - 1)
        components["block"] = max(0.0, float((row.mean_sq - sigma2) / typical))
    return components


def _residuals(fitted: Fitted, run_ids: Sequence[str]) -> list[dict[str, object]]:
    # In a split plot the marginal residual has the total variance of its strata.
    sigma2 = sum(fitted.mixed.components.values()) if fitted.mixed is not None else fitted.inference.sigma2
    spare = 1 - np.sum(fitted.fit.basis**2, axis=1)
    residuals = fitted.fit.residuals[:, fitted.column]
    scale = np.sqrt(np.where(spare > 1e-9, sigma2 * spare, np.nan)) if sigma2 > 0 else np.full(len(residuals), np.nan)
    standard = residuals / scale
    return [
        {
            "run_id": run_ids[row],
            "fitted": float(fitted.fit.fitted[i, fitted.column]),
            "residual": float(residuals[i]),
            "standardised": float(standard[i]) if np.isfinite(standard[i]) else None,
        }
        for i, row in enumerate(fitted.rows)
    ]


def _smallest_detectable(fitted: Fitted, effects: list[Effect]) -> float | None:
    """Smallest main effect found with 80 % power: the largest standard error among main effects decides."""
    mains = [e for e in effects if e.kind == "main" and e.std_error is not None and e.df is not None]
    if not mains:
        return None
    worst = max(mains, key=lambda effect: effect.std_error or 0.0)
    assert worst.df is not None
    assert worst.std_error is not None
    value = smallest_detectable(1.0, 1, worst.df, fitted.alpha) if worst.df >= 1 else float("nan")
    return value * worst.std_error if np.isfinite(value) else None
