"""Tests of several degrees of freedom that do not trust equal variances, against statsmodels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec


def _study(**analysis: object) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "moore",
            "factors": {
                "status": {"name": "status", "levels": ["low", "high"]},
                "authority": {"name": "authority", "levels": ["low", "medium", "high"], "kind": "categorical"},
            },
            "design": {"kind": "full", "replicates": 4},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "full", **analysis},
        }
    )


def _table() -> pd.DataFrame:
    """Unequal cells with unequal spread: 5 to 11 runs a cell, one cell three times as noisy."""
    rng = np.random.default_rng(4)
    counts = {("low", "low"): 10, ("low", "medium"): 5, ("low", "high"): 8}
    counts |= {("high", "low"): 5, ("high", "medium"): 11, ("high", "high"): 7}
    rows = [
        {"status": s, "authority": a, "y": 2.0 * (s == "high") + (1 + 2 * (a == "high")) * rng.standard_normal()}
        for (s, a), count in counts.items()
        for _ in range(count)
    ]
    return pd.DataFrame(rows)


def test_hc3_reaches_every_row_of_the_anova() -> None:
    """anova_lm(robust="hc3") is R's car::Anova(white.adjust="hc3"), by its own tests.

    Type III: of Type II both packages test another hypothesis, which moves with the robust covariance.
    """
    table = _table()
    fitted = ols("y ~ C(status, Sum) * C(authority, Sum)", table).fit()
    theirs = anova_lm(fitted, typ=3, robust="hc3")
    names = {"status": "C(status, Sum)", "authority": "C(authority, Sum)"}
    names["status:authority"] = ":".join(names.values())
    result = analyse(_study(robust="hc3"), table, draws=19)
    rows = {row.term: row for row in result.responses["y"].anova}
    for ours, other in names.items():
        assert rows[ours].method == "HC3"
        assert pytest.approx(theirs.loc[other, "F"], rel=1e-6) == rows[ours].F, ours
        assert rows[ours].p_value == pytest.approx(theirs.loc[other, "PR(>F)"], rel=1e-6), ours


def test_a_row_of_one_degree_of_freedom_is_the_squared_t_of_its_contrast() -> None:
    result = analyse(_study(robust="hc3"), _table(), draws=19)
    row = next(row for row in result.responses["y"].anova if row.term == "status")
    effect = next(effect for effect in result.responses["y"].effects if effect.term == "status")
    assert effect.t is not None
    assert pytest.approx(effect.t**2) == row.F
