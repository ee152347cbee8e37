"""Every sweep of a store, and how far each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from maineffect.journey.plan.place import Place
from maineffect.preparation import is_preparatory

__all__ = ["STATES", "counts_by_sweep", "sweep_document", "sweeps"]

_THREADS = 8
STATES = ("finished", "failed", "running", "planned")


def sweeps(place: Place) -> list[dict[str, Any]]:
    """Every sweep, newest first: id, study, when it began, planned runs, and its entry in the registry."""
    from maineffect.ledger.store.registry import list_sweeps

    return [
        {
            "sweep": entry.sweep_id,
            "study": entry.study,
            "begun": datetime.fromtimestamp(entry.created, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "runs": entry.runs,
            "entry": entry,
        }
        for entry in reversed(list_sweeps(place.uri()))
    ]


def counts_by_sweep(sweep_records: Sequence[dict[str, Any]], place: Place) -> dict[str, dict[str, int]]:
    """Sweep of :func:`sweeps` → state → runs in it; several at once, because a server takes its time for each."""
    from maineffect.ledger.sweep.ledger import MlflowLedger

    uri = place.uri()

    def counted(sweep: dict[str, Any]) -> dict[str, int]:
        runs = MlflowLedger(uri, sweep["entry"]).state().runs
        return dict(Counter(run.state.value for run in runs.values() if not is_preparatory(run.run_id)))

    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip((sweep["sweep"] for sweep in sweep_records), pool.map(counted, sweep_records), strict=True))


def sweep_document(place: Place) -> dict[str, Any]:
    """The list as a document: of every sweep its id, study, beginning, planned runs and runs by state."""
    found = sweeps(place)
    counts = counts_by_sweep(found, place)
    rows = []
    for sweep in found:
        of = {state: counts[sweep["sweep"]].get(state, 0) for state in STATES}
        of["planned"] = max(0, sweep["runs"] - of["finished"] - of["failed"] - of["running"])
        rows.append({**{key: sweep[key] for key in ("sweep", "study", "begun", "runs")}, "counts": of})
    return {"schema_version": 1, "sweeps": rows}
