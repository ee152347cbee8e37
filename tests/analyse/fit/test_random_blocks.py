"""Random blocks whose variance is estimated near or below zero, with a few lost runs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec

STUDY = {
    "schema_version": 1,
    "name": "blocks",
    "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABC"},
    "design": {"kind": "full", "replicates": 3},
    "responses": {"y": {"name": "y"}},
    "analysis": {"terms": "main", "blocks": "random"},
}


def _table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    cells = pd.DataFrame(list(itertools.product([0, 1], repeat=3)), columns=list("ABC"))
    table = pd.concat([cells.assign(replicate=r, block=r) for r in (1, 2, 3)], ignore_index=True)
    table["y"] = rng.standard_normal(24)
    table.loc[rng.choice(24, 3, replace=False), "y"] = np.nan
    return table


@pytest.mark.parametrize("seed", range(12))
def test_degrees_of_freedom_are_those_that_runs_can_give(seed: int) -> None:
    """lmerTest has 17 of 21 runs and 4 coefficients where the block variance is 0, and about 15 where it is not."""
    result = analyse(StudySpec.model_validate(STUDY), _table(seed), draws=19)
    response = result.responses["y"]
    for effect in response.effects:
        assert effect.df is not None
        assert 14.5 < effect.df <= 17 + 1e-6
        assert effect.p_value is not None
    if any("it is left out" in warning for warning in result.warnings):
        assert {effect.df for effect in response.effects} == {17.0}
