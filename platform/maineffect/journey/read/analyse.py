"""A table, or a sweep in its ledger → its analysis, with everything that a report needs to be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import DesignError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.team import waived
from maineffect.journey.read.searched import require_confirmed, search_facts
from maineffect.journey.read.tuned import tuning_facts, unequal_sentences
from maineffect.journey.run.earlier import states_of_new_runs
from maineffect.journey.run.registered import (
    first_start,
    post_hoc_reasons,
    registrations_of,
    registrations_of_document,
)
from maineffect.journey.run.reuse import provenance_sentences
from maineffect.journey.run.status import status_of
from maineffect.journey.run.stopping import stopped_sweep, sweep_deviations
from maineffect.journey.run.submission import stored_submission

if TYPE_CHECKING:
    from maineffect.analyse.record.result import AnalysisResult, HypothesisResult
    from maineffect.design.model.model import Design
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = ["analyse_sweep", "analyse_table", "self_test"]


def self_test(path: Path) -> dict[str, Any]:
    """Error rate, coverage and power of the analysis on this study's own design, by simulation."""
    from maineffect.analyse.simulation.selftest import self_test as simulate

    checked = check(path, plugins=False)
    return {"study": checked.study.name, **simulate(checked.study, checked.design).document()}


def analyse_table(path: Path, table: Path, *, look: bool = False) -> AnalysisResult:
    """Analyse a table that was made elsewhere, held against the study's plan.

    Args:
        path: The study file.
        table: CSV or Parquet.
        look: Interim looks also where none were registered.

    Raises:
        SpecError: The study file is invalid.
        AnalysisError: The table is no table of runs of this study.
    """
    from maineffect.analyse.confirmatory.answers import with_registrations
    from maineffect.analyse.exploratory_report import add_exploratory
    from maineffect.analyse.run import analyse_with_fits
    from maineffect.analyse.table.against_plan import held_against_plan
    from maineffect.analyse.table.reading import read_table

    study, design, warnings = _planned(path)
    rows = held_against_plan(study, read_table(table, study), design)
    result, fits = analyse_with_fits(study, rows, design=design, look=look)
    result = add_exploratory(result, study, rows, design=design, fits=fits)
    result = result.model_copy(update={"warnings": list(dict.fromkeys([*warnings, *result.warnings]))})
    facts = result.facts.model_copy(
        update={"question": study.question, "factors": [f.model_dump(mode="json") for f in study.factors.values()]}
    )
    unregistered = dict.fromkeys((h.id for h in study.hypotheses), "no registration stands behind this table")
    judged = with_registrations(result.hypotheses, unregistered)
    return result.model_copy(update={"facts": facts, "hypotheses": judged})


def _planned(path: Path) -> tuple[StudySpec, Design | None, list[str]]:
    """The study, its plan if there is one, and what to say if there is none."""
    from maineffect.design.build import build_design
    from maineffect.design.propose import resolve
    from maineffect.spec.load import load_study

    study = load_study(path)
    try:
        resolved, _ = resolve(study)
        return resolved, build_design(resolved), []
    except DesignError as error:
        return study, None, [f"the table could not be held against the plan, which cannot be built: {error.message}"]


def analyse_sweep(reference: str, place: Place, *, look: bool = False, items: bool = False) -> AnalysisResult:
    """Analyse a sweep from its ledger, with everything that a report needs to be believed.

    Args:
        reference: The sweep.
        place: Where it is kept.
        look: Interim looks also where none were registered.
        items: Item-level variances too: every run's item table is read.
    """
    from maineffect.analyse.exploratory_report import add_exploratory
    from maineffect.analyse.record.result import Curve, SweepFacts
    from maineffect.analyse.run import analyse_with_fits
    from maineffect.analyse.table.covariates import with_covariates
    from maineffect.design.emit import design_document
    from maineffect.design.phases import judged_runs
    from maineffect.design.power.analytic import power_document
    from maineffect.journey.read.measure import baselines_of
    from maineffect.ledger.sweep.collect import collect, read_curves
    from maineffect.ledger.sweep.curves import read_items
    from maineffect.ledger.sweep.ledger import stored_sweep, sweep_results

    checked, ledger = stored_submission(reference, place)
    ledger = ledger.snapshot()
    require_confirmed(checked, ledger, ledger.state().runs)
    study, stop = checked.study, stopped_sweep(checked.design, ledger)
    collected = collect(ledger, stop.design, tuple(study.responses))
    table = with_covariates(study, collected.table, collected.measures)
    result, fits = analyse_with_fits(
        study, table, design=stop.design, plan_hash=checked.plan_hash, look=look, made=stop.made, last_look=stop.look
    )
    rows = [row.model_copy(update={"measures": collected.measures.get(row.run_id, {})}) for row in result.runs]
    curves = [
        Curve(run_id=run_id, metric=metric, steps=points["steps"], values=points["values"])
        for run_id, metrics in read_curves(ledger, place.home / "cache").items()
        for metric, points in metrics.items()
    ]
    lines: dict[str, dict[str, Any]] = {}
    for curve in curves:
        lines.setdefault(curve.metric, {})[curve.run_id] = (curve.steps, curve.values)
    read = (row.run_id for row in result.runs) if items else ()
    scores = {run_id: run_items for run_id in read if (run_items := read_items(ledger, run_id)) is not None}
    result = add_exploratory(result, study, table, design=stop.design, curves=lines, items=scores, fits=fits)
    told = [
        *unequal_sentences(checked, ledger),
        *sweep_deviations(checked, stop, ledger),
        *provenance_sentences(ledger.sweep_id, sweep_results(ledger)),
    ]
    result = result.model_copy(update={"hypotheses": _against_registrations(result, checked, ledger)})
    detectable = power_document(study, judged_runs(study, checked.design))["terms"]
    facts = SweepFacts(
        sweep_id=ledger.sweep_id,
        question=study.question,
        settings=study.settings,
        registered_hash=checked.submission.get("plan_hash"),
        registered_at=checked.submission.get("registered_at"),
        deviations=[*told, *waived(study)],
        stopped=stop.said,
        design={**design_document(checked.design, checked.plan_hash), "detectable": detectable},
        factors=[factor.model_dump(mode="json") for factor in study.factors.values()],
        provenance=stored_sweep(ledger).tags,
        cost=status_of(checked, ledger)["cost"],
        tuning=tuning_facts(checked, ledger, table, fits),
        searched=search_facts(checked, ledger, table),
        baselines=baselines_of(study, checked.path.parent, place),
    )
    result = result.model_copy(update={"curves": curves, "facts": facts, "runs": [*rows, *stop.rows(checked.design)]})
    return result if study.optimise is not None else _with_next(result, checked.study, stop.design)


def _with_next(result: AnalysisResult, study: StudySpec, design: Design) -> AnalysisResult:
    """The analysis of a sweep that has ended, with what would decide the rest."""
    from maineffect.analyse.follow_up.propose import what_next

    going = {run.run_id for run in result.runs if run.status in ("running", "missing")}
    if going & {run.run_id for run in design.runs}:
        return result
    shown, _ = what_next(study, result, design, result.facts.sweep_id or study.name)
    return result.model_copy(update={"what_next": shown})


def _against_registrations(result: AnalysisResult, checked: Checked, ledger: MlflowLedger) -> list[HypothesisResult]:
    """Verdicts with the claims that were not registered before their runs called post hoc."""
    from maineffect.analyse.confirmatory.answers import with_registrations

    states = ledger.state().runs
    sweeps = {state.reused_from.partition("/")[0] for state in states.values() if state.reused_from}
    reasons = post_hoc_reasons(
        checked.plan,
        registrations_of_document(checked.submission, checked.plan),
        registrations_of(ledger.uri, sweeps),
        first_run=first_start(states.values()),
        first_new=first_start(states_of_new_runs(checked, states)),
    )
    return with_registrations(result.hypotheses, reasons)
