"""What a run printed, attempt by attempt: from its folder where that is on this machine, else from the ledger."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import OUTPUT_FILE
from maineffect.errors import UsageError

if TYPE_CHECKING:
    from maineffect.journey.plan.place import Place
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["driver_record", "logs", "logs_document", "named_run"]


def logs(reference: str, run: str, place: Place) -> dict[str, Any]:
    """What a run printed, attempt by attempt, with how each ended and its traceback.

    Args:
        reference: The sweep.
        run: A run id, or the beginning of exactly one.
        place: Where the sweep is kept.

    Raises:
        UsageError: No such sweep or run.
    """
    from maineffect.ledger.sweep.ledger import find_sweep, stored_sweep

    ledger = find_sweep(place.uri(), reference)
    names = [*stored_sweep(ledger).plan["runs"], *ledger.state().preparations]
    return logs_document(ledger, place.home, named_run(run, names))


def named_run(word: str, run_ids: Iterable[str]) -> str:
    """The run that a word names: its id, or the beginning of exactly one id.

    Raises:
        UsageError: No run, or several.
    """
    names = list(run_ids)
    matches = [name for name in names if name == word] or [name for name in names if word and name.startswith(word)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"{len(matches)} runs begin with {word!r}: {', '.join(matches[:5])}", "write more of the run id"
        )
    close = difflib.get_close_matches(word, names, n=1)
    raise UsageError(
        f"the sweep has no run {word!r}",
        f"did you mean {close[0]!r}?" if close else "`maineffect status --json` lists them",
    )


def logs_document(ledger: MlflowLedger, home: Path, run_id: str) -> dict[str, Any]:
    """Every attempt of a run: how it ended, what it printed, and its traceback.

    Raises:
        LedgerError: The store does not answer.
    """
    from maineffect.execute.attempt.output import read_output
    from maineffect.ledger.store.state import parse

    records = ledger.records.read()
    status = parse(records, {}).runs.get(run_id)
    # The output of a reused result was written by the run that made it.
    taken_over = status is not None and status.reused_from is not None
    here = {} if taken_over else read_output(home, ledger.sweep_id, run_id)
    attempts = _attempts(records, run_id)
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        "run_id": run_id,
        "state": status.state.value if status is not None else "planned",
        "reused_from": status.reused_from if status is not None else None,
        "attempts": [_attempt(ledger, records, run_id, attempt, here.get(attempt)) for attempt in attempts],
    }


def _attempts(records: Mapping[str, str], run_id: str) -> list[int]:
    attempts = set()
    for kind in ("claim", "end"):
        head = f"{kind}.{run_id}.a"
        attempts |= {int(key.removeprefix(head)) for key in records if key.startswith(head)}
    return sorted(attempts)


def _attempt(
    ledger: MlflowLedger, records: Mapping[str, str], run_id: str, attempt: int, here: str | None
) -> dict[str, Any]:
    from maineffect.ledger.attempt.results import TRACEBACK_FILE
    from maineffect.ledger.store.artifacts import read_text

    name = f"{run_id}.a{attempt}"
    tracking = records.get(f"start.{name}", "").partition(":")[0] or None
    failure, _, rest = records.get(f"end.{name}", "").partition(":")
    seconds, _, message = rest.partition(":")
    commit = records.get(f"commit.{run_id}", "")
    committed = commit.startswith(f"a{attempt}:")
    stored = read_text(ledger.uri, tracking, OUTPUT_FILE) if tracking and here is None else None
    traceback = read_text(ledger.uri, tracking, TRACEBACK_FILE) if tracking and failure else None
    return {
        "attempt": attempt,
        "state": "finished" if committed else "failed" if failure else "superseded" if commit else "running",
        "class": failure or None,
        "message": message or None,
        "seconds": float(commit.rpartition(":")[2]) if committed else float(seconds) if failure else None,
        "owner": records.get(f"claim.{name}", "").partition("|")[0].partition("~")[0] or None,
        "tracking_run_id": tracking,
        "source": "folder" if here is not None else "ledger" if stored is not None else None,
        "output": here if here is not None else stored,
        "traceback": traceback,
    }


def driver_record(reference: str, place: Place) -> dict[str, Any]:
    """What the drivers of a sweep decided in this home, and why.

    Raises:
        UsageError: No such sweep, or no driver of it ran in this home.
    """
    from maineffect.ledger.sweep.ledger import find_sweep
    from maineffect.record import read_record, record_path

    sweep_id = find_sweep(place.uri(), reference).sweep_id
    text = read_record(place.home, sweep_id)
    if text is None:
        raise UsageError(
            f"no driver of {sweep_id} has written a record in {place.home}",
            "name the --home in which it was submitted; a detached driver's output is in: maineffect logs --job SWEEP",
        )
    return {"schema_version": 1, "sweep": sweep_id, "path": str(record_path(place.home, sweep_id)), "record": text}
