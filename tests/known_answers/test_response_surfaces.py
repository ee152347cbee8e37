"""Central composite and Box–Behnken designs against the published ones.

Sources: Box and Hunter (1957), Ann. Math. Statist. 28:195–241 (rotatable α, blocks); Box and Behnken (1960),
Technometrics 2:455–475, table 4 (runs, blocks); Myers, Montgomery and Anderson-Cook, Response Surface Methodology,
chapters 8 and 9 (the same tables, prediction variance).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from maineffect.design.build import build_design
from maineffect.design.model.model import Design
from maineffect.spec.study import StudySpec


def build(k: int, levels: list[float], **request: Any) -> Design:
    return build_design(
        StudySpec.model_validate(
            {
                "schema_version": 1,
                "name": "s",
                "factors": {f"X{i}": {"name": f"X{i}", "levels": levels} for i in range(k)},
                "design": request,
                "responses": {"y": {"name": "y"}},
                "analysis": {"terms": "second_order"},
            }
        )
    )


def composite(k: int, outer: float, **request: Any) -> Design:
    levels = [-outer, -1, 0, 1, outer] if outer > 1 else [-1, 0, 1]
    return build(k, levels, kind="central_composite", **request)


def coded(made: Design) -> np.ndarray:
    return np.array([[float(made.levels_of(run)[f.name]) for f in made.factors] for run in made.runs])


def second_order(x: np.ndarray) -> np.ndarray:
    """(n, p) written out apart from the package: 1, x_i, x_i², x_i·x_j."""
    k = x.shape[1]
    columns = [np.ones(len(x)), *x.T, *(x.T**2), *(x[:, i] * x[:, j] for i in range(k) for j in range(i))]
    return np.column_stack(columns)


def variance(x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Var ŷ/σ² at points."""
    inverse = np.linalg.inv(second_order(x).T @ second_order(x))
    rows = second_order(np.atleast_2d(at))
    return np.einsum("ij,jk,ik->i", rows, inverse, rows)


def spread_on_sphere(x: np.ndarray, radius: float) -> float:
    """Largest over smallest variance in many directions at one distance."""
    points = np.random.default_rng(1).normal(size=(200, x.shape[1]))
    found = variance(x, radius * points / np.linalg.norm(points, axis=1)[:, None])
    return float(found.max() / found.min())


# Box and Hunter (1957): α of rotatable designs, with the fraction of resolution V from five factors on.
@pytest.mark.parametrize(
    ("k", "runs", "alpha"), [(2, 4, 1.414), (3, 8, 1.682), (4, 16, 2.0), (5, 16, 2.0), (6, 32, 2.378), (7, 64, 2.828)]
)
def test_rotatable_designs(k: int, runs: int, alpha: float) -> None:
    made = composite(k, runs**0.25, alpha="rotatable", centre_points=4)
    x = coded(made)
    assert len(x) == runs + 2 * k + 4
    assert x.max() == pytest.approx(alpha, abs=5e-4)
    assert spread_on_sphere(x, 1.2) == pytest.approx(1, abs=1e-9)
    assert any(note.startswith("rotatable") for note in made.notes)


def test_five_whole_corners_have_their_own_distance() -> None:
    # Box and Hunter (1957): 32 corners of five factors, α = 2.378.
    x = coded(composite(5, 32**0.25, factorial_runs=32))
    assert x.max() == pytest.approx(2.3784, abs=5e-5)
    assert spread_on_sphere(x, 1.5) == pytest.approx(1, abs=1e-9)


def test_face_centred_and_spherical_designs_are_not_rotatable_unless_the_book_says_so() -> None:
    face = composite(3, 1, alpha="face_centred")
    assert Counter(np.abs(coded(face)).sum(axis=1)) == {3: 8, 1: 6, 0: 2}
    assert spread_on_sphere(coded(face), 1.0) > 1.1
    assert not any(note.startswith("rotatable") for note in face.notes)
    # Myers, Montgomery and Anderson-Cook, sec. 8.3: α = √k; for k = 2 and 4 spherical and rotatable are one.
    for k in (2, 3, 4):
        made = composite(k, k**0.5, alpha="spherical")
        distances = np.linalg.norm(coded(made), axis=1)
        assert np.allclose(distances[distances > 0], k**0.5)
        assert any(note.startswith("rotatable") for note in made.notes) == (k != 3)


@pytest.mark.parametrize(
    ("k", "factorial", "blocks", "sizes", "alpha"),
    [
        (2, 4, 2, [7, 7], 1.4142),
        (3, 8, 3, [6, 6, 8], 1.6330),
        (4, 16, 3, [10, 10, 10], 2.0),
        (5, 32, 5, [10, 10, 10, 10, 14], 2.3664),
        (5, 16, 2, [22, 11], 2.0),
        (6, 64, 9, [9] * 8 + [18], 2.8284),
        (6, 32, 3, [20, 20, 14], 2.3664),
        (7, 64, 9, [9] * 8 + [18], 2.8284),
    ],
)
def test_orthogonal_blocks_of_box_and_hunter(
    k: int, factorial: int, blocks: int, sizes: list[int], alpha: float
) -> None:
    """Runs in each block, and the α at which blocks leave the quadratics alone (Box and Hunter 1957, sec. 8)."""
    made = composite(k, alpha, factorial_runs=factorial, blocks=blocks)
    x, label = coded(made), np.array([run.block for run in made.runs])
    assert [int((label == b).sum()) for b in range(1, blocks + 1)] == sizes
    indicators = np.array([label == b for b in range(1, blocks + 1)], dtype=float).T
    indicators -= indicators.mean(axis=0)
    columns = second_order(x)[:, 1:]
    columns -= columns.mean(axis=0)
    # Four published decimals of α.
    assert np.abs(indicators.T @ columns).max() < 2e-3


# Box and Behnken (1960), table 4; k = 4 and 7 are rotatable there.
@pytest.mark.parametrize(
    ("k", "runs", "centres", "blocks", "rotatable"),
    [(3, 15, 3, 1, False), (4, 27, 3, 3, True), (5, 46, 6, 2, False), (6, 54, 6, 2, False), (7, 62, 6, 2, True)],
)
def test_box_behnken_designs(k: int, runs: int, centres: int, blocks: int, rotatable: bool) -> None:
    made = build(k, [-1, 0, 1], kind="box_behnken", blocks=blocks)
    x, label = coded(made), np.array([run.block or 1 for run in made.runs])
    away = np.count_nonzero(x, axis=1)
    assert len(x) == runs
    assert Counter(away) == {0: centres, 2 if k < 6 else 3: runs - centres}
    assert set(Counter(label).values()) == {runs // blocks}
    assert (spread_on_sphere(x, 1.0) < 1 + 1e-9) == rotatable
    assert any(note.startswith("rotatable") for note in made.notes) == rotatable
    # All runs at one distance: the centre is known from the centre runs alone, 1/n₀.
    assert variance(x, np.zeros(k))[0] == pytest.approx(1 / centres)
    indicators = np.array([label == b for b in np.unique(label)], dtype=float).T
    columns = second_order(x)[:, 1:]
    assert np.abs((indicators - indicators.mean(axis=0)).T @ columns).max() < 1e-9


def test_box_behnken_of_three_factors_run_by_run() -> None:
    """The twelve edges of the cube, as printed in every book that shows a Box–Behnken design."""
    x = coded(build(3, [-1, 0, 1], kind="box_behnken", centre_points=3))
    edges = {(a, b, 0) for a in (-1, 1) for b in (-1, 1)}
    edges |= {(a, 0, b) for a in (-1, 1) for b in (-1, 1)} | {(0, a, b) for a in (-1, 1) for b in (-1, 1)}
    assert Counter(map(tuple, x.astype(int).tolist())) == Counter({(0, 0, 0): 3} | dict.fromkeys(edges, 1))


# Box and Hunter (1957), sec. 9: numbers of centre runs at which a rotatable design predicts about as well at distance 1,
# in units in which Σx_i² = N, as at the centre ("uniform precision"); with one run fewer it is worse at the centre.
@pytest.mark.parametrize(("k", "factorial", "centres"), [(2, 4, 5), (3, 8, 6), (4, 16, 7), (5, 16, 6), (6, 32, 9)])
def test_uniform_precision(k: int, factorial: int, centres: int) -> None:
    def ratio(n: int) -> float:
        x = coded(composite(k, factorial**0.25, centre_points=n))
        unit = np.sqrt((x[:, 0] ** 2).mean())
        return float(variance(x, unit * np.eye(k)[0])[0] / variance(x, np.zeros(k))[0])

    assert abs(ratio(centres) - 1) < 0.12
    assert ratio(centres - 2) < ratio(centres) < ratio(centres + 2)


def test_variance_at_the_centre_of_the_two_factor_design() -> None:
    """Myers, Montgomery and Anderson-Cook, ch. 8: two factors, α = √2, five centre runs: N·Var ŷ(0)/σ² = 13/5."""
    made = composite(2, 2**0.5)
    assert len(made.runs) * variance(coded(made), np.zeros(2))[0] == pytest.approx(13 / 5)
    assert "variance of a prediction at the centre: 0.2 of a run's" in made.notes
