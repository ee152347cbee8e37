"""Orthogonal arrays: balanced pairs, smallest sizes, least aliasing, honest refusals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.design.algebra.array_families import families
from maineffect.design.algebra.difference_matrices import difference_matrix, subtraction_table
from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.design.build import build_design
from maineffect.design.kinds.orthogonal_arrays import array_for, smallest_array
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec

MakeStudy = Callable[..., StudySpec]


def balanced_pairs(codes: Any, levels: tuple[int, ...]) -> bool:
    for i, j in combinations(range(len(levels)), 2):
        counts = Counter(zip(codes[:, i].tolist(), codes[:, j].tolist(), strict=True))
        if len(counts) != levels[i] * levels[j] or len(set(counts.values())) != 1:
            return False
    return True


def factors(*levels: int) -> dict[str, list[Any]]:
    return {f"f{i}": [f"v{j}" for j in range(level)] for i, level in enumerate(levels)}


@pytest.mark.parametrize("runs", [4, 6, 8, 9, 12, 16, 18, 20, 24, 25, 27, 28, 32, 36, 40, 48, 49, 50, 54, 64, 72, 81])
def test_every_family_is_of_strength_two(runs: int) -> None:
    for family in families(runs):
        codes = family.build()
        assert codes.shape == (runs, len(family.levels))
        assert balanced_pairs(codes, family.levels)


@pytest.mark.parametrize(
    ("rows", "levels"), [(3, 3), (6, 3), (12, 3), (18, 3), (4, 4), (16, 4), (5, 5), (10, 5), (14, 7), (12, 2), (18, 9)]
)
def test_difference_matrices_keep_their_definition(rows: int, levels: int) -> None:
    matrix = difference_matrix(rows, levels)
    assert matrix is not None
    assert matrix.shape == (rows, rows)
    minus = subtraction_table(levels)
    for i, j in combinations(range(rows), 2):
        assert set(np.bincount(minus[matrix[:, i], matrix[:, j]], minlength=levels)) == {rows // levels}


@pytest.mark.parametrize(
    ("levels", "runs"),
    [
        ((3,) * 4, 9),
        ((2,) * 11, 12),
        ((3, 2, 2, 2, 2), 12),
        ((4,) * 5, 16),
        ((4, *(2,) * 12), 16),
        ((2, *(3,) * 7), 18),
        ((6, *(3,) * 6), 18),
        ((5, *(2,) * 8), 20),
        ((3, 4, *(2,) * 12), 24),
        ((5,) * 6, 25),
        ((3,) * 13, 27),
        ((9, *(3,) * 9), 27),
        ((4,) * 9, 32),
        ((*(2,) * 11, *(3,) * 12), 36),
        ((4, *(3,) * 13), 36),
        ((2, *(5,) * 11), 50),
        ((2, *(3,) * 25), 54),
    ],
)
def test_the_known_arrays_are_the_smallest_for_their_factors(levels: tuple[int, ...], runs: int) -> None:
    """Parameters of the arrays in Hedayat, Sloane and Stufken (1999), table 12.7 (L9 … L54)."""
    assert smallest_array(levels) == runs
    codes = array_for(levels, runs)
    assert codes is not None
    assert balanced_pairs(codes, levels)


def test_main_effects_are_estimated_with_full_efficiency(make_study: MakeStudy) -> None:
    for levels in ((2, 3, 3, 3), (2, 2, 2, 3), (4, 2, 2, 2), (6, 3, 3), (2,) * 9, (3, 3, 3, 2, 2)):
        design = build_design(make_study(factors(*levels), {"kind": "orthogonal_array"}))
        assert design.d_efficiency == pytest.approx(100.0)
        assert design.d_bound == pytest.approx(100.0)
        assert design.terms == tuple(design.factors[i].name for i in range(len(levels)))


def test_columns_are_chosen_for_least_aberration() -> None:
    """Against every choice of columns, for the seven three-level columns of the 18-run array."""
    whole = array_for((2, *(3,) * 7), 18)
    assert whole is not None
    for count in (3, 4, 5):
        chosen = array_for((3,) * count, 18)
        assert chosen is not None
        mine = generalised_word_length_pattern(chosen, [3] * count, 4)[3:].tolist()
        every = min(
            np.round(generalised_word_length_pattern(whole[:, list(pick)], [3] * count, 4)[3:], 9).tolist()
            for pick in combinations(range(1, 8), count)
        )
        assert mine == pytest.approx(every) or mine < every


def test_two_level_arrays_of_a_power_of_two_are_minimum_aberration_fractions() -> None:
    codes = array_for((2,) * 7, 16)
    assert codes is not None
    assert generalised_word_length_pattern(codes, [2] * 7).tolist() == [1, 0, 0, 0, 7, 0, 0, 0]


@pytest.mark.parametrize(("levels", "runs"), [((2, 3, 3, 3), 9), ((2, 3, 3, 3), 20), ((3,) * 5, 9), ((2,) * 12, 12)])
def test_an_impossible_size_names_the_smallest(make_study: MakeStudy, levels: tuple[int, ...], runs: int) -> None:
    with pytest.raises(DesignError) as refused:
        build_design(make_study(factors(*levels), {"kind": "orthogonal_array", "runs": runs}))
    named = re.search(r"runs: (\d+)", refused.value.hint)
    assert named is not None
    again = build_design(make_study(factors(*levels), {"kind": "orthogonal_array", "runs": int(named[1])}))
    assert len(again.runs) == int(named[1])


def test_what_has_no_array_is_sent_to_an_optimal_design(make_study: MakeStudy) -> None:
    with pytest.raises(DesignError) as refused:
        build_design(make_study(factors(11, 13, 7), {"kind": "orthogonal_array"}, "main"))
    named = re.search(r"kind: optimal with runs: (\d+)", refused.value.hint)
    assert named is not None
    design = build_design(
        make_study(factors(11, 13, 7), {"kind": "optimal", "runs": int(named[1]), "starts": 2}, "main")
    )
    assert len(design.runs) == int(named[1])


@given(st.lists(st.sampled_from([2, 2, 2, 3, 3, 4, 5, 6]), min_size=2, max_size=7))
def test_any_levels_get_a_balanced_array_or_none(levels: list[int]) -> None:
    runs = smallest_array(tuple(levels))
    if runs is None:
        return
    codes = array_for(tuple(levels), runs)
    assert codes is not None
    assert len(codes) == runs
    assert balanced_pairs(codes, tuple(levels))
    assert all(runs % (a * b) == 0 for a, b in combinations(levels, 2))
