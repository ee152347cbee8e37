"""A finished sweep's runs as a search starts from them: less their block effects, and moved to the fixed levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from maineffect.analyse.fit.model import BLOCK
from maineffect.analyse.fit.respond import Fitted
from maineffect.analyse.fit.responses import fit_responses
from maineffect.analyse.follow_up.box import Box
from maineffect.analyse.table.scales import back_transformed
from maineffect.contracts import Level
from maineffect.design.model.model import Design
from maineffect.design.model.terms import term_factors
from maineffect.spec.factors import Factor, level_key
from maineffect.spec.phases.optimise import KnownRun, OptimiseRequest
from maineffect.spec.responses import Response
from maineffect.spec.study import StudySpec

__all__ = ["known_runs"]

Floats = NDArray[np.float64]
_DIGITS = 8


def known_runs(
    study: StudySpec,
    design: Design,
    table: pd.DataFrame,
    request: OptimiseRequest,
    costs: Mapping[str, Sequence[float]],
) -> tuple[tuple[KnownRun, ...], int]:
    """The runs of a sweep that lie within a box.

    A run's value is its residual from the registered model, plus the model at the run's levels with the fixed factors
    moved to their fixed levels, without its block. So all runs count, and what blocks or the other factors did to them
    does not look like an effect of the factors that are looked at.

    Args:
        study: Of the sweep.
        design: As it was run.
        table: Its runs.
        request: The search.
        costs: Objective that is a cost → that of every row of the table; NaN without.

    Returns:
        Runs that have every number, and the degrees of freedom that blocks and fixed factors took.

    Raises:
        AnalysisError: The table cannot be read as runs of the study.
    """
    wanted = {name: study.responses.get(name) or Response(name=name, unit="") for name in request.measured}
    plain = study.analysis.model_copy(update={"covariates": (), "overfit": {}, "sequential": None, "blocks": "fixed"})
    asked = study.model_copy(update={"responses": wanted, "analysis": plain, "hypotheses": ()})
    for name, values in costs.items():
        table = table.assign(**{name: np.asarray(values, dtype=float)})
    fits = fit_responses(asked, table, design=design)
    if set(fits) < set(wanted):
        return (), 0
    box = Box(request.factors)
    moved = {name: _moved(fitted, table, request.fixed) for name, fitted in fits.items()}
    rows = sorted(set.intersection(*(set(values) for values in moved.values())))
    runs = []
    for row in rows:
        levels: dict[str, Level] = {name: _plain(table[name].iloc[row]) for name in request.factors}
        if not box.holds(levels):
            continue
        scores = {
            name: float(f"{back_transformed(values[row], wanted[name]):.{_DIGITS}g}") for name, values in moved.items()
        }
        runs.append(KnownRun(run=str(table["run_id"].iloc[row]), values=levels, scores=scores))
    return tuple(runs), max(_spent(fitted, request.fixed) for fitted in fits.values())


def _spent(fitted: Fitted, fixed: Mapping[str, Level]) -> int:
    """Coefficients that were taken from the runs: those of blocks, and those of terms with a fixed factor."""
    moved = [BLOCK, *(term for term in fitted.model.terms if set(term_factors(term)) & set(fixed))]
    spans = [fitted.model.spans[term] for term in moved if term in fitted.model.spans]
    return sum(span.stop - span.start for span in spans)


def _moved(fitted: Fitted, table: pd.DataFrame, fixed: Mapping[str, Level]) -> dict[int, float]:
    """Row of the table → value on the response's scale, without its block and at the fixed levels."""
    beta = np.asarray(fitted.fit.beta[:, fitted.column])
    span = fitted.model.spans.get(BLOCK, slice(0, 0))
    values = fitted.y - fitted.model.matrix[:, span] @ beta[span]
    factors = {factor.name: factor for factor in fitted.model.factors}
    to = {name: _weights(factors[name], level) for name, level in fixed.items()}
    found = {}
    for i, row in enumerate(fitted.rows):
        here = {name: _weights(f, _plain(table[name].iloc[row])) for name, f in factors.items()}
        gap = fitted.surface.weighted({**here, **to}) - fitted.surface.weighted(here) if to else np.zeros(len(beta))
        found[int(row)] = float(values[i] + gap @ beta)
    return found


def _weights(factor: Factor, level: Level) -> Floats:
    """Weights on a factor's levels: of one of them, or linear between the two around a number."""
    weights = np.zeros(len(factor.levels))
    keys = [level_key(own) for own in factor.levels]
    if level_key(level) in keys:
        weights[keys.index(level_key(level))] = 1.0
        return weights
    numbers = np.array([float(own) for own in factor.levels])
    above = int(np.clip(np.searchsorted(numbers, float(level)), 1, len(numbers) - 1))
    share = (float(level) - numbers[above - 1]) / (numbers[above] - numbers[above - 1])
    weights[above - 1], weights[above] = 1 - share, share
    return weights


def _plain(value: object) -> Level:
    """A level as Python has it, not NumPy."""
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]
