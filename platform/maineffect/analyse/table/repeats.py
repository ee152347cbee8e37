"""Rows that are measurements of one run are averaged; a run that stands in the table twice is refused.

The run is the experimental unit: 300 episodes of six trainings are six runs. What tells runs apart is ``run_id``, else
``run`` or ``seed`` within a cell, else the strata.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maineffect.analyse.table.parsing import place_of
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["one_row_per_run"]

_STRATA = ("replicate", "block", "whole_plot")
_TELLING = ("run", "seed")
"""Columns that tell runs of a cell apart where no ``run_id`` does."""
_SHOWN = 4


def one_row_per_run(clean: pd.DataFrame, study: StudySpec, warnings: list[str]) -> pd.DataFrame:
    """One row per run of a tidy table.

    Args:
        clean: Levels, responses and labels in the study's words.
        study: Whose table it is.
        warnings: Gets what was averaged, and columns that look like blocks.

    Raises:
        AnalysisError: A run or a measurement stands in the table twice, or the columns contradict each other.
    """
    telling = [name for name in _TELLING if _is_role(clean, name, study) and clean[name].notna().any()]
    for name in telling:
        _check_filled(clean, name)
    if "run_id" not in clean and telling and telling[0] == "run" and clean["run"].is_unique:
        clean = clean.rename(columns={"run": "run_id"})
        telling = telling[1:]
    by_id = _is_role(clean, "run_id", study) and bool(clean["run_id"].notna().all())
    if _is_role(clean, "repeat", study):
        identity = ["run_id"] if by_id else [*study.factors, *_strata(clean, study), *telling]
        return _averaged(clean, identity, study, warnings)
    if by_id:
        _refuse_twice(clean, ["run_id"])
        return _with_likely_blocks(clean, telling, study, warnings)
    for name in telling:
        nested = _nested(clean, name, study, warnings)
        if nested is not None:
            return _with_likely_blocks(_averaged(clean, nested, study, warnings, name), [name], study, warnings)
    if "replicate" in _strata(clean, study) and not _repeats_cells(study):
        _refuse_twice(clean, [*study.factors, *_strata(clean, study), *telling])
    return _with_likely_blocks(clean, telling, study, warnings)


def _is_role(clean: pd.DataFrame, name: str, study: StudySpec) -> bool:
    return name in clean and name not in study.factors and name not in study.responses


def _strata(clean: pd.DataFrame, study: StudySpec) -> list[str]:
    return [name for name in _STRATA if _is_role(clean, name, study) and clean[name].nunique() > 1]


def _repeats_cells(study: StudySpec) -> bool:
    """Centre points and hand-written lists may hold a cell several times in one replicate."""
    kinds = {"list", "optimal", "ablation", "definitive_screening", "central_composite", "box_behnken"}
    return study.design.kind in kinds or bool(getattr(study.design, "centre_points", False))


def _check_filled(clean: pd.DataFrame, name: str) -> None:
    blank = np.flatnonzero(clean[name].isna().to_numpy())
    if len(blank):
        raise AnalysisError(
            f"{place_of(clean, int(blank[0]))}: {name} is blank, and stated in other rows",
            "state it for every row, or leave the column out",
        )


def _nested(clean: pd.DataFrame, name: str, study: StudySpec, warnings: list[str]) -> list[str] | None:
    """Columns that identify a run where the values of a column repeat within a cell; None where they do not."""
    cell = list(study.factors)
    if not clean.duplicated([*cell, name]).any():
        return None
    strata = _strata(clean, study)
    sizes = clean.groupby(cell, dropna=False, sort=False).size()
    if clean[name].nunique() == 1 and ("replicate" in strata or _as_planned(sizes, study)):
        warnings.append(
            f"column {name} is the same in all rows and tells no runs apart: each row counts as one run; if rows are "
            "measurements of one run, number them in a column `repeat`"
        )
        return None
    placed = [other for other in strata if other != "replicate"]
    identity = [*cell, *placed, name]
    if not clean.duplicated(identity).any():
        return None
    if "replicate" in strata and (clean.groupby(identity, dropna=False)["replicate"].nunique() > 1).any():
        rows = clean.duplicated(identity, keep=False).to_numpy()
        raise AnalysisError(
            f"{_places(clean, rows)} have one cell and one {name}, and several replicates",
            f"rename replicate to repeat if these are measurements of one run, or leave {name} out if they are runs",
        )
    return identity


def _as_planned(sizes: pd.Series, study: StudySpec) -> bool:
    """Whether every cell has as many rows as the study has replicates, more than one."""
    planned = study.design.replicates
    return planned > 1 and bool((sizes == planned).all())


def _refuse_twice(clean: pd.DataFrame, identity: Sequence[str]) -> None:
    twice = clean.duplicated(list(identity), keep=False).to_numpy()
    if not twice.any():
        return
    first = int(np.flatnonzero(twice)[0])
    what = f"run_id {clean['run_id'].iloc[first]!r}" if list(identity) == ["run_id"] else "the same run"
    raise AnalysisError(
        f"{_places(clean, twice)} are {what}: one row is one run",
        "several measurements of one run need a `repeat` column; several runs of one cell their own `run_id`",
    )


def _places(clean: pd.DataFrame, rows: np.ndarray) -> str:
    found = np.flatnonzero(rows).tolist()
    shown = ", ".join(place_of(clean, i).removeprefix("row ") for i in found[:_SHOWN])
    known = not place_of(clean, found[0]).startswith("row ")
    return ("" if known else "rows ") + shown + (", …" if len(found) > _SHOWN else "")


def _averaged(
    clean: pd.DataFrame, identity: list[str], study: StudySpec, warnings: list[str], name: str = "repeat"
) -> pd.DataFrame:
    """Means of the measurements of each run."""
    if name == "repeat" and (twice := clean.duplicated([*identity, name])).any():
        place = place_of(clean, int(np.flatnonzero(twice.to_numpy())[0]))
        raise AnalysisError(f"{place} repeats a measurement: same run, same `repeat`", "number the repeats of a run")
    groups = clean.groupby(identity, sort=False, dropna=False)
    for factor in study.factors:
        if factor not in identity and (groups[factor].nunique() > 1).any():
            raise AnalysisError(f"a run_id has two levels of {factor}", "repeats are measurements of one run")
    measured = [n for n in (*study.responses, *study.analysis.covariates) if n in clean]
    averaged, means = groups.first().reset_index(), groups[measured].mean().reset_index()
    averaged[measured] = means[measured]
    if len(averaged) < len(clean):
        why = "" if name == "repeat" else f" (column {name} repeats within a cell)"
        warnings.append(
            f"{len(clean)} measurements averaged within {len(averaged)} runs{why}: repeats are not replicates"
        )
    return averaged[[column for column in clean.columns if column != "repeat"]]


def _with_likely_blocks(
    clean: pd.DataFrame, names: Sequence[str], study: StudySpec, warnings: list[str]
) -> pd.DataFrame:
    """Name a column whose values cross the cells: its runs share something, which only a block takes out."""
    cells = list(study.factors)
    for name in names:
        values = clean[name]
        if not 1 < values.nunique() < len(clean):
            continue
        each = clean.groupby(name, sort=False)[cells].apply(lambda part: len(part.drop_duplicates()))
        known = [s for s in _strata(clean, study) if (clean.groupby(s)[name].nunique() == 1).all()]
        if (each > 1).all() and not known:
            warnings.append(
                f"column {name} crosses the cells (each of its {values.nunique()} values occurs in several), so it is "
                f"likely a block, and runs were not compared within it: name the column `block` to do so"
            )
    return clean
