"""Screening requests: sizes, levels, foldovers, and ways out that work."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from maineffect.design.algebra.hadamard import (
    conference_matrix,
    hadamard_matrix,
    next_conference_order,
    next_hadamard_order,
)
from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec


def build(factors: list[list[Any]], **request: Any) -> Design:
    return build_design(
        StudySpec.model_validate(
            {
                "schema_version": 1,
                "name": "s",
                "factors": {f"X{i}": {"name": f"X{i}", "levels": levels} for i, levels in enumerate(factors)},
                "design": request,
                "responses": {"y": {"name": "y"}},
                "analysis": {"terms": "main"},
            }
        )
    )


def coded(made: Design) -> np.ndarray:
    """(runs, factors) −1, 0, 1 by position of the level."""
    columns = []
    for factor in made.factors:
        scale = np.linspace(-1, 1, len(factor.levels))
        columns.append([scale[factor.levels.index(made.levels_of(run)[factor.name])] for run in made.runs])
    return np.array(columns).T


@pytest.mark.parametrize("n", range(4, 90, 4))
def test_hadamard_matrices(n: int) -> None:
    h = hadamard_matrix(n)
    assert np.array_equal(h.T @ h, n * np.eye(n))
    assert np.array_equal(h[:, 0], np.ones(n))


@pytest.mark.parametrize("n", [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 26, 28, 30, 32, 40])
def test_conference_matrices(n: int) -> None:
    c = conference_matrix(n)
    assert np.array_equal(c.T @ c, (n - 1) * np.eye(n))
    assert np.array_equal(np.diag(c), np.zeros(n))
    assert np.all(np.abs(c + np.eye(n)) == 1)


def test_orders_without_a_matrix_name_the_next_one() -> None:
    assert next_hadamard_order(92) == 96
    assert next_conference_order(21) == 24
    with pytest.raises(DesignError, match="use runs: 96"):
        hadamard_matrix(92)
    # Belevitch: a symmetric conference matrix needs n − 1 to be a sum of two squares; 21 is none.
    with pytest.raises(DesignError, match="next order that can be built is 24"):
        conference_matrix(22)


@pytest.mark.parametrize(("k", "runs"), [(11, 8), (11, 14), (11, 11), (12, 12), (20, 21), (89, 92)])
def test_plackett_burman_sizes_that_do_not_exist_name_one_that_does(k: int, runs: int) -> None:
    with pytest.raises(DesignError) as refused:
        build([[0, 1]] * k, kind="plackett_burman", runs=runs)
    named = int(re.search(r"use runs: (\d+)", refused.value.hint)[1])  # type: ignore[index]
    h = hadamard_matrix(named)
    assert h.shape[1] - 1 >= k
    if k < 30:
        assert len(build([[0, 1]] * k, kind="plackett_burman", runs=named).runs) == named


def test_a_folded_plackett_burman_design_clears_main_effects() -> None:
    x = coded(build([[0, 1]] * 9, kind="plackett_burman", foldover=True))
    pairs = np.array([x[:, i] * x[:, j] for i, j in combinations(range(9), 2)]).T
    assert len(x) == 24
    assert np.array_equal(x.T @ pairs, np.zeros((9, 36)))


@pytest.mark.parametrize("k", range(4, 13))
@pytest.mark.parametrize("two_level", [1, 2, 3])
def test_definitive_screening_with_two_level_factors(k: int, two_level: int) -> None:
    """Properties of DSD-augment designs: Jones and Nachtsheim (2013), J. Qual. Technol. 45:121–129.

    2m + 2 runs (2m + 4 for odd m), main effects clear of all second-order effects, three-level factors orthogonal to
    each other, every correlation with or among two-level factors as small as the parity of the zeros allows.
    """
    three = k - two_level
    made = build([[0, 5, 10]] * three + [["off", "on"]] * two_level, kind="definitive_screening")
    x = coded(made)
    order = k + k % 2
    assert len(x) == 2 * order + 2
    assert set(np.unique(x[:, :three])) == {-1, 0, 1}
    assert set(np.unique(x[:, three:])) == {-1, 1}
    second = np.array([x[:, i] * x[:, j] for i in range(k) for j in range(i, k)]).T
    assert np.array_equal(x.T @ second, np.zeros((k, second.shape[1])))
    gram = x.T @ x
    assert np.array_equal(np.diag(gram), [2 * (order - 1)] * three + [len(x)] * two_level)
    assert np.array_equal(gram[:three, :three], 2 * (order - 1) * np.eye(three))
    assert np.max(np.abs(gram - np.diag(np.diag(gram)))) == 2
    quadratic = np.column_stack([np.ones(len(x)), x, x[:, :three] ** 2])
    assert np.linalg.matrix_rank(quadratic) == 1 + k + three


@pytest.mark.parametrize("centres", [0, 1, 3, 4])
def test_centre_runs_come_in_pairs_when_factors_have_two_levels(centres: int) -> None:
    made = build([[0, 1, 2]] * 4 + [["a", "b"]] * 2, kind="definitive_screening", centre_points=centres)
    x = coded(made)
    middle = x[(x[:, :4] == 0).all(axis=1)]
    assert len(middle) == max(2, centres + centres % 2)
    assert np.array_equal(middle.sum(axis=0), np.zeros(6))
    assert any("centre runs, in pairs" in note for note in made.notes) == (centres != 4)
    # Without two-level factors the centre runs are as asked.
    assert len(build([[0, 1, 2]] * 6, kind="definitive_screening", centre_points=centres).runs) == 12 + centres


def test_fake_factors_leave_columns_for_the_error() -> None:
    made = build([[0, 1, 2]] * 6, kind="definitive_screening", extra_factors=2)
    x = coded(made)
    assert len(x) == 17
    assert np.array_equal(x.T @ x, 14 * np.eye(6))


def test_sizes_without_a_conference_matrix_name_fake_factors_that_work() -> None:
    with pytest.raises(DesignError) as refused:
        build([[0, 1, 2]] * 21, kind="definitive_screening")
    extra = int(re.search(r"extra_factors: (\d+)", refused.value.hint)[1])  # type: ignore[index]
    x = coded(build([[0, 1, 2]] * 21, kind="definitive_screening", extra_factors=extra))
    assert np.array_equal(x.T @ x, 2 * (21 + extra - 1) * np.eye(21))
    with pytest.raises(DesignError):
        build([[0, 1, 2]] * 21, kind="definitive_screening", extra_factors=extra - 2)


def test_levels_that_do_not_fit_are_refused_or_pointed_out() -> None:
    with pytest.raises(DesignError, match="X1 has others"):
        build([[0, 1, 2], ["a", "b", "c"], [0, 1, 2]], kind="definitive_screening")
    with pytest.raises(DesignError, match="all of these have two"):
        build([[0, 1]] * 5, kind="definitive_screening")
    assert len(build([[0, 1]] * 5, kind="plackett_burman", foldover=True).runs) == 16
    made = build([[1, 10, 100], [0, 1, 2], [0, 1, 2], [0, 1, 2]], kind="definitive_screening")
    assert any("middle level of X0 is not half way" in note for note in made.notes)
