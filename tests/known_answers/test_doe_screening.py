"""Plackett–Burman and definitive screening designs against published properties.

Plackett–Burman: Plackett and Burman (1946), Biometrika 33:305; generalised word lengths and resolution Deng and Tang
(1999), Statist. Sinica 9:1071–1082; Grömping and Xu (2014), Ann. Statist. 42:918–939; values as of R's DoE.base GWLP and GR.
Definitive screening: Jones and Nachtsheim (2011), J. Qual. Technol. 43:1–15; matrix as of R's daewr DefScreen(6, 0).
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.spec.study import StudySpec


def screening(k: int, levels: list[int], **request: Any) -> Design:
    names = [f"X{i}" for i in range(k)]
    return build_design(
        StudySpec.model_validate(
            {
                "schema_version": 1,
                "name": "s",
                "factors": {name: {"name": name, "levels": levels} for name in names},
                "design": request,
                "responses": {"y": {"name": "y"}},
                "analysis": {"terms": "main"},
            }
        )
    )


def coded(made: Design) -> np.ndarray:
    return np.array(
        [[made.levels_of(run)[factor.name] for factor in made.factors] for run in made.runs], dtype=np.int64
    )


@pytest.mark.parametrize("runs", range(12, 49, 4))
def test_every_plackett_burman_design_is_orthogonal_and_saturated(runs: int) -> None:
    x = coded(screening(runs - 1, [-1, 1], kind="plackett_burman"))
    assert np.array_equal(x.T @ x, runs * np.eye(runs - 1))
    assert np.array_equal(x.sum(axis=0), np.zeros(runs - 1))
    pattern = generalised_word_length_pattern(x, [2] * (runs - 1), 2)
    assert pattern.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("runs", "words3", "words4"),
    [(12, 18.33333333, 36.66666667), (20, 57.0, 228.0), (24, 84.33333333, 421.6666667)],
)
def test_generalised_word_lengths(runs: int, words3: float, words4: float) -> None:
    x = coded(screening(runs - 1, [-1, 1], kind="plackett_burman"))
    pattern = generalised_word_length_pattern(x, [2] * (runs - 1), 4)
    assert pattern[3:].tolist() == pytest.approx([words3, words4])


def test_every_three_columns_of_twelve_runs_are_a_full_factorial_and_a_half_fraction() -> None:
    """Lin and Draper (1992), Technometrics 34:423–428."""
    x = coded(screening(11, [-1, 1], kind="plackett_burman"))
    for group in combinations(range(11), 3):
        counts = Counter(map(tuple, x[:, group].tolist()))
        assert sorted(counts.values()) == [1, 1, 1, 1, 2, 2, 2, 2]
        twice = np.array([point for point, count in counts.items() if count == 2])
        assert len(set(twice.prod(axis=1).tolist())) == 1


def test_every_four_columns_of_twelve_runs_estimate_their_interactions() -> None:
    """Projection of the Plackett–Burman design: Wang and Wu (1995), Statist. Sinica 5:235–250."""
    x = coded(screening(11, [-1, 1], kind="plackett_burman"))
    for group in combinations(range(11), 4):
        pairs = [x[:, i] * x[:, j] for i, j in combinations(group, 2)]
        assert np.linalg.matrix_rank(np.column_stack([np.ones(12), x[:, group], *pairs])) == 11


# One half of R daewr DefScreen(6, 0); the other half is its mirror image, and a centre run.
PUBLISHED = [
    [0, 1, -1, -1, -1, -1],
    [1, 0, -1, 1, 1, -1],
    [-1, -1, 0, 1, -1, -1],
    [-1, 1, 1, 0, 1, -1],
    [1, -1, 1, -1, 0, -1],
    [1, 1, 1, 1, -1, 0],
]


def second_order(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squares = x**2
    products = np.array([x[:, i] * x[:, j] for i, j in combinations(range(x.shape[1]), 2)]).T
    return squares, products


def correlations(a: np.ndarray, b: np.ndarray) -> set[float]:
    joint = np.corrcoef(np.hstack([a, b]).T)[: a.shape[1], a.shape[1] :]
    return {round(abs(float(value)), 5) for value in joint.ravel()}


@pytest.mark.parametrize("published", [True, False])
def test_six_factors_in_thirteen_runs(published: bool) -> None:
    """The published matrix and ours, which may be isomorphic only, have the published properties."""
    half = np.array(PUBLISHED)
    ours = screening(6, [-1, 0, 1], kind="definitive_screening")
    x = np.vstack([half, -half, np.zeros((1, 6))]) if published else coded(ours)
    squares, products = second_order(x)
    assert len(x) == 13
    assert np.array_equal(x.T @ x, 10 * np.eye(6))
    assert np.allclose(x.T @ squares, 0)
    assert np.allclose(x.T @ products, 0)
    pairs = np.corrcoef(squares.T)[np.triu_indices(6, 1)]
    assert pairs == pytest.approx(1 / 3 - 1 / 5)
    assert correlations(squares, products) == {0.0, 0.46547}
    between = np.corrcoef(products.T)[np.triu_indices(15, 1)]
    assert {round(abs(float(value)), 6) for value in between} == {0.25, 0.5}
    assert np.linalg.matrix_rank(np.column_stack([np.ones(13), x, squares])) == 13
    main = np.column_stack([np.ones(13), x])
    assert 100 * np.linalg.det(main.T @ main) ** (1 / 7) / 13 == pytest.approx(79.86091273)


@pytest.mark.parametrize("k", range(4, 13))
def test_every_size_has_the_defining_properties(k: int) -> None:
    """Jones and Nachtsheim (2011), sec. 2: 2m + 1 runs (2m + 3 for odd m, as of Xiao, Lin and Bai 2012)."""
    x = coded(screening(k, [-1, 0, 1], kind="definitive_screening"))
    order = k + k % 2
    squares, products = second_order(x)
    assert len(x) == 2 * order + 1
    assert np.array_equal(x.T @ x, 2 * (order - 1) * np.eye(k))
    assert np.allclose(x.T @ squares, 0)
    assert np.allclose(x.T @ products, 0)
    assert np.array_equal(np.count_nonzero(x == 0, axis=0), np.full(k, 3))
    pairs = np.corrcoef(squares.T)[np.triu_indices(k, 1)]
    assert pairs == pytest.approx(1 / 3 - 1 / (order - 1))
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(x)), x, squares])) == 1 + 2 * k
