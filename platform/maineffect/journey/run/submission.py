"""A sweep in the ledger: opened at its first submission, noted at each, and found again as it was submitted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import LedgerError
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.requests import sweep_id_of
from maineffect.journey.run.registered import SUBMISSION_FILE

if TYPE_CHECKING:
    from maineffect.design.model.model import Design
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.register.freeze import Registration
    from maineffect.spec.study import StudySpec

__all__ = ["note_submission", "open_submission", "stored_submission", "stored_submission_document", "sweep_description"]

_DESIGN = "design.json"
_NOTE = "submitted."


def open_submission(checked: Checked, place: Place, registration: Registration) -> MlflowLedger:
    """The sweep's ledger, made if this is its first submission."""
    from maineffect.design.emit import design_rows, stored_design
    from maineffect.ledger.attempt.provenance import sweep_facts
    from maineffect.ledger.sweep.ledger import open_sweep

    study, design = checked.study, stored_design(checked.design)
    submission = {
        "study": study.model_dump(mode="json"),
        "study_dir": str(checked.path.resolve().parent),
        "plan_hash": checked.plan_hash,
        "design_sha256": hashlib.sha256(design.encode()).hexdigest(),
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
        documents={SUBMISSION_FILE: json.dumps(submission, ensure_ascii=False), _DESIGN: design},
    )


def sweep_description(study: StudySpec, design: Design, plan_hash: str) -> str:
    """What a person reads first on the sweep's page in MLflow."""
    factors = "\n".join(f"- `{name}`: {', '.join(map(str, f.levels))}" for name, f in study.factors.items())
    claims = "\n".join(f"- **{h.id}** `{h.term}` on `{h.response}`: {h.direction.value}" for h in study.hypotheses)
    return (
        f"**{study.question or study.name}**\n\n{design.kind}, {len(design.cells)} cells, {len(design.runs)} runs; "
        f"plan `{plan_hash[:12]}`\n\n{factors}\n\n{claims}"
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
    """A sweep as it was submitted: its study, design and plan, whatever became of the study file since.

    The design is read, not built again: another processor may find another one of the same worth.

    Raises:
        UsageError: No such sweep.
        LedgerError: What was submitted is gone from the artifact store, or was changed there.
    """
    from maineffect.ledger.sweep.ledger import PLAN_FILE, find_sweep
    from maineffect.register.plan import plan_hash
    from maineffect.spec.study import StudySpec

    ledger = find_sweep(place.uri(), reference)
    submission = stored_submission_document(ledger)
    plan = json.loads(_stored(ledger, PLAN_FILE))
    if plan_hash(plan) != submission["plan_hash"]:
        raise LedgerError(
            f"{PLAN_FILE} of sweep {ledger.sweep_id} is not the plan that was submitted: its hash is "
            f"{plan_hash(plan)[:12]}, not {submission['plan_hash'][:12]}",
            "restore the artifact store, or submit the study again under another name",
        )
    notes = _notes(ledger)
    latest = json.loads(notes[max(notes)]) if notes else {}
    changed = {name: latest[name] for name in ("resources", "budget") if name in latest}
    study = StudySpec.model_validate({**_with_old_defaults(submission["study"]), **changed})
    return Checked(
        path=_study_file(ledger, Path(submission["study_dir"]), place),
        study=study,
        design=_stored_design(ledger, study, plan, submission),
        plan=plan,
        plan_hash=submission["plan_hash"],
        submission=submission,
    ), ledger


def _with_old_defaults(study: Mapping[str, Any]) -> dict[str, Any]:
    """A stored study with what went without saying when it was stored: the runs of a replicate shared their seed."""
    return {**study, "design": {"common_random_numbers": True, **study["design"]}}


def stored_submission_document(ledger: MlflowLedger) -> dict[str, Any]:
    """What was written at the first submission of a sweep.

    Raises:
        LedgerError: It is gone from the artifact store.
    """
    return dict(json.loads(_stored(ledger, SUBMISSION_FILE)))


def _study_file(ledger: MlflowLedger, folder: Path, place: Place) -> Path:
    """The study file; where its folder was moved together with the home, the same text beside the home.

    Only its folder matters: the trainable is looked for there.
    """
    if folder.is_dir():
        return folder / "study.yaml"
    from maineffect.ledger.sweep.ledger import STUDY_FILE

    text = _stored(ledger, STUDY_FILE)
    for beside in dict.fromkeys((place.home.absolute().parent, Path.cwd())):
        for path in sorted([*beside.glob("*.yaml"), *beside.glob("*.yml")]):
            if path.read_text(encoding="utf-8", errors="replace") == text:
                return path
    return folder / "study.yaml"


def _stored(ledger: MlflowLedger, name: str) -> str:
    from maineffect.ledger.store.artifacts import read_text

    text = read_text(ledger.uri, ledger.entry.sweep_run, name)
    if text is None:
        raise LedgerError(
            f"{name} of sweep {ledger.sweep_id} is gone from the artifact store",
            "restore the artifact store, or submit the study again",
        )
    return text


def _stored_design(
    ledger: MlflowLedger, study: StudySpec, plan: Mapping[str, Any], submission: Mapping[str, Any]
) -> Design:
    """The design that was submitted; sweeps from before designs were stored have theirs built again."""
    from maineffect.design.build import build_design
    from maineffect.design.emit import read_design
    from maineffect.register.plan import planned_runs_document

    digest = submission.get("design_sha256")
    if digest is None:
        design = build_design(study)
    else:
        text = _stored(ledger, _DESIGN)
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise LedgerError(
                f"{_DESIGN} of sweep {ledger.sweep_id} is not the design that was submitted",
                "restore the artifact store, or submit the study again under another name",
            )
        design = read_design(text)
    if planned_runs_document(design) != plan["runs"]:
        raise LedgerError(
            f"the design of {ledger.sweep_id} does not have the runs of its plan: another version of maineffect, or "
            "another processor, built it",
            "use the version and the machine that submitted it (`maineffect env`)",
        )
    return design
