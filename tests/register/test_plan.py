"""The plan's hash changes with everything that is promised, and with nothing else."""

from __future__ import annotations

import json

import pytest

from maineffect.register.canonical import canonical_json
from maineffect.register.plan import plan_hash

PROMISED = [
    ("seed: 3", "seed: 4"),
    ("[1, 3]", "[1, 4]"),
    ("[1, 3]", "[1, 2, 3]"),
    ("[x, y]", "[y, x]"),
    ("unit: letter", "unit: word"),
    ("replicates: 2", "replicates: 3"),
    ("replicates: 2", "replicates: 2, common_random_numbers: false"),
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
    assert len({run["seed"] for run in plan["runs"].values()}) == 2  # common random numbers within each replicate


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
