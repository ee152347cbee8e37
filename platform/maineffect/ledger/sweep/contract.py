"""The promise of the store that everything rests on: ``log_param`` is an atomic put-if-absent.

MLflow does not document it, so every store is held to it: at start-up by ``maineffect env``, and for SQLite, an MLflow
server and PostgreSQL by the tests, there with several processes.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from maineffect.errors import LedgerError
from maineffect.ledger.store.connection import ask, prepare
from maineffect.ledger.store.records import Records
from maineffect.ledger.store.texts import redact
from maineffect.ledger.store.tracking import nothing_yet
from maineffect.ledger.sweep.ledger import scratch_run

__all__ = ["check_store", "race"]

_KEYS = 4


def check_store(uri: str, *, racers: int = 4) -> None:
    """Hold the store to its promise; the scratch run is deleted again.

    A SQLite store that nobody has made yet is not made: one beside it, in a temporary folder, is held to it.

    Raises:
        LedgerError: The store does not answer, or does not keep the promise: says which part.
    """
    if nothing_yet(uri):
        with tempfile.TemporaryDirectory(prefix="maineffect-") as folder:
            _check(f"sqlite:///{folder}/mlflow.db", racers)
        return
    _check(uri, racers)


def _check(uri: str, racers: int) -> None:
    prepare(uri)
    run = scratch_run(uri, "contract test")
    try:
        broken = _broken_promise(Records(uri, run), racers)
    finally:
        ask(uri, lambda store: store.delete_run(run))
    if broken:
        raise LedgerError(
            f"the ledger {redact(uri)} cannot keep a sweep's records apart: {broken}",
            "use SQLite, or an MLflow server on SQLite or PostgreSQL",
        )


def _broken_promise(records: Records, racers: int) -> str:
    if not records.write("first", "a"):
        return "it refuses a first record"
    if not records.write("first", "a"):
        return "it refuses to repeat a record, so a call that timed out cannot be repeated"
    if records.write("first", "b") or records.read().get("first") != "a":
        return "it overwrites a record"
    keys = [f"claim.{uuid.uuid4().hex}" for _ in range(_KEYS)]
    with ThreadPoolExecutor(racers) as pool:
        wins = list(pool.map(lambda i: race(records, keys, f"owner {i}"), range(racers)))
    stored = records.read()
    for number, key in enumerate(keys):
        winners = [i for i in range(racers) if wins[i][number]]
        if len(winners) != 1:
            return f"{len(winners)} of {racers} owners won one record"
        if stored[key] != f"owner {winners[0]}":
            return "it keeps another value than it says"
    return ""


def race(records: Records, keys: Sequence[str], owner: str) -> list[bool]:
    """Try to own every key, in order; which were won."""
    return [records.write(key, owner) for key in keys]
