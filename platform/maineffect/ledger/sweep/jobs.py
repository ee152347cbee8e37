"""Which jobs drive a sweep on a cluster: noted when they are submitted, so that anybody can ask for them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["JobNote", "latest_job", "note_job"]

_NOTE = "job."


@dataclass(frozen=True)
class JobNote:
    """A driver on a cluster.

    Attributes:
        job: Its id there.
        address: The cluster's dashboard.
    """

    job: str
    address: str


def note_job(ledger: MlflowLedger, note: JobNote) -> None:
    """Keep which job drives the sweep from now on.

    Raises:
        LedgerError: The store does not answer.
    """
    notes = _notes(ledger)
    number = max(notes, default=0)
    if notes.get(number) == note:
        return
    while not ledger.control.put(f"{_NOTE}{number + 1}", json.dumps(asdict(note))):
        number += 1  # somebody else's submission of the same moment


def latest_job(ledger: MlflowLedger) -> JobNote | None:
    """The job that was submitted last; None for a sweep that was never detached.

    Raises:
        LedgerError: The store does not answer.
    """
    notes = _notes(ledger)
    return notes[max(notes)] if notes else None


def _notes(ledger: MlflowLedger) -> dict[int, JobNote]:
    records = ledger.control.read()
    return {
        int(key.removeprefix(_NOTE)): JobNote(**json.loads(value))
        for key, value in records.items()
        if key.startswith(_NOTE)
    }
