"""Intervals of the aggregates against SciPy and by simulation at few runs a level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.stats import mstats

from maineffect.analyse.exploratory.aggregate import _better, _moved, _trimmed_error, _wins


def test_the_trimmed_means_error_is_scipys() -> None:
    scores = np.random.default_rng(0).standard_t(3, 601)
    theirs = float(mstats.trimmed_stde(scores, limits=(0.25, 0.25)))
    assert _trimmed_error(scores)[0] == pytest.approx(theirs, rel=2e-3)


def test_the_difference_of_interquartile_means_is_yuens_test() -> None:
    rng = np.random.default_rng(2)
    first, last = rng.normal(size=12), 0.5 + rng.exponential(size=9)
    test = stats.ttest_ind(last, first, equal_var=False, trim=0.25)
    low, high = _moved(first, last, 0.05)
    assert (low + high) / 2 / test.statistic * stats.t.isf(0.025, test.df) == pytest.approx((high - low) / 2)


def test_a_sure_win_still_has_a_width() -> None:
    low, high = _better(1.0, 3, 3, 0.05)
    assert high == 1.0
    assert 0.3 < low < 0.7


@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_intervals_cover_with_few_runs(runs: int, shift: float) -> None:
    """P(Y > X) of two normals a shift apart is Phi(shift/sqrt 2)."""
    rng = np.random.default_rng(runs)
    truth, studies = float(stats.norm.cdf(shift / np.sqrt(2))), 500
    held = np.zeros(2)
    for _ in range(studies):
        first, last = rng.normal(size=runs), shift + rng.normal(size=runs)
        better = _better(float(_wins(last, first).mean()), runs, runs, 0.05)
        moved = _moved(first, last, 0.05)
        held += [better[0] <= truth <= better[1], moved[0] <= shift <= moved[1]]
    assert np.all(held / studies >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / studies))
