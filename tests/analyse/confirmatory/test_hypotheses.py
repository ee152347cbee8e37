"""From hypotheses to results: units of a stratum, contrasts that decide, and who carries which p-value."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from maineffect.analyse.confirmatory.assurance import replicates_needed
from maineffect.analyse.confirmatory.verdicts import Claim
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.spec.study import StudySpec


def _study(hypotheses: list[dict[str, Any]], **more: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "judged",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABC"},
            "design": {"kind": "full", "replicates": 2},
            "responses": {"y": {"name": "y"}},
            "hypotheses": hypotheses,
            "analysis": {"terms": "two_way"},
            **more,
        }
    )


def _split_plot(seed: int) -> tuple[StudySpec, pd.DataFrame]:
    study = _study(
        [{"id": "H1", "term": "A", "response": "y"}, {"id": "H2", "term": "B", "response": "y"}],
        design={"kind": "split_plot", "hard_to_change": ["A"], "replicates": 4},
    )
    table = pd.DataFrame(design_rows(build_design(study)))
    rng = np.random.default_rng(seed)
    plots = {plot: rng.standard_normal() for plot in sorted(set(table["whole_plot"]))}
    table["y"] = table["whole_plot"].map(plots) + rng.standard_normal(len(table)) + 0.3 * table["A"] + 0.3 * table["B"]
    return study, table


def test_further_replicates_count_whole_plots_for_what_varies_between_them() -> None:
    study, table = _split_plot(2)
    result = analyse(study, table, draws=19)
    units = {"H1": len(set(table["whole_plot"])), "H2": len(table)}
    for h in result.hypotheses:
        assert h.verdict == "inconclusive"
        assert h.estimate is not None and h.std_error is not None and h.df is not None and h.level is not None  # noqa: PT018
        claim = Claim(h.direction, h.beyond, h.sesoi, h.estimate, h.std_error, h.df, 2.0)
        assert h.replicates_needed == replicates_needed(claim, h.level, 4, units[h.id] / 4)
        assert h.assurance is not None
        assert 0.8 <= h.assurance < 1.0
    effects = {e.term: e for e in result.responses["y"].effects}
    assert effects["A"].df is not None and effects["B"].df is not None  # noqa: PT018
    assert effects["A"].df < effects["B"].df, "whole plots have fewer degrees of freedom than runs"


def test_simultaneous_intervals_take_the_fewest_degrees_of_freedom() -> None:
    study, table = _split_plot(3)
    effects = analyse(study, table, draws=19).responses["y"].effects
    fewest = min(e.df for e in effects if e.df is not None)
    count = len(effects)
    for e in effects:
        assert e.simultaneous_high is not None and e.std_error is not None  # noqa: PT018
        critical = (e.simultaneous_high - e.estimate) / e.std_error
        assert stats.t.isf(0.025, fewest) < critical <= stats.t.isf(0.025 / count, fewest) * 1.02


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), method=st.sampled_from(["holm", "max_t", "bh", "none"]), margin=st.booleans())
def test_adjusted_is_never_below_raw_and_verdict_and_interval_agree(seed: int, method: str, margin: bool) -> None:
    claims = [
        {"id": "H1", "term": "A", "response": "y", "direction": "increase"},
        {"id": "H2", "term": "B", "response": "y"},
        {"id": "H3", "term": "A:C", "response": "y", "direction": "decrease"},
    ]
    responses = {"y": {"name": "y", **({"smallest_effect": 0.8} if margin else {})}}
    study = _study(claims, responses=responses, analysis={"terms": "two_way", "correction": method})
    rng = np.random.default_rng(seed)
    rows = [
        dict(zip("ABC", cell, strict=True), replicate=r)
        for r in (1, 2, 3)
        for cell in itertools.product([0, 1], repeat=3)
    ]
    table = pd.DataFrame(rows)
    table["y"] = rng.standard_normal(len(table)) + rng.normal(0, 1.5) * table["A"] + rng.normal(0, 1.5) * table["B"]
    result = analyse(study, table, draws=19)
    for h in result.hypotheses:
        assert h.p_value is not None and h.p_adjusted is not None  # noqa: PT018
        assert h.p_adjusted >= h.p_value - 1e-12
        assert h.ci_low is not None and h.ci_high is not None and h.estimate is not None  # noqa: PT018
        if h.verdict in ("supported", "refuted"):
            assert h.ci_low > 0 or h.ci_high < 0
            assert (h.estimate > 0) == ({"increase": 1, "decrease": -1}.get(h.direction, np.sign(h.estimate)) > 0) or (
                h.verdict == "refuted"
            )
        if h.verdict == "negligible":
            assert abs(h.estimate) < 0.8
        if method == "none" and not margin and h.verdict == "inconclusive":
            assert h.ci_low <= 0 <= h.ci_high
    for effect in result.responses["y"].effects:
        if effect.p_adjusted is not None and effect.p_value is not None:
            assert effect.p_adjusted >= effect.p_value - 1e-12


def test_an_adjusted_p_value_belongs_to_the_contrast_that_decided() -> None:
    """A factor of four ordered levels has three contrasts; the claim is about the linear one."""
    study = _study(
        [{"id": "H1", "term": "D", "response": "y", "direction": "increase"}],
        factors={"D": {"name": "D", "levels": [0, 1, 2, 3]}, "B": {"name": "B", "levels": [0, 1]}},
        analysis={"terms": "main"},
    )
    rng = np.random.default_rng(1)
    rows = [{"D": d, "B": b, "replicate": r} for r in (1, 2) for d in range(4) for b in (0, 1)]
    table = pd.DataFrame(rows)
    table["y"] = table["D"] + rng.standard_normal(len(table))
    result = analyse(study, table, draws=19)
    effects = {e.contrast: e for e in result.responses["y"].effects if e.term == "D"}
    (h,) = result.hypotheses
    assert h.contrast == "linear"
    assert effects["linear"].p_adjusted == h.p_adjusted
    for other in ("quadratic", "cubic"):
        assert effects[other].p_adjusted != h.p_adjusted
        assert effects[other].p_adjusted >= effects[other].p_value  # type: ignore[operator]
        assert effects[other].registered


def test_a_directed_interaction_is_last_minus_first_of_every_factor() -> None:
    """A's effect is 0 at c1, 5 at c2 and −2 at c3: the claim is about c3 against c1."""
    study = _study(
        [{"id": "H1", "term": "A:C", "response": "y", "direction": "increase"}],
        factors={
            "A": {"name": "A", "levels": [0, 1]},
            "C": {"name": "C", "levels": ["c1", "c2", "c3"], "kind": "categorical"},
        },
    )
    rng = np.random.default_rng(1)
    rows = [{"A": a, "C": c, "replicate": r} for r in (1, 2) for a in (0, 1) for c in ("c1", "c2", "c3")]
    table = pd.DataFrame(rows)
    table["y"] = table["A"] * table["C"].map({"c1": 0.0, "c2": 5.0, "c3": -2.0}) + 0.1 * rng.standard_normal(len(table))
    (h,) = analyse(study, table, draws=19).hypotheses
    cells = table.groupby(["A", "C"])["y"].mean()
    by_hand = (cells[1, "c3"] - cells[0, "c3"]) - (cells[1, "c1"] - cells[0, "c1"])
    assert h.estimate == pytest.approx(by_hand)
    assert h.verdict == "refuted"
    assert h.contrast == "A high − low × c3 − c1"


def test_runs_that_have_not_begun_are_no_failures() -> None:
    """All that is missing has B = 1, because the sweep goes through B = 0 first."""
    rows = [
        dict(zip("ABC", cell, strict=True), replicate=r, status="planned" if cell[1] else "finished")
        for r in (1, 2, 3)
        for cell in itertools.product([0, 1], repeat=3)
    ]
    table = pd.DataFrame(rows)
    table["y"] = np.where(table["B"] == 1, np.nan, np.random.default_rng(0).standard_normal(len(table)))
    study = _study([{"id": "H1", "term": "A", "response": "y"}])
    assert not any("depends on B" in warning for warning in analyse(study, table, draws=19).warnings)
    failed = table.assign(status=np.where(table["B"] == 1, "failed", "finished"))
    assert any("failure depends on B" in warning for warning in analyse(study, failed, draws=19).warnings)
