"""Spread that grows with the mean is named, and clean data are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maineffect.analyse.fit.least_squares import least_squares
from maineffect.analyse.fit.spread import better_scale, spread_warning
from maineffect.spec.responses import Response, Scale

STUDIES = 400


@pytest.fixture(scope="module")
def matrix() -> Any:
    """2^3 in two replicates, with two-factor interactions."""
    x = np.vstack([np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T] * 2)
    pairs = np.column_stack([x[:, 0] * x[:, 1], x[:, 0] * x[:, 2], x[:, 1] * x[:, 2]])
    return np.column_stack([np.ones(16), x, pairs])


def _warned(matrix: Any, y: Any, **response: Any) -> float:
    fit = least_squares(matrix, y)
    spec = Response.model_validate(response)
    return float(np.mean([spread_warning("y", y[:, j], fit, j, spec) is not None for j in range(y.shape[1])]))


@pytest.mark.parametrize(("mean", "effect"), [(10.0, 0.0), (10.0, 4.0), (0.0, 1.0)])
def test_clean_studies_raise_no_alarm(matrix: Any, mean: float, effect: float) -> None:
    rng = np.random.default_rng(1)
    assert _warned(matrix, mean + effect * matrix[:, [1]] + rng.normal(0, 1, (16, STUDIES))) <= 0.02


def test_shares_in_the_middle_raise_none(matrix: Any) -> None:
    rng = np.random.default_rng(2)
    shares = rng.binomial(40, 0.6 + 0.1 * matrix[:, [1]], (16, STUDIES)) / 40
    assert _warned(matrix, shares, limits=[0, 1]) <= 0.02


def test_multiplicative_errors_are_named(matrix: Any) -> None:
    rng = np.random.default_rng(3)
    y = np.exp(1 + 2 * matrix[:, [1]] + rng.normal(0, 0.4, (16, STUDIES)))
    assert _warned(matrix, y) >= 0.95
    assert _warned(matrix, y, scale="log") == 0


def test_the_likelihood_is_that_of_box_and_cox(matrix: Any) -> None:
    """A log-normal response is better on the log scale, a normal one is not; SciPy's λ agrees."""
    rng = np.random.default_rng(4)
    y = np.exp(3 + rng.normal(0, 1.0, (16, 1)))
    assert better_scale(y[:, 0], least_squares(matrix[:, :1], y), Response()) is Scale.LOG
    normal = 100 + rng.normal(0, 1.0, (16, 1))
    assert better_scale(normal[:, 0], least_squares(matrix[:, :1], normal), Response()) is None
