"""The ledger → one tidy row per planned run: what the analysis reads.

Only committed attempts count, each run occurs exactly once, and runs without a result are rows with a reason. The whole
table takes two calls on the store, however many runs there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunState, RunStatus
from maineffect.design.model.model import Design, PlannedRun
from maineffect.errors import UsageError
from maineffect.ledger.store.state import parse
from maineffect.ledger.sweep.curves import read_curves
from maineffect.ledger.sweep.ledger import MlflowLedger, sweep_results

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESERVED", "Collected", "Failure", "collect", "read_curves"]

# Names that no factor and no response may have: the table's own columns.
RESERVED = (
    "run_id",
    "cell_id",
    "replicate",
    "block",
    "whole_plot",
    "order",
    "seed",
    "status",
    "message",
    "attempts",
    "seconds",
    "lost_seconds",
    "tracking_run_id",
)


@dataclass(frozen=True)
class Failure:
    """Why a run has no result."""

    run_id: str
    failure: str
    message: str
    attempts: int


@dataclass(frozen=True)
class Collected:
    """What the ledger knows of a sweep's runs.

    Attributes:
        table: One row per planned run, in run order. Columns: ``run_id, cell_id, replicate, block, whole_plot, order,
            seed``; ``status`` (finished, running, missing, or the failure class of the last attempt of a failed run);
            ``message`` of a failed run; ``attempts`` made; ``seconds`` of the attempt that counts, ``lost_seconds`` of
            the others; ``tracking_run_id``; a column per factor; a column per response (NaN without result).
        measures: Run id → further numbers.
        failures: Runs that failed, in run order.
    """

    table: pd.DataFrame
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def collect(ledger: MlflowLedger, design: Design, responses: tuple[str, ...]) -> Collected:
    """Every planned run exactly once; only committed results have responses.

    Raises:
        LedgerError: The store does not answer, or a result is not the one that was committed.
        UsageError: A factor or response has the name of one of the table's own columns.
    """
    import pandas as pd

    factors = tuple(factor.name for factor in design.factors)
    taken = set(RESERVED) & {*factors, *responses}
    if taken:
        raise UsageError(
            f"a factor or response is named {sorted(taken)[0]!r}, a column that every table has", "rename it"
        )
    records = ledger.records.read()
    states = parse(records, {}).runs
    results = sweep_results(ledger, records)
    rows = [_row(run, design, states.get(run.run_id), results.get(run.run_id, {}), responses) for run in design.runs]
    table = pd.DataFrame(rows, columns=[*RESERVED, *factors, *responses])
    for name in ("message", "tracking_run_id"):  # pandas would make the absent ones NaN, which is no text
        table[name] = pd.Series([row[name] for row in rows], dtype=object)
    planned = {run.run_id for run in design.runs}
    measures = {run_id: result["measures"] for run_id, result in results.items() if run_id in planned}
    failures = tuple(
        Failure(row["run_id"], row["status"], row["message"], row["attempts"])
        for row in rows
        if row["message"] is not None
    )
    return Collected(table, measures, failures)


def _row(
    run: PlannedRun, design: Design, status: RunStatus | None, result: dict[str, Any], responses: tuple[str, ...]
) -> dict[str, Any]:
    status = status or RunStatus(run.run_id)
    last = status.ends[-1] if status.state is RunState.FAILED else None
    word = "missing" if status.state is RunState.PLANNED else status.state.value
    numbers = result.get("responses", {})
    nan = float("nan")
    return {
        "run_id": run.run_id,
        "cell_id": run.cell_id,
        "replicate": run.replicate,
        "block": run.block,
        "whole_plot": run.whole_plot,
        "order": run.order,
        "seed": run.seed,
        "status": last.failure.value if last is not None else word,
        "message": last.message if last is not None else None,
        "attempts": status.attempts,
        "seconds": result.get("seconds", nan),
        "lost_seconds": sum(end.seconds for end in status.ends if end.attempt != status.committed_attempt),
        "tracking_run_id": status.tracking_run_id,
        **design.levels_of(run),
        **{name: numbers.get(name, nan) for name in responses},
    }
