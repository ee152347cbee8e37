"""What lost runs cost, and the fewest that restore the design."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from maineffect.analyse.fit.losses import (
    Losses,
    Plan,
    failure_by_factor,
    lost_runs,
    missing_bounds,
    restoring_runs,
    what_was_lost,
)
from maineffect.analyse.fit.model import build_model
from maineffect.design.build import build_design
from maineffect.spec.factors import Factor
from maineffect.spec.study import StudySpec


def _design(replicates: int = 1) -> Any:
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "lost",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABC"},
            "design": {"kind": "full", "replicates": replicates},
            "responses": {"y": {"name": "y"}},
        }
    )
    return build_design(study)


@pytest.mark.parametrize("seed", range(6))
def test_the_runs_that_restore_are_as_few_as_an_exhaustive_search_finds(seed: int) -> None:
    """Rank is a matroid's: greedy choices by gain are smallest (Edmonds (1971)); a run without gain is not chosen."""
    design = _design(2)
    plan = Plan.of(design)
    model = build_model(plan.factors, plan.rows, ("A", "B", "C", "A:B", "A:C"))
    rng = np.random.default_rng(seed)
    lost = rng.choice(plan.run_ids, 12, replace=False).tolist()
    kept = [i for i, run in enumerate(plan.run_ids) if run not in lost]
    full = np.linalg.matrix_rank(model.matrix)
    chosen = restoring_runs(plan, lost, model)

    def rank(extra: tuple[str, ...]) -> int:
        return int(np.linalg.matrix_rank(model.matrix[[*kept, *(plan.run_ids.index(run) for run in extra)]]))

    assert rank(chosen) == full
    assert len(chosen) == full - rank(())
    if len(chosen) > 1:
        assert all(rank(few) < full for few in combinations(lost, len(chosen) - 1))


def test_bounds_hold_every_completion() -> None:
    """Brute force over corners: the estimate is linear in the lost values."""
    x = np.column_stack([np.ones(8), np.tile([-1.0, 1.0], 4), np.repeat([-1.0, 1.0], 4)])
    y = np.arange(8.0)
    y[[1, 6]] = np.nan
    row = np.array([0.0, 2.0, 0.0])
    low, high = missing_bounds(x, y, row, -1.0, 9.0)
    corners = []
    for a in (-1.0, 9.0):
        for b in (-1.0, 9.0):
            full = y.copy()
            full[[1, 6]] = a, b
            corners.append(float(row @ np.linalg.lstsq(x, full, rcond=None)[0]))
    assert (low, high) == pytest.approx((min(corners), max(corners)))


def _lost(terms: tuple[str, ...], lost: list[str], names: str = "ABC") -> Losses:
    """What a 2^k loses with the runs whose levels are written as 010."""
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "lost",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in names},
            "design": {"kind": "full"},
            "responses": {"y": {"name": "y"}},
        }
    )
    plan = Plan.of(build_design(study))
    cells = ["".join(str(plan.rows[name][i]) for name in names) for i in range(len(plan.run_ids))]
    kept = [i for i, cell in enumerate(cells) if cell not in lost]
    model = build_model(plan.factors, {name: [levels[i] for i in kept] for name, levels in plan.rows.items()}, terms)
    found = what_was_lost(plan, [plan.run_ids[cells.index(cell)] for cell in lost], model, terms)
    assert set(found.restore) <= set(found.lost)
    return found


def test_the_plan_is_the_designs() -> None:
    design = _design(2)
    plan = Plan.of(design)
    assert plan.run_ids == [run.run_id for run in design.runs]
    assert plan.blocks == [run.block for run in design.runs]
    assert [plan.rows["B"][i] for i in range(16)] == [design.levels_of(run)["B"] for run in design.runs]
    assert len({tuple(plan.rows[name][i] for name in "ABC") for i in range(16)}) == 8


@pytest.mark.parametrize("corner", ["00", "01", "10", "11"])
def test_a_square_without_a_corner_has_no_interaction(corner: str) -> None:
    found = _lost(("A", "B", "A:B"), [corner], "AB")
    (why,) = found.no_longer.values()
    assert list(found.no_longer) == ["A:B"]
    assert why.endswith(f"no runs with A = {corner[0]}, B = {corner[1]}")
    assert (found.newly_aliased, len(found.restore)) == ((), 1)


def test_what_does_not_vary_any_more_is_lost_and_the_other_is_its_interaction() -> None:
    """Left are 10 and 11, where B and A:B are one column; 01 or 00 brings A back."""
    found = _lost(("A", "B"), ["00", "01"], "AB")
    assert list(found.no_longer) == ["A"]
    assert found.no_longer["A"].startswith("A did not vary in these runs")
    assert found.newly_aliased == (("B", "A:B"),)
    assert len(found.restore) == 1
    assert found.sentences() == [
        "2 planned run(s) have no value",
        f"A can no longer be estimated ({found.no_longer['A']})",
        "B can no longer be told from A:B",
        f"these runs restore the design: {found.restore[0]}",
    ]


def test_what_the_plan_could_not_tell_apart_is_not_lost() -> None:
    """Of 000, 011, 101, 110 each main effect is aliased with the interaction of the others."""
    found = _lost(("A", "B", "C"), ["001", "010", "100", "111"])
    assert found.no_longer == {}
    assert found.newly_aliased == (("A", "B:C"), ("B", "A:C"), ("C", "A:B"))
    assert found.sentences()[1:4] == [
        "A can no longer be told from B:C", "B can no longer be told from A:C", "C can no longer be told from A:B",
    ]  # fmt: skip


def test_a_fraction_that_loses_a_copy_has_no_new_alias() -> None:
    """Planned as the half with C = AB, twice: A and BC were one before."""
    rows = {name: 2 * levels for name, levels in {"A": [0, 0, 1, 1], "B": [0, 1, 0, 1], "C": [1, 0, 0, 1]}.items()}
    factors = tuple(Factor(name=name, levels=[0, 1]) for name in "ABC")
    plan = Plan(factors, rows, None, [f"r{i}" for i in range(8)])
    model = build_model(factors, {name: levels[1:] for name, levels in rows.items()}, ("A", "B", "C"))
    assert model.aliased_with["A"] == ("B:C",)
    assert what_was_lost(plan, ["r0"], model, ("A", "B", "C")) == Losses(("r0",))


def test_what_is_lost_is_no_alias() -> None:
    """Left are 10 and 11: of the three terms B is fitted, and A and the interaction are lost."""
    found = _lost(("A", "B", "A:B"), ["00", "01"], "AB")
    assert set(found.no_longer) == {"A", "A:B"}
    assert found.newly_aliased == ()
    assert len(found.restore) == 2


def test_nothing_lost_costs_nothing_and_a_spare_run_costs_no_term() -> None:
    assert _lost(("A", "B", "C"), []) == Losses()
    assert Losses().sentences() == []
    spare = _lost(("A", "B", "C"), ["111"])
    assert (spare.no_longer, spare.newly_aliased, spare.restore, len(spare.lost)) == ({}, (), (), 1)
    assert spare.sentences() == ["1 planned run(s) have no value"]


def test_restoring_does_not_depend_on_the_units_of_a_factor() -> None:
    """A column of 10^−6 or 10^12 beside those of 1: rank is decided on columns of unit length."""
    plan = Plan.of(_design())
    model = build_model(plan.factors, plan.rows, ("A", "B", "C"))
    lost = [run for run, a, b in zip(plan.run_ids, plan.rows["A"], plan.rows["B"], strict=True) if a or b]
    for scale in (1e-6, 1e12):
        scaled = replace(model, matrix=model.matrix * np.array([1.0, 1.0, 1.0, scale]))
        assert restoring_runs(plan, lost, scaled) == restoring_runs(plan, lost, model)
        assert len(restoring_runs(plan, plan.run_ids, scaled)) == 4, "of no run at all, as many as there are columns"


def test_lost_runs_are_found_by_id_or_by_counting_cells() -> None:
    design = _design(2)
    runs = list(design.runs)
    assert lost_runs(design, [run.run_id for run in runs[3:]], []) == tuple(runs[:3])
    assert lost_runs(design, [runs[0].run_id, "another"], [run.cell_id for run in runs]) == tuple(runs[1:])
    cells = [run.cell_id for run in runs[2:]]
    missing = lost_runs(design, [None] * 14, cells)
    assert sorted(run.cell_id for run in missing) == sorted(run.cell_id for run in runs[:2])
    assert all(run in runs[8:] for run in missing), "of a cell whose runs are not told apart, the last"
    assert lost_runs(design, [None] * 16, [run.cell_id for run in runs]) == ()


def _failures(levels: list[Any], failed: list[bool], values: list[Any]) -> dict[str, float]:
    factors = (Factor(name="A", levels=levels),)
    return failure_by_factor(factors, {"A": values}, failed)


def test_failure_by_two_levels_is_fishers_exact_test() -> None:
    """The lady tasting tea: 3 of 4 against 1 of 4 has p = .4857; 4 against 0 has 2/70."""
    values = [0] * 4 + [1] * 4
    assert _failures([0, 1], [True] * 3 + [False] + [True] + [False] * 3, values) == {"A": pytest.approx(34 / 70)}
    assert _failures([0, 1], [True] * 4 + [False] * 4, values) == {"A": pytest.approx(2 / 70)}
    assert _failures([0, 1], [True] + [False] * 7, values) == {"A": pytest.approx(1.0)}
    assert _failures([0, 1], [False] + [True] * 7, values) == {"A": pytest.approx(1.0)}
    assert _failures([0, 1], [False] * 8, values) == _failures([0, 1], [True] * 8, values) == {}


@pytest.mark.parametrize("failed", [{0, 1, 2}, {0, 1, 4}, {3, 4, 6, 7}, {0}, {0, 3, 6}])
def test_failure_by_three_levels_is_the_permutation_of_chi_squared(failed: set[int]) -> None:
    """Against all ways to place the failures; χ² by scipy. Within 4 Monte Carlo errors of 2,000 permutations."""
    values, runs = ["a"] * 3 + ["b"] * 3 + ["c"] * 4, 10

    def chi2(which: set[int]) -> float:
        counts = [
            [sum(values[i] == v and (i in which) == one for i in range(runs)) for one in (True, False)] for v in "abc"
        ]
        return float(stats.chi2_contingency(counts, correction=False).statistic)

    every = [chi2(set(which)) for which in combinations(range(runs), len(failed))]
    exact = float(np.mean(np.array(every) >= chi2(failed) - 1e-9))
    p = _failures(["a", "b", "c"], [i in failed for i in range(runs)], values)["A"]
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 2_000) + 5e-4)
    assert p * 2_000 == pytest.approx(round(p * 2_000))
    assert (p == 1.0) == (exact == 1.0)


def test_a_factor_that_does_not_vary_or_has_other_levels_is_not_tested() -> None:
    failed = [True, False, True, False]
    assert _failures([0, 1], failed, [1] * 4) == {}
    assert _failures([0, 1], failed, [0, 1, 0, 7]) == {}
    assert list(_failures([0, 1, 2], failed, [0, 2, 0, 2])) == ["A"]


def test_the_bounds_of_a_contrast_that_needs_no_lost_run() -> None:
    """Means of two cells of two runs: the lost run is in the other cell."""
    x = np.kron(np.eye(2), np.ones((2, 1)))
    y = np.array([1.0, 3.0, 5.0, np.nan])
    assert missing_bounds(x, y, np.array([1.0, 0.0]), -1.0, 9.0) == pytest.approx((2.0, 2.0))
    assert missing_bounds(x, y, np.array([-1.0, 1.0]), -1.0, 9.0) == pytest.approx((0.0, 5.0))
