"""Reliability against Shrout and Fleiss's published example, exact identities, and simulation with known variances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.reliability import (
    chance_corrected,
    icc,
    internal_consistency,
    retest,
    smallest_detectable_change,
    standard_error_of_measurement,
)

# Shrout and Fleiss (1979), Psychological Bulletin 86:420–428, Table 2 (p. 423): six targets, four judges.
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def test_shrout_and_fleiss() -> None:
    """Tables 3 and 4: BMS 11.24, JMS 32.49, EMS 1.02; ICC(2,1) = .29, ICC(3,1) = .71."""
    result = icc(JUDGES)
    assert (round(result.ms_runs, 2), round(result.ms_measurements, 2), round(result.ms_error, 2)) == (
        11.24,
        32.49,
        1.02,
    )
    assert result.agreement == pytest.approx(0.29, abs=0.005)
    assert result.consistency == pytest.approx(0.71, abs=0.006)


def test_intervals_of_the_same_example() -> None:
    """As printed by R's psych::ICC for these data: ICC2 .019 to .761, ICC3 .342 to .946 (recalled, not re-run)."""
    result = icc(JUDGES)
    assert result.agreement_interval == pytest.approx((0.019, 0.761), abs=1e-3)
    assert result.consistency_interval == pytest.approx((0.342, 0.946), abs=1e-3)


def test_alpha_is_the_average_measure_consistency() -> None:
    """Same tables: ICC(3,4) = .91; and α by its textbook formula k/(k − 1)·(1 − Σ var_item/var_total)."""
    result = internal_consistency(JUDGES)
    assert result.alpha == pytest.approx(0.91, abs=0.005)
    textbook = 4 / 3 * (1 - JUDGES.var(axis=0, ddof=1).sum() / JUDGES.sum(axis=1).var(ddof=1))
    assert result.alpha == pytest.approx(textbook, abs=1e-12)
    sd = JUDGES.mean(axis=1).std(ddof=1)
    assert result.sem == pytest.approx(standard_error_of_measurement(sd, textbook), abs=1e-12)


def test_kr20_for_right_and_wrong() -> None:
    """Kuder and Richardson (1937), formula 20, with population variances."""
    rng = np.random.default_rng(2)
    scores = (rng.random((40, 25)) < rng.random((40, 1))).astype(float)
    p = scores.mean(axis=0)
    kr20 = 25 / 24 * (1 - np.sum(p * (1 - p)) / scores.sum(axis=1).var())
    assert internal_consistency(scores).alpha == pytest.approx(kr20, abs=1e-12)


def test_smallest_detectable_change_and_sem() -> None:
    assert smallest_detectable_change(0.02) == pytest.approx(1.96 * np.sqrt(2) * 0.02, rel=1e-4)
    assert standard_error_of_measurement(15, 0.91) == pytest.approx(4.5)


@pytest.fixture(scope="module")
def twice() -> dict[str, Any]:
    """2,000 runs with true scores of sd .10 measured twice with error sd .05 and a shift of .03 between draws."""
    rng = np.random.default_rng(8)
    truth = rng.normal(0.5, 0.10, 2000)
    return {
        "truth": truth,
        "first": truth + rng.normal(0, 0.05, 2000),
        "second": truth + rng.normal(0, 0.05, 2000) + 0.03,
    }


def test_retest_recovers_the_variances(twice: dict[str, Any]) -> None:
    """Correlation and ICC(3,1) are .01/.0125 = .8; a shift counts in the agreement only."""
    result = retest(twice["first"], twice["second"])
    assert result.correlation == pytest.approx(0.8, abs=0.03)
    assert result.icc.consistency == pytest.approx(0.8, abs=0.03)
    assert result.icc.sem_consistency == pytest.approx(0.05, abs=0.003)
    assert result.sem == pytest.approx(np.sqrt(0.05**2 + 0.03**2 / 2), abs=0.003)
    assert result.smallest_detectable_change == pytest.approx(1.96 * np.sqrt(2) * result.sem, rel=1e-3)
    assert result.interval is not None
    assert result.interval[0] < 0.8 < result.interval[1]


def test_sem_does_not_depend_on_the_range_of_runs_but_icc_does(twice: dict[str, Any]) -> None:
    """Why the gate is the SEM: the middle fifth of the same runs looks unreliable and is measured as well."""
    narrow = np.abs(twice["truth"] - 0.5) < 0.02
    wide, cut = retest(twice["first"], twice["second"]), retest(twice["first"][narrow], twice["second"][narrow])
    assert wide.icc.agreement is not None
    assert cut.icc.agreement is not None
    assert cut.icc.agreement < 0.3 < 0.7 < wide.icc.agreement
    assert cut.sem == pytest.approx(wide.sem, rel=0.1)


def test_fishers_interval_by_hand() -> None:
    """r = .5 exactly over 28 runs: tanh(.5493 ± 1.96/5) = .156 to .736."""
    x, e = np.linalg.qr(np.column_stack([np.ones(28), np.arange(28.0), np.arange(28.0) ** 2]))[0][:, 1:].T
    result = retest(x, 0.5 * x + np.sqrt(0.75) * e)
    assert result.correlation == pytest.approx(0.5, abs=1e-12)
    assert result.interval == pytest.approx((0.15604, 0.73590), abs=1e-4)


def test_coverage_of_the_agreement_interval() -> None:
    """Two-way random effects with ICC(2,1) = .5: the nominal 95 % holds within simulation error."""
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(300):
        y = rng.normal(size=(20, 1)) + rng.normal(0, 0.5, (1, 4)) + rng.normal(0, np.sqrt(0.75), (20, 4))
        interval = icc(y).agreement_interval
        assert interval is not None
        hits += interval[0] <= 0.5 <= interval[1]
    assert 0.91 <= hits / 300 <= 0.985


def test_chance_correction() -> None:
    assert chance_corrected([0.25, 1.0, 0.625, 0.0], 0.25) == pytest.approx([0.0, 1.0, 0.5, -1 / 3])


def test_what_cannot_be_estimated_is_none_not_zero() -> None:
    same = icc(np.ones((5, 3)))
    assert (same.agreement, same.consistency, same.sem_agreement) == (None, None, 0.0)
    constant = retest(np.full(6, 0.4), np.arange(6.0))
    assert (constant.correlation, constant.interval) == (None, None)
    assert internal_consistency(np.tile([0.0, 1.0], (4, 3))).alpha is None
    assert retest([0.1, 0.2, 0.3], [0.1, 0.25, 0.3]).interval is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: icc([[1.0, 2.0]]), "at least two runs"),
        (lambda: icc([[1.0, np.nan], [1.0, 2.0]]), "complete"),
        (lambda: retest([1.0, 2.0], [1.0]), "same runs twice"),
        (lambda: internal_consistency([[1.0], [0.0]]), "two items"),
        (lambda: chance_corrected(0.9, 1.0), "shortcut"),
    ],
)
def test_bad_input_says_the_way_out(call: Any, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        call()


@given(
    st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3), min_size=3, max_size=12),
    st.integers(-50, 50),
    st.integers(1, 9),
)
def test_shifting_and_scaling_leave_the_coefficients(rows: list[list[int]], shift: int, scale: int) -> None:
    one, moved = icc(np.array(rows)), icc(scale * np.array(rows) + shift)
    assert one.agreement == (None if moved.agreement is None else pytest.approx(moved.agreement, abs=1e-6))
    assert moved.sem_agreement == pytest.approx(scale * one.sem_agreement, abs=1e-6)
    if one.agreement_interval is not None and one.agreement is not None and one.agreement > 0:
        low, high = one.agreement_interval
        assert low - 1e-9 <= one.agreement <= high + 1e-9
    if one.consistency is not None:
        assert -0.5 - 1e-9 <= one.consistency <= 1 + 1e-9
        assert one.sem_agreement >= one.sem_consistency
