"""Exploration of small designs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from maineffect.analyse.exploratory.screening import aicc, definitive_screening, screen
from maineffect.errors import AnalysisError
from maineffect.spec.factors import Factor

# Jones and Nachtsheim (2011), conference matrix C6, foldover and centre; as R daewr::DefScreen(6, 0).
DSD = np.array(
    [
        [0, 1, -1, -1, -1, -1], [0, -1, 1, 1, 1, 1], [1, 0, -1, 1, 1, -1], [-1, 0, 1, -1, -1, 1],
        [-1, -1, 0, 1, -1, -1], [1, 1, 0, -1, 1, 1], [-1, 1, 1, 0, 1, -1], [1, -1, -1, 0, -1, 1],
        [1, -1, 1, -1, 0, -1], [-1, 1, -1, 1, 0, 1], [1, 1, 1, 1, -1, 0], [-1, -1, -1, -1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    dtype=float,
)  # fmt: skip


def test_filtration_by_aicc() -> None:
    """Montgomery DAE Example 6.2: A, C, D, AC, AD."""
    y = np.array([45, 71, 48, 65, 68, 60, 80, 65, 43, 100, 45, 104, 75, 86, 70, 96], dtype=float)
    cells = [cell[::-1] for cell in product([-1, 1], repeat=4)]
    rows = dict(zip("ABCD", (list(column) for column in zip(*cells, strict=True)), strict=True))
    found = screen([Factor(name=name, levels=(-1, 1)) for name in "ABCD"], rows, y)
    assert found.terms == ("A", "C", "D", "A:C", "A:D")
    assert found.exploratory
    scores = [score for _, score in found.path]
    assert scores == sorted(scores, reverse=True)


def test_heredity_brings_parents_along() -> None:
    cells = list(product([-1, 1], repeat=4)) * 2
    rows = dict(zip("ABCD", (list(column) for column in zip(*cells, strict=True)), strict=True))
    noise = np.random.default_rng(0).normal(0, 0.1, 32)
    y = np.array(rows["A"]) * np.array(rows["B"]) + noise
    assert set(screen([Factor(name=n, levels=(-1, 1)) for n in "ABCD"], rows, y).terms) >= {"A", "B", "A:B"}


def test_aicc_by_hand() -> None:
    assert aicc(8.0, 16, 3) == pytest.approx(16 * np.log(0.5) + 8 + 40 / 11)
    assert aicc(8.0, 5, 4) == float("inf")


def test_screening_refuses_what_cannot_be_screened() -> None:
    with pytest.raises(AnalysisError):
        screen([Factor(name="A", levels=(0, 1))], {"A": [0, 1, 0, 1, 0]}, np.ones(5))


def test_quadratics_are_terms_of_their_own() -> None:
    """A line in A and a bow in B: a factor of three levels is linear beside the quadratics that are offered."""
    factors = [Factor(name=name, levels=(0.0, 1.0, 2.0)) for name in "AB"]
    cells = [(a, b) for a in (0.0, 1.0, 2.0) for b in (0.0, 1.0, 2.0)] * 2
    rows = {"A": [a for a, _ in cells], "B": [b for _, b in cells]}
    y = np.array([a - (b - 1.2) ** 2 for a, b in cells]) + 0.05 * np.random.default_rng(1).normal(size=18)
    assert screen(factors, rows, y, quadratic=True).terms == ("A", "B", "B^2")


def test_two_stages_find_a_quadratic_and_an_interaction() -> None:
    """Four real factors and two fake ones on the six-factor design."""
    x = DSD[:, :4]
    noise = np.random.default_rng(4).normal(0, 0.2, 13)
    y = 10 + 3 * x[:, 0] - 2 * x[:, 1] + 2.5 * x[:, 0] * x[:, 1] - 3 * x[:, 0] ** 2 + noise
    found = definitive_screening(["A", "B", "C", "D"], x, y)
    assert found.main == ("A", "B")
    assert set(found.second) == {"A^2", "A:B"}
    assert found.df == 2


def test_two_stage_main_effects_keep_their_error() -> None:
    rng = np.random.default_rng(0)
    p = [
        value
        for _ in range(500)
        for value in definitive_screening(["A", "B", "C", "D"], DSD[:, :4], rng.normal(size=13)).p_values.values()
    ]
    # The four tests of one study share a two-degree error estimate: count studies, not tests.
    rate = np.array(p).reshape(500, 4) <= 0.05
    spread = rate.mean(axis=1).std(ddof=1) / np.sqrt(500)
    assert rate.mean() == pytest.approx(0.05, abs=3 * spread)


def test_a_design_without_error_or_mirror_images_is_refused() -> None:
    y = np.random.default_rng(0).normal(size=13)
    with pytest.raises(AnalysisError, match="cannot be estimated"):
        definitive_screening(list("ABCDEF"), DSD, y)
    with pytest.raises(AnalysisError, match="mirror"):
        definitive_screening(list("ABCD"), DSD[1:, :4], y[1:])
