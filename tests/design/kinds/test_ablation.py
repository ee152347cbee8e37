"""Ablations: rows, control runs, and the factorial that is offered beside them, held to what least squares gives."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.design.model.terms import model_matrix
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec


def study(factors: dict[str, list[Any]], design: dict[str, Any]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": levels} for name, levels in factors.items()},
            "design": design,
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "main"},
        }
    )


def standard_error(design: Design, factor: str) -> float:
    """Of a two-level effect in units of σ, from (X'X)⁻¹ of the emitted rows."""
    names = [f.name for f in design.factors]
    rows = {name: [design.levels_of(run)[name] for run in design.runs] for name in names}
    model = model_matrix(design.factors, rows, tuple(names))
    covariance = np.linalg.inv(model.matrix.T @ model.matrix)
    column = model.spans[factor].start
    return 2 * float(np.sqrt(covariance[column, column]))


def switches(k: int) -> dict[str, list[Any]]:
    return {name: [False, True] for name in "ABCDEFGHJKLMNOP"[:k]}


@pytest.mark.parametrize("mode", ["leave_one_out", "add_one_in"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_the_baseline_is_repeated_and_every_other_level_comes_once(mode: str, repeats: int) -> None:
    on = mode == "leave_one_out"
    factors = {"A": [False, True], "B": [False, True], "C": [1, 2, 4]}
    baseline = {"A": on, "B": on, "C": 2}
    request = {"kind": "ablation", "mode": mode, "baseline": baseline, "baseline_repeats": repeats}
    made = build_design(study(factors, {**request, "common_random_numbers": True}))
    seen = Counter(tuple(made.levels_of(run)[name] for name in factors) for run in made.runs)
    expected = {(on, on, 2): repeats, (not on, on, 2): 1, (on, not on, 2): 1, (on, on, 1): 1, (on, on, 4): 1}
    assert seen == expected
    assert any(("taken from" if on else "added to") in note for note in made.notes)
    assert len({run.seed for run in made.runs}) == repeats  # repeats of the baseline are runs of their own


@pytest.mark.parametrize(
    ("k", "repeats", "replicates"),
    [(2, 1, 1), (3, 1, 1), (3, 5, 2), (5, 1, 3), (7, 1, 1), (7, 5, 1), (10, 2, 2), (15, 1, 1)],
)
def test_the_offered_factorial_can_be_built_and_has_the_stated_precision(k: int, repeats: int, replicates: int) -> None:
    request = {"kind": "ablation", "baseline": dict.fromkeys(switches(k), True)}
    more = {"baseline_repeats": repeats, "replicates": replicates}
    made = build_design(study(switches(k), {**request, **more}))
    own, offer = made.notes[1], made.notes[2]
    assert f"{len(made.runs)} runs" in own
    assert f"{standard_error(made, 'A'):.2f} σ" in own
    found = re.search(r"\((kind: .*?)\) uses every run .*?: (\d+) runs; standard error of an effect ([\d.]+) σ", offer)
    assert found is not None
    stated = dict(part.split(": ") for part in found[1].split(", "))
    other = build_design(study(switches(k), {name: int(v) if v.isdigit() else v for name, v in stated.items()}))
    assert len(other.runs) == int(found[2])
    assert f"{standard_error(other, 'B'):.2f}" == found[3]
    if other.resolution is not None:
        assert f"resolution {other.resolution};" in offer
    # Equal cost: the same runs, or the few more that an orthogonal design takes.
    assert len(other.runs) <= len(made.runs) + 3 * replicates


@pytest.mark.parametrize("k", [3, 7, 11])
def test_the_runs_that_an_ablation_needs_for_the_same_precision(k: int) -> None:
    made = build_design(study(switches(k), {"kind": "ablation", "baseline": dict.fromkeys(switches(k), True)}))
    found = re.search(r"(\d+) runs; standard error of an effect ([\d.]+) σ, .* needs (\d+) runs", made.notes[2])
    assert found is not None
    each = int(found[3]) // (k + 1)
    repeated = {"kind": "ablation", "baseline": dict.fromkeys(switches(k), True), "replicates": each}
    assert f"{standard_error(build_design(study(switches(k), repeated)), 'A'):.2f}" == found[2]


def test_factors_of_more_levels_are_offered_a_design_that_can_be_built() -> None:
    factors: dict[str, list[Any]] = {"A": [0, 1], "B": ["x", "y", "z"], "C": [0, 1]}
    made = build_design(study(factors, {"kind": "ablation", "baseline": {"A": 0, "B": "y", "C": 1}}))
    assert "kind: optimal, model: main, runs: 5" in made.notes[2]
    other = build_design(study(factors, {"kind": "optimal", "model": "main", "runs": 5}))
    assert len(other.runs) == 5
    # The stated figures are bounds: no main-effects design of five runs does better.
    assert standard_error(other, "A") >= 2 / np.sqrt(5)
    assert f"A {2 / np.sqrt(5):.2f} σ" in made.notes[2]


def test_a_baseline_against_the_mode_is_pointed_out() -> None:
    request = {"kind": "ablation", "mode": "add_one_in", "baseline": {"A": True, "B": False}}
    made = build_design(study(switches(2), request))
    assert any(
        "the baseline has A the other way round" in note and "mode: leave_one_out" in note for note in made.notes
    )
    right = build_design(study(switches(2), {**request, "baseline": {"A": False, "B": False}}))
    assert not any("the other way round" in note for note in right.notes)


def test_one_factor_is_no_ablation() -> None:
    with pytest.raises(DesignError, match="use kind: full"):
        build_design(study({"A": [0, 1]}, {"kind": "ablation", "baseline": {"A": 0}}))
