"""A table of runs from anywhere → a tidy, checked frame in the study's own levels."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from maineffect.contracts import Level
from maineffect.errors import AnalysisError
from maineffect.spec.factors import Factor
from maineffect.spec.study import StudySpec

__all__ = ["RunTable", "prepare_table", "read_table"]

OPTIONAL = ("run_id", "cell_id", "replicate", "block", "whole_plot", "status", "repeat", "order", "seed")
_CARRIED = ("message", "attempts", "seconds", "lost_seconds", "tracking_run_id")
FINISHED = "finished"


@dataclass(frozen=True)
class RunTable:
    """A checked table.

    Attributes:
        frame: One row per run; factor columns hold the study's levels; responses are finite numbers or NaN.
        warnings: What was noticed on the way.
    """

    frame: pd.DataFrame
    warnings: tuple[str, ...]


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    Raises:
        AnalysisError: It cannot be read as a table.
    """
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(path)
        return pd.read_csv(path, skipinitialspace=True)
    except FileNotFoundError:
        raise AnalysisError(f"no such table: {path}", "give a CSV or Parquet file with one row a run") from None
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise AnalysisError(
            f"{path} cannot be read as a table: {first}", "write CSV with a header, or Parquet"
        ) from None


def prepare_table(study: StudySpec, raw: pd.DataFrame) -> RunTable:
    """Check a table against a study.

    Raises:
        AnalysisError: A factor or response column is missing, a level is not one of the factor's, or a run occurs
            twice without a ``repeat`` column.
    """
    if raw.empty:
        raise AnalysisError("the table has no rows", "one row a run is needed")
    columns = [str(name) for name in raw.columns]
    if len(set(columns)) != len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise AnalysisError(f"the table has two columns {twice!r}", "keep one")
    needed = [*study.factors, *study.responses]
    missing = [name for name in needed if name not in columns]
    if missing:
        hints = "; ".join(f"{name}: {_near(name, columns)}" for name in missing)
        raise AnalysisError(f"the table lacks column(s) {', '.join(map(repr, missing))}", hints)
    warnings = []
    unknown = [name for name in columns if name not in {*needed, *OPTIONAL, *_CARRIED}]
    if unknown:
        warnings.append(f"columns not in the study, left alone: {', '.join(unknown)}")
    frame = raw.copy()
    frame.columns = pd.Index(columns)
    for name, factor in study.factors.items():
        frame[name] = pd.Series([_level(factor, value, i) for i, value in enumerate(raw[name])], dtype=object)
    for name in study.responses:
        frame[name] = _numbers(name, frame[name])
    if "status" not in frame:
        frame["status"] = FINISHED
    frame["status"] = frame["status"].fillna(FINISHED).astype(str)
    warnings += _score_failures(study, frame)
    frame, more = _one_row_a_run(study, frame)
    return RunTable(frame.reset_index(drop=True), tuple(warnings + more))


def _near(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else "add it"


def _level(factor: Factor, value: Any, row: int) -> Level:
    """The study's own level that a cell of the table means."""
    if isinstance(value, np.generic):
        value = value.item()
    for level in factor.levels:
        if level == value and isinstance(level, bool) == isinstance(value, bool):
            return level
    for level in factor.levels:
        if str(level).strip().lower() == str(value).strip().lower():
            return level
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    for level in factor.levels:
        if (
            isinstance(level, int | float)
            and not isinstance(level, bool)
            and np.isclose(float(level), number, rtol=1e-9)
        ):
            return level
    numeric = [float(level) for level in factor.levels] if factor.is_numeric else []
    if numeric and min(numeric) <= number <= max(numeric):
        return number
    raise AnalysisError(
        f"row {row + 1}: {factor.name} has no level {value!r}", f"levels: {', '.join(map(repr, factor.levels))}"
    )


def _numbers(name: str, column: pd.Series[Any]) -> pd.Series[float]:
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = column.notna() & numbers.isna() & ~column.astype(str).str.strip().str.lower().isin({"", "nan", "na", "none"})
    if bool(bad.any()):
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise AnalysisError(f"row {row + 1}: {name} is {column.iloc[row]!r}, not a number", "leave a lost value empty")
    return numbers.where(np.isfinite(numbers))


def _score_failures(study: StudySpec, frame: pd.DataFrame) -> list[str]:
    """Failed runs are rows: their declared score counts, otherwise they stay missing."""
    notes = []
    failed = ~frame["status"].isin([FINISHED, "planned", "running", "missing"])
    for name, response in study.responses.items():
        lost = failed & frame[name].isna()
        if response.on_failure is not None and bool(lost.any()):
            frame.loc[lost, name] = response.on_failure
            notes.append(
                f"{int(lost.sum())} failed run(s) count as {response.on_failure:g} on {name}, as declared beforehand"
            )
    return notes


def _one_row_a_run(study: StudySpec, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Average repeats within a run (measurement, never replication); refuse unexplained duplicates."""
    if "repeat" in frame:
        keys = [name for name in ("run_id",) if name in frame] or [
            name for name in (*study.factors, "replicate", "block", "whole_plot") if name in frame
        ]
        others = {name: "first" for name in frame.columns if name not in {*keys, *study.responses, "repeat"}}
        grouped = frame.groupby(keys, sort=False, dropna=False).agg(
            {**others, **dict.fromkeys(study.responses, "mean")}
        )
        return grouped.reset_index(), [f"{len(frame)} measurements averaged within {len(grouped)} runs"]
    if "run_id" in frame:
        twice = frame["run_id"][frame["run_id"].duplicated()]
        if not twice.empty:
            raise AnalysisError(
                f"run {twice.iloc[0]!r} occurs more than once",
                "keep one row a run, or add a `repeat` column for repeated measurements",
            )
    return frame, []
