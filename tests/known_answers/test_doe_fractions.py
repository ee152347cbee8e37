"""Alias chains and foldovers of textbook fractions.

Source: 2^(6−2) with E = ABC, F = BCD and 2^(7−4) with D = AB, E = AC, F = BC, G = ABC (Montgomery, Design and Analysis of
Experiments, 8th ed., ch. 8; NIST/SEMATECH e-Handbook 5.3.3.4); chains as of R's FrF2 aliasprint and fold.design.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from maineffect.design.algebra.regular import RegularFraction
from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.spec.study import StudySpec


def fraction(k: int, **request: Any) -> Design:
    return build_design(
        StudySpec.model_validate(
            {
                "schema_version": 1,
                "name": "s",
                "factors": {name: {"name": name, "levels": [-1, 1]} for name in "ABCDEFG"[:k]},
                "design": {"kind": "fractional", **request},
                "responses": {"y": {"name": "y"}},
            }
        )
    )


def chains(made: Design) -> set[frozenset[str]]:
    return {frozenset(term.replace(":", "") for term in chain) for chain in made.aliases}


def as_sets(text: str) -> set[frozenset[str]]:
    return {frozenset(chain.split("=")) for chain in text.split()}


def test_chains_of_two_to_the_six_minus_two() -> None:
    made = fraction(6, generators=["E = A:B:C", "F = B:C:D"])
    assert chains(made) == as_sets("AB=CE AC=BE AD=EF AE=BC=DF AF=DE BD=CF BF=CD")
    assert (made.resolution, made.word_length_pattern) == (4, {4: 3})


def test_defining_words_of_two_to_the_six_minus_two() -> None:
    words = RegularFraction(4, (1, 2, 4, 8, 7, 14)).words
    named = {"".join(name for i, name in enumerate("ABCDEF") if word >> i & 1) for word in words.tolist()}
    assert named == {"ABCE", "BCDF", "ADEF"}


SATURATED = ["D = A:B", "E = A:C", "F = B:C", "G = A:B:C"]


def test_chains_of_two_to_the_seven_minus_four() -> None:
    made = fraction(7, generators=SATURATED)
    assert chains(made) == as_sets("A=BD=CE=FG B=AD=CF=EG C=AE=BF=DG D=AB=CG=EF E=AC=BG=DF F=AG=BC=DE G=AF=BE=CD")
    assert made.resolution == 3


def test_full_foldover_of_two_to_the_seven_minus_four() -> None:
    made = fraction(7, generators=SATURATED, foldover="full")
    assert len(made.cells) == 16
    assert made.resolution == 4
    assert made.word_length_pattern.get(3, 0) == 0
    assert made.word_length_pattern[4] == 7


def test_the_fold_as_a_block_is_clear_of_main_effects_and_two_factor_interactions() -> None:
    """The seven factors and the fold form the 16-run resolution IV design."""
    made = fraction(7, generators=SATURATED, foldover="full", blocks=2)
    x = np.array([[made.levels_of(run)[name] for name in "ABCDEFG"] for run in made.runs])
    fold = np.array([1 if run.block == 2 else -1 for run in made.runs])
    pairs = [x[:, i] * x[:, j] for i, j in combinations(range(7), 2)]
    assert np.array_equal(fold @ x, np.zeros(7))
    assert all(fold @ pair == 0 for pair in pairs)
    assert abs(int(fold @ (x[:, 0] * x[:, 1] * x[:, 3]))) == 16  # ABD was a word


@pytest.mark.parametrize("factor", list("ABCDEFG"))
def test_folding_on_one_factor_clears_it_and_its_interactions(factor: str) -> None:
    """Montgomery, sec. 8.6.1."""
    made = fraction(7, generators=SATURATED, foldover=factor)
    assert not any(factor in term for chain in chains(made) for term in chain)
