"""The runs themselves, as the report draws them: one RunRow per row of the table and per lost run of the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from maineffect.analyse.record.result import RunRow
from maineffect.analyse.table.reading import FINISHED
from maineffect.design.model.model import Design, PlannedRun
from maineffect.spec.study import StudySpec

__all__ = ["has_not_ended", "row_without_result", "run_rows"]

_WAITING = frozenset({"planned", "running", "missing"})


def has_not_ended(table: pd.DataFrame) -> list[bool]:
    """Which runs of a tidy table are still to come, or running."""
    if "status" not in table:
        return [False] * len(table)
    return [str(status) in _WAITING for status in table["status"].tolist()]


def run_rows(
    study: StudySpec,
    table: pd.DataFrame,
    run_ids: Sequence[str],
    cells: Sequence[str],
    design: Design | None,
    lost: Sequence[PlannedRun],
    measures: Mapping[str, Mapping[str, float | None]],
) -> list[RunRow]:
    """One record per run.

    Args:
        study: Whose factors and responses.
        table: Tidy.
        run_ids: One per row.
        cells: Cell id of each row.
        design: As planned, for run order, seed and strata that the table does not carry.
        lost: Planned runs that are not in the table.
        measures: Run id → further numbers.
    """
    planned = {run.run_id: run for run in design.runs} if design else {}
    records: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    rows = [
        _row(study, record, run_id, cell, planned.get(run_id), measures.get(run_id, {}))
        for record, run_id, cell in zip(records, run_ids, cells, strict=True)
    ]
    return rows + [row_without_result(run, design) for run in lost if design is not None]


def _row(
    study: StudySpec,
    record: dict[str, Any],
    run_id: str,
    cell: str,
    planned: PlannedRun | None,
    measures: Mapping[str, float | None],
) -> RunRow:
    def recorded(name: str) -> Any:
        return None if name in study.factors or name in study.responses else _plain(record.get(name))

    def with_plan(name: str) -> Any:
        value = recorded(name)
        return value if value is not None or planned is None else getattr(planned, name)

    status = str(recorded("status") or "finished")
    return RunRow(
        run_id=run_id,
        cell_id=cell,
        levels={name: record[name] for name in study.factors},
        replicate=_whole(with_plan("replicate")),
        block=with_plan("block"),
        whole_plot=with_plan("whole_plot"),
        status=status,
        attempts=_whole(recorded("attempts")) or 1,
        seconds=_number(recorded("seconds")),
        responses={name: _number(record[name]) for name in study.responses},
        measures=dict(measures),
        # The status of a run that did not finish is its failure class.
        failure=recorded("failure") or (status if status not in FINISHED | _WAITING else None),
        message=recorded("message"),
        tracking_run_id=recorded("tracking_run_id"),
        seed=_whole(with_plan("seed")),
        order=_whole(with_plan("order")),
    )


def row_without_result(run: PlannedRun, design: Design, status: str = "missing") -> RunRow:
    """A planned run of which nothing is known."""
    return RunRow(
        run_id=run.run_id,
        cell_id=run.cell_id,
        levels=dict(design.levels_of(run)),
        replicate=run.replicate,
        block=run.block,
        whole_plot=run.whole_plot,
        status=status,
        attempts=0,
        seed=run.seed,
        order=run.order,
    )


def _plain(value: Any) -> Any:
    """Pandas' blanks as None, NumPy's scalars as Python's."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    # Seeds have 63 bits: a detour over float would change them.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value)
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None
