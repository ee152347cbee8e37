"""Extrapolated intervals cover, trends and tests of the line reject at their level: simulated through `analyse`."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec

Kind = Literal["own_seeds", "split_plot", "shared_seeds"]
WIDTHS = (16, 32, 64)
DESIGNS: dict[Kind, dict[str, Any]] = {
    "own_seeds": {"kind": "full", "replicates": 2},
    "split_plot": {"kind": "split_plot", "hard_to_change": ["width"], "replicates": 2},
    "shared_seeds": {"kind": "full", "replicates": 5, "common_random_numbers": True},
}


def study_of(kind: Kind) -> StudySpec:
    analysis = {"terms": "two_way", **({"inference": "seeds"} if kind == "shared_seeds" else {})}
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "scaled",
            "factors": {n: {"name": n, "levels": v} for n, v in {"noise": [0, 1], "width": list(WIDTHS)}.items()},
            "design": DESIGNS[kind],
            "responses": {"y": {"name": "y"}},
            "analysis": analysis,
            "scaling": {"covariates": {"width": {"extrapolate": [256]}}},
        }
    )


def runs_of(kind: Kind, rng: np.random.Generator) -> pd.DataFrame:
    """The effect of noise is .5 at width 16 and falls by .3 a doubling: −.7 at 256."""
    rows = []
    for replicate, width in product(range(1, DESIGNS[kind]["replicates"] + 1), WIDTHS):
        plot = 2 * rng.standard_normal() if kind == "split_plot" else 0.0
        for noise in (0, 1, 0, 1) if kind == "split_plot" else (0, 1):
            y = plot + noise * (0.5 - 0.3 * np.log2(width / 16)) + rng.standard_normal()
            row = {"noise": noise, "width": width, "y": y}
            row |= {"whole_plot": f"{replicate}-{width}"} if kind == "split_plot" else {}
            row |= {"replicate": replicate} if kind == "shared_seeds" else {}
            rows.append(row)
    table = pd.DataFrame(rows)
    if kind == "shared_seeds":
        drawn = rng.standard_normal((6, 2))  # an effect, and its trend, of each seed's own
        at = table.replicate.to_numpy()
        table["y"] += table.noise * (drawn[at, 0] + 0.5 * drawn[at, 1] * np.log2(table.width / 16))
    return table


def rates(kind: Kind, studies: int, seed: int) -> tuple[float, float]:
    """(coverage of the truth at 256, rejections of a line that is one)."""
    rng, study = np.random.default_rng(seed), study_of(kind)
    covered = refused = 0
    for _ in range(studies):
        (effect,) = analyse(study, runs_of(kind, rng), draws=19).over_sizes
        (beyond,) = effect.beyond
        assert beyond.ci_low is not None
        assert beyond.ci_high is not None
        assert effect.linearity is not None
        assert effect.linearity.p_value is not None
        covered += beyond.ci_low <= -0.7 <= beyond.ci_high
        refused += effect.linearity.p_value <= 0.05
    return covered / studies, refused / studies


def test_intervals_beyond_the_sizes_cover() -> None:
    """A hundred studies find gross errors only; the numbers themselves are held in test_over_sizes."""
    coverage, refused = rates("own_seeds", 100, 1)
    assert coverage == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / 100))
    assert refused == pytest.approx(0.05, abs=3.3 * np.sqrt(0.95 * 0.05 / 100))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own_seeds", "split_plot", "shared_seeds"])
def test_intervals_cover_in_every_stratum(kind: Kind) -> None:
    """With six degrees of freedom and a normal quantile for t's, coverage would be .90: nine standard errors less."""
    coverage, refused = rates(kind, 1500, 2)
    error = 3.3 * np.sqrt(0.95 * 0.05 / 1500)
    assert coverage == pytest.approx(0.95, abs=error)
    assert refused == pytest.approx(0.05, abs=error)
