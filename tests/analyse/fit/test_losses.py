"""What lost runs cost, and the fewest that restore the design."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from maineffect.analyse.fit.losses import Plan, missing_bounds, restoring_runs
from maineffect.analyse.fit.model import build_model
from maineffect.design.build import build_design
from maineffect.spec.study import StudySpec


def _design(replicates: int = 1) -> Any:
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "lost",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABC"},
            "design": {"kind": "full", "replicates": replicates},
            "responses": {"y": {"name": "y"}},
        }
    )
    return build_design(study)


@pytest.mark.parametrize("seed", range(6))
def test_the_runs_that_restore_are_as_few_as_an_exhaustive_search_finds(seed: int) -> None:
    """Rank is a matroid's: greedy choices by gain are smallest (Edmonds (1971)); a run without gain is not chosen."""
    design = _design(2)
    plan = Plan.of(design)
    model = build_model(plan.factors, plan.rows, ("A", "B", "C", "A:B", "A:C"))
    rng = np.random.default_rng(seed)
    lost = rng.choice(plan.run_ids, 12, replace=False).tolist()
    kept = [i for i, run in enumerate(plan.run_ids) if run not in lost]
    full = np.linalg.matrix_rank(model.matrix)
    chosen = restoring_runs(plan, lost, model)

    def rank(extra: tuple[str, ...]) -> int:
        return int(np.linalg.matrix_rank(model.matrix[[*kept, *(plan.run_ids.index(run) for run in extra)]]))

    assert rank(chosen) == full
    assert len(chosen) == full - rank(())
    if len(chosen) > 1:
        assert all(rank(few) < full for few in combinations(lost, len(chosen) - 1))


def test_bounds_hold_every_completion() -> None:
    """Brute force over corners: the estimate is linear in the lost values."""
    x = np.column_stack([np.ones(8), np.tile([-1.0, 1.0], 4), np.repeat([-1.0, 1.0], 4)])
    y = np.arange(8.0)
    y[[1, 6]] = np.nan
    row = np.array([0.0, 2.0, 0.0])
    low, high = missing_bounds(x, y, row, -1.0, 9.0)
    corners = []
    for a in (-1.0, 9.0):
        for b in (-1.0, 9.0):
            full = y.copy()
            full[[1, 6]] = a, b
            corners.append(float(row @ np.linalg.lstsq(x, full, rcond=None)[0]))
    assert (low, high) == pytest.approx((min(corners), max(corners)))
