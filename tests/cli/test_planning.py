"""``design`` and ``power`` as people and scripts see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

STUDY = """\
schema_version: 1
name: planned
factors:
  a: {levels: [0.0, 1.0]}
  b: {levels: [low, high]}
  c: {levels: [0.0, 1.0]}
design: {kind: full, replicates: 2}
responses: {y: {smallest_effect: 0.05}}
hypotheses:
  - {id: H1, term: a, response: y, direction: increase}
  - {id: H2, term: "a:b", response: y}
analysis: {terms: two_way}
"""
AUTO = STUDY.replace("{kind: full, replicates: 2}", "{kind: auto, budget: 30, run_cost: 1.5, sigma: 0.04}")


@pytest.fixture
def run(here: Any) -> Any:
    return here


@pytest.fixture
def document(here: Any) -> Any:
    def _document(*words: str, cwd: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(here(*words, "--json", cwd=cwd).stdout)
        return found

    return _document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "auto.yaml").write_text(AUTO)
    return tmp_path


def test_power_in_units_with_curve_and_hypotheses(run: Any, document: Any, folder: Path) -> None:
    found = document("power", "study.yaml", "--sigma", "0.04", "--replicates", "2,4", cwd=folder)
    assert [point["replicates"] for point in found["curve"]] == [2, 4]
    assert found["curve"][1]["power"]["H1"] > found["curve"][0]["power"]["H1"]
    row = found["terms"][0]
    assert row["mde"] == pytest.approx(0.04 * row["mde_sigma"])
    assert {"term", "df", "df_error", "stratum"} <= set(row)
    text = run("power", "study.yaml", "--sigma", "0.04", cwd=folder).stdout
    assert "smallest detectable" in text
    assert "H1" in text


def test_parts_of_the_spread_and_their_advice(run: Any, document: Any, folder: Path) -> None:
    words = ("power", "study.yaml", "--seed-sd", "0.03", "--item-sd", "0.5", "--items", "100")
    found = document(*words, cwd=folder)
    assert found["spread"]["y"]["sigma"] == pytest.approx((0.03**2 + 0.05**2) ** 0.5)
    assert "more items" in run(*words, cwd=folder).stdout


def test_simulated_power_is_beside_the_analytic(document: Any, folder: Path) -> None:
    found = document("power", "study.yaml", "--sigma", "0.04", "--simulate", "40", "--replicates", "2", cwd=folder)
    simulated = {one["id"]: one for one in found["simulated"]}
    analytic = {one["id"]: one["power_alone"] for one in found["hypotheses"]}
    for name, one in simulated.items():
        assert one["effect"] == pytest.approx(0.05 / 0.04)
        assert abs(one["alone"] - analytic[name]) < 4 * (0.25 / 40) ** 0.5


def test_tau_is_in_the_table_the_claims_and_the_simulation(run: Any, document: Any, folder: Path) -> None:
    shared = STUDY.replace("replicates: 2}", "replicates: 5, common_random_numbers: true}")
    (folder / "shared.yaml").write_text(shared.replace("terms: two_way", "terms: two_way, inference: seeds"))
    words = ("power", "shared.yaml", "--sigma", "0.04", "--replicates", "5")
    little, much = (document(*words, "--tau", tau, "--simulate", "3", cwd=folder) for tau in ("0.1", "2"))
    for part in ("terms", "hypotheses"):
        assert len(little[part]) == len(much[part])
    assert much["terms"][0]["mde"] > 1.5 * little["terms"][0]["mde"]
    assert much["hypotheses"][0]["power_alone"] < little["hypotheses"][0]["power_alone"]
    assert little["simulated"][0]["studies"] == 3
    assert "τ" in run(*words, "--tau", "0.1", cwd=folder).stdout
    unknown = run(*words, cwd=folder).stdout
    assert "--tau" in unknown
    assert "--tau" in run(*words, "--simulate", "3", cwd=folder, expect=2).stderr
    own = run("power", "study.yaml", "--sigma", "0.04", "--tau", "0.5", cwd=folder, expect=2).stderr
    assert "every run has its own" in own


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sigma", "0.1", "--seed-sd", "0.1"), "three ways to say one thing"),
        (("--sigma", "-1"), "not positive"),
        (("--seed-sd", "0.1"), "needs all three"),
        (("--replicates", "two"), "not a list of whole numbers"),
        (("--replicates", "0"), "not between 1"),
        (("--simulate", "10"), "without the spread of a run"),
    ],
)
def test_bad_questions_name_the_way_out(run: Any, folder: Path, words: tuple[str, ...], message: str) -> None:
    done = run("power", "study.yaml", *words, cwd=folder, expect=2)
    assert message in done.stderr
    assert "→" in done.stderr


def test_a_pilot_that_does_not_exist_is_named(run: Any, folder: Path) -> None:
    done = run("power", "study.yaml", "--pilot", "nothing", cwd=folder, expect=2)
    assert "nothing" in done.stderr


def test_design_shows_bound_detectable_effects_and_order(run: Any, document: Any, folder: Path) -> None:
    text = run("design", "study.yaml", cwd=folder).stdout
    for words in ("D-efficiency 100.00 (no design of this size exceeds 100.00)", "found with power 80 %", "run order"):
        assert words in text
    found = document("design", "study.yaml", cwd=folder)
    assert found["d_bound"] == pytest.approx(100.0)
    assert {row["term"] for row in found["detectable"]} == {"a", "b", "c", "a:b", "a:c", "b:c"}


def test_an_auto_design_shows_its_rivals_and_checks(run: Any, document: Any, folder: Path) -> None:
    found = document("design", "auto.yaml", cwd=folder)
    assert found["kind"] != "auto"
    assert found["alternatives"][0]["mde"] == pytest.approx(0.04 * max(row["mde_sigma"] for row in found["detectable"]))
    assert found["cost"]["gpu_hours"] <= 30
    assert "what the budget could buy" in run("design", "auto.yaml", cwd=folder).stdout
    assert json.loads(run("check", "auto.yaml", "--json", cwd=folder).stdout)["valid"]
