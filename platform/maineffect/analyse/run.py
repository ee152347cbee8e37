"""A table of runs, the Design and the plan → one AnalysisResult. The only entry point of the stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.confirmatory.answers import with_answers
from maineffect.analyse.confirmatory.caveats import with_caveats
from maineffect.analyse.confirmatory.hypotheses import judge_hypotheses
from maineffect.analyse.confirmatory.interim import hold_verdicts, interim_looks
from maineffect.analyse.confirmatory.on_seeds import over_seeds, scope_of, with_tests_over_seeds
from maineffect.analyse.confirmatory.worst_case import worst_cases
from maineffect.analyse.exploratory.attribution import attribute
from maineffect.analyse.exploratory.profiler import predict_grid
from maineffect.analyse.exploratory.simple_effects import simple_effects
from maineffect.analyse.fit.losses import failure_by_factor, lost_runs
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.fit.responses import fit_all, has_value
from maineffect.analyse.follow_up.phases import in_phases
from maineffect.analyse.inference.exaggeration import exaggeration
from maineffect.analyse.inference.multiplicity import adjust
from maineffect.analyse.over_sizes import effects_over_sizes
from maineffect.analyse.record.result import (
    AnalysisResult,
    Effect,
    HypothesisResult,
    Look,
    ResponseResult,
)
from maineffect.analyse.table.covariates import with_covariates
from maineffect.analyse.table.made import with_made_responses
from maineffect.analyse.table.rows import has_not_ended, run_rows
from maineffect.analyse.table.runs import Runs, read_runs, score_failures
from maineffect.analyse.table.scales import effect_unit, with_ratios
from maineffect.design.model.model import Design, PlannedRun
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["analyse", "analyse_with_fits", "judge_of"]

Floats = NDArray[np.float64]
DRAWS = 9_999
_OUTLIER = 4.0
_SAME_P = 0.01
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
        table: One row per run (see :func:`maineffect.analyse.table.reading.read_table`); raw frames are tidied.
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
    judged = _judged(study, table, design, measures, draws)
    study, runs, values, fits, hypotheses = judged.study, judged.runs, judged.values, judged.fits, judged.hypotheses
    warnings, usable = list(judged.warnings), has_value(values)
    results = {name: with_tests_over_seeds(r, fits[name]) if name in fits else r for name, r in judged.results.items()}
    results = {name: _qualified(fits[name], result) if name in fits else result for name, result in results.items()}
    asked = (look and study.follow_up is None) or study.analysis.sequential is not None
    if look and not asked:
        warnings.append("no interim looks: a study in phases has one look a phase")
    looks = _looks(study, runs, design, warnings, made, last_look) if asked else []
    if looks and study.analysis.sequential is not None:
        hypotheses = hold_verdicts(hypotheses, looks)
    phased = in_phases(
        study,
        hypotheses,
        runs.table,
        design,
        lambda asked, part, planned: analyse(asked, part, design=planned, draws=draws),
    )
    hypotheses, warnings = phased.hypotheses, [*warnings, *phased.warnings]
    units = {name: effect_unit(response) for name, response in study.responses.items()}
    hypotheses = with_answers(with_caveats(hypotheses, results), units)
    warnings += _other_squares(study, results, hypotheses)
    warnings += judged.disagreements + _failures(study, runs, values, design)
    warnings += worst_cases(study, runs, design, values)
    warnings += _outliers(results)
    about = scope_of(study, shared=runs.shared).inference
    over_sizes = effects_over_sizes(study, fits, warnings, about)
    lost: tuple[PlannedRun, ...] = () if design is None else lost_runs(design, runs.known_ids, runs.cells)
    result = AnalysisResult(
        study=study.name,
        plan_hash=plan_hash,
        n_runs=int(usable.sum()),
        n_missing=len(lost) + int((~usable).sum()),
        responses=_adjusted(results, hypotheses),
        hypotheses=hypotheses,
        attribution=attribute(study, fits, warnings),
        warnings=list(dict.fromkeys(warnings)),
        alpha=study.analysis.alpha,
        runs=run_rows(study, runs.table, runs.run_ids, runs.cells, design, lost, measures or {}),
        profiler=predict_grid(fits, tuple(study.factors.values())),
        looks=looks,
        phase_differences=phased.differences,
        over_sizes=over_sizes,
    )
    return with_ratios(result, study), fits


@dataclass(frozen=True)
class _Judged:
    """What the registered rules say of a table, and what they said it from."""

    study: StudySpec
    runs: Runs
    values: dict[str, Floats]
    fits: dict[str, Fitted]
    results: dict[str, ResponseResult]
    hypotheses: list[HypothesisResult]
    warnings: list[str]
    disagreements: list[str]


def _judged(
    study: StudySpec,
    table: pd.DataFrame,
    design: Design | None,
    measures: Mapping[str, Mapping[str, float | None]] | None,
    draws: int,
) -> _Judged:
    study, table = with_made_responses(study, with_covariates(study, table, measures))
    runs = read_runs(study, table, design)
    warnings: list[str] = list(runs.table.attrs.get("warnings", []))
    values = score_failures(study, runs, warnings)
    if not has_value(values).any():
        raise AnalysisError("no run has a value of any response", "resubmit what failed, then analyse again")
    fits, results, reasons = fit_all(study, runs, values, design, warnings, over_seeds(study, runs))
    hypotheses, disagreements = judge_hypotheses(
        study, fits, reasons, scope=scope_of(study, shared=runs.shared), replicates=_replicates(runs), draws=draws
    )
    return _Judged(study, runs, values, fits, results, hypotheses, warnings, disagreements)


def _qualified(fitted: Fitted, result: ResponseResult) -> ResponseResult:
    """Simple effects, and what a significant estimate is worth if the smallest effect of interest is the truth."""

    def cursed(effect: Effect) -> Effect:
        true, se, p = result.smallest_effect, effect.std_error, effect.p_value
        if not true or not se or p is None or p > fitted.alpha:
            return effect
        winners_curse = exaggeration(true, se, fitted.alpha)
        return effect.model_copy(update={"type_s": winners_curse.type_s, "exaggeration": winners_curse.ratio})

    effects = [cursed(effect) for effect in result.effects]
    return result.model_copy(update={"effects": effects, "simple_effects": simple_effects(fitted)})


def _looks(
    study: StudySpec, runs: Runs, design: Design | None, warnings: list[str], made: Sequence[Look], last: int | None
) -> list[Look]:
    """Looks after the complete waves, each judged on its own runs by the same analysis."""
    planned = {run.run_id: run.replicate for run in design.runs} if design is not None else {}
    recorded_waves = runs.table["replicate"].tolist() if "replicate" in runs.table else [None] * len(runs.run_ids)
    waves = [planned.get(run_id, wave) for run_id, wave in zip(runs.run_ids, recorded_waves, strict=True)]
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
    return lambda part: _judged(plain, part, None, None, 99).hypotheses


def _replicates(runs: Runs) -> int:
    """Replicates at hand: the declared column, else how often a cell occurs on average."""
    if "replicate" in runs.table and "replicate" not in runs.levels and runs.table["replicate"].notna().all():
        return max(1, int(runs.table["replicate"].nunique()))
    return max(1, round(len(runs.cells) / max(1, len(set(runs.cells)))))


def _failures(study: StudySpec, runs: Runs, values: Mapping[str, Floats], design: Design | None) -> list[str]:
    """Whether failure depends on the factors, lost planned runs included."""
    rows = {name: list(levels) for name, levels in runs.levels.items()}
    finite = has_value(values)
    failed = [bad or not ok for bad, ok in zip(runs.bad, finite.tolist(), strict=True)]
    open_ = has_not_ended(runs.table)
    rows = {name: [v for v, o in zip(levels, open_, strict=True) if not o] for name, levels in rows.items()}
    failed = [bad for bad, o in zip(failed, open_, strict=True) if not o]
    absent = () if design is None or any(open_) else lost_runs(design, runs.known_ids, runs.cells)
    if design is not None:
        for run in absent:
            failed.append(True)
            for name in rows:
                rows[name].append(design.levels_of(run)[name])
    p_values = failure_by_factor(tuple(study.factors.values()), rows, failed)
    adjusted = dict(zip(p_values, adjust(list(p_values.values()), "holm"), strict=True))
    what = "which runs are missing depends on" if absent else "failure depends on"
    return [
        f"{what} {name} (p = {p:.3g} after Holm): missing runs are not a random loss, and effects of "
        f"{name} are biased unless failures are scored"
        for name, p in adjusted.items()
        if p is not None and p <= study.analysis.alpha
    ]


def _outliers(results: Mapping[str, ResponseResult]) -> list[str]:
    warnings = []
    for name, result in results.items():
        far = [r for r in result.residuals if r["standardised"] is not None and abs(r["standardised"]) > _OUTLIER]
        warnings += [
            f"{name}: {r['run_id']} lies {r['standardised']:.1f} standard errors from the fit" for r in far[:3]
        ]
    return warnings


def _other_squares(
    study: StudySpec, results: Mapping[str, ResponseResult], hypotheses: Sequence[HypothesisResult]
) -> list[str]:
    """Where Type II sums of squares and the verdicts, which compare means over all cells, test different things."""
    if study.analysis.sum_of_squares != "II":
        return []
    sentences = []
    for h in hypotheses:
        rows = [row for row in results[h.response].anova if row.term == h.term and row.df == 1]
        if rows and rows[0].p_value is not None and h.p_zero is not None and h.std_error is not None:
            p = rows[0].p_value
            if abs(p - h.p_zero) > _SAME_P * max(p, h.p_zero):
                sentences.append(
                    f"{h.id}: Type II rules the ANOVA only (p = {p:.3g}); the verdict compares means over all cells, "
                    f"as Type III does (p = {h.p_zero:.3g})"
                )
    return sentences


def _adjusted(
    results: Mapping[str, ResponseResult], hypotheses: Sequence[HypothesisResult]
) -> dict[str, ResponseResult]:
    """The contrast that decided a hypothesis carries its adjusted p-value; all others are explored together (BH)."""
    deciding = {
        (h.response, h.term, h.contrast): h for h in reversed(hypotheses) if h.p_adjusted is not None and h.contrast
    }
    registered = {(h.response, h.term) for h in hypotheses}
    loose = [
        (name, i)
        for name, result in results.items()
        for i, effect in enumerate(result.effects)
        if (name, effect.term, effect.contrast) not in deciding
    ]
    explored = dict(zip(loose, adjust([results[name].effects[i].p_value for name, i in loose], "bh"), strict=True))

    def complete(name: str, i: int, effect: Effect) -> Effect:
        mine = deciding.get((name, effect.term, effect.contrast))
        return effect.model_copy(
            update={
                "registered": (name, effect.term) in registered,
                "p_adjusted": explored[(name, i)] if mine is None else mine.p_adjusted,
                "p_permutation": None if mine is None else mine.p_permutation,
            }
        )

    return {
        name: result.model_copy(update={"effects": [complete(name, i, e) for i, e in enumerate(result.effects)]})
        for name, result in results.items()
    }
