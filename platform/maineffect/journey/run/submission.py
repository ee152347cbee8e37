"""A sweep in the ledger: opened at its first submission, noted at each, and found again as it was submitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from maineffect.errors import LedgerError
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.requests import sweep_id_of

if TYPE_CHECKING:
    from maineffect.design.model.model import Design
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.register.freeze import Registration
    from maineffect.spec.study import StudySpec

__all__ = ["note_submission", "open_submission", "stored_submission", "sweep_description"]

_SUBMISSION = "submission.json"
_NOTE = "submitted."


def open_submission(checked: Checked, place: Place, registration: Registration) -> MlflowLedger:
    """The sweep's ledger, made if this is its first submission."""
    from maineffect.design.emit import design_rows
    from maineffect.ledger.attempt.provenance import sweep_facts
    from maineffect.ledger.sweep.ledger import open_sweep

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
    """A sweep as it was submitted: its study, design and plan, whatever became of the study file since."""
    from maineffect.design.build import build_design
    from maineffect.ledger.store.artifacts import read_text
    from maineffect.ledger.sweep.ledger import find_sweep
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
    return Checked(
        path=path,
        study=study,
        design=design,
        plan=plan,
        plan_hash=submission["plan_hash"],
        warnings=(),
        submission=submission,
    ), ledger
