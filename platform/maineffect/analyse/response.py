"""One response: which terms its runs can estimate, the fit, effects, means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.anova import anova_table, f_statistic
from maineffect.analyse.contrasts import cell_contrast, level_grid, term_contrasts
from maineffect.analyse.fit import Fit, least_squares
from maineffect.analyse.lenth import lenth
from maineffect.analyse.multiplicity import simultaneous_critical
from maineffect.analyse.result import Effect, Mean, ModelSummary, NotEstimable, ResponseResult
from maineffect.design.aliasing import alias_chains, estimable_terms
from maineffect.design.power import smallest_detectable
from maineffect.design.terms import expand_terms, model_matrix, term_factors
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["FittedResponse", "fit_response", "summarise"]


@dataclass(frozen=True)
class FittedResponse:
    """A response's fit, with the rows it used.

    Attributes:
        rows: Index into the table of the runs that have a value.
        blocks: Block of each such run.
        not_estimable: Terms left out, with the reason.
    """

    name: str
    fit: Fit
    rows: NDArray[np.intp]
    blocks: tuple[object, ...]
    chains: tuple[tuple[str, ...], ...]
    not_estimable: tuple[NotEstimable, ...]


def fit_response(study: StudySpec, frame: pd.DataFrame, name: str) -> FittedResponse:
    """Fit the registered model to the runs that have a value.

    Raises:
        AnalysisError: Fewer than two runs have a value.
    """
    values = frame[name].to_numpy(dtype=float)
    rows = np.flatnonzero(np.isfinite(values))
    if len(rows) < 2:
        raise AnalysisError(
            f"response {name!r} has {len(rows)} value(s)", "an effect needs two runs at least; resubmit failed ones"
        )
    factors = tuple(study.factors.values())
    levels = {factor: [frame[factor].iloc[i] for i in rows] for factor in study.factors}
    blocks = _blocks(frame, rows)
    asked = expand_terms(factors, study.analysis.terms)
    present = {f.name: len({(isinstance(v, bool), v) for v in levels[f.name]}) for f in factors}
    kept = estimable_terms(factors, levels, asked, blocks)
    chains = alias_chains(factors, levels)
    model = model_matrix(factors, levels, kept, blocks=blocks)
    gone = [NotEstimable(term=t, reason=_reason(t, kept, chains, present, levels)) for t in asked if t not in kept]
    return FittedResponse(name, least_squares(model, values[rows]), rows, blocks, chains, tuple(gone))


def _blocks(frame: pd.DataFrame, rows: NDArray[np.intp]) -> tuple[object, ...]:
    for column in ("block", "replicate"):
        if column in frame and frame[column].notna().all() and frame[column].nunique() > 1:
            return tuple(frame[column].iloc[rows].tolist())
    return (1,) * len(rows)


def _reason(
    term: str,
    kept: Sequence[str],
    chains: Sequence[tuple[str, ...]],
    present: Mapping[str, int],
    levels: Mapping[str, Sequence[object]],
) -> str:
    single = [name for name in term_factors(term) if present[name] < 2]
    if single:
        return f"only one level of {', '.join(single)} has runs"
    for chain in chains:
        rivals = [other for other in chain if other in kept]
        if term in chain and rivals:
            return f"aliased with {' = '.join(rivals)}"
    names = term_factors(term)
    if len(names) > 1:
        seen = set(zip(*(levels[name] for name in names), strict=True))
        empty = [combo for combo in product(*(dict.fromkeys(levels[name]) for name in names)) if combo not in seen]
        if empty:
            return f"no run at {', '.join(f'{n}={v}' for n, v in zip(names, empty[0], strict=True))}"
    return "too few runs: it is a combination of the other terms and blocks"


def effects_of(study: StudySpec, fitted: FittedResponse) -> list[Effect]:
    """Every contrast of every estimated term, with t and simultaneous intervals."""
    fit, alpha = fitted.fit, study.analysis.alpha
    contrasts = [c for term in fit.model.terms for c in term_contrasts(fit.model, study.factors, term)]
    tested = fit.df_error > 0 and fit.mse > 0
    critical = float(stats.t.isf(alpha / 2, fit.df_error)) if fit.df_error > 0 else float("nan")
    if tested and contrasts:
        vectors = np.array([contrast.vector for contrast in contrasts])
        covariance = vectors @ fit.unscaled @ vectors.T
        scale = np.sqrt(np.diag(covariance))
        family = simultaneous_critical(covariance / np.outer(scale, scale), fit.df_error, alpha)
    else:
        family = float("nan")
    registered = {h.term for h in study.hypotheses if h.response == fitted.name}
    result = []
    for contrast in contrasts:
        estimate, error = fit.estimate(contrast.vector), fit.std_error(contrast.vector)
        t = estimate / error if tested else None
        result.append(
            Effect(
                term=contrast.term,
                contrast=contrast.name,
                kind="interaction" if ":" in contrast.term else "main",
                estimate=estimate,
                std_error=error,
                df=fit.df_error if fit.df_error > 0 else None,
                ci_low=estimate - critical * error,
                ci_high=estimate + critical * error,
                t=t,
                p_value=None if t is None else float(2 * stats.t.sf(abs(t), fit.df_error)),
                aliased_with=[
                    o for chain in fitted.chains if contrast.term in chain for o in chain if o != contrast.term
                ],
                simultaneous_low=estimate - family * error,
                simultaneous_high=estimate + family * error,
                registered=contrast.term in registered,
            )
        )
    return result


def _means(study: StudySpec, fitted: FittedResponse, frame: pd.DataFrame) -> list[Mean]:
    """Marginal means of factors and of estimated or asked pairs; a mean without runs is refused."""
    fit = fitted.fit
    asked = [t for t in expand_terms(tuple(study.factors.values()), study.analysis.terms) if "^" not in t]
    critical = float(stats.t.isf(study.analysis.alpha / 2, fit.df_error)) if fit.df_error > 0 else float("nan")
    means = []
    for term in asked:
        names = term_factors(term)
        if len(names) > 2:
            continue
        for levels in level_grid([study.factors[name] for name in names]):
            reason = _no_mean(fitted, frame, term, levels)
            if reason is not None:
                means.append(Mean(term=term, levels=levels, reason=reason))
                continue
            row = cell_contrast(fit.model, study.factors, levels)
            estimate, half = fit.estimate(row), critical * fit.std_error(row)
            means.append(
                Mean(term=term, levels=levels, estimate=estimate, ci_low=estimate - half, ci_high=estimate + half)
            )
    return means


def _no_mean(fitted: FittedResponse, frame: pd.DataFrame, term: str, levels: Mapping[str, object]) -> str | None:
    mask = np.ones(len(fitted.rows), dtype=bool)
    for name, level in levels.items():
        mask &= np.array([value == level for value in frame[name].iloc[fitted.rows]])
    if not mask.any():
        return "no run at these levels"
    # An interaction that was asked for but cannot be estimated leaves the margins over it undefined.
    for gone in fitted.not_estimable:
        if gone.reason.startswith("no run at") and set(levels) & set(term_factors(gone.term)):
            return (
                f"{gone.term} has an empty cell: {gone.reason}"
                if term not in fitted.fit.model.terms or ":" not in term
                else None
            )
    return None


def summarise(study: StudySpec, fitted: FittedResponse, frame: pd.DataFrame) -> ResponseResult:
    """Everything about one response but what depends on the other responses."""
    fit, response = fitted.fit, study.responses[fitted.name]
    alpha = study.analysis.alpha
    effects = effects_of(study, fitted)
    one_column = [e.estimate for e in effects if e.contrast == "high − low"]
    detectable = None
    if fit.df_error > 0 and fit.mse > 0 and effects:
        worst = max(effects, key=lambda effect: effect.std_error or 0.0)
        unit = fit.mse / (worst.std_error or 1.0) ** 2
        detectable = smallest_detectable(unit, 1, fit.df_error, alpha) * float(np.sqrt(fit.mse))
    spread = fit.total > 0
    r_squared = 1 - fit.rss / fit.total if spread else None
    n = len(fitted.rows)
    adjusted = None
    if r_squared is not None and fit.df_error > 0:
        adjusted = 1 - (fit.rss / fit.df_error) / (fit.total / (n - 1))
    blocks = ["block"] if "block" in fit.model.spans else []
    return ResponseResult(
        effects=effects,
        anova=anova_table(fit, study.analysis.sum_of_squares),
        means=_means(study, fitted, frame),
        model=ModelSummary(
            formula=f"{fitted.name} ~ {' + '.join(['1', *blocks, *fit.model.terms])}",
            sigma=float(np.sqrt(fit.mse)) if fit.df_error > 0 else None,
            df_error=fit.df_error,
            r_squared=r_squared,
            adj_r_squared=adjusted,
        ),
        lenth=lenth(one_column, alpha) if fit.df_error <= 0 else None,
        variance_components=_components(fitted),
        not_estimable=list(fitted.not_estimable),
        unit=response.unit,
        goal=response.goal.value,
        smallest_effect=response.smallest_effect,
        smallest_detectable=detectable,
        residuals=[
            {
                "run_id": str(frame["run_id"].iloc[i]) if "run_id" in frame else str(i),
                "fitted": float(value),
                "residual": float(gone),
            }
            for i, value, gone in zip(fitted.rows, fit.model.matrix @ fit.coefficients, fit.residuals, strict=True)
        ],
    )


def _components(fitted: FittedResponse) -> dict[str, float] | None:
    """Between-block and within-block variance by the method of moments; a negative estimate is reported as 0."""
    fit = fitted.fit
    if fit.df_error < 1:
        return None
    components = {"run": fit.mse}
    if "block" in fit.model.spans:
        sum_sq, df, _ = f_statistic(fit, "block")
        size = len(fitted.rows) / (df + 1)
        components["block"] = max(0.0, (sum_sq / df - fit.mse) / size)
    return components
