"""The stratum of a randomisation test is read from the term's own columns."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.confirmatory.randomisation import freedman_lane, randomisation_test
from maineffect.analyse.run import analyse
from maineffect.analyse.table.strata import Strata

PLOTS = tuple(f"p{i}" for i in range(6) for _ in range(4))
HARD = np.repeat([-1.0, 1.0] * 3, 4)
EASY = np.tile([-1.0, -1.0, 1.0, 1.0], 6)
ONES = np.ones(24)


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.asarray(np.repeat(rng.normal(size=6), 4) + rng.normal(size=24) + 0.4 * HARD)


def test_a_whole_plot_term_permutes_plot_means(y: np.ndarray) -> None:
    """All 720 arrangements of six plot means, by brute force on the difference of means."""
    means, levels = y.reshape(6, 4).mean(axis=1), HARD[::4]
    observed = abs(levels @ means)
    right = np.mean([abs(levels @ means[list(order)]) >= observed - 1e-12 for order in permutations(range(6))])
    others = np.column_stack([ONES, EASY, EASY * HARD])
    found = randomisation_test(y, HARD[:, None], others, Strata(whole_plots=PLOTS))
    assert found is not None
    assert found.p_value == pytest.approx(right)


def test_columns_that_cancel_within_plots_do_not_count(y: np.ndarray) -> None:
    """A third of a level does not cancel exactly: its rounding is no direction of the model."""
    thirds = np.tile([1 / 3, 1 / 3, 1 / 3, -1.0], 6)
    many = np.column_stack([ONES, thirds, thirds * HARD, EASY, EASY * HARD])
    few = np.column_stack([ONES])
    strata = Strata(whole_plots=PLOTS)
    a, b = (randomisation_test(y, HARD[:, None], others, strata) for others in (many, few))
    assert a is not None
    assert b is not None
    assert a.p_value == b.p_value


def test_a_term_that_changes_within_plots_permutes_runs_there(y: np.ndarray) -> None:
    others = np.column_stack([ONES, HARD])
    dummies = np.array([[float(label == plot) for plot in sorted(set(PLOTS))] for label in PLOTS])
    found = randomisation_test(y, (EASY * HARD)[:, None], others, Strata(whole_plots=PLOTS), draws=199)
    right = freedman_lane(y, (EASY * HARD)[:, None], np.hstack([others, dummies]), PLOTS, draws=199)
    assert found == right


def test_plots_of_different_sizes_have_no_test(y: np.ndarray) -> None:
    keep = slice(1, None)
    assert randomisation_test(y[keep], HARD[keep, None], ONES[keep, None], Strata(whole_plots=PLOTS[keep])) is None


def test_an_interaction_whose_factor_has_no_main_effect_is_placed_by_its_columns(make_study: Any) -> None:
    """``terms: [B, A:B]`` with B hard to change: A:B changes within plots."""
    study = make_study(
        "AB", terms=["B", "A:B"],
        design={"kind": "split_plot", "hard_to_change": ["B"], "whole_plots": 6},
        hypotheses=[{"id": "H1", "term": "A:B", "response": "y"}, {"id": "H2", "term": "B", "response": "y"}],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    rows = [
        {"A": a, "B": plot % 2, "whole_plot": f"p{plot}", "y": rng.normal() + 0.3 * plot + a * (plot % 2)}
        for plot, a, _ in product(range(6), (0, 1), range(2))
    ]
    first, second = analyse(study, pd.DataFrame(rows), draws=199).hypotheses
    assert first.p_permutation is not None
    assert second.p_permutation is not None


@pytest.mark.parametrize("runs", [6, 40])
def test_a_p_value_is_never_zero(runs: int) -> None:
    """The observed arrangement is one of those that are counted (Phipson and Smyth 2010)."""
    half = runs // 2
    tested = np.repeat([-1.0, 1.0], half)[:, None]
    response = 100.0 * tested[:, 0] + np.linspace(0, 1, runs)
    found = freedman_lane(response, tested, np.ones((runs, 1)), [0] * runs, draws=199)
    assert found is not None
    assert found.p_value >= (1 / 200 if runs == 40 else 2 / 20)
    assert found.p_value >= found.smallest - 1e-12


def test_the_most_extreme_arrangement_drawn_is_the_smallest_p_value() -> None:
    """Ten runs, five at each level: 2 of 252 ways to deal them are the most extreme, whatever the number of draws."""
    tested = np.repeat([-1.0, 1.0], 5)[:, None]
    response = 10.0 * tested[:, 0] + np.linspace(0, 1, 10)
    found = freedman_lane(response, tested, np.ones((10, 1)), [0] * 10, draws=9_999)
    assert found is not None
    assert found.smallest == found.p_value
    assert found.p_value == pytest.approx(2 / 252, abs=3 * np.sqrt(2 / 252 / 9_999))
