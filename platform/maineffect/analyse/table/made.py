"""Responses that are made of others: regime overfit, and differences of two capabilities on a common scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.table.reading import tidy
from maineffect.design.model.terms import term_factors
from maineffect.errors import AnalysisError
from maineffect.spec.responses import Goal, Hypothesis, Response
from maineffect.spec.study import StudySpec

__all__ = ["run_sd", "with_made_responses"]

Floats = NDArray[np.float64]


def with_made_responses(study: StudySpec, table: pd.DataFrame) -> tuple[StudySpec, pd.DataFrame]:
    """The study and its tidy table with every made response as one of its own.

    Regime overfit is the gain inside the training regime minus the gain outside. A difference of two capabilities
    compares them in standard deviations of a run (pooled within cells), or in shares of the headroom between their
    mean at the factor's first level and the limit that the goal points to. The error of the standard deviations is
    added where the claim is judged; the headroom counts as known.

    Raises:
        AnalysisError: A difference has no scale: no cell has two runs, or nothing is left to gain.
    """
    differences = {h.response: h for h in study.hypotheses if h.pair is not None}
    if not study.analysis.overfit and not differences:
        return study, table
    clean = tidy(table, study)
    responses = dict(study.responses)
    for name, (inside, outside) in study.analysis.overfit.items():
        clean[name] = clean[inside] - clean[outside]
        scores = [study.responses[gain].on_failure for gain in (inside, outside)]
        responses[name] = Response(
            name=name,
            goal=Goal.MINIMIZE,
            unit=study.responses[inside].unit,
            description=f"Regime overfit: {inside} minus {outside}.",
            on_failure=None if scores[0] is None or scores[1] is None else scores[0] - scores[1],
        )
    for name, hypothesis in differences.items():
        clean[name] = _difference(study, clean, hypothesis)
        unit = "SD of a run" if hypothesis.common_scale == "run_sd" else "of the headroom"
        responses[name] = Response(name=name, goal=Goal.NONE, unit=unit, description=f"{name}, on a common scale.")
    plain = study.analysis.model_copy(update={"overfit": {}})
    return study.model_copy(update={"responses": responses, "analysis": plain}), clean


def _difference(study: StudySpec, table: pd.DataFrame, hypothesis: Hypothesis) -> pd.Series:
    assert hypothesis.pair is not None
    first, second = (table[name].astype(float) / _scale(study, table, name, hypothesis) for name in hypothesis.pair)
    return first - second


def _scale(study: StudySpec, table: pd.DataFrame, name: str, hypothesis: Hypothesis) -> float:
    values = table[name].astype(float)
    if hypothesis.common_scale == "run_sd":
        cells = table.groupby([table[factor].astype(str) for factor in study.factors], sort=False).ngroup()
        scale, _, _ = run_sd(values.to_numpy(dtype=float), cells.to_numpy(dtype=np.int64))
        why, way = "no cell has two runs that differ", "replicate, or use common_scale: headroom"
    else:
        response = study.responses[name]
        assert response.limits is not None
        factor = term_factors(hypothesis.term)[0]
        start = table[factor].astype(str) == str(study.factors[factor].levels[0])
        low, high = response.limits
        mean = float(values[start].mean())
        scale = mean - low if response.goal is Goal.MINIMIZE else high - mean
        why, way = f"{name} has nothing left to gain at the first level", "use common_scale: run_sd"
    if not scale > 0:
        raise AnalysisError(f"{hypothesis.id}: {hypothesis.response} has no common scale: {why}", way)
    return scale


def run_sd(values: NDArray[np.floating[Any]], cells: NDArray[np.integer[Any]]) -> tuple[float, Floats, int]:
    """Standard deviation of a run, pooled within cells.

    Args:
        values: (n,) response, NaN where a run has none.
        cells: (n,) number of each run's cell.

    Returns:
        It (0 where no cell has two runs that differ), what is left of each value beside its cell's mean, and the
        degrees of freedom.
    """
    known = np.isfinite(values)
    counts = np.bincount(cells, weights=known)
    means = np.bincount(cells, weights=np.where(known, values, 0.0)) / np.maximum(counts, 1)
    rest = np.where(known, values - means[cells], np.nan)
    spare = int(np.sum(np.maximum(counts - 1, 0)))
    return (float(np.sqrt(np.nansum(rest**2) / spare)) if spare else 0.0), rest, spare
