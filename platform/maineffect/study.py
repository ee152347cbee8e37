"""The whole journey on one page: every verb of the command line is one function here.

    spec → design → register → execute (→ lab) → ledger → analyse → report

Stages are imported where they are used, so that ``--help`` and ``check`` stay light.
"""

from __future__ import annotations

import difflib
import getpass
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunRequest, RunState, RunStatus
from maineffect.errors import LedgerError, Problem, SpecError, UsageError
from maineffect.seeds import derive_seed

if TYPE_CHECKING:
    from maineffect.analyse.result import AnalysisResult
    from maineffect.design.model import Design
    from maineffect.execute.progress import SweepProgress
    from maineffect.ledger.sweep import MlflowLedger
    from maineffect.register.freeze import Registration
    from maineffect.spec.study import StudySpec

__all__ = [
    "Checked",
    "Place",
    "analyse_sweep",
    "analyse_table",
    "cancel",
    "check",
    "plan_requests",
    "power",
    "preview",
    "preview_resubmit",
    "register",
    "resubmit",
    "status",
    "submit",
    "sweep_id_of",
    "write_report",
]


_SUBMISSION = "submission.json"


@dataclass(frozen=True)
class Place:
    """Where a sweep runs and is kept: never part of what is studied."""

    home: Path = field(default_factory=lambda: Path(os.environ.get("MAINEFFECT_HOME", ".maineffect")).absolute())
    tracking_uri: str | None = None
    address: str | None = None
    workers: int | None = None

    def uri(self) -> str:
        """The tracking store in force."""
        from maineffect.ledger.tracking import tracking_uri

        return tracking_uri(self.tracking_uri, self.home)


@dataclass(frozen=True)
class Checked:
    """A study that can be run: its design, its plan and what the experimental standards say of it."""

    path: Path
    study: StudySpec
    design: Design
    plan: dict[str, Any]
    plan_hash: str
    warnings: tuple[Problem, ...] = ()
    submission: Mapping[str, Any] = field(default_factory=dict)


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
    from maineffect.design.build import build_design, check_estimable
    from maineffect.register.plan import plan_document, plan_hash
    from maineffect.spec.load import load_study
    from maineffect.spec.standards import standards

    study = load_study(path)
    design = build_design(study)
    check_estimable(design, study)
    if plugins and study.trainable:
        _check_trainable(path, study, design)
    plan = plan_document(study, design)
    return Checked(path, study, design, plan, plan_hash(plan), tuple(standards(study)))


def _check_trainable(path: Path, study: StudySpec, design: Design) -> None:
    """Every cell's settings must be valid for the trainable, and it must be able to return every response."""
    from maineffect.plugins import check_responses, check_settings, load_trainable
    from maineffect.spec.binding import bound_settings

    trainable = load_trainable(study.trainable or "", path.parent)
    problems = list(check_responses(trainable, tuple(study.responses)))
    for cell in design.cells:
        problems += check_settings(trainable, bound_settings(study, cell.levels))
    if problems:
        raise SpecError([Problem(p.message, p.path, str(path), p.line, p.hint) for p in dict.fromkeys(problems)])


def power(path: Path) -> dict[str, Any]:
    """Smallest detectable effect and power per term."""
    from maineffect.design.power import power_document

    checked = check(path, plugins=False)
    return power_document(checked.study, checked.design)


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


def plan_requests(checked: Checked, sweep_id: str) -> list[RunRequest]:
    """The work orders of a sweep, in run order."""
    from maineffect.plugins import code_version
    from maineffect.spec.binding import bound_settings

    study, design = checked.study, checked.design
    if not study.trainable:
        raise SpecError(
            [Problem("the study names no trainable", "trainable", str(checked.path))],
            "add `trainable: maineffect.lab:train_search_agent` or your own `module:object`",
        )
    version = code_version(study.trainable, checked.path.parent)
    evaluation_seed = derive_seed(study.seed, "evaluation")
    return [
        RunRequest(
            study=study.name,
            sweep_id=sweep_id,
            run_id=run.run_id,
            cell_id=run.cell_id,
            replicate=run.replicate,
            levels=dict(design.levels_of(run)),
            settings=bound_settings(study, design.levels_of(run)),
            seed=run.seed,
            evaluation_seed=evaluation_seed,
            responses=tuple(study.responses),
            trainable=study.trainable,
            code_version=version,
            block=run.block,
            whole_plot=run.whole_plot,
        )
        for run in design.runs
    ]


def sweep_id_of(checked: Checked) -> str:
    """A sweep is a study with one plan: the same plan is the same sweep."""
    return f"{checked.study.name}-{checked.plan_hash[:8]}"


def preview(path: Path, place: Place) -> dict[str, Any]:
    """What ``submit`` would do: which runs, in which order, and which are done already. Writes nothing."""
    checked = check(path)
    sweep_id = sweep_id_of(checked)
    from maineffect.ledger.sweep import load_sweep

    ledger = load_sweep(place.uri(), sweep_id)
    states = ledger.state().runs if ledger is not None else {}
    return _preview(sweep_id, plan_requests(checked, sweep_id), states, retry_failed=False)


def submit(
    path: Path,
    place: Place,
    *,
    anew: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> dict[str, Any]:
    """Run what is not yet done: nothing that finished runs again, what still runs is adopted.

    Returns:
        The sweep's status when nothing runs any more.

    Raises:
        PlanChangedError: The plan is not the registered one.
        LedgerError: The tracking store does not answer.
    """
    from maineffect.ledger.store import prepare
    from maineffect.register import freeze

    checked = check(path)
    prepare(place.uri())
    registration = freeze.require_registered(checked.study, checked.design, path, anew=anew, now=datetime.now(UTC))
    ledger = _open(checked, place, registration)
    return _execute(checked, ledger, place, on_progress=on_progress)


def _open(checked: Checked, place: Place, registration: Registration) -> MlflowLedger:
    """The sweep's ledger, made if this is its first submission."""
    from maineffect.design.emit import design_rows
    from maineffect.ledger.provenance import sweep_facts
    from maineffect.ledger.sweep import open_sweep

    study = checked.study
    submission = {
        "study": study.model_dump(mode="json"),
        "study_dir": str(checked.path.resolve().parent),
        "plan_hash": checked.plan_hash,
        "registered_at": registration.registered_at,
        "earlier": list(registration.earlier),
    }
    return open_sweep(
        place.uri(),
        sweep_id_of(checked),
        study_name=study.name,
        study_text=checked.path.read_text(encoding="utf-8"),
        plan=checked.plan,
        design_rows=design_rows(checked.design),
        description=_description(checked),
        tags=sweep_facts(checked.path.resolve().parent),
        documents={_SUBMISSION: json.dumps(submission, ensure_ascii=False)},
    )


def _description(checked: Checked) -> str:
    """What a person reads first on the sweep's page in MLflow."""
    study, design = checked.study, checked.design
    factors = "\n".join(f"- `{name}`: {', '.join(map(str, f.levels))}" for name, f in study.factors.items())
    claims = "\n".join(f"- **{h.id}** `{h.term}` on `{h.response}`: {h.direction.value}" for h in study.hypotheses)
    return (
        f"**{study.question or study.name}**\n\n{design.kind}, {len(design.cells)} cells, {len(design.runs)} runs; "
        f"plan `{checked.plan_hash[:12]}`\n\n{factors}\n\n{claims}"
    )


def _execute(
    checked: Checked,
    ledger: MlflowLedger,
    place: Place,
    *,
    only: Sequence[str] | None = None,
    retry_failed: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> dict[str, Any]:
    from maineffect.execute.sweep import Needs, execute_sweep

    resources = checked.study.resources
    needs = Needs(resources.cpus, resources.gpus, resources.memory_gb, resources.timeout_seconds, resources.retries)
    execute_sweep(
        plan_requests(checked, ledger.sweep_id),
        ledger,
        place.home,
        needs,
        study_dir=checked.path.parent,
        workers=place.workers,
        address=place.address,
        retry_failed=retry_failed,
        only=only,
        on_progress=on_progress,
    )
    return _status(checked, ledger)


def resubmit(
    reference: str,
    place: Place,
    *,
    runs: Sequence[str] = (),
    cells: Sequence[str] = (),
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> dict[str, Any]:
    """Run the failed and missing runs of a sweep again, or the chosen ones among them.

    Raises:
        UsageError: No such sweep, run or cell.
    """
    checked, ledger = _stored(reference, place)
    only = _chosen(checked, runs, cells)
    ledger.reopen("resubmit")
    return _execute(checked, ledger, place, only=only, retry_failed=True, on_progress=on_progress)


def preview_resubmit(
    reference: str, place: Place, *, runs: Sequence[str] = (), cells: Sequence[str] = ()
) -> dict[str, Any]:
    """What ``resubmit`` would do. Writes nothing."""
    checked, ledger = _stored(reference, place)
    only = _chosen(checked, runs, cells)
    requests = plan_requests(checked, ledger.sweep_id)
    return _preview(ledger.sweep_id, requests, ledger.state().runs, retry_failed=True, only=only)


def _chosen(checked: Checked, runs: Sequence[str], cells: Sequence[str]) -> list[str] | None:
    """Run ids that ``--run`` and ``--cell`` name; None when neither is given."""
    known_runs = [run.run_id for run in checked.design.runs]
    known_cells = {run.cell_id for run in checked.design.runs}
    for word, known in [*((run, known_runs) for run in runs), *((cell, known_cells) for cell in cells)]:
        if word not in known:
            close = difflib.get_close_matches(word, list(known), n=1)
            hint = f"did you mean {close[0]!r}?" if close else "`maineffect status` lists them"
            raise UsageError(f"the sweep has no run or cell {word!r}", hint)
    if not runs and not cells:
        return None
    return [run.run_id for run in checked.design.runs if run.run_id in runs or run.cell_id in cells]


def _preview(
    sweep_id: str,
    requests: Sequence[RunRequest],
    states: Mapping[str, RunStatus],
    *,
    retry_failed: bool,
    only: Sequence[str] | None = None,
) -> dict[str, Any]:
    from maineffect.execute.schedule import to_run

    chosen = to_run(requests, states, retry_failed=retry_failed, only=only)
    counts = _counts([request.run_id for request in requests], states)
    starting = {request.run_id for request, _ in chosen}
    left = [r.run_id for r in requests if _state(states, r.run_id) is RunState.FAILED and r.run_id not in starting]
    return {
        "schema_version": 1,
        "sweep": sweep_id,
        "planned": len(requests),
        "finished": counts["finished"],
        "failed_left": len(left),
        "would_run": [
            {
                "run_id": request.run_id,
                "cell_id": request.cell_id,
                "replicate": request.replicate,
                "attempt": attempt,
                "order": order,
                "levels": dict(request.levels),
            }
            for order, (request, attempt) in enumerate(chosen)
        ],
    }


def _state(states: Mapping[str, RunStatus], run_id: str) -> RunState:
    return states[run_id].state if run_id in states else RunState.PLANNED


def _counts(planned: Sequence[str], states: Mapping[str, RunStatus]) -> dict[str, int]:
    counts = dict.fromkeys((state.value for state in RunState), 0)
    for run_id in planned:
        counts[_state(states, run_id).value] += 1
    return counts


def _stored(reference: str, place: Place) -> tuple[Checked, MlflowLedger]:
    """A sweep as it was submitted: its study, design and plan, whatever became of the study file since."""
    from maineffect.design.build import build_design
    from maineffect.ledger.artifacts import read_text
    from maineffect.ledger.sweep import find_sweep
    from maineffect.register.plan import plan_document, plan_hash
    from maineffect.spec.study import StudySpec

    ledger = find_sweep(place.uri(), reference)
    text = read_text(ledger.uri, ledger.entry.sweep_run, _SUBMISSION)
    if text is None:
        raise LedgerError(
            f"{_SUBMISSION} of sweep {ledger.sweep_id} is gone from the artifact store",
            "restore the artifact store, or submit the study again",
        )
    submission = json.loads(text)
    study = StudySpec.model_validate(submission["study"])
    design = build_design(study)
    plan = plan_document(study, design)
    path = Path(submission["study_dir"]) / "study.yaml"
    if plan_hash(plan) != submission["plan_hash"]:
        raise LedgerError(
            f"this version of maineffect builds another plan from the study of {ledger.sweep_id}",
            "use the version that submitted it (`maineffect env`), or submit the study as a new sweep",
        )
    return Checked(path, study, design, plan, submission["plan_hash"], (), submission), ledger


# ---------------------------------------------------------------- ledger → status


def status(reference: str, place: Place) -> dict[str, Any]:
    """Runs by state, failures by class, cost so far, time left."""
    checked, ledger = _stored(reference, place)
    return _status(checked, ledger)


def _status(checked: Checked, ledger: MlflowLedger) -> dict[str, Any]:
    state = ledger.state()
    planned = [run.run_id for run in checked.design.runs]
    known = [state.runs[run] for run in planned if run in state.runs]
    spent = sum(s.seconds + sum(end.seconds for end in s.ends) for s in known)
    finished = [s.seconds for s in known if s.state is RunState.FINISHED]
    left = len(planned) - len(finished)
    resources = checked.study.resources
    hours = spent / 3600 * resources.gpus
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        "study": checked.study.name,
        "plan_hash": checked.plan_hash,
        "planned": len(planned),
        "counts": _counts(planned, state.runs),
        "cancelled": state.cancelled_by is not None,
        "failures": [
            {
                "run_id": s.run_id,
                "class": s.ends[-1].failure.value,
                "message": s.ends[-1].message,
                "attempts": s.attempts,
            }
            for s in known
            if s.state is RunState.FAILED and s.ends
        ],
        "cost": {"run_seconds": spent, "gpu_hours": hours, "price": hours * resources.gpu_hour_price},
        "seconds_left": left * sum(finished) / len(finished) / (os.cpu_count() or 1) if finished and left else None,
        "runs": [
            {
                "run_id": run.run_id,
                "cell_id": run.cell_id,
                "replicate": run.replicate,
                "levels": dict(checked.design.levels_of(run)),
                "state": _state(state.runs, run.run_id).value,
                "attempts": state.runs[run.run_id].attempts if run.run_id in state.runs else 0,
                "seconds": state.runs[run.run_id].seconds if run.run_id in state.runs else 0.0,
                "tracking_run_id": state.runs[run.run_id].tracking_run_id if run.run_id in state.runs else None,
            }
            for run in checked.design.runs
        ],
    }


def cancel(reference: str, place: Place) -> tuple[str, tuple[str, ...]]:
    """Write the cancel record: nothing new starts, running runs stop at their next step.

    Returns:
        The sweep id, and the runs that are stopping.
    """
    checked, ledger = _stored(reference, place)
    ledger.cancel(f"{getpass.getuser()} by `maineffect cancel`")
    states = ledger.state().runs
    running = tuple(r.run_id for r in checked.design.runs if _state(states, r.run_id) is RunState.RUNNING)
    return ledger.sweep_id, running


# ---------------------------------------------------------------- analyse → report


def analyse_table(path: Path, table: Path) -> AnalysisResult:
    """Analyse a table that was made elsewhere."""
    from maineffect.analyse.run import analyse
    from maineffect.analyse.table import read_table
    from maineffect.spec.load import load_study

    study = load_study(path)
    result = analyse(study, read_table(table))
    facts = result.facts.model_copy(
        update={"question": study.question, "factors": [f.model_dump(mode="json") for f in study.factors.values()]}
    )
    return result.model_copy(update={"facts": facts})


def analyse_sweep(reference: str, place: Place) -> AnalysisResult:
    """Analyse a sweep from its ledger, with everything that a report needs to be believed."""
    from maineffect.analyse.result import Curve, SweepFacts
    from maineffect.analyse.run import analyse
    from maineffect.design.emit import design_document
    from maineffect.ledger.collect import collect, read_curves
    from maineffect.ledger.sweep import stored_sweep
    from maineffect.register.deviations import deviations

    checked, ledger = _stored(reference, place)
    study, design = checked.study, checked.design
    collected = collect(ledger, design, tuple(study.responses))
    result = analyse(study, collected.table, plan_hash=checked.plan_hash, measures=collected.measures)
    curves = [
        Curve(run_id=run_id, metric=metric, steps=points["steps"], values=points["values"])
        for run_id, metrics in read_curves(ledger, place.home / "cache").items()
        for metric, points in metrics.items()
    ]
    known = _status(checked, ledger)
    planned = [run.run_id for run in design.runs]
    facts = SweepFacts(
        sweep_id=ledger.sweep_id,
        question=study.question,
        registered_hash=checked.submission.get("plan_hash"),
        registered_at=checked.submission.get("registered_at"),
        deviations=deviations(planned, ledger.state().runs, checked.submission.get("earlier", ())),
        design=design_document(design, checked.plan_hash),
        factors=[factor.model_dump(mode="json") for factor in study.factors.values()],
        provenance=stored_sweep(ledger).tags,
        cost=known["cost"],
    )
    return result.model_copy(update={"curves": curves, "facts": facts})


def write_report(result: AnalysisResult, place: Place, *, out: Path | None = None, form: str = "html") -> Path:
    """Write a report and keep it with its sweep.

    Raises:
        UsageError: An unknown format.
    """
    writers: dict[str, Callable[[AnalysisResult], str]] = {"html": _html, "md": _markdown, "json": _json}
    if form not in writers:
        raise UsageError(f"no report format {form!r}", f"use {', '.join(writers)}")
    path = out or place.home / "reports" / f"{result.facts.sweep_id or result.study}.{form}"
    text = writers[form](result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", "name another file with -o") from None
    if result.facts.sweep_id is not None:
        from maineffect.ledger.sweep import find_sweep, log_file

        log_file(find_sweep(place.uri(), result.facts.sweep_id), path)
    return path.absolute()


def _html(result: AnalysisResult) -> str:
    from maineffect.report.page import render_report

    return render_report(result)


def _markdown(result: AnalysisResult) -> str:
    from maineffect.report.markdown import render_markdown

    return render_markdown(result)


def _json(result: AnalysisResult) -> str:
    return result.model_dump_json(indent=1)
