"""Plackett–Burman, definitive screening, foldover and blocks against published properties."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from maineffect.design.algebra.hadamard import conference_matrix, hadamard_matrix
from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.spec.study import StudySpec

LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"


def design(k: int, levels: list[Any], request: dict[str, Any], **more: Any) -> Design:
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "s",
            "factors": {name: {"name": name, "levels": levels} for name in LETTERS[:k]},
            "design": request,
            "responses": {"y": {"name": "y"}},
            **more,
        }
    )
    return build_design(study)


def coded(made: Design) -> np.ndarray:
    names = [factor.name for factor in made.factors]
    return np.array([[made.levels_of(run)[name] for name in names] for run in made.runs], dtype=float)


@pytest.mark.parametrize("n", [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48])
def test_hadamard_matrices_exist_up_to_48(n: int) -> None:
    h = hadamard_matrix(n)
    assert np.array_equal(h.T @ h, n * np.eye(n))
    assert np.all(np.abs(h) == 1)


@pytest.mark.parametrize("n", [4, 6, 8, 10, 12, 14])
def test_conference_matrices(n: int) -> None:
    c = conference_matrix(n)
    assert np.array_equal(c.T @ c, (n - 1) * np.eye(n))
    assert np.array_equal(np.diag(c), np.zeros(n))


# Plackett and Burman (1946), Biometrika 33:305; correlations: Deng and Tang (1999), Grömping and Xu (2014).
@pytest.mark.parametrize(
    ("runs", "correlations", "words3"),
    [(12, {1 / 3}, 55 / 3), (20, {0.2, 0.6}, 57.0), (24, {0.0, 1 / 3}, 253 / 3)],
)
def test_plackett_burman(runs: int, correlations: set[float], words3: float) -> None:
    made = design(runs - 1, [-1, 1], {"kind": "plackett_burman"}, analysis={"terms": "main"})
    x = coded(made)
    assert len(made.runs) == runs
    assert np.array_equal(x.T @ x, runs * np.eye(runs - 1))
    assert made.d_efficiency == pytest.approx(100.0)
    seen = {
        round(abs(float(x[:, i] @ (x[:, j] * x[:, k]))) / runs, 6)
        for j, k in combinations(range(runs - 1), 2)
        for i in range(runs - 1)
        if i not in (j, k)
    }
    # The set of correlations depends on which of the non-isomorphic Hadamard matrices is used; the bounds do not.
    assert max(seen) <= max(correlations) + 1e-6
    triples = np.array([(x[:, i] * x[:, j] * x[:, k]).sum() for i, j, k in combinations(range(runs - 1), 3)])
    assert ((triples / runs) ** 2).sum() == pytest.approx(words3)


def test_definitive_screening_of_six_factors() -> None:
    """Jones and Nachtsheim (2011), J. Qual. Technol. 43:1–15; correlations as of R daewr::DefScreen(6, 0)."""
    made = design(6, [-1, 0, 1], {"kind": "definitive_screening"}, analysis={"terms": "main"})
    x = coded(made)
    assert len(made.runs) == 13
    assert np.array_equal(x.T @ x, 10 * np.eye(6))
    squares = x**2
    products = np.array([x[:, i] * x[:, j] for i, j in combinations(range(6), 2)]).T
    assert np.allclose(x.T @ squares, 0)
    assert np.allclose(x.T @ products, 0)
    centred = squares - squares.mean(axis=0)
    correlation = np.corrcoef(centred.T)
    assert correlation[np.triu_indices(6, 1)] == pytest.approx(2 / 15)
    assert np.linalg.matrix_rank(np.hstack([np.ones((13, 1)), x, squares])) == 13
    between = {round(abs(v), 6) for v in np.corrcoef(products.T)[np.triu_indices(15, 1)]}
    assert between == {0.25, 0.5}


def test_full_foldover_of_a_resolution_three_fraction() -> None:
    """Montgomery, DAE 8th ed., sec. 8.6: 2^(7−4) folded over has resolution IV and seven words of length 4."""
    made = design(7, [0, 1], {"kind": "fractional", "runs": 8, "foldover": "full"})
    assert (len(made.cells), made.resolution, made.word_length_pattern[4]) == (16, 4, 7)
    assert not any(":" not in term for chain in made.aliases for term in chain)


def test_folding_on_one_factor_clears_it() -> None:
    made = design(7, [0, 1], {"kind": "fractional", "runs": 8, "foldover": "A"})
    assert not any(term == "A" or "A:" in term for chain in made.aliases for term in chain if chain[0] != "1")


def test_two_blocks_of_a_full_factorial_give_up_the_highest_interaction() -> None:
    """Montgomery, DAE 8th ed., sec. 7.5: 2^4 in two blocks confounds ABCD."""
    made = design(4, [-1, 1], {"kind": "full", "blocks": 2})
    x = coded(made)
    blocks = np.array([run.block for run in made.runs])
    product = x.prod(axis=1)
    assert len(set(product[blocks == 1])) == 1
    assert len(set(product[blocks == 2])) == 1
    assert len(set(product)) == 2


def test_centre_points_are_in_the_middle_and_do_not_hide_aliases() -> None:
    made = design(4, [0.0, 1.0], {"kind": "fractional", "runs": 8, "centre_points": 3})
    middle = [run for run in made.runs if set(made.levels_of(run).values()) == {0.5}]
    assert len(middle) == 3
    assert len({run.run_id for run in made.runs}) == 11
    assert len({run.seed for run in middle}) == 3
    assert made.resolution == 4
    assert len(made.aliases) == 3


def test_ablation_says_what_it_cannot_do() -> None:
    made = design(4, [0, 1], {"kind": "ablation", "baseline": dict.fromkeys("ABCD", 1), "baseline_repeats": 2})
    x = coded(made)
    assert len(made.runs) == 6
    assert sorted(x.sum(axis=1).tolist()) == [3, 3, 3, 3, 4, 4]
    assert any("interaction" in note for note in made.notes)
