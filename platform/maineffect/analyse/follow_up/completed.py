"""One batch that completes a second-order model beside runs that exist: I-optimal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from maineffect.analyse.follow_up.box import Box, Points
from maineffect.contracts import Level
from maineffect.design.kinds.optimal import optimal
from maineffect.seeds import generator
from maineffect.spec.factors import Factor
from maineffect.spec.requests import OptimalRequest
from maineffect.spec.responses import Response
from maineffect.spec.study import AnalysisPlan, StudySpec

__all__ = ["completing_points"]

_STARTS = 10
_GRIDS = {1: 21, 2: 11, 3: 7, 4: 5}
_FINEST = 3


def completing_points(box: Box, known: Sequence[Mapping[str, Level]], count: int, seed: int) -> list[tuple[Level, ...]]:
    """Settings of new runs that make predictions over the box most precise, together with the known ones.

    Args:
        box: Where they lie; numbers only.
        known: Settings of runs that exist.
        count: How many new ones.
        seed: Of the search.

    Returns:
        One tuple per run, in the order of the box's factors.

    Raises:
        DesignError: Known and new runs are too few for the model.
    """
    factors = {name: Factor(name=name, levels=(-1.0, 0.0, 1.0)) for name in box.numbers}
    points = box.coded(known)
    fixed = tuple(dict(zip(box.numbers, map(float, np.round(row, 9)), strict=True)) for row in points.x)
    study = StudySpec(
        schema_version=1,
        name="completed",
        factors=factors,
        responses={"y": Response(name="y")},
        analysis=AnalysisPlan(terms="second_order"),
        seed=seed,
        design=OptimalRequest(
            kind="optimal",
            runs=len(fixed) + count,
            criterion="I",
            model="second_order",
            fixed=fixed,
            starts=_STARTS,
            grid=_GRIDS.get(box.k, _FINEST),
        ),
    )
    rows = optimal(study).rows[len(fixed) :]
    x = np.array([[float(row[name]) for name in box.numbers] for row in rows])
    x = x[generator(seed, "order of completing runs").permutation(len(x))]
    new = box.snapped(Points(x, np.zeros((len(x), 0), dtype=np.int64)))
    return [tuple(setting[name] for name in box.axes) for setting in box.settings(new)]
