"""A table of runs comes in as people write them → one tidy row per run, in the study's own levels.

One row is one run; measurements of one run are averaged (:mod:`maineffect.analyse.table.repeats`), and never count as
replication. What cannot be used is said in ``frame.attrs["warnings"]``, what cannot be read is refused.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pandas as pd

from maineffect.analyse.table.numbers import has_decimal_commas, is_blank, number_of, numbers, per_cent_is
from maineffect.analyse.table.parsing import PLACE, SEPARATOR, parse_csv, place_of, places_aside, with_places
from maineffect.analyse.table.repeats import one_row_per_run
from maineffect.contracts import Level
from maineffect.errors import AnalysisError
from maineffect.spec.factors import Factor
from maineffect.spec.study import StudySpec

__all__ = ["FINISHED", "ROLES", "is_outcome", "read_table", "tidy"]

ROLES = ("run_id", "replicate", "block", "whole_plot", "repeat", "status", "run", "seed")
"""Optional columns that say what a row is."""
_CARRIED = (
    "cell_id", "order", "message", "failure", "attempts", "seconds", "lost_seconds", "tracking_run_id", PLACE,
)  # fmt: skip
FINISHED = frozenset({"", "finished", "ok", "success", "succeeded", "completed", "done"})
"""Statuses of runs whose responses count."""
_NOT_OUTCOMES = frozenset(
    {
        "planned", "running", "missing", "lost", "cancelled", "ledger-unreachable", "ledger-refused", "other-code",
        "user-error", "bad-result",
    }
)  # fmt: skip
_RENAMED = frozenset(ROLES) - {"status"}
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def read_table(path: str | Path, study: StudySpec | None = None) -> pd.DataFrame:
    """Read a table of runs.

    Args:
        path: CSV, or Parquet by its ending: a column per factor and response, optional ``replicate``, ``block``,
            ``whole_plot``, ``run_id``, ``run``, ``seed``, ``status`` and ``repeat``.
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
    named = () if study is None else (*study.factors, *study.responses, *ROLES)
    try:
        if file.suffix.lower() in {".parquet", ".pq"}:
            frame = pd.read_parquet(file)
            frame[PLACE] = [f"{file}, row {row + 1}" for row in range(len(frame))]
        else:
            # As text: "None", "NA", "01" and "1e5" may be levels, and only the study knows.
            frame = parse_csv(file, named)
    except (OSError, ValueError) as error:
        raise AnalysisError(f"{file} cannot be read: {error}", "write it as CSV (UTF-8) or Parquet") from error
    return frame if study is None else tidy(frame, study)


def tidy(frame: pd.DataFrame, study: StudySpec) -> pd.DataFrame:
    """Bring any table of runs into the study's own words: see :func:`read_table`. Idempotent."""
    warnings: list[str] = list(frame.attrs.get("warnings", []))
    separator = str(frame.attrs.get(SEPARATOR, ","))
    table = with_places(frame).rename(columns=lambda name: str(name).strip()).reset_index(drop=True)
    table = table.rename(columns=_roles_by_any_name(table, study))
    _check_columns(table, study, warnings)
    place = partial(place_of, table)
    roles = [role for role in ROLES if role in table and role not in study.factors and role not in study.responses]
    carried = [name for name in _CARRIED if name in table and name not in study.factors and name not in study.responses]
    sure = _has_clear_commas(table, study, separator)
    clean = pd.DataFrame(
        {
            # As objects: 1, 1.0 and True are different levels to a study.
            name: pd.Series(_levels(table[name], factor, study, place, separator, sure), dtype=object)
            for name, factor in study.factors.items()
        }
    )
    measured = dict.fromkeys([*study.responses, *(name for name in study.analysis.covariates if name in table)])
    for name in measured:
        response = study.responses.get(name)
        per_cent = None if response is None else per_cent_is(response.unit, response.limits)
        clean[name] = numbers(
            table[name], name, warnings, place=place, separator=separator, sure=sure, per_cent=per_cent
        )
    for name in roles:
        clean[name] = _labels(table[name], whole=name == "replicate")
    for name in carried:
        clean[name] = table[name]
    result = places_aside(one_row_per_run(clean, study, warnings))
    result.attrs["warnings"] = list(dict.fromkeys(warnings))
    return result


def _roles_by_any_name(table: pd.DataFrame, study: StudySpec) -> dict[str, str]:
    """Columns such as ``Seed`` or ``Run ID`` → the role that they have, where no column has its very name."""
    taken = {*table.columns, *study.factors, *study.responses, *study.analysis.covariates}
    found: dict[str, str] = {}
    for name in table.columns:
        role = name.lower().replace(" ", "_").replace("-", "_")
        if name not in study.factors and name not in study.responses and role in _RENAMED and role not in taken:
            found[name] = role
            taken.add(role)
    return found


def _has_clear_commas(table: pd.DataFrame, study: StudySpec, separator: str) -> bool:
    """Whether some numeric column is written with decimal commas beyond doubt."""
    for name in (*study.responses, *(n for n, factor in study.factors.items() if factor.is_numeric)):
        if table[name].dtype != object:
            continue
        try:
            if has_decimal_commas(table[name].tolist(), name, separator, lambda _: ""):
                return True
        except AnalysisError:
            continue
    return False


def _check_columns(table: pd.DataFrame, study: StudySpec, warnings: list[str]) -> None:
    columns = list(table.columns)
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        at = " and ".join(str(i + 1) for i, name in enumerate(columns) if name == twice[0])
        raise AnalysisError(
            f"the table has two columns named {twice[0]!r}: columns {at}", "name each column once, or remove one"
        )
    wanted = [*study.factors, *study.responses]
    missing = [name for name in wanted if name not in columns]
    if missing:
        hints = [f"{name}: {_near(name, [c for c in columns if c not in {*wanted, PLACE}])}" for name in missing]
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


def _levels(
    column: pd.Series, factor: Factor, study: StudySpec, place: Callable[[int], str], separator: str, sure: bool
) -> list[Level]:
    """Each value as the study's own level, or an error that names the row."""
    raw = column.tolist()
    comma = factor.is_numeric and has_decimal_commas(raw, factor.name, separator, place, sure)
    matched: dict[object, Level] = {}
    values: list[Level] = []
    for row, value in enumerate(raw):
        key = (type(value).__name__, value)
        if key not in matched:
            level = _match(value, factor, study, comma)
            if level is None:
                raise AnalysisError(
                    f"{place(row)}: {factor.name} has no level {value!r}",
                    f"levels: {', '.join(map(repr, factor.levels))}; correct the table, or add the level to the study",
                )
            matched[key] = level
        values.append(matched[key])
    return values


def _match(raw: object, factor: Factor, study: StudySpec, comma: bool) -> Level | None:
    text = "" if is_blank(raw) and not isinstance(raw, str) else str(raw).strip()
    for level in factor.levels:
        if text == str(level).strip():
            return level
    if any(isinstance(level, bool) for level in factor.levels):
        truth = _TRUTH.get(text.lower())
        return next((level for level in factor.levels if level is truth), None) if truth is not None else None
    if text.endswith("%"):
        number = number_of(text.removesuffix("%"), comma=comma)
        either = [] if number is None else [_numeric(factor, study, number), _numeric(factor, study, number / 100)]
        found = [level for level in either if level is not None]
        return found[0] if len(found) == 1 else None
    number = number_of(raw if not isinstance(raw, str) else text, comma=comma)
    return None if number is None or not math.isfinite(number) else _numeric(factor, study, number)


def _numeric(factor: Factor, study: StudySpec, number: float) -> Level | None:
    """The level that a number is; an optimal design may place runs between levels, and centre runs lie there."""
    numeric = [level for level in factor.levels if isinstance(level, int | float)]
    for level in numeric:
        if math.isclose(number, float(level), rel_tol=1e-9):
            return level
    if factor.is_numeric and _may_lie_between(study):
        return number if min(map(float, numeric)) <= number <= max(map(float, numeric)) else None
    if factor.is_numeric and getattr(study.design, "centre_points", False):
        middle = (float(factor.levels[0]) + float(factor.levels[-1])) / 2
        if math.isclose(number, middle, rel_tol=1e-9, abs_tol=1e-12 * abs(float(factor.levels[-1]))):
            return middle
    return None


def _may_lie_between(study: StudySpec) -> bool:
    """Whether a run may have a number between a factor's levels."""
    design = study.design
    return bool(getattr(design, "grid", None) or getattr(design, "fixed", ())) or study.follow_up is not None


def _labels(column: pd.Series, *, whole: bool = False) -> pd.Series:
    """Labels as the texts that they are: ``1.10`` is not ``1.1``, ``1_1`` not ``11``. Blanks are None.

    Numbers (of a table that is no text) have no decimal point where they are whole, and neither has a text that counts.
    """

    def label(raw: object) -> str | None:
        if is_blank(raw):
            return None
        text = str(raw).strip()
        number = number_of(text) if whole or not isinstance(raw, str) else None
        if number is not None and number.is_integer() and abs(number) < 1e15:
            return str(int(number))
        return text

    return pd.Series([label(raw) for raw in column.tolist()], dtype=object)


def is_outcome(status: object, failure: object = None) -> bool:
    """Whether a run that did not finish is an outcome of its treatment (diverged, collapsed, out of memory, timeout).

    Runs that were lost, cancelled, never started or broken by the user's own error are missing, not bad.
    """
    words = {str(word).strip().lower() for word in (status, failure) if not is_blank(word)}
    return not words <= FINISHED and not words & _NOT_OUTCOMES
