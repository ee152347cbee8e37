"""Simulated and analytic power agree within Monte Carlo error, on five designs of different strata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maineffect.analyse.run import analyse
from maineffect.analyse.simulation.planned import planned_model
from maineffect.analyse.simulation.power_simulation import simulate_power
from maineffect.analyse.simulation.selftest import simulate_table
from maineffect.design.build import build_design
from maineffect.design.power_report import RunSpread, power_report
from maineffect.errors import UsageError
from maineffect.spec.study import StudySpec

STUDIES = [24, pytest.param(160, marks=pytest.mark.slow)]
TWO = [-1, 1]
THREE = ["a", "b", "c"]


def study(factors: dict[str, Any], design: dict[str, Any], terms: Any, hypotheses: list[tuple[str, str]]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": levels} for name, levels in factors.items()},
            "design": design,
            "responses": {"y": {"name": "y", "smallest_effect": 1.0}},
            "hypotheses": [
                {"id": f"H{i}", "term": term, "response": "y", "direction": direction}
                for i, (term, direction) in enumerate(hypotheses)
            ],
            "analysis": {"terms": terms},
        }
    )


DESIGNS: dict[str, tuple[StudySpec, float]] = {
    "full factorial in two replicates": (
        study(
            dict.fromkeys("ABC", TWO),
            {"kind": "full", "replicates": 2},
            "two_way",
            [("A", "increase"), ("A:B", "different")],
        ),
        0.65,
    ),
    "half fraction in two blocks": (
        study(
            dict.fromkeys("ABCDE", TWO),
            {"kind": "fractional", "runs": 16, "blocks": 2, "replicates": 2},
            "main",
            [("A", "decrease"), ("E", "increase")],
        ),
        0.9,
    ),
    "Plackett–Burman": (
        study(
            dict.fromkeys("ABCDEFG", TWO),
            {"kind": "plackett_burman", "runs": 12, "replicates": 2},
            "main",
            [("A", "increase"), ("G", "negligible")],
        ),
        0.9,
    ),
    "three levels": (
        study(
            {"A": THREE, "B": TWO},
            {"kind": "full", "replicates": 4},
            "two_way",
            [("A", "different"), ("B", "increase")],
        ),
        0.8,
    ),
    "split plot": (
        study(
            dict.fromkeys("ABC", TWO),
            {"kind": "split_plot", "hard_to_change": ["A"], "whole_plots": 8, "variance_ratio": 0.5},
            "main",
            [("A", "increase"), ("B", "increase")],
        ),
        0.65,
    ),
}


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize("name", DESIGNS)
def test_simulated_and_analytic_power_agree(name: str, studies: int) -> None:
    asked, sigma = DESIGNS[name]
    design = build_design(asked)
    report = power_report(
        asked,
        design,
        {"y": RunSpread(sigma)},
        replicates=[1],
        effect=1.0,
        fitted=lambda made: planned_model(asked, made),
    )
    promised = {entry["id"]: entry for entry in report["hypotheses"]}
    effects = {hypothesis.id: 1.0 / sigma for hypothesis in asked.hypotheses}
    scaled = asked.model_copy(
        update={"responses": {"y": asked.responses["y"].model_copy(update={"smallest_effect": 1.0 / sigma})}}
    )
    for found in simulate_power(scaled, design, effects, studies=studies):
        expected = promised[found.id]
        if expected["direction"] == "negligible":
            analytic = expected["power_in_family"]
            assert found.supported >= analytic - 3 * np.sqrt(0.25 / studies)
            continue
        analytic = expected["power_alone"]
        assert 0.2 < analytic < 0.99
        error = np.sqrt(analytic * (1 - analytic) / studies)
        assert abs(found.alone - analytic) <= 3 * error, (name, found, analytic)
        # Holm lies between a single test and Bonferroni.
        low, high = expected["power_in_family"], max(analytic, expected["power_in_family"])
        assert low - 3 * np.sqrt(0.25 / studies) <= found.supported <= high + 3 * np.sqrt(0.25 / studies)


def test_what_cannot_be_simulated_is_refused() -> None:
    asked, _ = DESIGNS["three levels"]
    design = build_design(asked)
    with pytest.raises(UsageError, match="say nothing"):
        simulate_power(asked, design, {"H0": 1.0, "H1": 1.0}, studies=1)
    with pytest.raises(UsageError, match="no hypothesis"):
        simulate_power(asked.model_copy(update={"hypotheses": ()}), design, {})


def test_the_same_seed_gives_the_same_power() -> None:
    asked, _ = DESIGNS["split plot"]
    design = build_design(asked)
    effects = {"H0": 1.0, "H1": 1.0}
    seen: list[tuple[int, int]] = []
    one = simulate_power(asked, design, effects, studies=5, on_study=lambda done, of: seen.append((done, of)))
    assert one == simulate_power(asked, design, effects, studies=5)
    assert seen == [(i, 5) for i in range(1, 6)]


HARD: dict[str, tuple[StudySpec, float]] = {
    "an interaction that analysis.terms leaves out": (
        study(dict.fromkeys("ABC", TWO), {"kind": "full", "replicates": 2}, "main", [("A:B", "increase")]),
        0.7,
    ),
    "centre runs": (
        study(
            {"A": [0.0, 1.0], "B": [0.0, 1.0]},
            {"kind": "full", "centre_points": 3, "replicates": 3},
            "main",
            [("A", "increase")],
        ),
        0.8,
    ),
    "a directed interaction of three levels": (
        study({"A": THREE, "B": TWO}, {"kind": "full", "replicates": 5}, "two_way", [("A:B", "increase")]),
        0.9,
    ),
    "a quadratic": (
        study(
            {"A": [0.0, 0.5, 1.0], "B": TWO},
            {"kind": "full", "replicates": 4},
            ["A", "A^2", "B"],
            [("A^2", "increase")],
        ),
        0.8,
    ),
}


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize("name", HARD)
def test_the_test_that_is_planned_is_the_test_that_is_made(name: str, studies: int) -> None:
    asked, sigma = HARD[name]
    design = build_design(asked)
    report = power_report(
        asked,
        design,
        {"y": RunSpread(sigma)},
        replicates=[1],
        effect=1.0,
        fitted=lambda made: planned_model(asked, made),
    )
    (expected,) = report["hypotheses"]
    (found,) = simulate_power(asked, design, {"H0": 1.0 / sigma}, studies=studies)
    analytic = expected["power_alone"]
    assert 0.2 < analytic < 0.99
    assert abs(found.supported - analytic) <= 3 * np.sqrt(analytic * (1 - analytic) / studies), (found, analytic)


@pytest.mark.parametrize("studies", STUDIES)
def test_a_claim_beyond_the_margin_is_planned_as_such(studies: int) -> None:
    plain, sigma = DESIGNS["full factorial in two replicates"]
    asked = plain.model_copy(
        update={"hypotheses": (plain.hypotheses[0].model_copy(update={"beyond": "smallest_effect"}),)}
    )
    design = build_design(asked)

    def report(effect: float | None) -> dict[str, Any]:
        spread = {"y": RunSpread(sigma)}
        found = power_report(
            asked, design, spread, replicates=[1], effect=effect, fitted=lambda made: planned_model(asked, made)
        )
        return dict(found["hypotheses"][0])

    at_the_margin = report(None)
    assert at_the_margin["power_alone"] == pytest.approx(0.025, abs=1e-6)
    assert "--effect" in at_the_margin["note"]
    analytic = report(2.0)["power_alone"]
    scaled = asked.model_copy(
        update={"responses": {"y": asked.responses["y"].model_copy(update={"smallest_effect": 1.0 / sigma})}}
    )
    (found,) = simulate_power(scaled, design, {"H0": 2.0 / sigma}, studies=studies)
    assert abs(found.supported - analytic) <= 3 * np.sqrt(analytic * (1 - analytic) / studies)


@pytest.mark.parametrize("name", [*DESIGNS, *HARD])
def test_promised_degrees_of_freedom_are_those_of_the_analysis(name: str) -> None:
    asked, _ = {**DESIGNS, **HARD}[name]
    design = build_design(asked)
    model = planned_model(asked, design)
    from maineffect.design.power.precision import precision_of

    promised = precision_of(design, model.terms, extra=model.extra).terms
    # Strong whole plots: a boundary estimate of their variance would change the analysis' df.
    result = analyse(asked, simulate_table(asked, design, 3, whole_plot_sd=5.0), draws=19)
    for row in result.responses["y"].anova:
        if row.term in promised and row.df_error is not None:
            assert promised[row.term].df_error == pytest.approx(row.df_error, rel=0.02), row.term
