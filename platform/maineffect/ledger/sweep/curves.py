"""What was kept beside the runs, read back: training curves and item-level scores.

A committed run never changes, so what was fetched from a server once is kept in a cache. A run that was resumed has the
beginning of its curves in its earlier attempts: they are put together here.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunState
from maineffect.ledger.attempt.results import number, thin
from maineffect.ledger.attempt.upload import PREFIX
from maineffect.ledger.store import quick
from maineffect.ledger.store.artifacts import fetch, placed
from maineffect.ledger.store.connection import ask
from maineffect.ledger.store.state import commits, parse
from maineffect.ledger.store.tracking import is_local
from maineffect.ledger.sweep.ledger import MlflowLedger
from maineffect.preparation import is_preparatory

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Curves", "read_curves", "read_items"]

# Metric → {"steps": [...], "values": [...]}; a value is None where it was not finite.
Curves = dict[str, dict[str, list[Any]]]

_FILE = "curves.json"
_MOST_POINTS = 200
_THREADS = 8


def read_curves(
    ledger: MlflowLedger,
    cache: Path,
    *,
    runs: Collection[str] | None = None,
    most: int = _MOST_POINTS,
    underway: bool = False,
) -> dict[str, Curves]:
    """Training curves of committed runs, and of those that are underway if asked.

    Args:
        ledger: The sweep.
        cache: Folder for what a server had to be asked for.
        runs: Only these runs.
        most: Most points of a curve.
        underway: Running attempts too, as far as their curves are in the store.

    Returns:
        Run id → metric → steps and values. A run whose curves are gone is left out.
    """
    records = ledger.records.read()
    last = {run: (commit.attempt, commit.tracking_run_id) for run, commit in commits(records).items()}
    going = _underway(records) if underway else {}
    every = {run: attempt for run, attempt in {**going, **last}.items() if not is_preparatory(run)}
    last = {run: attempt for run, attempt in every.items() if runs is None or run in runs}
    reader = _Reader(ledger, cache)

    def curves_of(run_id: str) -> Curves | None:
        newest, tracking = last[run_id]
        run_curves = reader.history(tracking) if run_id in going else reader.curves(tracking)
        for attempt in range(newest - 1, 0, -1):
            started = records.get(f"start.{run_id}.a{attempt}", "").partition(":")[0]
            if started and run_curves is not None:
                run_curves = _continued(reader.curves(started) or reader.history(started), run_curves)
        return None if run_curves is None else {name: _thinned(curve, most) for name, curve in run_curves.items()}

    with ThreadPoolExecutor(1 if reader.folder else _THREADS) as pool:
        curves_by_run = dict(zip(last, pool.map(curves_of, last), strict=True))
    return {run_id: curves for run_id, curves in curves_by_run.items() if curves is not None}


def _underway(records: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Run → newest attempt and its tracking run, of the runs that are underway."""
    return {
        run: (status.attempts, status.tracking_run_id)
        for run, status in parse(records, {}).runs.items()
        if status.state is RunState.RUNNING and status.tracking_run_id is not None
    }


def _thinned(curve: dict[str, list[Any]], most: int) -> dict[str, list[Any]]:
    if len(curve["steps"]) <= most:
        return curve
    return thin([(step, number(value)) for step, value in zip(curve["steps"], curve["values"], strict=True)], most)


def _continued(earlier: Curves, later: Curves) -> Curves:
    """A resumed attempt's curves with what came before its first step."""
    joined = {}
    for name in {**earlier, **later}:
        before = earlier.get(name, {"steps": [], "values": []})
        after = later.get(name, {"steps": [], "values": []})
        first = min(after["steps"], default=None)
        kept = sum(first is None or step < first for step in before["steps"])
        joined[name] = {part: [*before[part][:kept], *after[part]] for part in ("steps", "values")}
    return joined


class _Reader:
    """Reads curves of tracking runs: from this machine's disk, from the cache, or from the server."""

    def __init__(self, ledger: MlflowLedger, cache: Path) -> None:
        self._uri = ledger.uri
        self._cache = cache / "curves"
        self.folder: Path | None = None
        if is_local(ledger.uri):
            name = ledger.entry.study
            experiment = quick.experiment_named(ledger.uri, name)
            experiment = experiment or ask(ledger.uri, lambda store: store.get_experiment_by_name(name))
            self.folder = placed(ledger.uri, experiment.artifact_location) if experiment is not None else None

    def curves(self, run: str) -> Curves | None:
        """Curves of a tracking run that ended by itself, None if it left none."""
        if self.folder is not None:
            return _load(self.folder / run / "artifacts" / _FILE)
        kept = self._cache / f"{run}.json"
        if not kept.exists():
            with tempfile.TemporaryDirectory(prefix="maineffect-") as folder:
                path = fetch(self._uri, run, _FILE, Path(folder))
                if path is None:
                    return None
                self._keep(path, kept)
        return _load(kept)

    def _keep(self, path: Path, kept: Path) -> None:
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = kept.with_name(f".{kept.name}.{os.getpid()}")
        aside.write_bytes(path.read_bytes())
        aside.replace(kept)

    def history(self, run: str) -> Curves:
        """Curves of a tracking run that was killed or goes on: as far as they have been uploaded."""
        if (histories := quick.histories(self._uri, run, PREFIX)) is not None:
            return {
                name.removeprefix(PREFIX): thin(sorted(value_by_step.items()))
                for name, value_by_step in histories.items()
            }
        names = ask(self._uri, lambda store: list(store.get_run(run).data.metrics))
        curves: Curves = {}
        for name in names:
            if name.startswith(PREFIX):
                points = ask(self._uri, lambda store: store.get_metric_history(run, name))  # noqa: B023
                series = sorted({point.step: point.value for point in points}.items())
                curves[name.removeprefix(PREFIX)] = thin(series)
        return curves


def _load(path: Path) -> Curves | None:
    try:
        content: Curves = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def read_items(ledger: MlflowLedger, run_id: str, records: Mapping[str, str] | None = None) -> pd.DataFrame | None:
    """Item-level scores of a committed run, or None if it has none."""
    import pandas as pd

    commit = commits(records if records is not None else ledger.records.read()).get(run_id)
    if commit is None:
        return None
    with tempfile.TemporaryDirectory(prefix="maineffect-") as folder:
        path = fetch(ledger.uri, commit.tracking_run_id, "items.parquet", Path(folder))
        return pd.read_parquet(path) if path is not None else None
