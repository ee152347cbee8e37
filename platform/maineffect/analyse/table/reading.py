"""A table of runs comes in as people write them → one tidy row per run, in the study's own levels.

One row is one run. Rows that share a run and differ in ``repeat`` are measurements of it: they are averaged, and never
count as replication. What cannot be used is said in ``frame.attrs["warnings"]``, what cannot be read is refused.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from maineffect.contracts import Level
from maineffect.errors import AnalysisError
from maineffect.spec.factors import Factor
from maineffect.spec.study import StudySpec

__all__ = ["FINISHED", "ROLES", "read_table", "tidy"]

ROLES = ("run_id", "replicate", "block", "whole_plot", "repeat", "status")
"""Optional columns that say what a row is."""
_CARRIED = (
    "cell_id", "order", "seed", "message", "failure", "attempts", "seconds", "lost_seconds", "tracking_run_id",
)  # fmt: skip
FINISHED = frozenset({"", "finished", "ok", "success", "succeeded", "completed", "done"})
"""Statuses of runs whose responses count."""
_NOT_OUTCOMES = frozenset(
    {
        "planned", "running", "missing", "lost", "cancelled", "ledger-unreachable", "ledger-refused", "other-code",
        "user-error", "bad-result",
    }
)  # fmt: skip
_SAMPLE = 3
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def read_table(path: str | Path, study: StudySpec | None = None) -> pd.DataFrame:
    """Read a table of runs.

    Args:
        path: CSV, or Parquet by its ending: a column per factor and response, optional ``replicate``, ``block``,
            ``whole_plot``, ``run_id``, ``status`` and ``repeat``.
        study: Whose factors and responses are meant; without it the table is returned as text, untidied.

    Returns:
        One row per run; what was noticed is in ``attrs["warnings"]``.

    Raises:
        AnalysisError: The file cannot be read, lacks a column, has a level that the study does not, a response that
            is no number, or a run twice.
    """
    file = Path(path)
    if not file.is_file():
        raise AnalysisError(f"there is no table {file}", "pass a CSV or Parquet file with one row per run")
    try:
        if file.suffix.lower() in {".parquet", ".pq"}:
            frame = pd.read_parquet(file)
        else:
            # As text: "None", "NA", "01" and "1e5" may be levels, and only the study knows.
            frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise AnalysisError(f"{file} cannot be read: {error}", "write it as CSV (UTF-8) or Parquet") from error
    return frame if study is None else tidy(frame, study)


def tidy(frame: pd.DataFrame, study: StudySpec) -> pd.DataFrame:
    """Bring any table of runs into the study's own words: see :func:`read_table`. Idempotent."""
    warnings: list[str] = list(frame.attrs.get("warnings", []))
    table = frame.rename(columns=lambda name: str(name).strip()).reset_index(drop=True)
    _check_columns(table, study, warnings)
    roles = [role for role in ROLES if role in table and role not in study.factors and role not in study.responses]
    carried = [name for name in _CARRIED if name in table and name not in study.factors and name not in study.responses]
    clean = pd.DataFrame(
        {
            # As objects: 1, 1.0 and True are different levels to a study.
            name: pd.Series(_levels(table[name], factor, study), dtype=object)
            for name, factor in study.factors.items()
        }
    )
    for name in study.responses:
        clean[name] = _numbers(table[name], name, warnings)
    for name in roles:
        clean[name] = _labels(table[name])
    for name in carried:
        clean[name] = table[name]
    for name in study.analysis.covariates:
        if name in table:
            clean[name] = _numbers(table[name], name, warnings)
    result = _one_row_per_run(clean, study, warnings)
    result.attrs["warnings"] = list(dict.fromkeys(warnings))
    return result


def _check_columns(table: pd.DataFrame, study: StudySpec, warnings: list[str]) -> None:
    columns = list(table.columns)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise AnalysisError(f"the table has two columns named {twice[0]!r}", "name each column once")
    wanted = [*study.factors, *study.responses]
    missing = [name for name in wanted if name not in columns]
    if missing:
        hints = [f"{name}: {_near(name, [c for c in columns if c not in wanted])}" for name in missing]
        raise AnalysisError(f"the table lacks the column(s) {', '.join(map(repr, missing))}", "; ".join(hints))
    if not len(table):
        raise AnalysisError("the table has no rows", "one row is one run")
    unknown = [name for name in columns if name not in {*wanted, *ROLES, *_CARRIED, *study.analysis.covariates}]
    if unknown:
        warnings.append(f"columns that the study does not name were not used: {', '.join(unknown)}")


def _near(word: str, columns: Iterable[str]) -> str:
    names = {name.lower(): name for name in columns}
    close = difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=0.6)
    return f"did you mean {names[close[0]]!r}?" if close else f"columns not used: {', '.join(names.values()) or 'none'}"


def _is_blank(value: object) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, str):
        return not value.strip()
    return isinstance(value, float | np.floating) and math.isnan(float(value))


def _levels(column: pd.Series, factor: Factor, study: StudySpec) -> list[Level]:
    """Each value as the study's own level, or an error that names the row."""
    matched: dict[object, Level] = {}
    values: list[Level] = []
    for row, raw in enumerate(column.tolist()):
        key = (type(raw).__name__, raw)
        if key not in matched:
            level = _match(raw, factor, study)
            if level is None:
                raise AnalysisError(
                    f"row {row + 1}: {factor.name} has no level {raw!r}",
                    f"levels: {', '.join(map(repr, factor.levels))}; correct the table, or add the level to the study",
                )
            matched[key] = level
        values.append(matched[key])
    return values


def _match(raw: object, factor: Factor, study: StudySpec) -> Level | None:
    text = "" if _is_blank(raw) and not isinstance(raw, str) else str(raw).strip()
    for level in factor.levels:
        if text == str(level):
            return level
    if any(isinstance(level, bool) for level in factor.levels):
        truth = _TRUTH.get(text.lower())
        return next((level for level in factor.levels if level is truth), None) if truth is not None else None
    try:
        number = float(text)
    except ValueError:
        return None
    if isinstance(raw, bool) or not math.isfinite(number):
        return None
    numeric = [level for level in factor.levels if isinstance(level, int | float)]
    for level in numeric:
        if math.isclose(number, float(level), rel_tol=1e-9):
            return level
    if factor.is_numeric and (getattr(study.design, "grid", None) or getattr(study.design, "fixed", ())):
        # An optimal design may place runs between the levels.
        return number if min(map(float, numeric)) <= number <= max(map(float, numeric)) else None
    if factor.is_numeric and getattr(study.design, "centre_points", False):
        middle = (float(factor.levels[0]) + float(factor.levels[-1])) / 2
        if math.isclose(number, middle, rel_tol=1e-9, abs_tol=1e-12 * abs(float(factor.levels[-1]))):
            return middle
    return None


def _numbers(column: pd.Series, name: str, warnings: list[str]) -> list[float]:
    values: list[float] = []
    infinite: list[int] = []
    for row, raw in enumerate(column.tolist()):
        if _is_blank(raw) or (isinstance(raw, str) and raw.strip().lower() in {"na", "nan", "null", "none"}):
            values.append(math.nan)
            continue
        try:
            number = float(raw)
        except (TypeError, ValueError):
            raise AnalysisError(
                f"row {row + 1}: {name} is {raw!r}, not a number", "leave the field empty if it is missing"
            ) from None
        if math.isinf(number):
            infinite.append(row + 1)
        values.append(number if math.isfinite(number) else math.nan)
    if infinite:
        shown = ", ".join(map(str, infinite[:_SAMPLE])) + (", …" if len(infinite) > _SAMPLE else "")
        warnings.append(f"{name}: {len(infinite)} infinite value(s) taken as missing (row {shown})")
    return values


def _labels(column: pd.Series) -> pd.Series:
    """Labels as text, whole numbers without a decimal point, blanks as None."""

    def label(raw: object) -> str | None:
        if _is_blank(raw):
            return None
        text = str(raw).strip()
        try:
            number = float(text)
        except ValueError:
            return text
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else text

    return pd.Series([label(raw) for raw in column.tolist()], dtype=object)


def _one_row_per_run(clean: pd.DataFrame, study: StudySpec, warnings: list[str]) -> pd.DataFrame:
    """Average repeats within their run; refuse a run that occurs twice."""
    identity = _identity(clean, study)
    if "repeat" in clean and "repeat" not in study.factors and "repeat" not in study.responses:
        if identity is None:
            identity = list(study.factors)
        return _averaged(clean, identity, study, warnings)
    if identity is None:
        return clean
    twice = clean.duplicated(identity, keep=False).to_numpy()
    if not twice.any():
        return clean
    rows = ", ".join(str(i + 1) for i in np.flatnonzero(twice)[:4])
    what = f"run_id {clean['run_id'][int(np.flatnonzero(twice)[0])]!r}" if identity == ["run_id"] else "the same run"
    raise AnalysisError(
        f"rows {rows} are {what}: one row is one run",
        "several measurements of one run need a `repeat` column; several runs of one cell their own `run_id`",
    )


def _identity(clean: pd.DataFrame, study: StudySpec) -> list[str] | None:
    """Columns that identify a run, or None where nothing but the row does."""
    roles = {name for name in clean.columns if name not in study.factors and name not in study.responses}
    if "run_id" in roles and clean["run_id"].notna().all():
        return ["run_id"]
    strata = [name for name in ("replicate", "block", "whole_plot") if name in roles and clean[name].nunique() > 1]
    if "repeat" in roles:
        return [*study.factors, *strata]
    # Centre points and hand-written lists may hold a cell several times in one replicate.
    repeats_cells = study.design.kind in {"list", "optimal", "ablation", "definitive_screening"}
    repeats_cells = repeats_cells or bool(getattr(study.design, "centre_points", False))
    return [*study.factors, *strata] if "replicate" in strata and not repeats_cells else None


def _averaged(clean: pd.DataFrame, identity: list[str], study: StudySpec, warnings: list[str]) -> pd.DataFrame:
    if clean.duplicated([*identity, "repeat"]).any():
        row = int(np.flatnonzero(clean.duplicated([*identity, "repeat"]).to_numpy())[0]) + 1
        raise AnalysisError(f"row {row} repeats a measurement: same run, same `repeat`", "number the repeats of a run")
    groups = clean.groupby(identity, sort=False, dropna=False)
    for name in study.factors:
        if name not in identity and (groups[name].nunique() > 1).any():
            raise AnalysisError(f"a run_id has two levels of {name}", "repeats are measurements of one run")
    averaged = groups.first().reset_index()
    means = groups[list(study.responses)].mean().reset_index()
    averaged[list(study.responses)] = means[list(study.responses)]
    if len(averaged) < len(clean):
        warnings.append(f"{len(clean)} measurements averaged within {len(averaged)} runs: repeats are not replicates")
    return averaged.drop(columns="repeat")[[name for name in clean.columns if name != "repeat"]]


def is_outcome(status: object, failure: object = None) -> bool:
    """Whether a run that did not finish is an outcome of its treatment (diverged, collapsed, out of memory, timeout).

    Runs that were lost, cancelled, never started or broken by the user's own error are missing, not bad.
    """
    words = {str(word).strip().lower() for word in (status, failure) if not _is_blank(word)}
    return not words <= FINISHED and not words & _NOT_OUTCOMES
