"""A table of runs, the design and the plan → an AnalysisResult. The one public door of this stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from maineffect.analyse.attribution import shapley_attribution
from maineffect.analyse.losses import loss_warnings
from maineffect.analyse.multiplicity import adjust
from maineffect.analyse.randomisation import randomisation_p
from maineffect.analyse.response import FittedResponse, fit_response, summarise
from maineffect.analyse.result import AnalysisResult, Effect, HypothesisResult, ResponseResult, RunRow
from maineffect.analyse.table import prepare_table
from maineffect.analyse.verdicts import Evidence, judge, replicates_needed
from maineffect.design.terms import expand_terms
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Hypothesis
from maineffect.spec.study import Correction, StudySpec

__all__ = ["analyse"]


def analyse(
    study: StudySpec,
    table: pd.DataFrame,
    *,
    plan_hash: str | None = None,
    measures: Mapping[str, Mapping[str, float | None]] | None = None,
) -> AnalysisResult:
    """Estimate every effect and judge every hypothesis.

    Args:
        study: What was asked.
        table: One row a run, as in the interface: factors, responses, and optional strata and status.
        plan_hash: Hash of the plan that the runs followed.
        measures: Run id → further numbers, carried along for the report.

    Raises:
        AnalysisError: The table cannot be analysed; what is merely not estimable is reported instead.
    """
    hard = getattr(study.design, "hard_to_change", ())
    if hard:
        raise AnalysisError(
            f"{', '.join(hard)} is hard to change: runs within a whole plot are not independent, "
            "and this version fits one stratum",
            "analyse whole-plot means, or drop design.hard_to_change if every run was set up anew",
        )
    prepared = prepare_table(study, table)
    frame = prepared.frame
    fitted = {name: fit_response(study, frame, name) for name in study.responses}
    results = {name: summarise(study, fit, frame) for name, fit in fitted.items()}
    hypotheses = _hypotheses(study, fitted, results, frame)
    results = _exploratory(results, hypotheses)
    warnings = [*prepared.warnings, *loss_warnings(study, frame, fitted), *_disagreements(hypotheses)]
    warnings += [f"{n}: every run has the same value" for n, fit in fitted.items() if fit.fit.total == 0]
    attribution = [
        share
        for name, fit in fitted.items()
        if fit.fit.model.terms
        for share in shapley_attribution(
            fit.fit,
            study.factors,
            name,
            {f.name: f.levels[0] for f in study.factors.values()},
            {f.name: f.levels[-1] for f in study.factors.values()},
            study.analysis.alpha,
        )
    ]
    missing = int(frame[list(study.responses)].isna().any(axis=1).sum())
    return AnalysisResult(
        study=study.name,
        plan_hash=plan_hash,
        n_runs=len(frame),
        n_missing=missing,
        responses=results,
        hypotheses=hypotheses,
        attribution=attribution,
        warnings=warnings,
        alpha=study.analysis.alpha,
        runs=[_row(study, row, measures or {}) for row in frame.to_dict("records")],
    )


def _hypotheses(
    study: StudySpec, fitted: Mapping[str, FittedResponse], results: Mapping[str, ResponseResult], frame: pd.DataFrame
) -> list[HypothesisResult]:
    """Judge the registered family, adjusted together."""
    found = [_tested(study, h, results) for h in study.hypotheses]
    known = [effect.p_value for effect in found if effect is not None and effect.p_value is not None]
    adjusted = iter(adjust(known, study.analysis.correction))
    judged = []
    for hypothesis, effect in zip(study.hypotheses, found, strict=True):
        if effect is None or effect.p_value is None or effect.std_error is None:
            judged.append(_unjudged(study, hypothesis, effect, results))
            continue
        fit = fitted[hypothesis.response]
        judged.append(_judged(study, hypothesis, effect, next(adjusted), fit, frame))
    return judged


def _canonical(study: StudySpec, term: str) -> str:
    return expand_terms(tuple(study.factors.values()), (term,))[0]


def _tested(study: StudySpec, hypothesis: Hypothesis, results: Mapping[str, ResponseResult]) -> Effect | None:
    """The contrast that a hypothesis is about: the only one, the linear one, or the last level's."""
    term = _canonical(study, hypothesis.term)
    effects = [effect for effect in results[hypothesis.response].effects if effect.term == term]
    linear = [effect for effect in effects if "linear" in effect.contrast]
    chosen = linear or effects[-1:]
    return chosen[0] if chosen else None


def _margin(study: StudySpec, hypothesis: Hypothesis) -> float | None:
    return hypothesis.smallest_effect or study.responses[hypothesis.response].smallest_effect


def _unjudged(
    study: StudySpec, hypothesis: Hypothesis, effect: Effect | None, results: Mapping[str, ResponseResult]
) -> HypothesisResult:
    term = _canonical(study, hypothesis.term)
    reasons = [gone.reason for gone in results[hypothesis.response].not_estimable if gone.term == term]
    why = (
        reasons[0]
        if reasons
        else "no degrees of freedom are left for error"
        if effect is not None
        else "not in analysis.terms"
    )
    return HypothesisResult(
        id=hypothesis.id,
        response=hypothesis.response,
        term=term,
        verdict="inconclusive",
        estimate=effect.estimate if effect is not None else None,
        sesoi=_margin(study, hypothesis),
        direction=hypothesis.direction.value,
        statement=hypothesis.statement,
        reason=why,
    )


def _judged(
    study: StudySpec,
    hypothesis: Hypothesis,
    effect: Effect,
    p_adjusted: float,
    fitted: FittedResponse,
    frame: pd.DataFrame,
) -> HypothesisResult:
    margin = _margin(study, hypothesis)
    evidence = Evidence(
        estimate=effect.estimate,
        std_error=effect.std_error or 0.0,
        df=fitted.fit.df_error,
        p_adjusted=None if study.analysis.correction is Correction.NONE else p_adjusted,
        alpha=study.analysis.alpha,
        direction=hypothesis.direction,
        margin=margin,
        beyond=margin if hypothesis.beyond == "smallest_effect" and margin is not None else 0.0,
    )
    verdict = judge(evidence)
    replicates = int(frame["replicate"].nunique()) if "replicate" in frame else study.design.replicates
    return HypothesisResult(
        id=hypothesis.id,
        response=hypothesis.response,
        term=effect.term,
        verdict=verdict,
        estimate=effect.estimate,
        ci_low=effect.ci_low,
        ci_high=effect.ci_high,
        p_value=effect.p_value,
        p_adjusted=p_adjusted,
        p_permutation=randomisation_p(fitted.fit, effect.term, fitted.blocks),
        sesoi=margin,
        replicates_needed=replicates_needed(evidence, max(1, replicates)) if verdict == "inconclusive" else None,
        direction=hypothesis.direction.value,
        statement=hypothesis.statement,
    )


def _exploratory(
    results: Mapping[str, ResponseResult], hypotheses: list[HypothesisResult]
) -> dict[str, ResponseResult]:
    """Adjust everything that was not registered by Benjamini–Hochberg across effects × responses."""
    registered = {(h.response, h.term): h for h in hypotheses}
    free = [
        (name, i, effect.p_value)
        for name, result in results.items()
        for i, effect in enumerate(result.effects)
        if (name, effect.term) not in registered and effect.p_value is not None
    ]
    adjusted = {(n, i): p for (n, i, _), p in zip(free, adjust([p for _, _, p in free], Correction.BH), strict=True)}
    updated = {}
    for name, result in results.items():
        effects = []
        for i, effect in enumerate(result.effects):
            known = registered.get((name, effect.term))
            extra = {
                "p_adjusted": known.p_adjusted if known is not None else adjusted.get((name, i)),
                "p_permutation": known.p_permutation if known is not None else None,
                "registered": known is not None,
            }
            effects.append(effect.model_copy(update=extra))
        updated[name] = result.model_copy(update={"effects": effects})
    return updated


def _disagreements(hypotheses: list[HypothesisResult]) -> list[str]:
    """A t and a randomisation p-value more than twofold apart, where it could matter."""
    warnings = []
    for h in hypotheses:
        if h.p_value is None or h.p_permutation is None or min(h.p_value, h.p_permutation) > 0.1:
            continue
        low, high = sorted((max(h.p_value, 1e-3), max(h.p_permutation, 1e-3)))
        if high > 2 * low:
            warnings.append(
                f"{h.id}: t gives p {h.p_value:.3g}, the randomisation test {h.p_permutation:.3g}: "
                "look at the residuals"
            )
    return warnings


def _row(study: StudySpec, row: Mapping[Any, Any], measures: Mapping[str, Mapping[str, float | None]]) -> RunRow:
    def clean(name: str) -> Any:
        value = row.get(name)
        return None if value is None or (isinstance(value, float) and math.isnan(value)) else value

    run_id = str(clean("run_id") or "")
    strata = {name: clean(name) for name in ("block", "whole_plot")}
    return RunRow(
        run_id=run_id,
        cell_id=str(clean("cell_id") or ""),
        levels={name: row[name] for name in study.factors},
        replicate=None if clean("replicate") is None else int(row["replicate"]),
        block=int(b) if isinstance(b := strata["block"], float) else b,
        whole_plot=int(w) if isinstance(w := strata["whole_plot"], float) else w,
        status=str(row["status"]),
        attempts=int(clean("attempts") or 0) or 1,
        seconds=clean("seconds"),
        responses={name: clean(name) for name in study.responses},
        measures=dict(measures.get(run_id, {})),
        failure=str(row["status"]) if row["status"] not in {"finished", "planned", "running", "missing"} else None,
        message=clean("message"),
        tracking_run_id=clean("tracking_run_id"),
        seed=None if clean("seed") is None else int(row["seed"]),
        order=None if clean("order") is None else int(row["order"]),
    )
