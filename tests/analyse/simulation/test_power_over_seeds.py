"""Power of claims about new seeds from shared ones: promised, simulated, and with what a pilot knows of seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.run import analyse_with_fits
from maineffect.analyse.simulation.planned import planned_model, planned_scatter
from maineffect.analyse.simulation.power_simulation import simulate_power
from maineffect.analyse.simulation.selftest import simulate_table
from maineffect.design.build import build_design
from maineffect.design.power_report import RunSpread, beside_covariates, power_report
from maineffect.journey.plan.place import Checked
from maineffect.journey.plan.power import PowerQuestion, planned_power
from maineffect.spec.study import StudySpec

TWO = [0, 1]
STUDIES = [24, pytest.param(400, marks=pytest.mark.slow)]


def study(
    factors: dict[str, Any], claims: list[tuple[str, str]], inference: Any = "seeds", replicates: int = 8
) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": levels} for name, levels in factors.items()},
            "design": {"kind": "full", "replicates": replicates, "common_random_numbers": True},
            "responses": {"y": {"name": "y", "smallest_effect": 1.0}},
            "hypotheses": [
                {"id": f"H{i}", "term": term, "response": "y", "direction": direction}
                for i, (term, direction) in enumerate(claims)
            ],
            "analysis": {"terms": "two_way", "inference": inference},
        }
    )


def report(asked: StudySpec, tau: float, effect: float) -> dict[str, Any]:
    return power_report(
        asked,
        build_design(asked),
        {"y": RunSpread(1.0, tau=tau)},
        replicates=[4, 8],
        effect=effect,
        fitted=lambda made: planned_model(asked, made),
    )


CASES: dict[str, tuple[StudySpec, float, float]] = {
    "two levels, an increase": (study({"A": TWO, "B": TWO}, [("A", "increase")]), 0.8, 1.2),
    "an interaction, pooled": (
        study({"A": TWO, "B": TWO, "C": TWO}, [("A:B", "different")], {"kind": "seeds", "pool": True}, 6),
        0.5,
        0.8,
    ),
    "last minus first of three": (study({"A": ["a", "b", "c"], "B": TWO}, [("A", "increase")]), 0.5, 1.0),
    "negligible": (study({"A": TWO, "B": TWO}, [("A", "negligible")], replicates=10), 0.5, 1.0),
}


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize("name", CASES)
def test_what_is_promised_for_new_seeds_is_what_simulated_studies_keep(name: str, studies: int) -> None:
    asked, tau, effect = CASES[name]
    promised = report(asked, tau, effect)["hypotheses"][0]["power_alone"]
    assert 0.2 < promised < 0.97
    (found,) = simulate_power(asked, build_design(asked), {"H0": effect}, studies=studies, tau={"y": tau})
    assert abs(found.supported - promised) <= 3 * np.sqrt(promised * (1 - promised) / studies), (found, promised)


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize("direction", ["different", "negligible"])
def test_claims_of_several_contrasts_get_a_lower_bound_and_say_so(direction: str, studies: int) -> None:
    asked = study({"A": ["a", "b", "c"], "B": TWO}, [("A", direction)], replicates=12)
    margin = asked.model_copy(
        update={"responses": {"y": asked.responses["y"].model_copy(update={"smallest_effect": 1.4})}}
    )
    asked, effect = (margin, 1.4) if direction == "negligible" else (asked, 1.0)
    entry = report(asked, 0.8, effect)["hypotheses"][0]
    assert entry["note"].startswith("at least")
    (found,) = simulate_power(asked, build_design(asked), {"H0": effect}, studies=studies, tau={"y": 0.8})
    assert entry["power_alone"] > 0.3
    assert found.supported >= entry["power_alone"] - 3 * np.sqrt(0.25 / studies)
    assert found.supported <= entry["power_alone"] + 0.15 + 3 * np.sqrt(0.25 / studies)


def test_the_table_is_that_of_the_mean_of_replicates() -> None:
    """λ of one σ is r/(4/n₀ + τ²) on r − 1 df for n₀ runs a replicate; without τ there is no number."""
    asked = study({"A": TWO, "B": ["a", "b", "c"]}, [("A", "increase")])
    known, more, unknown = (report(asked, tau, 1.0) for tau in (0.5, 2.0, None))  # type: ignore[arg-type]
    rows = {row["term"]: row for row in known["terms"]}
    mde = rows["A"]["mde_sigma"]
    from maineffect.design.power.analytic import power_of

    assert power_of(8 / (4 / 6 + 0.5**2) * mde**2, 1, 7, 0.05) == pytest.approx(0.8)
    assert power_of(8 / (2 / 2 + 0.5**2) * rows["B"]["mde_sigma"] ** 2, 1, 7, 0.05 / 3) == pytest.approx(0.8)
    assert rows["A"]["df_error"] == 7
    assert rows["A"]["mde_by_response"]["y"]["mde"] == pytest.approx(mde)
    assert more["terms"][0]["mde_sigma"] > 2 * mde
    assert more["curve"][0]["mde_sigma"]["A"] > more["curve"][1]["mde_sigma"]["A"]
    assert unknown["terms"][0]["mde_sigma"] is None
    assert "--tau" in unknown["terms"][0]["reason"]


def test_the_scatter_between_seeds_is_that_of_the_deciding_contrasts() -> None:
    asked = study({"A": ["a", "b", "c"], "B": TWO}, [("A", "different")], replicates=4)
    design = build_design(asked)
    patterns = planned_scatter(asked, design, "A", False)
    levels = [design.levels_of(run)["A"] for run in design.runs]
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        difference = patterns[levels.index(one)] - patterns[levels.index(other)]
        assert difference @ difference == pytest.approx(1.0)


@pytest.mark.parametrize("levels", [TWO, ["a", "b", "c"]])
def test_a_pilot_knows_how_effects_differ_between_its_seeds(levels: list[Any]) -> None:
    """A pilot of 40 replicates with τ = 1: what is taken from it is 1 up to the error of a standard deviation."""
    pilot = study({"A": levels, "B": TWO}, [("A", "different")], replicates=40)
    design = build_design(pilot)
    rng = np.random.default_rng(5)
    drawn = {seed: rng.standard_normal((2, 2)) for seed in sorted({run.seed for run in design.runs})}
    added = np.zeros(len(design.runs))
    for j, term in enumerate("AB"):
        patterns = planned_scatter(pilot, design, term, False)
        added += [row @ drawn[run.seed][j][: len(row)] for row, run in zip(patterns, design.runs, strict=True)]
    rows = simulate_table(pilot, design, 3, added={"y": added})
    found, fits = analyse_with_fits(pilot, rows, design=design, draws=9)
    result = add_exploratory(found, pilot, rows, design=design, fits=fits)
    asked = study({"A": levels, "B": TWO}, [("A", "different")])
    checked = Checked(Path("study.yaml"), asked, build_design(asked), "", ())
    document = planned_power(checked, PowerQuestion(pilot="pilot", simulate=2), lambda name: result)
    tau, sigma = document["spread"]["y"]["tau"], document["spread"]["y"]["sigma"]
    assert tau * sigma == pytest.approx(1.0, abs=0.3)  # χ² on 39 or 78 degrees of freedom
    assert document["hypotheses"][0]["power_alone"] is not None


def test_covariates_leave_what_seeds_do_to_an_effect() -> None:
    left = beside_covariates(RunSpread(2.0, tau=0.5), 0.75)
    assert (left.sigma, left.tau) == (1.0, 1.0)
