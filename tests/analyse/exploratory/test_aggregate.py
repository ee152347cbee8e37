"""Normal limits of the aggregates against SciPy, all pairs, and the bootstrap that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mstats

from maineffect.analyse.exploratory.aggregate import (
    _bootstrapped,
    _limits,
    _trimmed_error,
)


def test_the_trimmed_means_error_is_scipys() -> None:
    scores = np.random.default_rng(0).standard_t(3, 601)
    theirs = float(mstats.trimmed_stde(scores, limits=(0.25, 0.25)))
    assert _trimmed_error(scores) == pytest.approx(theirs, rel=2e-3)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_limits_are_where_the_bootstrap_goes(shift: float) -> None:
    rng = np.random.default_rng(2)
    first, last = rng.normal(size=800), shift + rng.exponential(size=700)
    near, far = _limits(first, last, 0.05), _bootstrapped(first, last, 0.05, np.random.default_rng(3))
    for one, other in zip(near, far, strict=True):
        width = other[1] - other[0]
        assert one[1] - one[0] == pytest.approx(width, rel=0.12), "999 draws place an end within some 4 % of the width"
        assert np.mean(one) == pytest.approx(np.mean(other), abs=0.06 * width)


def test_a_sure_win_has_no_width() -> None:
    better, _ = _limits(np.arange(600.0), 1000 + np.arange(600.0), 0.05)
    assert better == (1.0, 1.0)
