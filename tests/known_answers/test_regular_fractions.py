"""Minimum aberration word-length patterns.

Source: Chen, Sun and Wu (1993), A catalogue of two-level and three-level fractional factorial designs with small runs,
Int. Stat. Rev. 61:131-145; the same designs in R's FrF2 2.3-4 catalogue and Montgomery, Design and Analysis of
Experiments, Table 8.14. Compared are resolution and the whole pattern, never generators: isomorphic designs differ.
"""

from __future__ import annotations

from itertools import combinations

import pytest

from maineffect.design.algebra.regular import RegularFraction, minimum_aberration, smallest_with_resolution
from maineffect.errors import DesignError

# runs, factors, resolution, words of length 3, 4, …
CATALOGUE = [
    (8, 4, 4, [0, 1]),
    (8, 5, 3, [2, 1, 0]),
    (8, 6, 3, [4, 3, 0, 0]),
    (8, 7, 3, [7, 7, 0, 0, 1]),
    (16, 5, 5, [0, 0, 1]),
    (16, 6, 4, [0, 3, 0, 0]),
    (16, 7, 4, [0, 7, 0, 0, 0]),
    (16, 8, 4, [0, 14, 0, 0, 0, 1]),
    (16, 9, 3, [4, 14, 8, 0, 4, 1, 0]),
    (16, 10, 3, [8, 18, 16, 8, 8, 5, 0, 0]),
    (16, 11, 3, [12, 26, 28, 24, 20, 13, 4, 0, 0]),
    (16, 12, 3, [16, 39, 48, 48, 48, 39, 16, 0, 0, 1]),
    (16, 13, 3, [22, 55, 72, 96, 116, 87, 40, 16, 6, 1, 0]),
    (16, 14, 3, [28, 77, 112, 168, 232, 203, 112, 56, 28, 7, 0, 0]),
    (16, 15, 3, [35, 105, 168, 280, 435, 435, 280, 168, 105, 35, 0, 0, 1]),
    (32, 6, 6, [0, 0, 0, 1]),
    (32, 7, 4, [0, 1, 2, 0, 0]),
    (32, 8, 4, [0, 3, 4, 0, 0, 0]),
    (32, 9, 4, [0, 6, 8, 0, 0, 1, 0]),
    (32, 10, 4, [0, 10, 16, 0, 0, 5, 0, 0]),
    (32, 11, 4, [0, 25, 0, 27, 0, 10, 0, 1, 0]),
    (32, 12, 4, [0, 38, 0, 52, 0, 33, 0, 4, 0, 0]),
    (32, 13, 4, [0, 55, 0, 96, 0, 87, 0, 16, 0, 1, 0]),
    (32, 14, 4, [0, 77, 0, 168, 0, 203, 0, 56, 0, 7, 0, 0]),
    (32, 15, 4, [0, 105, 0, 280, 0, 435, 0, 168, 0, 35, 0, 0, 0]),
    (32, 16, 4, [0, 140, 0, 448, 0, 870, 0, 448, 0, 140, 0, 0, 0, 1]),
    (32, 17, 3, [8, 140, 112, 448, 504, 870, 800, 448, 504, 140, 112, 0, 8, 1, 0]),
    (32, 21, 3, [40, 220, 641, 1608, 3640, 6470, 9180, 10968, 10968, 9180, 6470, 3640, 1608, 641, 220, 40, 0, 0, 1]),
    (64, 7, 7, [0, 0, 0, 0, 1]),
    (64, 8, 5, [0, 0, 2, 1, 0, 0]),
    (64, 9, 4, [0, 1, 4, 2, 0, 0, 0]),
    (64, 10, 4, [0, 2, 8, 4, 0, 1, 0, 0]),
    (64, 11, 4, [0, 4, 14, 8, 0, 3, 2, 0, 0]),
    (64, 12, 4, [0, 6, 24, 16, 0, 9, 8, 0, 0, 0]),
    (64, 13, 4, [0, 14, 28, 24, 24, 17, 12, 8, 0, 0, 0]),
    (64, 14, 4, [0, 22, 40, 36, 56, 49, 24, 20, 8, 0, 0, 0]),
]


@pytest.mark.parametrize(("runs", "k", "resolution", "pattern"), CATALOGUE)
def test_minimum_aberration_equals_the_catalogue(runs: int, k: int, resolution: int, pattern: list[int]) -> None:
    fraction = minimum_aberration(k, runs.bit_length() - 1)
    found = [fraction.word_length_pattern.get(length, 0) for length in range(3, k + 1)]
    assert fraction.resolution == resolution
    assert found == pattern


@pytest.mark.slow
@pytest.mark.parametrize(("k", "q"), [(4, 3), (5, 3), (6, 3), (5, 4), (6, 4), (7, 4), (8, 4), (6, 5), (7, 5), (8, 5)])
def test_no_other_choice_of_columns_has_less_aberration(k: int, q: int) -> None:
    basic = tuple(1 << i for i in range(q))
    others = [c for c in range(1, 2**q) if c not in basic]

    def pattern(columns: tuple[int, ...]) -> list[int]:
        words = RegularFraction(q, columns).word_length_pattern
        return [words.get(length, 0) for length in range(3, k + 1)]

    best = min(pattern((*basic, *chosen)) for chosen in combinations(others, k - q))
    assert pattern(minimum_aberration(k, q).columns) == best


@pytest.mark.parametrize(
    ("k", "resolution", "runs"), [(4, 4, 8), (5, 5, 16), (7, 4, 16), (8, 4, 16), (7, 3, 8), (6, 6, 32)]
)
def test_smallest_fraction_of_a_resolution(k: int, resolution: int, runs: int) -> None:
    assert 2 ** smallest_with_resolution(k, resolution).q == runs


def test_a_resolution_that_does_not_exist_names_the_way_out() -> None:
    with pytest.raises(DesignError, match="no fraction of 4"):
        smallest_with_resolution(4, 6)
