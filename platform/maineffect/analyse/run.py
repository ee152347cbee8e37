"""A table of runs, the Design and the plan → one AnalysisResult. The only entry point of the stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.attribution import configurations, shapley_rows
from maineffect.analyse.conditional import simple_effects
from maineffect.analyse.covariates import covariate_uses, covariate_values, with_covariates, with_overfit
from maineffect.analyse.exaggeration import exaggeration
from maineffect.analyse.fit import least_squares
from maineffect.analyse.hypotheses import fitted_terms, judge_hypotheses, registered_terms
from maineffect.analyse.intake import Runs, read_runs, score_failures
from maineffect.analyse.interim import hold_verdicts, interim_looks
from maineffect.analyse.losses import Plan, failure_by_factor, lost_runs, what_was_lost
from maineffect.analyse.model import AnalysisModel, build_model
from maineffect.analyse.multiplicity import adjust
from maineffect.analyse.profiler import predict_grid
from maineffect.analyse.respond import Fitted, answer, fit_response, respond
from maineffect.analyse.result import (
    AnalysisResult,
    Attribution,
    Effect,
    HypothesisResult,
    Look,
    ModelSummary,
    ResponseResult,
)
from maineffect.analyse.rows import has_not_ended, run_rows
from maineffect.analyse.strata import whole_plot_factors
from maineffect.analyse.worst_case import worst_cases
from maineffect.design.model import Design, PlannedRun
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Goal
from maineffect.spec.study import StudySpec

__all__ = ["analyse", "analyse_with_fits", "fit_responses", "judge_of"]

Floats = NDArray[np.float64]
DRAWS = 9_999
_PARTIAL_ALIAS = 0.1
_OUTLIER = 4.0
_EVEN = 1e-8
_ROUNDING = 1e-12


def analyse(
    study: StudySpec,
    table: pd.DataFrame,
    *,
    design: Design | None = None,
    plan_hash: str | None = None,
    measures: Mapping[str, Mapping[str, float | None]] | None = None,
    draws: int = DRAWS,
    look: bool = False,
) -> AnalysisResult:
    """Analyse one study on one table of runs.

    Args:
        study: What was asked and registered.
        table: One row per run (see :func:`maineffect.analyse.table.read_table`); raw frames are tidied.
        design: As planned; strata, lost runs and their consequences are read from it. Without it the rows of the
            table are the plan, and those without a value are what was lost.
        plan_hash: Hash of the registered plan, passed through.
        measures: Run id → further numbers, carried along for the report.
        draws: Random arrangements of each randomisation test.
        look: Interim looks also where none were registered; verdicts heed registered looks only.

    Raises:
        AnalysisError: The table cannot be read as runs of this study, or holds no response at all.
    """
    return analyse_with_fits(
        study, table, design=design, plan_hash=plan_hash, measures=measures, draws=draws, look=look
    )[0]


def analyse_with_fits(
    study: StudySpec,
    table: pd.DataFrame,
    *,
    design: Design | None = None,
    plan_hash: str | None = None,
    measures: Mapping[str, Mapping[str, float | None]] | None = None,
    draws: int = DRAWS,
    look: bool = False,
    made: Sequence[Look] = (),
    last_look: int | None = None,
) -> tuple[AnalysisResult, dict[str, Fitted]]:
    """As :func:`analyse`, with the fit of each response: what asks further of them need not fit them again.

    ``made`` are the looks that a sweep made as it ran, ``last_look`` the one that stopped it.
    """
    study, table = with_overfit(study, with_covariates(study, table, measures))
    runs = read_runs(study, table, design)
    warnings: list[str] = list(runs.table.attrs.get("warnings", []))
    values = score_failures(study, runs, warnings)
    usable = _has_value(values)
    if not usable.any():
        raise AnalysisError("no run has a value of any response", "resubmit what failed, then analyse again")
    fits, results, reasons = _fit_all(study, runs, values, design, warnings)
    hypotheses, said = judge_hypotheses(study, fits, reasons, replicates=_replicates(runs), draws=draws)
    asked = look or study.analysis.sequential is not None
    looks = _looks(study, runs, design, warnings, made, last_look) if asked else []
    if looks and study.analysis.sequential is not None:
        hypotheses = hold_verdicts(hypotheses, looks)
    warnings += said + _failures(study, runs, values, design) + worst_cases(study, runs, design, values)
    warnings += _outliers(results)
    lost: tuple[PlannedRun, ...] = () if design is None else lost_runs(design, runs.known_ids, runs.cells)
    result = AnalysisResult(
        study=study.name,
        plan_hash=plan_hash,
        n_runs=int(usable.sum()),
        n_missing=len(lost) + int((~usable).sum()),
        responses=_adjusted(results, hypotheses),
        hypotheses=hypotheses,
        attribution=_attribute(study, fits, warnings),
        warnings=list(dict.fromkeys(warnings)),
        alpha=study.analysis.alpha,
        runs=run_rows(study, runs.table, runs.run_ids, runs.cells, design, lost, measures or {}),
        profiler=predict_grid(fits, tuple(study.factors.values())),
        looks=looks,
    )
    return result, fits


def fit_responses(study: StudySpec, table: pd.DataFrame, *, design: Design | None = None) -> dict[str, Fitted]:
    """Fits of the responses, for questions beyond the plan (transport, simple effects): response → fit.

    Args:
        study: Whose plan is fitted.
        table: One row per run.
        design: For strata that the table does not carry.
    """
    study, table = with_overfit(study, table)
    runs = read_runs(study, table, design)
    return _fit_all(study, runs, score_failures(study, runs, []), design, [])[0]


def _has_value(values: Mapping[str, Floats]) -> NDArray[np.bool_]:
    """Runs with at least one response."""
    return np.asarray(np.any(np.isfinite(np.column_stack([*values.values()])), axis=1))


def _fit_all(
    study: StudySpec, runs: Runs, values: Mapping[str, Floats], design: Design | None, warnings: list[str]
) -> tuple[dict[str, Fitted], dict[str, ResponseResult], dict[str, str]]:
    """Fit responses together that have the same runs: (X'X)⁻¹ is computed once for each pattern of missing values."""
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
            fits[name] = fitted
            answered = respond(fitted, study.responses[name], study.analysis.sum_of_squares, runs.run_ids)
            results[name] = _qualified(fitted, answered, warnings)
            warnings += [f"{name}: {note}" for note in fitted.notes]
            if len(patterns) > 1:
                warnings += [f"{name}: {sentence}" for sentence in lost]
        if len(patterns) == 1:
            warnings += lost
    return fits, {name: results[name] for name in study.responses}, reasons


def _qualified(fitted: Fitted, result: ResponseResult, warnings: list[str]) -> ResponseResult:
    """Simple effects, and what a significant estimate is worth if the smallest effect of interest is the truth."""

    def cursed(effect: Effect) -> Effect:
        true, se, p = result.smallest_effect, effect.std_error, effect.p_value
        if not true or not se or p is None or p > fitted.alpha:
            return effect
        found = exaggeration(true, se, fitted.alpha)
        return effect.model_copy(update={"type_s": found.type_s, "exaggeration": found.ratio})

    effects = [cursed(effect) for effect in result.effects]
    covariates = covariate_uses(fitted, warnings)
    return result.model_copy(
        update={"effects": effects, "simple_effects": simple_effects(fitted), "covariates": covariates}
    )


def _looks(
    study: StudySpec, runs: Runs, design: Design | None, warnings: list[str], made: Sequence[Look], last: int | None
) -> list[Look]:
    """Looks after the complete waves, each judged on its own runs by the same analysis."""
    planned = {run.run_id: run.replicate for run in design.runs} if design is not None else {}
    own = runs.table["replicate"].tolist() if "replicate" in runs.table else [None] * len(runs.run_ids)
    waves = [planned.get(run_id, wave) for run_id, wave in zip(runs.run_ids, own, strict=True)]
    try:
        replicates = [int(wave) for wave in waves if wave is not None]
    except (TypeError, ValueError):
        replicates = []
    if not replicates or len(replicates) < len(waves) or min(replicates) < 1:
        warnings.append("no interim look: every run needs a replicate, counted from 1")
        return []
    ended = [i for i, open_ in enumerate(has_not_ended(runs.table)) if not open_]
    table, waves = runs.table.iloc[ended], [replicates[i] for i in ended]
    return interim_looks(study, table, waves, judge_of(study), design=design, made=made, last=last)


def judge_of(study: StudySpec) -> Callable[[pd.DataFrame], list[HypothesisResult]]:
    """What judges the registered hypotheses on some of the runs, for a look."""
    plain = study.model_copy(update={"analysis": study.analysis.model_copy(update={"sequential": None})})
    return lambda part: analyse(plain, part, draws=99).hypotheses


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
        hard = set(getattr(study.design, "hard_to_change", ()))
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
    uneven = bool(gone) and not _even(model) and _was_balanced(plan, model)
    return what_was_lost(plan, gone, model, fitted_terms(study)).sentences(), uneven


def _even(model: AnalysisModel) -> bool:
    """Whether all runs have the same leverage."""
    return bool(np.ptp(np.sum(model.basis**2, axis=1)) <= _EVEN)


def _was_balanced(plan: Plan, model: AnalysisModel) -> bool:
    """Whether all planned runs have the same leverage in the fitted model."""
    planned = build_model(model.factors, plan.rows, model.terms, blocks=plan.blocks)
    return _even(planned)


def _replicates(runs: Runs) -> int:
    """Replicates at hand: the declared column, else how often a cell occurs on average."""
    if "replicate" in runs.table and "replicate" not in runs.levels and runs.table["replicate"].notna().all():
        return max(1, int(runs.table["replicate"].nunique()))
    return max(1, round(len(runs.cells) / max(1, len(set(runs.cells)))))


def _failures(study: StudySpec, runs: Runs, values: Mapping[str, Floats], design: Design | None) -> list[str]:
    """Whether failure depends on the factors, lost planned runs included."""
    rows = {name: list(levels) for name, levels in runs.levels.items()}
    finite = _has_value(values)
    failed = [bad or not ok for bad, ok in zip(runs.bad, finite.tolist(), strict=True)]
    if design is not None:
        for run in lost_runs(design, runs.known_ids, runs.cells):
            failed.append(True)
            for name in rows:
                rows[name].append(design.levels_of(run)[name])
    p_values = failure_by_factor(tuple(study.factors.values()), rows, failed)
    adjusted = dict(zip(p_values, adjust(list(p_values.values()), "holm"), strict=True))
    return [
        f"failure depends on {name} (p = {p:.3g} after Holm): missing runs are not a random loss, and effects of "
        f"{name} are biased unless failures are scored"
        for name, p in adjusted.items()
        if p is not None and p <= study.analysis.alpha
    ]


def _outliers(results: Mapping[str, ResponseResult]) -> list[str]:
    said = []
    for name, result in results.items():
        far = [r for r in result.residuals if r["standardised"] is not None and abs(r["standardised"]) > _OUTLIER]
        said += [f"{name}: {r['run_id']} lies {r['standardised']:.1f} standard errors from the fit" for r in far[:3]]
    return said


def _adjusted(
    results: Mapping[str, ResponseResult], hypotheses: Sequence[HypothesisResult]
) -> dict[str, ResponseResult]:
    """Registered effects carry their family's adjusted p-value; all others are explored together (BH)."""
    registered = {(h.response, h.term): h.p_adjusted for h in reversed(hypotheses)}
    loose = [
        (name, i)
        for name, result in results.items()
        for i, effect in enumerate(result.effects)
        if (name, effect.term) not in registered
    ]
    explored = dict(zip(loose, adjust([results[name].effects[i].p_value for name, i in loose], "bh"), strict=True))

    def complete(name: str, i: int, effect: Effect) -> Effect:
        mine = (name, effect.term) in registered
        p = registered[(name, effect.term)] if mine else explored[(name, i)]
        same = [h for h in hypotheses if (h.response, h.term, h.contrast) == (name, effect.term, effect.contrast)]
        permuted = same[0].p_permutation if same else None
        return effect.model_copy(update={"registered": mine, "p_adjusted": p, "p_permutation": permuted})

    return {
        name: result.model_copy(update={"effects": [complete(name, i, e) for i, e in enumerate(result.effects)]})
        for name, result in results.items()
    }


def _attribute(study: StudySpec, fits: Mapping[str, Fitted], warnings: list[str]) -> list[Attribution]:
    """Exact Shapley decomposition of each response's gap between two configurations."""
    found: list[Attribution] = []
    for name, fitted in fits.items():
        if not fitted.model.terms or fitted.fit.total[fitted.column] == 0:
            continue
        minimise = study.responses[name].goal is Goal.MINIMIZE
        start, end = configurations(fitted.surface, fitted.inference.beta, larger_is_better=not minimise)
        rows = shapley_rows(fitted.surface, start, end)
        if not fitted.fit.estimable(np.array([*rows.values()])).all():
            warnings.append(f"{name}: the gap cannot be attributed, because some cells have no runs")
            continue
        said = {factor: answer(fitted, row) for factor, row in rows.items()}
        parts = [one.estimate for one in said.values()]
        # Parts that cancel leave rounding behind, which no reader should take for a change.
        gap = 0.0 if abs(sum(parts)) <= _ROUNDING * sum(map(abs, parts)) else float(sum(parts))
        for factor, one in said.items():
            half = one.half_width
            found.append(
                Attribution(
                    response=name,
                    factor=factor,
                    from_level=start[factor],
                    to_level=end[factor],
                    contribution=one.estimate,
                    ci_low=None if half is None else one.estimate - half,
                    ci_high=None if half is None else one.estimate + half,
                    gap=gap,
                )
            )
    if found and any(len(factor.levels) > 2 for factor in study.factors.values()):
        warnings.append(
            "attribution compares the worst and the best fitted cell, chosen by the data: its gap is optimistic"
        )
    return found
