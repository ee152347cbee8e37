"""``kind: auto``: the most sensitive design for the budget, compared honestly."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from maineffect.design.build import build_design
from maineffect.design.power.analytic import power_document
from maineffect.design.propose import resolve
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


def test_other_kinds_pass_through(make_study: MakeStudy) -> None:
    study = make_study("AB", {"kind": "full"})
    assert resolve(study) == (study, ())


@pytest.mark.parametrize(
    ("factors", "asked", "terms"),
    [
        ("ABCDE", {"budget": 40}, "two_way"),
        ("ABCDE", {"budget": 40}, "main"),
        ({"A": [0, 1], "B": [0, 1], "C": ["x", "y", "z"]}, {"budget": 30, "run_cost": 0.5}, "main"),
        ("ABCD", {"budget": 60, "hard_to_change": ["A"], "setup_cost": 3.0}, "main"),
    ],
)
def test_the_choice_is_the_most_sensitive_within_the_budget(
    make_study: MakeStudy, factors: Any, asked: dict[str, Any], terms: str
) -> None:
    study = make_study(factors, {"kind": "auto", **asked}, terms)
    chosen, alternatives = resolve(study)
    design = build_design(chosen)
    assert design.cost is not None
    assert design.cost.gpu_hours <= asked["budget"]
    assert alternatives[0].runs == len(design.runs)
    assert alternatives[0].gpu_hours == design.cost.gpu_hours
    mde = max(row["mde_sigma"] for row in power_document(chosen, design)["terms"])
    assert alternatives[0].mde == pytest.approx(mde)
    able = [one for one in alternatives if one.mde is not None]
    assert len(able) >= 2
    assert mde <= 1.02 * min(one.mde for one in able if one.mde is not None)
    assert all(one.gpu_hours <= asked["budget"] for one in able)
    assert all(one.why for one in alternatives)
    assert resolve(study) == (chosen, alternatives)


def test_sigma_gives_the_responses_units(make_study: MakeStudy) -> None:
    plain = resolve(make_study("ABC", {"kind": "auto", "budget": 24}))[1][0]
    scaled = resolve(make_study("ABC", {"kind": "auto", "budget": 24, "sigma": 0.05}))[1][0]
    assert plain.mde is not None
    assert scaled.mde == pytest.approx(0.05 * plain.mde)


def test_wanted_effects_are_never_mixed(make_study: MakeStudy) -> None:
    """Five factors and all interactions in 20 runs: the eight-run fraction would pay, and cannot answer."""
    chosen, alternatives = resolve(make_study("ABCDE", {"kind": "auto", "budget": 20}))
    fraction = next(one for one in alternatives if "fraction in 8" in one.label)
    assert fraction.mde is None
    assert "cannot tell" in fraction.why
    assert build_design(chosen).aliases == ()


def test_one_change_at_a_time_is_shown_to_lose(make_study: MakeStudy) -> None:
    _, alternatives = resolve(make_study("ABCDEFG", {"kind": "auto", "budget": 32}, "main"))
    ablation = next(one for one in alternatives if "one change" in one.label)
    assert ablation.mde is not None
    assert alternatives[0].mde is not None
    # Seven factors, each effect on two cells of eight against on all runs: about √(8/4)·… larger.
    assert ablation.mde > 1.5 * alternatives[0].mde


def test_fewest_replicates_are_respected(make_study: MakeStudy) -> None:
    chosen, alternatives = resolve(make_study("ABC", {"kind": "auto", "budget": 24, "replicates": 3}))
    assert chosen.design.replicates >= 3
    assert all(one.request["replicates"] >= 3 for one in alternatives if one.mde is not None)


@pytest.mark.parametrize(
    ("asked", "terms"),
    [
        ({"budget": 10}, "two_way"),
        ({"budget": 3, "run_cost": 2.0}, "main"),
        ({"budget": 12, "hard_to_change": ["A"], "setup_cost": 2.0}, "two_way"),
    ],
)
def test_too_small_a_budget_names_one_that_works(make_study: MakeStudy, asked: dict[str, Any], terms: str) -> None:
    with pytest.raises(DesignError) as refused:
        resolve(make_study("ABCDE", {"kind": "auto", **asked}, terms))
    named = re.search(r"design\.budget: ([\d.]+)", refused.value.hint)
    assert named is not None
    enough = float(named[1])
    assert enough > asked["budget"]
    _, alternatives = resolve(make_study("ABCDE", {"kind": "auto", **asked, "budget": enough}, terms))
    assert alternatives[0].mde is not None
    assert alternatives[0].gpu_hours <= enough


def test_relative_costs_of_levels_count(make_study: MakeStudy) -> None:
    """A high level of A costs three times a low one: the average run costs twice, half as many are paid for."""
    factors = {"A": {"levels": [0, 1], "relative_cost": 3.0}, "B": [0, 1], "C": [0, 1]}
    dear, _ = resolve(make_study(factors, {"kind": "auto", "budget": 64}, "main"))
    cheap, _ = resolve(make_study("ABC", {"kind": "auto", "budget": 64}, "main"))
    assert len(build_design(dear).runs) <= 36 < len(build_design(cheap).runs)
