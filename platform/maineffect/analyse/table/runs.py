"""A table as people write it → the runs of the study: levels, strata, identity, and scores of runs that ended badly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.table.parsing import place_of
from maineffect.analyse.table.reading import is_outcome, tidy
from maineffect.analyse.table.scales import on_scale
from maineffect.analyse.table.strata import Strata
from maineffect.contracts import Level
from maineffect.design.model.model import Design, PlannedRun, cell_id
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["Runs", "read_runs", "score_failures"]

Floats = NDArray[np.float64]
_LARGEST = 1e120


@dataclass(frozen=True)
class Runs:
    """The runs at hand, in the study's words.

    Attributes:
        table: Tidy, one row per run.
        levels: Factor → n levels.
        cells: Cell id of each run.
        run_ids: As given, or ``row i``.
        known_ids: As given, None where the table has none.
        strata: Blocks and whole plots.
        replicates: n labels of what repeats the design, or None where nothing says.
        shared: Whether the runs of a replicate share their seed, as far as study and table say.
        bad: Runs that ended as a bad outcome of their treatment.
    """

    table: pd.DataFrame
    levels: Mapping[str, list[Level]]
    cells: list[str]
    run_ids: list[str]
    known_ids: list[str | None]
    strata: Strata
    replicates: tuple[str, ...] | None
    shared: bool
    bad: list[bool]


def read_runs(study: StudySpec, table: pd.DataFrame, design: Design | None) -> Runs:
    """Tidy a table and find its strata: columns first, the design by run id where columns are absent."""
    clean = tidy(table, study)
    named = {*study.factors, *study.responses}
    roles = {name for name in clean.columns if name not in named}
    levels = {name: clean[name].tolist() for name in study.factors}
    cells = [cell_id({name: levels[name][i] for name in levels}) for i in range(len(clean))]
    planned = {run.run_id: run for run in design.runs} if design else {}
    ids: list[str | None] = clean["run_id"].tolist() if "run_id" in roles else [None] * len(clean)
    matched: list[PlannedRun | None] = [planned.get(run_id) if run_id is not None else None for run_id in ids]

    def column(name: str) -> tuple[str, ...] | None:
        values = clean[name].tolist() if name in roles else [None] * len(clean)
        if all(value is None for value in values) and all(run is not None for run in matched):
            values = [getattr(run, name) for run in matched]
        blank = [i + 1 for i, value in enumerate(values) if value is None]
        if 0 < len(blank) < len(values):
            raise AnalysisError(
                f"{name} is blank in row {blank[0]} and stated in others",
                "state it for every run, or leave the column out",
            )
        if blank:
            return None
        return tuple(str(value) for value in values)

    stated = {name: labels for name in ("block", "replicate") if (labels := column(name)) and len(set(labels)) > 1}
    # A table that was planned here says of every run whether it is in a block; elsewhere a replicate is taken for one.
    planned_here = "block" in roles or all(run is not None for run in matched)
    shared = study.design.common_random_numbers or ("replicate" in stated and not planned_here)
    blocks = stated.get("block") or (stated.get("replicate") if shared else None)
    plots = column("whole_plot") or _implied_plots(study, levels, next(iter(stated.values()), None), clean)
    if "status" in roles:
        failure = clean["failure"].tolist() if "failure" in roles else [None] * len(clean)
        bad = [is_outcome(s, f) for s, f in zip(clean["status"].tolist(), failure, strict=True)]
    else:
        bad = [False] * len(clean)
    names = [str(run_id) if run_id is not None else f"row {i + 1}" for i, run_id in enumerate(ids)]
    return Runs(
        table=clean,
        levels=levels,
        cells=cells,
        run_ids=names,
        known_ids=ids,
        strata=Strata(blocks, plots, study.analysis.blocks == "random"),
        replicates=stated.get("replicate") or stated.get("block"),
        shared=shared,
        bad=bad,
    )


def _implied_plots(
    study: StudySpec, levels: Mapping[str, list[Level]], blocks: tuple[str, ...] | None, clean: pd.DataFrame
) -> tuple[str, ...] | None:
    """Without a ``whole_plot`` column: one whole plot per setting of the hard-to-change factors and block.

    Runs that share a tuned value are one over all blocks.
    """
    hard = study.design.hard_to_change
    if study.tuned_by:
        return tuple("|".join(str(levels[name][i]) for name in study.tuned_by) for i in range(len(clean)))
    if not hard:
        return None
    noted = "no whole_plot column: each block's setting of the hard-to-change factors is taken as one whole plot"
    clean.attrs["warnings"] = [*clean.attrs.get("warnings", []), noted]
    return tuple(
        "|".join([blocks[i] if blocks else "", *(str(levels[name][i]) for name in hard)]) for i in range(len(clean))
    )


def score_failures(study: StudySpec, runs: Runs, warnings: list[str]) -> dict[str, Floats]:
    """Responses on their scales, with the scores that were declared beforehand for runs that ended badly.

    Raises:
        AnalysisError: The squares of a response overflow or vanish in double precision, or a value is not on its scale.
    """
    values = {}
    for name, response in study.responses.items():
        y = runs.table[name].to_numpy(dtype=float, copy=True)
        bad = np.array(runs.bad)
        if response.on_failure is not None and bad.any():
            y[bad] = response.on_failure
            warnings.append(
                f"{name}: {int(bad.sum())} run(s) that failed or diverged have the score {response.on_failure:g} "
                "declared beforehand"
            )
        elif (unfinished := bad & ~np.isfinite(y)).any():
            warnings.append(
                f"{name}: {int(unfinished.sum())} failed run(s) are missing (no on_failure score was declared); "
                "if failure follows a factor, its effects are biased"
            )
        largest = float(np.abs(y[np.isfinite(y)]).max(initial=0.0))
        if largest > _LARGEST or 0 < largest < 1 / _LARGEST:
            raise AnalysisError(
                f"{name} has values around {largest:.0e}: their squares cannot be represented",
                "state the response in another unit",
            )
        if response.limits is not None:
            low, high = response.limits
            outside = np.flatnonzero((y < low) | (y > high)).tolist()
            if outside:
                warnings.append(
                    f"{name}: {len(outside)} run(s) lie outside the limits [{low:g}, {high:g}] "
                    f"(first {runs.run_ids[outside[0]]}: {y[outside[0]]:g})"
                )
        values[name] = on_scale(y, name, response, partial(_place, runs))
    return values


def _place(runs: Runs, row: int) -> str:
    """Where a run is: in a file, or by its id."""
    place = place_of(runs.table, row)
    return runs.run_ids[row] if place.startswith("row ") else place
