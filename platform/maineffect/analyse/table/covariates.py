"""Numbers known before training, as columns of the table: covariates beside the design, and regime overfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["covariate_values", "with_covariates"]

Floats = NDArray[np.float64]


def with_covariates(
    study: StudySpec, table: pd.DataFrame, measures: Mapping[str, Mapping[str, float | None]] | None
) -> pd.DataFrame:
    """The table with a column for every covariate that the runs measured and it does not hold yet."""
    wanted = [name for name in study.analysis.covariates if name not in table]
    if not wanted or not measures or "run_id" not in table:
        return table
    ids = table["run_id"].astype(str)
    columns = {
        name: ids.map(
            {run: run_measures[name] for run, run_measures in measures.items() if run_measures.get(name) is not None}
        ).astype(float)
        for name in wanted
        if any(run_measures.get(name) is not None for run_measures in measures.values())
    }
    return table.assign(**columns)


def covariate_values(
    study: StudySpec, table: pd.DataFrame, rows: Sequence[int], warnings: list[str]
) -> dict[str, Floats]:
    """Name → centred values of some runs; a run without a value gets the mean, which moves no effect.

    Raises:
        AnalysisError: The runs do not know the covariate.
    """
    centred = {}
    for name in study.analysis.covariates:
        values = table[name].to_numpy(dtype=float)[list(rows)] if name in table else np.full(len(rows), np.nan)
        has_value = np.isfinite(values)
        if not has_value.any():
            raise AnalysisError(
                f"no run has a value of the covariate {name!r}",
                "add its column to the table, let the trainable return it as a measure, or drop it from "
                "analysis.covariates",
            )
        if not has_value.all():
            warnings.append(f"covariate {name}: {int((~has_value).sum())} run(s) without a value have the mean")
        centred[name] = np.where(has_value, values - values[has_value].mean(), 0.0)
    return centred
