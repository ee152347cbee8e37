"""The ledger → one tidy row per planned run: what the analysis reads."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunState, RunStatus
from maineffect.design.model import Design, PlannedRun
from maineffect.errors import LedgerError
from maineffect.ledger.store import ask
from maineffect.ledger.sweep import MlflowLedger, sweep_results

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Collected", "collect", "read_curves"]


@dataclass(frozen=True)
class Collected:
    """What the ledger knows of a sweep's runs.

    Attributes:
        table: One row per planned run, in run order: identity, strata, status, factors, responses.
        measures: Run id → further numbers.
    """

    table: pd.DataFrame
    measures: dict[str, dict[str, float | None]] = field(default_factory=dict)


def collect(ledger: MlflowLedger, design: Design, responses: tuple[str, ...]) -> Collected:
    """Every planned run exactly once; only committed results have responses."""
    import pandas as pd

    states = ledger.state().runs
    results = sweep_results(ledger)
    rows = [_row(run, design, states.get(run.run_id), results.get(run.run_id, {}), responses) for run in design.runs]
    measures = {run_id: result.get("measures", {}) for run_id, result in results.items()}
    return Collected(pd.DataFrame(rows), measures)


def _row(
    run: PlannedRun, design: Design, status: RunStatus | None, result: dict[str, Any], responses: tuple[str, ...]
) -> dict[str, Any]:
    state = status.state if status is not None else RunState.PLANNED
    last = status.ends[-1] if status is not None and status.ends and state is not RunState.FINISHED else None
    lost = sum(end.seconds for end in status.ends) if status is not None else 0.0
    numbers = result.get("responses", {})
    return {
        "run_id": run.run_id,
        "cell_id": run.cell_id,
        "replicate": run.replicate,
        "block": run.block,
        "whole_plot": run.whole_plot,
        "order": run.order,
        "seed": run.seed,
        "status": last.failure.value if last is not None else state.value,
        "message": last.message if last is not None else None,
        "attempts": status.attempts if status is not None else 0,
        "seconds": result.get("seconds"),
        "lost_seconds": lost,
        "tracking_run_id": status.tracking_run_id if status is not None else None,
        **design.levels_of(run),
        **{name: numbers.get(name) for name in responses},
    }


def read_curves(ledger: MlflowLedger, cache: Path) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Training curves of committed runs: run id → metric → steps and values. Finished runs never change: cached."""
    finished = {
        run_id: status.tracking_run_id
        for run_id, status in ledger.state().runs.items()
        if status.state is RunState.FINISHED and status.tracking_run_id
    }
    folder = cache / "curves"
    folder.mkdir(parents=True, exist_ok=True)

    def one(tracking: str) -> dict[str, dict[str, list[Any]]]:
        path = folder / f"{tracking}.json"
        if not path.exists():
            try:
                got = ask(ledger.uri, lambda store: store.download_artifacts(tracking, "curves.json", str(folder)))
            except LedgerError:
                return {}
            Path(got).replace(path)
        content: dict[str, dict[str, list[Any]]] = json.loads(path.read_text(encoding="utf-8"))
        return content

    # One thread: the download lands under one name and is renamed.
    with ThreadPoolExecutor(1) as pool:
        return dict(zip(finished, pool.map(one, finished.values()), strict=True))
