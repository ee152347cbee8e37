"""The one promise of the store that everything rests on: ``log_param`` is an atomic put-if-absent."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from maineffect.errors import LedgerError
from maineffect.ledger.records import Records
from maineffect.ledger.store import ask, prepare
from maineffect.ledger.sweep import scratch_run
from maineffect.ledger.tracking import redact

__all__ = ["check_store"]


def check_store(uri: str, *, racers: int = 4) -> None:
    """Race for one record and hold the store to exactly one winner; the scratch run is deleted again.

    Raises:
        LedgerError: The store does not answer, or lets two owners win.
    """
    prepare(uri)
    run = scratch_run(uri, "contract test")
    try:
        records = Records(uri, run)
        key = f"claim.{uuid.uuid4().hex}"
        with ThreadPoolExecutor(racers) as pool:
            wins = list(pool.map(lambda i: records.put(key, f"owner {i}"), range(racers)))
        again = records.put(key, records.read()[key])
    finally:
        ask(uri, lambda store: store.delete_run(run))
    if sum(wins) != 1 or not again:
        raise LedgerError(
            f"the ledger {redact(uri)} let {sum(wins)} of {racers} owners win one record",
            "use SQLite, or an MLflow server on SQLite or PostgreSQL",
        )
