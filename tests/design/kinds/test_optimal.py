"""Optimal designs against brute force, published optima and their own certified bound."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.design.search.candidates import candidates
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]
MIXED = {**{name: [-1, 1] for name in "ABCD"}, "E": ["low", "middle", "high"], "F": ["low", "middle", "high"]}


def rows_of(design: Design) -> list[dict[str, Any]]:
    return [dict(design.levels_of(run)) for run in design.runs]


# STATISTICS.md, table of best known D-efficiencies: 100·|X'X|^(1/p)/n with orthonormal contrasts.
@pytest.mark.parametrize(
    ("factors", "design", "terms", "best", "bound"),
    [
        ("ABCDEFG", {"runs": 32}, "two_way", 88.680, 100.0),
        (MIXED, {"runs": 18}, "main", 99.273, 100.0),
        (
            MIXED,
            {"runs": 20, "forbid": [{"A": 1, "E": "middle"}, {"B": -1, "F": "low"}]},
            "main",
            91.526,
            92.727,
        ),
        # The bound is ours: (1 + 4η)^(−4/22), four of 22 parameters lying between whole plots of four runs.
        (
            "ABCDEF",
            {"runs": 32, "whole_plots": 8, "hard_to_change": ["A", "B"]},
            "two_way",
            71.45,
            100 * 5 ** (-4 / 22),
        ),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_best_known_efficiencies_are_reached(
    make_study: MakeStudy, factors: Any, design: dict[str, Any], terms: str, best: float, bound: float, seed: int
) -> None:
    made = build_design(make_study(factors, {"kind": "optimal", **design}, terms, seed=seed))
    assert made.d_efficiency == pytest.approx(best, abs=6e-4 if best > 80 else 6e-3)
    assert made.d_bound == pytest.approx(bound, abs=6e-4)


@pytest.mark.parametrize("criterion", ["D", "I"])
@pytest.mark.parametrize(
    ("factors", "terms", "runs", "forbid"),
    [
        ({"A": [-1, 1], "B": [-1, 1]}, ["A", "B", "A:B"], 6, []),
        ({"A": [0.0, 1.0, 2.0]}, ["A", "A^2"], 7, []),
        ({"A": [-1, 1], "B": ["x", "y", "z"]}, ["A", "B"], 6, [{"A": 1, "B": "y"}]),
        ({"A": [0.0, 1.0, 2.0], "B": [-1, 1]}, ["A", "A^2", "B"], 5, []),
    ],
)
def test_small_problems_equal_brute_force(
    make_study: MakeStudy, factors: Any, terms: list[str], runs: int, forbid: list[dict[str, Any]], criterion: str
) -> None:
    asked = make_study(factors, {"kind": "optimal", "runs": runs, "criterion": criterion, "forbid": forbid}, terms)
    made = build_design(asked)
    cells = candidates(tuple(asked.factors.values()), terms, forbid=forbid)
    region = cells.features[cells.allowed]
    weight = region.T @ region / len(region)
    values = []
    for chosen in combinations_with_replacement(range(len(region)), runs):
        matrix = region[list(chosen)].T @ region[list(chosen)]
        if np.linalg.matrix_rank(matrix) == len(matrix):
            values.append(
                np.linalg.det(matrix) if criterion == "D" else -float(np.trace(weight @ np.linalg.inv(matrix)))
            )
    best = max(values)
    p = region.shape[1]
    if criterion == "D":
        assert made.d_efficiency == pytest.approx(100 * best ** (1 / p) / runs)
        assert made.d_bound is not None
        assert made.d_efficiency <= made.d_bound * (1 + 1e-9)
    else:
        assert made.average_variance == pytest.approx(-best)
        assert made.average_variance_bound is not None
        assert made.average_variance_bound <= -best * (1 + 1e-9)


def test_quadratic_in_one_factor_has_the_textbook_optimum_and_bound(make_study: MakeStudy) -> None:
    """A quadratic on [−1, 1]: a third of the runs at each of −1, 0, 1 (Atkinson, Donev and Tobias 2007, p. 162)."""
    made = build_design(make_study({"x": [-1.0, 0.0, 1.0]}, {"kind": "optimal", "runs": 9, "grid": 21}, ["x", "x^2"]))
    found = sorted(row["x"] for row in rows_of(made))
    assert found == [-1.0] * 3 + [0.0] * 3 + [1.0] * 3
    assert made.d_efficiency == pytest.approx(made.d_bound, rel=1e-5)


def test_a_grid_beats_the_levels_where_they_are_badly_placed(make_study: MakeStudy) -> None:
    factors = {"x": [0.0, 0.9, 1.0]}
    levels = build_design(make_study(factors, {"kind": "optimal", "runs": 9}, ["x", "x^2"]))
    grid = build_design(make_study(factors, {"kind": "optimal", "runs": 9, "grid": 11}, ["x", "x^2"]))
    assert grid.d_efficiency > 1.2 * levels.d_efficiency
    assert 0.5 in {row["x"] for row in rows_of(grid)}


def test_a_grid_of_whole_numbers_stays_whole(make_study: MakeStudy) -> None:
    made = build_design(make_study({"x": [1, 2, 8]}, {"kind": "optimal", "runs": 9, "grid": 15}, ["x", "x^2"]))
    assert all(isinstance(row["x"], int) for row in rows_of(made))


def test_fixed_runs_are_kept_and_the_rest_completes_them(make_study: MakeStudy) -> None:
    survivors = [{"A": -1, "B": -1, "C": -1}, {"A": -1, "B": 1, "C": 1}, {"A": 1, "B": -1, "C": 1}]
    made = build_design(make_study("ABC", {"kind": "optimal", "runs": 8, "fixed": survivors}, "full"))
    assert all(survivor in rows_of(made) for survivor in survivors)
    assert made.d_efficiency == pytest.approx(100.0)
    assert len(made.cells) == 8


def test_a_bad_fixed_half_lowers_the_bound_too(make_study: MakeStudy) -> None:
    same = [{"A": 1, "B": 1}] * 4
    made = build_design(make_study("AB", {"kind": "optimal", "runs": 8, "fixed": same}))
    assert made.d_bound is not None
    assert made.d_efficiency <= made.d_bound < 99.0


def test_blocks_are_of_even_size_and_nearly_orthogonal(make_study: MakeStudy) -> None:
    made = build_design(make_study("ABCD", {"kind": "optimal", "runs": 12, "blocks": 3}, "main"))
    assert sorted(sum(run.block == block for run in made.runs) for block in (1, 2, 3)) == [4, 4, 4]
    assert made.d_efficiency == pytest.approx(100.0)


def test_fixed_runs_are_a_block_of_their_own(make_study: MakeStudy) -> None:
    fixed = [{"A": -1, "B": -1, "C": 1, "D": 1}, {"A": -1, "B": 1, "C": 1, "D": 1}]
    made = build_design(make_study("ABCD", {"kind": "optimal", "runs": 12, "blocks": 2, "fixed": fixed}, "main"))
    assert [dict(made.levels_of(run)) in fixed for run in made.runs if run.block == 1] == [True, True]


def test_whole_plots_hold_their_factors_and_more_of_them_cost_more(make_study: MakeStudy) -> None:
    asked = {"kind": "optimal", "runs": 24, "hard_to_change": ["A"], "run_cost": 1.0, "setup_cost": 10.0}
    dear = build_design(make_study("ABCD", asked))
    cheap = build_design(make_study("ABCD", {**asked, "setup_cost": 0.01}))
    assert dear.cost is not None
    assert cheap.cost is not None
    assert dear.cost.whole_plots < cheap.cost.whole_plots
    assert dear.cost.gpu_hours == pytest.approx(24 + 10 * dear.cost.whole_plots)
    for design in (dear, cheap):
        for plot in {run.whole_plot for run in design.runs}:
            assert len({design.levels_of(run)["A"] for run in design.runs if run.whole_plot == plot}) == 1


def test_of_equally_good_designs_the_least_biased_is_taken(make_study: MakeStudy) -> None:
    """12 runs, 5 factors, main effects: all optimal designs are orthogonal, and PB projections are the least aliased.

    Every pair of other factors then biases a main effect by 1/3 (Plackett–Burman, the reference case); worse orthogonal
    arrays exist only for repeated columns, which D-optimality forbids.
    """
    made = build_design(make_study("ABCDE", {"kind": "optimal", "runs": 12}, "main"))
    assert made.d_efficiency == pytest.approx(100.0)
    sizes = [abs(v) for row in made.alias_matrix.values() for v in row.values()]
    assert max(sizes) == pytest.approx(1 / 3)


def test_bias_matters_where_optima_differ(make_study: MakeStudy) -> None:
    """Eight runs, four factors: resolution IV and III fractions are both D-optimal for main effects."""
    made = build_design(make_study("ABCD", {"kind": "optimal", "runs": 8}, "main"))
    assert made.d_efficiency == pytest.approx(100.0)
    main = [row for term, row in made.alias_matrix.items() if ":" not in term]
    assert all(not row for row in main)


@pytest.mark.parametrize(
    ("design", "terms", "message", "hint"),
    [
        ({"runs": 10}, "two_way", "10 runs cannot estimate 11 parameters", "runs: 11"),
        ({"runs": 11, "blocks": 2}, "two_way", "12 parameters", "runs: 12"),
        ({"runs": 12, "hard_to_change": ["A", "B"], "whole_plots": 3}, "two_way", "needs 4", "whole_plots: 5"),
        ({"runs": 12, "whole_plots": 4}, "two_way", "without a hard-to-change factor", "design.hard_to_change"),
        ({"runs": 8, "fixed": [{"A": 1, "B": 1, "C": 1, "D": 1}] * 8}, "main", "leave none", "runs: 9"),
        ({"runs": 8, "forbid": [{"A": 1, "B": 1}, {"A": 1, "B": -1}]}, "main", "can estimate A", "forbid less"),
        ({"runs": 8, "forbid": [{"A": 1}, {"A": -1}]}, "main", "leave no cell", "design.forbid"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(
    make_study: MakeStudy, design: dict[str, Any], terms: str, message: str, hint: str
) -> None:
    with pytest.raises(DesignError) as refused:
        build_design(make_study("ABCD", {"kind": "optimal", **design}, terms))
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_the_named_smallest_sizes_work(make_study: MakeStudy) -> None:
    assert len(build_design(make_study("ABCD", {"kind": "optimal", "runs": 11})).runs) == 11
    assert len(build_design(make_study("ABCD", {"kind": "optimal", "runs": 12, "blocks": 2})).runs) == 12
    plots = {"kind": "optimal", "runs": 12, "hard_to_change": ["A", "B"], "whole_plots": 5}
    assert len({run.whole_plot for run in build_design(make_study("ABCD", plots)).runs}) == 5


def test_too_many_cells_are_refused_at_once(make_study: MakeStudy) -> None:
    with pytest.raises(DesignError, match="more than an optimal design can search"):
        build_design(make_study("ABCDEFGHIJKLMNOPQ", {"kind": "optimal", "runs": 40}, "main"))


def test_efficiency_is_recomputed_from_the_emitted_rows(make_study: MakeStudy) -> None:
    """The split-plot efficiency by its definition, |X'V⁻¹X| with V written out."""
    asked = make_study(
        "ABC", {"kind": "optimal", "runs": 12, "hard_to_change": ["A"], "whole_plots": 4, "variance_ratio": 2.5}
    )
    made = build_design(asked)
    columns = {name: [made.levels_of(run)[name] for run in made.runs] for name in "ABC"}
    x = model_matrix(made.factors, columns, expand_terms(made.factors, "two_way")).matrix
    plots = [run.whole_plot for run in made.runs]
    v = np.eye(12) + 2.5 * np.array([[float(a == b) for b in plots] for a in plots])
    expected = 100 * np.linalg.det(x.T @ np.linalg.inv(v) @ x) ** (1 / 7) / 12
    assert made.d_efficiency == pytest.approx(expected)
