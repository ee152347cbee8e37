"""The table of runs and the plan → a fit and a result of every response."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.fit.covariate_uses import covariate_uses
from maineffect.analyse.fit.least_squares import least_squares
from maineffect.analyse.fit.losses import Plan, lost_runs, what_was_lost
from maineffect.analyse.fit.model import AnalysisModel, build_model
from maineffect.analyse.fit.respond import Fitted, fit_response, respond
from maineffect.analyse.fit.spread import spread_warning
from maineffect.analyse.fit.terms import fitted_terms, registered_terms
from maineffect.analyse.record.result import ModelSummary, ResponseResult
from maineffect.analyse.table.covariates import covariate_values
from maineffect.analyse.table.made import with_made_responses
from maineffect.analyse.table.runs import Runs, read_runs, score_failures
from maineffect.analyse.table.strata import whole_plot_factors
from maineffect.design.model.model import Design, cell_id
from maineffect.spec.study import StudySpec

__all__ = ["fit_all", "fit_responses", "has_value"]

Floats = NDArray[np.float64]
_PARTIAL_ALIAS = 0.1
_EVEN = 1e-8


def fit_responses(study: StudySpec, table: pd.DataFrame, *, design: Design | None = None) -> dict[str, Fitted]:
    """Fits of the responses, for questions beyond the plan (transport, simple effects): response → fit.

    Args:
        study: Whose plan is fitted.
        table: One row per run.
        design: For strata that the table does not carry.
    """
    study, table = with_made_responses(study, table)
    runs = read_runs(study, table, design)
    return fit_all(study, runs, score_failures(study, runs, []), design, [])[0]


def has_value(values: Mapping[str, Floats]) -> NDArray[np.bool_]:
    """Runs with at least one response."""
    return np.asarray(np.any(np.isfinite(np.column_stack([*values.values()])), axis=1))


def fit_all(
    study: StudySpec,
    runs: Runs,
    values: Mapping[str, Floats],
    design: Design | None,
    warnings: list[str],
    turned: Callable[[Fitted], Fitted] | None = None,
) -> tuple[dict[str, Fitted], dict[str, ResponseResult], dict[str, str]]:
    """Fit responses together that have the same runs: (X'X)⁻¹ is computed once for each pattern of missing values.

    Args:
        study: Whose plan is fitted.
        runs: The table, read.
        values: Response → (n,) values, NaN where a run has none.
        design: As planned, for what was lost.
        warnings: Gets what the reader must know.
        turned: Gives a fit another inference than its strata do.

    Returns:
        Fits, results and, for a response that could not be fitted, why.
    """
    fits: dict[str, Fitted] = {}
    results: dict[str, ResponseResult] = {}
    reasons: dict[str, str] = {}
    patterns: dict[bytes, list[str]] = {}
    for name in study.responses:
        patterns.setdefault(np.isfinite(values[name]).tobytes(), []).append(name)
    for names in patterns.values():
        rows = np.flatnonzero(np.isfinite(values[names[0]])).tolist()
        if len(rows) < 2:
            for name in names:
                reasons[name] = f"{len(rows)} run(s) have a value of {name}: nothing can be compared"
                warnings.append(reasons[name])
                results[name] = _empty(study, name)
            continue
        model = _model(study, runs, rows, warnings)
        lost, gone = _losses(study, runs, rows, design, model)
        y = np.column_stack([values[name][rows] for name in names])
        fit = least_squares(model.matrix, y)
        for j, name in enumerate(names):
            fitted = fit_response(
                name, y[:, j], rows, model, fit, j, runs.strata.take(rows),
                alpha=study.analysis.alpha, robust=study.analysis.robust or ("hc2" if gone else None),
            )  # fmt: skip
            fitted = fitted if turned is None else turned(fitted)
            fits[name] = fitted
            answered = respond(fitted, study.responses[name], study.analysis.sum_of_squares, runs.run_ids)
            grows = spread_warning(name, y[:, j], fit, j, study.responses[name])
            warnings += [] if grows is None else [grows]
            results[name] = answered.model_copy(update={"covariates": covariate_uses(fitted, warnings)})
            warnings += [f"{name}: {note}" for note in fitted.notes]
            warnings += [
                f"{name}: the F of {row.term} has {row.df_error:.3g} denominator degrees of freedom by {row.method}: "
                "Kenward and Roger's has no moments there"
                for row in answered.anova
                if row.method == "Satterthwaite"
            ]
            if len(patterns) > 1:
                warnings += [f"{name}: {sentence}" for sentence in lost]
        if len(patterns) == 1:
            warnings += lost
    return fits, {name: results[name] for name in study.responses}, reasons


def _empty(study: StudySpec, name: str) -> ResponseResult:
    spec = study.responses[name]
    return ResponseResult(
        model=ModelSummary(formula=f"{name} ~ 1"),
        unit=spec.unit,
        goal=str(spec.goal),
        smallest_effect=spec.smallest_effect,
    )


def _model(study: StudySpec, runs: Runs, rows: Sequence[int], warnings: list[str]) -> AnalysisModel:
    strata = runs.strata.take(rows)
    levels = {name: [values[i] for i in rows] for name, values in runs.levels.items()}
    model = build_model(
        tuple(study.factors.values()),
        levels,
        fitted_terms(study),
        blocks=strata.fixed_blocks,
        first=registered_terms(study),
        covariates=covariate_values(study, runs.table, rows, warnings),
    )
    warnings += [f"covariate {name} was left out: {why}" for name, why in model.useless.items()]
    if model.partial and study.analysis.sum_of_squares == "III":
        warnings.append(
            f"{', '.join(sorted(model.partial))}: some cells have no runs, so Type III sums of squares and some "
            "marginal means are not defined; drop the interaction, use Type II, or run the missing cells"
        )
    if model.partial_alias is not None and model.partial_alias[0] > _PARTIAL_ALIAS:
        size, term, other = model.partial_alias
        warnings.append(
            f"terms left out bias the estimates if they are not zero; worst: {other} adds {size:.2f} of its "
            f"coefficient to {term}"
        )
    if strata.split and strata.whole_plots is not None:
        hard = set(study.design.hard_to_change)
        broken = sorted(hard - whole_plot_factors(levels, strata.whole_plots))
        if broken:
            warnings.append(
                f"{', '.join(broken)} is declared hard to change but varies within whole plots: "
                "it is tested as it was run"
            )
    return model


def _losses(
    study: StudySpec, runs: Runs, rows: Sequence[int], design: Design | None, model: AnalysisModel
) -> tuple[list[str], bool]:
    """What the lost runs cost, and whether they took the balance of a design whose runs all weighed the same."""
    if design is None:
        kept = set(rows)
        gone = [run_id for i, run_id in enumerate(runs.run_ids) if i not in kept]
        plan = Plan(model.factors, runs.levels, runs.strata.fixed_blocks, runs.run_ids)
    else:
        lost = lost_runs(design, [runs.known_ids[i] for i in rows], [runs.cells[i] for i in rows])
        gone = [run.run_id for run in lost]
        plan = Plan.of(design)
    uneven = bool(gone) and (not _even(model) or _unequal_cells(plan, runs, rows)) and _was_balanced(plan, model)
    return what_was_lost(plan, gone, model, fitted_terms(study)).sentences(), uneven


def _unequal_cells(plan: Plan, runs: Runs, rows: Sequence[int]) -> bool:
    """Whether planned cells have different numbers of runs with a value, none included."""
    planned = {cell_id(dict(zip(plan.rows, cell, strict=True))) for cell in zip(*plan.rows.values(), strict=True)}
    have = Counter(runs.cells[i] for i in rows)
    return len({have[cell] for cell in planned}) > 1


def _even(model: AnalysisModel) -> bool:
    """Whether all runs have the same leverage."""
    return bool(np.ptp(np.sum(model.basis**2, axis=1)) <= _EVEN)


def _was_balanced(plan: Plan, model: AnalysisModel) -> bool:
    """Whether all planned runs have the same leverage in the fitted model."""
    planned = build_model(model.factors, plan.rows, model.terms, blocks=plan.blocks)
    return _even(planned)
