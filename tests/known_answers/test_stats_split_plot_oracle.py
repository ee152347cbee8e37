"""Split plots against process-improve (PyPI, MIT), an independent REML and Kenward–Roger implementation.

Balanced plots and plots that lost runs. The oracle's coefficients are half of our effects (−1/+1 coding).
"""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec


def _study() -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "oracle",
            "factors": {name: {"name": name, "levels": [-1, 1]} for name in ("F", "G", "H")},
            "design": {"kind": "split_plot", "hard_to_change": ["F"]},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "two_way"},
        }
    )


def _table(seed: int, plots: int, lost: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(f"w{w}", 1 if w % 2 else -1, g, h) for w in range(plots) for g, h in product([-1, 1], repeat=2)]
    table = pd.DataFrame(rows, columns=["whole_plot", "F", "G", "H"])
    between = dict(zip(table["whole_plot"].unique(), 2.0 * rng.normal(size=plots), strict=True))
    table["y"] = table["whole_plot"].map(between) + rng.normal(size=len(table)) + table["F"] - 0.5 * table["G"]
    return table.drop(index=rng.choice(len(table), lost, replace=False)).reset_index(drop=True)


@pytest.mark.parametrize(("seed", "plots", "lost"), [(1, 8, 0), (2, 6, 0), (3, 8, 3), (4, 10, 5), (5, 8, 6)])
def test_effects_errors_and_degrees_of_freedom(seed: int, plots: int, lost: int) -> None:
    from process_improve.experiments.analysis import analyze_experiment

    table = _table(seed, plots, lost)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = analyze_experiment(
            table.rename(columns={"whole_plot": "wp"}), response_column="y", model="interactions",
            analysis_type="split_plot", whole_plot="wp", df_method="kenward_roger", coding=None,
        )["split_plot"]  # fmt: skip
    result = analyse(_study(), table, draws=99).responses["y"]
    assert result.variance_components is not None
    assert theirs["variance_components"]["whole_plot"] > 0
    for name in ("whole_plot", "residual"):
        assert result.variance_components[name] == pytest.approx(theirs["variance_components"][name], rel=1e-3)
    expected = {row["term"]: row for row in theirs["coefficients"]}
    assert len(result.effects) == 6
    for effect in result.effects:
        row = expected[effect.term]
        assert effect.estimate == pytest.approx(2 * row["coefficient"], rel=1e-3, abs=1e-4)
        assert effect.std_error == pytest.approx(2 * row["std_error"], rel=1e-3)
        assert effect.df == pytest.approx(row["df"], rel=1e-2)
        assert effect.p_value == pytest.approx(row["p_value"], rel=1e-2, abs=1e-5)
