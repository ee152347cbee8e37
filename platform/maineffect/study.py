"""The whole journey on one page: every verb of the command line is one function here.

    spec → design → register → execute (→ lab) → ledger → analyse → report

Stages are imported where they are used, so that ``--help`` and ``check`` stay light.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import SpecError
from maineffect.planning import PowerQuestion, planned_design, planned_power
from maineffect.printed import logs
from maineffect.reporting import write_comparison, write_figures, write_report
from maineffect.reuse import look_back, provenance_sentences, settle_known
from maineffect.standing import chosen_runs, preview_document, running, status_document
from maineffect.stopping import look_for, needed_runs, settle_stop, stopped_sweep, sweep_deviations
from maineffect.submission import (
    Checked,
    Place,
    needs_of,
    open_submission,
    packages_of,
    plan_requests,
    require_trainable,
    stored_submission,
    sweep_id_of,
)

if TYPE_CHECKING:
    from maineffect.analyse.result import AnalysisResult
    from maineffect.contracts import RunRequest
    from maineffect.design.model import Design
    from maineffect.execute.progress import SweepProgress
    from maineffect.ledger.sweep import MlflowLedger
    from maineffect.register.freeze import Registration
    from maineffect.spec.study import StudySpec

__all__ = [
    "Checked",
    "Place",
    "PowerQuestion",
    "analyse_sweep",
    "analyse_table",
    "cancel",
    "check",
    "design",
    "logs",
    "plan_requests",
    "power",
    "preview",
    "preview_resubmit",
    "register",
    "resubmit",
    "self_test",
    "status",
    "submit",
    "sweep_id_of",
    "write_comparison",
    "write_figures",
    "write_report",
]


# ---------------------------------------------------------------- spec → design


def check(path: Path, *, plugins: bool = True) -> Checked:
    """Validate a study file down to its trainable's settings.

    Args:
        path: The study file.
        plugins: Whether the trainable must be importable (a study that is only designed need not have one).

    Raises:
        SpecError: Everything that is wrong in the file, at once.
        DesignError: No such design, or it cannot estimate a registered hypothesis.
        PluginError: The trainable cannot be imported.
    """
    from maineffect.design.build import build_design
    from maineffect.design.estimable import check_estimable
    from maineffect.design.propose import resolve
    from maineffect.register.plan import plan_document, plan_hash
    from maineffect.spec.load import load_study
    from maineffect.spec.standards import standards

    study, alternatives = resolve(load_study(path))
    design = replace(build_design(study), alternatives=alternatives)
    check_estimable(design, study)
    if plugins and study.trainable:
        study = _check_trainable(path, study, design)
    plan = plan_document(study, design)
    return Checked(path, study, design, plan, plan_hash(plan), tuple(standards(study)))


def _check_trainable(path: Path, study: StudySpec, design: Design) -> StudySpec:
    """Every cell's settings must be valid, every response known; the study with what its settings name pinned."""
    from maineffect.plugins import check_responses, check_settings, load_trainable
    from maineffect.spec.binding import bound_settings
    from maineffect.spec.load import locate_settings

    trainable = load_trainable(study.trainable or "", path.parent)
    problems = list(check_responses(trainable, tuple(study.responses), study.settings))
    drives = {name: factor.setting for name, factor in study.factors.items()}
    for cell in design.cells:
        problems += check_settings(trainable, bound_settings(study, cell.levels), drives)
    if problems:
        raise SpecError(locate_settings(path, study, problems))
    pin = getattr(trainable, "pin", None)
    return study if pin is None else study.model_copy(update={"settings": pin(study.settings)})


def design(path: Path) -> tuple[Checked, list[dict[str, Any]]]:
    """The design of a study and the smallest effect that each of its terms detects."""
    return planned_design(check(path, plugins=False))


def power(
    path: Path,
    place: Place | None = None,
    question: PowerQuestion | None = None,
    *,
    on_study: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Smallest detectable effects in the design's strata, power of the hypotheses, curve over replicates."""
    return planned_power(
        check(path, plugins=False),
        question or PowerQuestion(),
        lambda sweep: analyse_sweep(sweep, place or Place()),
        on_study,
    )


# ---------------------------------------------------------------- register


def register(path: Path, *, anew: bool = False) -> Registration:
    """Freeze the plan beside the study file.

    Raises:
        PlanChangedError: Another plan is registered and ``anew`` was not asked for.
    """
    from maineffect.register import freeze

    checked = check(path)
    return freeze.register(checked.study, checked.design, path, anew=anew, now=datetime.now(UTC))


# ---------------------------------------------------------------- execute → ledger


def preview(path: Path, place: Place, *, reuse: bool | None = None, go_on: bool = False) -> dict[str, Any]:
    """What ``submit`` would do: which runs, in which order, and which are done already. Writes nothing."""
    from maineffect.ledger.sweep import load_sweep

    checked = check(path)
    sweep_id = sweep_id_of(checked)
    ledger = load_sweep(place.uri(), sweep_id)
    requests = plan_requests(checked, sweep_id)
    states = ledger.state().runs if ledger is not None else {}
    only = needed_runs(checked.design, ledger, go_on=go_on)
    known = look_back(place.uri(), checked.study.name, sweep_id, ledger, requests, reuse=reuse, only=only)
    return preview_document(sweep_id, requests, states, known=known, retry_failed=False, only=only)


def submit(
    path: Path,
    place: Place,
    *,
    anew: bool = False,
    reuse: bool | None = None,
    go_on: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run what is not yet done: nothing that finished runs again, what still runs is adopted.

    Args:
        path: The study file.
        place: Where it runs and is kept.
        anew: Whether a changed plan is registered anew.
        reuse: Whether results of another version of the trainable's code count; False takes over nothing from other
            sweeps; by default only what is the same in everything is taken over.
        go_on: Whether the sweep goes on after an interim look that stopped it.
        on_progress: Called about twice a second.
        on_notice: Called with what should be known before anything runs.

    Returns:
        The sweep's status when nothing runs any more.

    Raises:
        PlanChangedError: The plan is not the registered one.
        UsageError: Results of two code versions would be mixed, and nobody said so.
        LedgerError: The tracking store does not answer.
    """
    from maineffect.ledger.store import prepare
    from maineffect.register import freeze

    checked = check(path)
    require_trainable(checked)
    prepare(place.uri())
    registration = freeze.require_registered(checked.study, checked.design, path, anew=anew, now=datetime.now(UTC))
    ledger = open_submission(checked, place, registration)
    requests = plan_requests(checked, ledger.sweep_id)
    only, halt = settle_stop(checked.design, ledger, go_on=go_on, on_notice=on_notice)
    settle_known(checked, ledger, requests, reuse, on_notice, only)
    return _execute(checked, ledger, place, requests, halt=halt, on_progress=on_progress)


def _execute(
    checked: Checked,
    ledger: MlflowLedger,
    place: Place,
    requests: Sequence[RunRequest],
    *,
    only: Sequence[str] | None = None,
    halt: str | None = None,
    retry_failed: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> dict[str, Any]:
    from maineffect.execute.sweep import execute_sweep
    from maineffect.ledger.repair import driving

    with driving(ledger, place.home / "runs" / ledger.sweep_id):
        execute_sweep(
            requests,
            ledger,
            place.home,
            needs_of(checked.study),
            study_dir=checked.path.parent,
            packages=packages_of(checked, place),
            workers=place.workers,
            address=place.address,
            retry_failed=retry_failed,
            only=only,
            takeover=place.takeover,
            on_progress=on_progress,
            look=look_for(checked, ledger),
            halt=halt,
        )
    return _standing(checked, ledger)


def resubmit(
    reference: str,
    place: Place,
    *,
    runs: Sequence[str] = (),
    cells: Sequence[str] = (),
    reuse: bool | None = None,
    go_on: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run the failed and missing runs of a sweep again, or the chosen ones among them.

    Raises:
        UsageError: No such sweep, run or cell; the run is not needed; or two code versions would be mixed unasked.
    """
    checked, ledger = stored_submission(reference, place)
    chosen = chosen_runs(checked.design, runs, cells)
    only, _ = settle_stop(checked.design, ledger, go_on=go_on, chosen=chosen, on_notice=on_notice)
    requests = plan_requests(checked, ledger.sweep_id)
    settle_known(checked, ledger, requests, reuse, on_notice, only)
    ledger.reopen("resubmit")
    return _execute(checked, ledger, place, requests, only=only, retry_failed=True, on_progress=on_progress)


def preview_resubmit(
    reference: str,
    place: Place,
    *,
    runs: Sequence[str] = (),
    cells: Sequence[str] = (),
    reuse: bool | None = None,
    go_on: bool = False,
) -> dict[str, Any]:
    """What ``resubmit`` would do. Writes nothing."""
    checked, ledger = stored_submission(reference, place)
    only = needed_runs(checked.design, ledger, chosen=chosen_runs(checked.design, runs, cells), go_on=go_on)
    requests = plan_requests(checked, ledger.sweep_id)
    known = look_back(ledger.uri, checked.study.name, ledger.sweep_id, ledger, requests, reuse=reuse, only=only)
    states = ledger.state().runs
    return preview_document(ledger.sweep_id, requests, states, known=known, retry_failed=True, only=only)


# ---------------------------------------------------------------- ledger → status


def _standing(checked: Checked, ledger: MlflowLedger) -> dict[str, Any]:
    return status_document(checked.study, checked.design, checked.plan_hash, ledger)


def status(reference: str, place: Place) -> dict[str, Any]:
    """Runs by state, failures by class, cost so far, time left."""
    checked, ledger = stored_submission(reference, place)
    return _standing(checked, ledger)


def cancel(reference: str, place: Place) -> tuple[str, tuple[str, ...]]:
    """Write the cancel record: nothing new starts, running runs stop at their next step.

    Returns:
        The sweep id, and the runs that are stopping.
    """
    checked, ledger = stored_submission(reference, place)
    ledger.cancel(f"{getpass.getuser()} by `maineffect cancel`")
    return ledger.sweep_id, running(checked.design, ledger.state().runs)


# ---------------------------------------------------------------- analyse → report


def self_test(path: Path) -> dict[str, Any]:
    """Error rate, coverage and power of the analysis on this study's own design, by simulation."""
    from maineffect.analyse.selftest import self_test as simulate

    checked = check(path, plugins=False)
    return {"study": checked.study.name, **simulate(checked.study, checked.design).document()}


def analyse_table(path: Path, table: Path, *, look: bool = False) -> AnalysisResult:
    """Analyse a table that was made elsewhere; ``look``: with interim looks that were not registered."""
    from maineffect.analyse.run import analyse_with_fits
    from maineffect.analyse.supplement import supplement
    from maineffect.analyse.table import read_table
    from maineffect.spec.load import load_study

    study = load_study(path)
    rows = read_table(table, study)
    result, fits = analyse_with_fits(study, rows, look=look)
    result = supplement(result, study, rows, fits=fits)
    facts = result.facts.model_copy(
        update={"question": study.question, "factors": [f.model_dump(mode="json") for f in study.factors.values()]}
    )
    return result.model_copy(update={"facts": facts})


def analyse_sweep(reference: str, place: Place, *, look: bool = False, items: bool = False) -> AnalysisResult:
    """Analyse a sweep from its ledger, with everything that a report needs to be believed.

    Args:
        reference: The sweep.
        place: Where it is kept.
        look: Interim looks also where none were registered.
        items: Item-level variances too: every run's item table is read.
    """
    from maineffect.analyse.covariates import with_covariates
    from maineffect.analyse.result import Curve, SweepFacts
    from maineffect.analyse.run import analyse_with_fits
    from maineffect.analyse.supplement import supplement
    from maineffect.design.emit import design_document
    from maineffect.design.power import power_document
    from maineffect.ledger.collect import collect, read_curves
    from maineffect.ledger.curves import read_items
    from maineffect.ledger.sweep import stored_sweep, sweep_results
    from maineffect.measuring import baselines_of

    checked, ledger = stored_submission(reference, place)
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
    scores = {run_id: own for run_id in read if (own := read_items(ledger, run_id)) is not None}
    result = supplement(result, study, table, design=stop.design, curves=lines, items=scores, fits=fits)
    told = [*sweep_deviations(checked, stop, ledger), *provenance_sentences(ledger.sweep_id, sweep_results(ledger))]
    detectable = power_document(study, checked.design)["terms"]
    facts = SweepFacts(
        sweep_id=ledger.sweep_id,
        question=study.question,
        settings=study.settings,
        registered_hash=checked.submission.get("plan_hash"),
        registered_at=checked.submission.get("registered_at"),
        deviations=told,
        stopped=stop.said,
        design={**design_document(checked.design, checked.plan_hash), "detectable": detectable},
        factors=[factor.model_dump(mode="json") for factor in study.factors.values()],
        provenance=stored_sweep(ledger).tags,
        cost=_standing(checked, ledger)["cost"],
        baselines=baselines_of(study, checked.path.parent, place),
    )
    return result.model_copy(update={"curves": curves, "facts": facts, "runs": [*rows, *stop.rows(checked.design)]})
