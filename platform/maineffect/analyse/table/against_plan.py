"""A table is held against the study's design before anything is estimated: identity, strata, counts, copies, limits.

What can be put right without doubt is put right and said; what contradicts the plan is refused with its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from maineffect.analyse.table.copies import check_copies
from maineffect.analyse.table.parsing import place_of
from maineffect.analyse.table.plot_labels import qualified_plots, restored_labels
from maineffect.contracts import Level
from maineffect.design.model.model import Design, cell_id
from maineffect.errors import AnalysisError
from maineffect.spec.crosscheck import same_level
from maineffect.spec.study import StudySpec

__all__ = ["held_against_plan"]

_SHOWN = 3
_STRATA = ("block", "replicate")


def held_against_plan(study: StudySpec, table: pd.DataFrame, design: Design | None) -> pd.DataFrame:
    """A tidy table whose rows are runs of the plan, as far as this can be known.

    Args:
        study: Whose limits and factors.
        table: Tidy (see :func:`maineffect.analyse.table.reading.read_table`).
        design: As planned; None where no plan can be built: then only the table's own claims are checked.

    Returns:
        The table, with labels put right; what was noticed is in ``attrs["warnings"]``.

    Raises:
        AnalysisError: A value lies outside its limits, rows are copies, a run is not what the plan says of its id, or
            labels of whole plots are not unique and cannot be resolved.
    """
    warnings: list[str] = list(table.attrs.get("warnings", []))
    _check_limits(study, table)
    if design is not None:
        _check_identity(study, table, design, warnings)
        table = restored_labels(table, design, warnings)
    table = qualified_plots(study, table, design, warnings)
    cells = [cell_id({name: row[name] for name in study.factors}) for row in _records(table, study)]
    check_copies(study, table, cells)
    if design is not None:
        _check_units(table, design, cells)
        _count(table, design, cells, warnings)
    table.attrs["warnings"] = list(dict.fromkeys(warnings))
    return table


def _records(table: pd.DataFrame, study: StudySpec) -> list[dict[str, Level]]:
    return table[list(study.factors)].to_dict("records")  # type: ignore[return-value]


def _check_limits(study: StudySpec, table: pd.DataFrame) -> None:
    for name, response in study.responses.items():
        if response.limits is None:
            continue
        low, high = response.limits
        values = table[name].to_numpy(dtype=float)
        slack = 1e-9 * (high - low)
        outside = np.flatnonzero((values < low - slack) | (values > high + slack)).tolist()
        if not outside:
            continue
        finite = values[np.isfinite(values)]
        hint = f"correct the table, or responses.{name}.limits"
        if high <= 1 and len(outside) > len(finite) / 2 and finite.max() <= 100 and finite.min() >= 0:
            hint = f"are these per cent? divide them by 100, or state responses.{name}.limits: [0, 100]"
        more = f" (and {len(outside) - 1} more rows)" if len(outside) > 1 else ""
        raise AnalysisError(
            f"{place_of(table, outside[0])}: {name} is {values[outside[0]]:g}, outside its limits "
            f"[{low:g}, {high:g}]{more}",
            hint,
        )


def _check_identity(study: StudySpec, table: pd.DataFrame, design: Design, warnings: list[str]) -> None:
    """Run ids that the plan knows must have the plan's levels."""
    if "run_id" not in table or "run_id" in study.factors or "run_id" in study.responses:
        return
    planned = {run.run_id: run for run in design.runs}
    ids = table["run_id"].tolist()
    unknown = [i for i, run_id in enumerate(ids) if run_id is not None and run_id not in planned]
    if len(unknown) == len(ids):
        return
    for i, run_id in enumerate(ids):
        run = planned.get(run_id)
        if run is None:
            continue
        for name, level in design.levels_of(run).items():
            if not same_level(level, table[name].iloc[i]):
                raise AnalysisError(
                    f"{place_of(table, i)}: run {run_id} has {name} = {table[name].iloc[i]}, and the plan says {level}",
                    "correct the row; if it is another run, give it an id of its own",
                )
    if unknown:
        shown = ", ".join(f"{ids[i]} ({place_of(table, i)})" for i in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        warnings.append(f"{len(unknown)} run id(s) are not in the plan: {shown}{more}")


def _check_units(table: pd.DataFrame, design: Design, cells: Sequence[str]) -> None:
    """Rows that the plan cannot mean as runs, because what it says of seeds or blocks leaves fewer.

    Raises:
        AnalysisError: A cell has more rows than planned runs, and not more seeds; or more rows in a block than planned
            in a replicate, with no more blocks than replicates.
    """
    planned = Counter(run.cell_id for run in design.runs)
    known = {run.run_id for run in design.runs}
    by_id = "run_id" in table and bool(table["run_id"].notna().all())
    if by_id and any(run_id in known for run_id in table["run_id"].tolist()):
        return
    have = Counter(cells)
    if by_id and "seed" in table and table["seed"].nunique() > 1:
        seeds = table.groupby(pd.Series(list(cells), index=table.index))["seed"].nunique().to_dict()
        over = next((c for c, count in have.items() if count > planned[c] >= seeds[c] and count > seeds[c]), None)
        if over is not None:
            i = list(cells).index(over)
            raise AnalysisError(
                f"the cell of {place_of(table, i)} has {have[over]} rows with own run ids, {seeds[over]} seeds "
                f"and {planned[over]} planned runs: are rows measurements of one run?",
                "leave run_id out, and rows of one cell and seed are averaged; or leave seed out, if each row is a run",
            )
    replicates = max(run.replicate for run in design.runs)
    if by_id or "block" not in table or replicates < 2 or not 1 < table["block"].nunique() <= replicates:
        return
    usual = Counter((run.cell_id, run.replicate) for run in design.runs)
    most = max(usual.values())
    places = Counter(zip(cells, table["block"].tolist(), strict=True))
    crowded = next((key for key, count in places.items() if count > most), None)
    if crowded is not None:
        i = next(i for i, cell in enumerate(cells) if cell == crowded[0] and table["block"].iloc[i] == crowded[1])
        raise AnalysisError(
            f"the cell of {place_of(table, i)} has {places[crowded]} rows in block {crowded[1]}, and the plan {most} "
            "in each replicate: are rows measurements of one run?",
            "name the column `run` or `seed` if it tells trainings apart, and rows are averaged; give runs a run_id if "
            "each row is one",
        )


def _count(table: pd.DataFrame, design: Design, cells: Sequence[str], warnings: list[str]) -> None:
    """Rows of each cell against the plan's runs of it."""
    planned, have = Counter(run.cell_id for run in design.runs), Counter(cells)
    strange = [i for i, cell in enumerate(cells) if cell not in planned]
    if strange:
        shown = ", ".join(place_of(table, i) for i in strange[:_SHOWN])
        warnings.append(f"{len(strange)} row(s) are of cells that the plan does not have ({shown})")
    missing = sum(max(0, count - have[cell]) for cell, count in planned.items())
    blocks = next((n for name in _STRATA if name in table and (n := int(table[name].nunique())) > 1), 1)
    extra = sum(max(0, have[cell] - count) for cell, count in planned.items())
    if not extra:
        return
    most = max(have.values())
    said = f"the plan has {len(design.runs)} runs and the table {len(cells)}"
    per_block = Counter(run.replicate for run in design.runs)[1]
    if blocks > 1 and most <= blocks * max(planned.values()):
        gone = blocks * per_block - len(cells)
        said += f" in {blocks} blocks" + (
            f", {gone} fewer than {blocks} times the plan's {per_block}" if gone > 0 else ""
        )
    else:
        said += f": {extra} more than planned"
        said += f", and {missing} planned ones are not there" if missing else ""
        said += (
            ". Every row counts as one run: if rows are items, episodes or evaluations of one training, add a column "
            "`run` or `seed` that says of which"
        )
    warnings.append(said)
