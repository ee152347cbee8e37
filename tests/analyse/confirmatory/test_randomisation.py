"""The stratum of a randomisation test is read from the term's own columns."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.confirmatory import randomisation
from maineffect.analyse.confirmatory.randomisation import arrangements, freedman_lane, randomisation_test
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


def _brute_force(y: np.ndarray, tested: np.ndarray, others: np.ndarray, groups: list[Any]) -> tuple[float, float]:
    """Freedman and Lane's test by least squares over every arrangement: its p-value, and the smallest possible."""
    fitted = others @ np.linalg.lstsq(others, y, rcond=None)[0]
    residual, full = y - fitted, np.hstack([others, tested])

    def f(response: np.ndarray) -> float:
        sizes = [np.sum((response - x @ np.linalg.lstsq(x, response, rcond=None)[0]) ** 2) for x in (others, full)]
        return float((sizes[0] - sizes[1]) / sizes[1])

    orders = [
        order for order in permutations(range(len(y))) if all(groups[i] == groups[j] for i, j in enumerate(order))
    ]
    each = np.array([f(fitted + residual[list(order)]) for order in orders])
    return float(np.mean(each >= f(y) * (1 - 1e-7))), float(np.mean(each >= each.max() * (1 - 1e-7)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("groups", [["a"] * 6, ["a", "b", "a", "b", "b", "a"]])
def test_with_covariates_it_is_freedman_and_lanes_test(seed: int, groups: list[Any]) -> None:
    """Residuals of the model without the term are permuted within groups, with two tested columns."""
    rng = np.random.default_rng(seed)
    others = np.column_stack([np.ones(6), rng.normal(size=6)])
    tested = rng.normal(size=(6, 2))
    y = 50.0 + 3 * others[:, 1] + rng.normal(size=6)
    found = freedman_lane(y, tested, others, groups)
    assert found is not None
    assert (found.p_value, found.smallest) == pytest.approx(_brute_force(y, tested, others, groups))


def test_where_plots_lie_in_blocks_their_means_are_exchanged_within_these() -> None:
    """Two blocks of four plots, runs of a plot far apart in the table: 24² arrangements by brute force."""
    rng = np.random.default_rng(5)
    plot = np.tile(np.arange(8), 2)
    block = np.where(np.isin(np.arange(8), [0, 3, 4, 7]), "x", "y")
    level = np.tile([-1.0, 1.0], 4)
    y = (2.0 * (block == "x") + rng.normal(size=8))[plot] + rng.normal(size=16)
    dummy = np.where(block == "x", 1.0, -1.0)
    means = np.array([y[plot == p].mean() for p in range(8)])
    observed = abs(level @ means)
    orders = [
        [a[[0, 3, 4, 7].index(i)] if i in (0, 3, 4, 7) else b[[1, 2, 5, 6].index(i)] for i in range(8)]
        for a in permutations([0, 3, 4, 7])
        for b in permutations([1, 2, 5, 6])
    ]
    right = np.mean([abs(level @ means[order]) >= observed - 1e-12 for order in orders])
    strata = Strata(blocks=tuple(block[plot]), whole_plots=tuple(f"p{p}" for p in plot))
    found = randomisation_test(y, level[plot][:, None], np.column_stack([np.ones(16), dummy[plot]]), strata)
    assert found is not None
    assert found.p_value == pytest.approx(right)


def test_random_blocks_are_taken_out_before_runs_are_exchanged() -> None:
    rng = np.random.default_rng(6)
    tested, blocks = np.tile([-1.0, 1.0], 4)[:, None], tuple("aaaabbbb")
    y = rng.normal(size=8) + 0.5 * tested[:, 0]
    found = randomisation_test(y + 1_000 * (np.arange(8) > 3), tested, np.ones((8, 1)), Strata(blocks, None, True))
    others = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    assert found is not None
    right = freedman_lane(y, tested, others, blocks)
    assert right is not None
    assert (found.p_value, found.smallest) == pytest.approx((right.p_value, right.smallest))


def test_rounding_that_averaging_leaves_is_no_direction_of_the_model() -> None:
    """.1 + .2 − .3 is not 0: over plots such a column is 1e-17, and must not use up the plots."""
    rng = np.random.default_rng(7)
    within = np.tile([0.1, 0.2, -0.3], 4)
    assert np.abs(within.reshape(4, 3).mean(axis=1)).max() > 0
    plots = tuple(np.repeat(list("abcd"), 3))
    hard = np.repeat([-1.0, 1.0, -1.0, 1.0], 3)
    y = rng.normal(size=12) + hard
    one = randomisation_test(y, hard[:, None], np.ones((12, 1)), Strata(whole_plots=plots))
    two = randomisation_test(
        y, hard[:, None], np.column_stack([np.ones(12), within, within * hard]), Strata(whole_plots=plots)
    )
    assert one is not None
    assert one == two


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_where_a_term_was_dealt_does_not_depend_on_its_units(y: np.ndarray, scale: float) -> None:
    others = np.column_stack([ONES, EASY])
    for tested in (HARD, EASY * HARD):
        found = randomisation_test(y, scale * tested[:, None], others, Strata(whole_plots=PLOTS), draws=99)
        right = randomisation_test(y, tested[:, None], others, Strata(whole_plots=PLOTS), draws=99)
        assert found is not None
        assert right is not None
        assert found.p_value == pytest.approx(right.p_value)


@pytest.mark.parametrize("scale", [1.0, 1e9 / 7])
def test_a_column_with_a_zero_is_placed_as_well(scale: float) -> None:
    """A mean of nine times .7 need not be .7: that is no change within plots, in whatever unit."""
    values = scale * np.array([0.0, 0.1, 0.7, -0.8, 0.7, 0.3])
    plots, tested = tuple(np.repeat(list("abcdef"), 9)), np.repeat(values, 9)
    y = np.random.default_rng(11).normal(size=54)
    found = randomisation_test(y, tested[:, None], np.ones((54, 1)), Strata(whole_plots=plots))
    means = freedman_lane(y.reshape(6, 9).mean(axis=1), values[:, None], np.ones((6, 1)), ["all"] * 6)
    assert found is not None
    assert means is not None
    assert found.p_value == pytest.approx(means.p_value)


def test_what_has_no_test() -> None:
    """No error left, nothing to exchange, a term that adds nothing, and a response without residuals."""
    x, ones = np.array([-1.0, 1.0, -1.0, 1.0, 1.0, -1.0])[:, None], np.ones((6, 1))
    y = np.random.default_rng(0).normal(size=6)
    assert freedman_lane(y, x, ones, ["a"] * 6) is not None
    assert freedman_lane(y[:2], x[:2], ones[:2], ["a"] * 2) is None
    assert freedman_lane(y[:3], x[:3], ones[:3], ["a"] * 3) is not None
    assert freedman_lane(y, x, ones, list("abcdef")) is None
    assert freedman_lane(y, x, ones, list("aabcde")) is not None
    assert freedman_lane(y, 2 * ones, ones, ["a"] * 6) is None
    other = np.column_stack([ones, np.arange(6.0)])
    assert freedman_lane(np.full(6, 3.1), x, ones, ["a"] * 6) is None
    assert freedman_lane(10 + np.arange(6.0) / 3, x, other, ["a"] * 6) is None


def test_arrangements_are_counted_within_groups() -> None:
    assert arrangements(["a"] * 4) == 24
    assert arrangements(["a", "b", "a", "b", "b"]) == 12
    assert arrangements([1, 2, 3]) == 1
    assert arrangements([]) == 1


def test_draws_are_the_same_however_they_are_cut_and_none_leaves_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    groups = list("aabbbbaabbaa") * 2
    x, y = rng.normal(size=(24, 1)), rng.normal(size=24)
    whole = freedman_lane(y, x, np.ones((24, 1)), groups, draws=150)
    codes = np.array([ord(group) - ord("a") for group in groups])
    for numbers in (1, 24 * 7, 24 * 150):
        monkeypatch.setattr(randomisation, "_CHUNK_NUMBERS", numbers)
        assert freedman_lane(y, x, np.ones((24, 1)), groups, draws=150) == whole
        drawn = np.vstack(list(randomisation._drawn(codes, 150, 0)))
        assert drawn.shape == (150, 24)
        assert (np.sort(drawn, axis=1) == np.arange(24)).all()
        assert (codes[drawn] == codes).all()
    assert len({tuple(row) for row in drawn.tolist()}) == 150


@pytest.mark.parametrize(("most", "expected"), [(24 * 60, 60), (24 * 10, 40), (10**6, 99)])
def test_fewer_are_drawn_of_many_runs(monkeypatch: pytest.MonkeyPatch, most: int, expected: int) -> None:
    monkeypatch.setattr(randomisation, "_MOST_DRAWN", most)
    monkeypatch.setattr(randomisation, "_FEWEST_DRAWS", 40)
    rng = np.random.default_rng(9)
    found = freedman_lane(rng.normal(size=24), rng.normal(size=(24, 1)), np.ones((24, 1)), ["a"] * 24, draws=99)
    assert found is not None
    assert found.smallest == 1 / (1 + expected)
    assert found.p_value * (1 + expected) == pytest.approx(round(found.p_value * (1 + expected)))


def test_drawn_arrangements_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(7, 1)), rng.normal(size=7)
    every = freedman_lane(y, x, np.ones((7, 1)), ["a"] * 7)
    monkeypatch.setattr(randomisation, "ENUMERATE", 5_039)
    drawn = freedman_lane(y, x, np.ones((7, 1)), ["a"] * 7, draws=4_999)
    assert every is not None
    assert drawn is not None
    assert every.p_value * 5_040 == pytest.approx(round(every.p_value * 5_040))
    assert drawn.p_value == pytest.approx(every.p_value, abs=4 * np.sqrt(every.p_value * (1 - every.p_value) / 5_000))
    monkeypatch.setattr(randomisation, "ENUMERATE", 5_040)
    assert freedman_lane(y, x, np.ones((7, 1)), ["a"] * 7) == every
