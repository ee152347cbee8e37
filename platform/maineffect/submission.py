"""What travels between the verbs: where things are kept, a checked study, its work orders, its place in the ledger."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunRequest
from maineffect.errors import LedgerError, Problem, SpecError, UsageError
from maineffect.seeds import derive_seed
from maineffect.standing import sweep_description

if TYPE_CHECKING:
    from maineffect.design.model import Design
    from maineffect.execute.needs import Needs
    from maineffect.ledger.sweep import MlflowLedger
    from maineffect.register.freeze import Registration
    from maineffect.spec.study import StudySpec

__all__ = [
    "Checked",
    "Place",
    "needs_of",
    "note_submission",
    "open_submission",
    "packages_of",
    "plan_requests",
    "require_trainable",
    "stored_submission",
    "sweep_id_of",
]

_SUBMISSION = "submission.json"
_NOTE = "submitted."


@dataclass(frozen=True)
class Place:
    """Where a sweep runs and is kept: never part of what is studied.

    Attributes:
        home: Folder for runs, caches and the default ledger.
        tracking_uri: MLflow store; None: as the environment says, or SQLite in the home.
        address: Ray cluster to run on; None starts Ray on this machine.
        workers: Most runs at a time.
        takeover: Whether attempts of machines that have been silent for a minute are given up.
        send_code: Whether the cluster is sent this machine's maineffect and the trainable's package.

    Raises:
        UsageError: Code is to be sent, and no cluster is named.
    """

    home: Path = field(default_factory=lambda: Path(os.environ.get("MAINEFFECT_HOME", ".maineffect")).absolute())
    tracking_uri: str | None = None
    address: str | None = None
    workers: int | None = None
    takeover: bool = False
    send_code: bool = False

    def __post_init__(self) -> None:
        if self.send_code and self.address is None:
            raise UsageError("--send-code sends code to a cluster, and none is named", "add its --address")

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


def require_trainable(checked: Checked) -> str:
    """The trainable of a study that is to be run.

    Raises:
        SpecError: The study names none (it can only be designed and analysed).
    """
    if not checked.study.trainable:
        raise SpecError(
            [Problem("the study names no trainable", "trainable", str(checked.path))],
            "add `trainable: maineffect.lab:train_search_agent` or your own `module:object`",
        )
    return checked.study.trainable


def plan_requests(checked: Checked, sweep_id: str) -> list[RunRequest]:
    """The work orders of a sweep, in run order.

    Raises:
        OtherCodeError: This driver was sent to a cluster by somebody whose code of the trainable is another.
    """
    from maineffect.plugins import CODE_VARIABLE, code_version, require_code
    from maineffect.spec.binding import bound_settings

    study, design = checked.study, checked.design
    trainable = require_trainable(checked)
    sent_for, _, sent = os.environ.get(CODE_VARIABLE, "").rpartition("@")
    if sent_for == trainable:
        require_code(trainable, checked.path.parent, sent, study.settings)
    version = code_version(trainable, checked.path.parent, study.settings)
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
            trainable=trainable,
            code_version=version,
            block=run.block,
            whole_plot=run.whole_plot,
        )
        for run in design.runs
    ]


def packages_of(checked: Checked, place: Place) -> tuple[Path, ...]:
    """Code that the cluster is sent beside the study's folder, as far as this was asked for.

    Raises:
        PluginError: The trainable cannot be imported.
    """
    from maineffect.plugins import packages_to_send

    return packages_to_send(require_trainable(checked), checked.path.parent) if place.send_code else ()


def sweep_id_of(checked: Checked) -> str:
    """A sweep is a study with one plan: the same plan is the same sweep."""
    return f"{checked.study.name}-{checked.plan_hash[:8]}"


def open_submission(checked: Checked, place: Place, registration: Registration) -> MlflowLedger:
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
        description=sweep_description(study, checked.design, checked.plan_hash),
        tags=sweep_facts(checked.path.resolve().parent),
        documents={_SUBMISSION: json.dumps(submission, ensure_ascii=False)},
    )


def needs_of(study: StudySpec) -> Needs:
    """What one run needs and what the sweep may spend, as the scheduler reads it."""
    from maineffect.execute.needs import Needs

    resources, budget = study.resources, study.budget
    return Needs(
        cpus=resources.cpus,
        gpus=resources.gpus,
        memory_gb=resources.memory_gb,
        timeout=resources.timeout_seconds,
        retries=resources.retries,
        custom=dict(resources.custom),
        bundles=tuple(dict(bundle) for bundle in resources.bundles),
        gpu_hour_price=resources.gpu_hour_price,
        cpu_hour_price=resources.cpu_hour_price,
        most_gpu_hours=budget.gpu_hours,
        most_cpu_hours=budget.cpu_hours,
        most_price=budget.price,
        most_wall_seconds=budget.wall_seconds,
        priority=resources.priority,
    )


def note_submission(ledger: MlflowLedger, study: StudySpec, code: str) -> None:
    """Keep what a submission may change of a sweep: resources, budget, and the version of the trainable's code."""
    parts = {"resources": study.resources, "budget": study.budget}
    note = json.dumps({"code": code, **{name: part.model_dump(mode="json") for name, part in parts.items()}})
    notes = _notes(ledger)
    number = max(notes, default=0)
    if notes.get(number) == note:
        return
    while not ledger.control.put(f"{_NOTE}{number + 1}", note):
        number += 1  # somebody else's submission of the same moment


def _notes(ledger: MlflowLedger) -> dict[int, str]:
    """Notes of earlier submissions, by number."""
    records = ledger.control.read()
    return {int(key.removeprefix(_NOTE)): value for key, value in records.items() if key.startswith(_NOTE)}


def stored_submission(reference: str, place: Place) -> tuple[Checked, MlflowLedger]:
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
    notes = _notes(ledger)
    latest = json.loads(notes[max(notes)]) if notes else {}
    changed = {name: latest[name] for name in ("resources", "budget") if name in latest}
    study = StudySpec.model_validate({**submission["study"], **changed})
    design = build_design(study)
    plan = plan_document(study, design)
    path = Path(submission["study_dir"]) / "study.yaml"
    if plan_hash(plan) != submission["plan_hash"]:
        raise LedgerError(
            f"this version of maineffect builds another plan from the study of {ledger.sweep_id}",
            "use the version that submitted it (`maineffect env`), or submit the study as a new sweep",
        )
    return Checked(path, study, design, plan, submission["plan_hash"], (), submission), ledger
