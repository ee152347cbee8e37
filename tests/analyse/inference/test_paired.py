"""Pairs: SciPy's paired t."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from maineffect.analyse.inference.paired import paired


def test_it_is_the_paired_t() -> None:
    draw = np.random.default_rng(1)
    first, second = draw.normal(1, 1, 6), draw.normal(0, 1, 6)
    found, theirs = paired(first.tolist(), second.tolist(), 0.05), stats.ttest_rel(first, second)
    limits = theirs.confidence_interval(0.95)
    assert (found.low, found.high, found.p_value) == pytest.approx((limits.low, limits.high, theirs.pvalue))
    assert (found.first, found.second) == pytest.approx((first.mean(), second.mean()))


def test_what_cannot_be_said_is_left_out() -> None:
    assert paired([], [], 0.05).difference is None
    one = paired([2.0], [1.0], 0.05)
    assert (one.difference, one.low) == (1.0, None)
