"""The plan's hash changes with everything that is promised, and with nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maineffect.design.build import build_design
from maineffect.register.canonical import canonical_json
from maineffect.register.plan import plan_document, plan_hash
from maineffect.spec.load import load_study

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"

PROMISED = [
    ("seed: 3", "seed: 4"),
    ("[1, 3]", "[1, 4]"),
    ("[1, 3]", "[1, 2, 3]"),
    ("[x, y]", "[y, x]"),
    ("unit: letter", "unit: word"),
    ("replicates: 2", "replicates: 3"),
    ("replicates: 2", "replicates: 2, common_random_numbers: true"),
    ("smallest_effect: 0.1", "smallest_effect: 0.2"),
    ("goal: minimize", "goal: maximize"),
    ("term: a,", "term: b,"),
    ("id: H1, term: a, response: skill", "id: H1, term: a, response: skill, direction: increase"),
    ("steps: 5", "steps: 6"),
    ("rate: 0.1", "rate: 0.1, more: true"),
    ("name: frozen", "name: other"),
    ("name: frozen", "name: frozen\nquestion: Why?"),
    ("name: frozen", "name: frozen\ntrainable: my:train"),
    ("name: frozen", "name: frozen\nanalysis: {alpha: 0.01}"),
]

FREE = [
    ("cpus: 1", "cpus: 2, timeout: 2h, retries: 0"),
    ("name: frozen", "name: frozen  # a comment"),
    ("{steps: 5, rate: 0.1}", "{rate: 0.1, steps: 5}"),
    ("steps: 5", "steps: 5.0"),
    ("{kind: full, replicates: 2}", "{replicates: 2, kind: full}"),
    ("  a: {levels: [1, 3]}\n  b: {levels: [x, y], unit: letter}", "  b: {unit: letter, levels: [x, y]}\n  a: {levels: [1, 3]}"),
    ("  skill: {smallest_effect: 0.1}\n  cost: {goal: minimize}", "  cost: {goal: minimize}\n  skill: {smallest_effect: 0.1}"),
    ("[1, 3]", "[1.0, 3.0]"),
    ("{smallest_effect: 0.1}", "{smallest_effect: 0.1, goal: maximize}"),
    ("replicates: 2", "replicates: 2, common_random_numbers: false"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), PROMISED)
def test_what_is_promised_is_hashed(frozen, old: str, new: str) -> None:
    before = plan_hash(frozen.plan())
    frozen.change(old, new)
    assert plan_hash(frozen.plan()) != before


@pytest.mark.parametrize(("old", "new"), FREE)
def test_what_is_free_is_not(frozen, old: str, new: str) -> None:
    before = plan_hash(frozen.plan())
    frozen.change(old, new)
    assert plan_hash(frozen.plan()) == before


def test_the_plan_holds_every_run(frozen) -> None:
    plan = frozen.plan()
    assert len(plan["runs"]) == 8
    assert sorted(run["order"] for run in plan["runs"].values()) == list(range(8))
    assert {tuple(run["levels"].items()) for run in plan["runs"].values()} == {
        (("a", a), ("b", b)) for a in (1, 3) for b in ("x", "y")
    }
    assert len({run["seed"] for run in plan["runs"].values()}) == 8
    assert plan["base_seed"] not in {run["seed"] for run in plan["runs"].values()}


def test_shared_seeds_are_planned_as_before_runs_had_their_own(frozen) -> None:
    """Registrations from when shared seeds went without saying hold for studies that say so: no key, no base seed."""
    frozen.change("replicates: 2", "replicates: 2, common_random_numbers: true")
    plan = frozen.plan()
    assert plan["study"]["design"] == {"kind": "full", "replicates": 2}
    assert set(plan) == {"plan_version", "study", "runs"}
    assert len({run["seed"] for run in plan["runs"].values()}) == 2
    assert {run["block"] for run in plan["runs"].values()} == {1, 2}


@pytest.mark.parametrize(
    "name", ["01_evidence_regimes/study", "01_evidence_regimes/short", "02_capability_map/study", "04_trl_grpo/study"]
)
def test_published_registrations_hold(name: str) -> None:
    file = EXPERIMENTS / f"{name}.yaml"
    study = load_study(file)
    registered = json.loads(file.with_suffix(".registration.json").read_text())
    assert plan_hash(plan_document(study, build_design(study))) == registered["plan_hash"]


def test_a_fraction_assigns_columns_in_the_order_of_factors(plan_of) -> None:
    """The one place where the order of factors is part of the question, as plan.py says."""
    head = "schema_version: 1\nname: f\nresponses: {y: {}}\ndesign: {kind: fractional, runs: 8}\nfactors:\n"
    forward, backward = (
        plan_of(head + "".join(f"  {name}: {{levels: [0, 1]}}\n" for name in order)) for order in ("abcde", "edcba")
    )
    assert set(forward["runs"]) != set(backward["runs"])
    assert plan_hash(forward) != plan_hash(backward)


def test_canonical_json() -> None:
    assert canonical_json({"b": 1.0, "a": [True, None, -0.0, 0.5, "é"]}) == '{"a":[true,null,0,0.5,"é"],"b":1}'
    assert canonical_json({"a": (1, 2)}) == canonical_json({"a": [1.0, 2.0]})
    assert canonical_json({"a": True}) != canonical_json({"a": 1})
    assert json.loads(canonical_json({"a": 1e300})) == {"a": 1e300}
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"a": float("nan")})


def test_the_hash_is_the_one_that_was_published(plan_of) -> None:
    """A registration made today must still be recognised tomorrow: this hash was computed once and is written down.

    If it changes, every registration in every repository is refused: raise ``plan_version`` and say so in CHANGELOG.
    """
    canonical = '{"plan_version":1,"runs":{"c1-r1":{"seed":7}},"study":{"name":"x"}}'
    plan = {"study": {"name": "x"}, "plan_version": 1.0, "runs": {"c1-r1": {"seed": 7}}}
    assert canonical_json(plan) == canonical
    # printf '%s' '<canonical>' | sha256sum
    assert plan_hash(plan) == "50086c1a8bc317b823480128071ee36beda80524d9cb556c2dae8c83b14a8261"


def test_what_verdicts_are_about_is_promised_only_where_it_is_stated(frozen) -> None:
    frozen.change("replicates: 2", "replicates: 4, common_random_numbers: true")
    silent = frozen.plan()
    assert "inference" not in silent["study"]["analysis"]
    frozen.change("seed: 3", "seed: 3\nanalysis: {inference: seeds}")
    assert frozen.plan()["study"]["analysis"]["inference"] == "seeds"
    assert plan_hash(frozen.plan()) != plan_hash(silent)
