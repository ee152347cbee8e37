"""Calibration against a worked example (two implementations), its invariants, and the convention for silence."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.calibration import (
    abstention,
    accuracy_at_coverage,
    brier,
    calibration_bins,
    calibration_error,
    calibration_responses,
    corrected_calibration_error,
    matched_coverage,
    risk_coverage,
    squared_calibration_error,
    statements,
)

# Reference case CAL-1: ten items, every value computed by two independent implementations; Brier agrees with
# sklearn.metrics.brier_score_loss; estimators of Murphy (1973), Kumar et al. (2019) and Traub et al. (2024).
CONFIDENCE = np.array([0.95, 0.9, 0.9, 0.8, 0.7, 0.7, 0.6, 0.4, 0.3, 0.2])
CORRECT = np.array([1, 1, 0, 1, 1, 0, 1, 0, 0, 0], dtype=float)
ANSWERED = np.ones(10, dtype=bool)


def test_brier_and_murphy_reference() -> None:
    score = brier(CONFIDENCE, CORRECT)
    assert score.score == pytest.approx(0.18925, abs=1e-9)
    assert score.reliability == pytest.approx(0.08925, abs=1e-9)
    assert score.resolution == pytest.approx(0.15, abs=1e-9)
    assert score.uncertainty == pytest.approx(0.25, abs=1e-9)
    assert score.within == pytest.approx(0, abs=1e-12)


def test_calibration_errors_reference() -> None:
    assert calibration_error(CONFIDENCE, CORRECT, 5, "width") == pytest.approx(0.225, abs=1e-9)
    plain = squared_calibration_error(CONFIDENCE, CORRECT, 5, "width", debias=False)
    assert plain == pytest.approx(0.064583, abs=1e-6)
    assert squared_calibration_error(CONFIDENCE, CORRECT, 5, "width") == pytest.approx(-0.022083, abs=1e-6)


def test_risk_coverage_reference_in_its_order_of_ties() -> None:
    """The reference breaks ties by position; a hair of confidence makes that order strict."""
    strict = CONFIDENCE - 1e-9 * np.arange(10)
    curve = risk_coverage(statements(strict, CORRECT, ANSWERED))
    expected = [0.0, 0.0, 0.3333, 0.25, 0.2, 0.3333, 0.2857, 0.375, 0.4444, 0.5]
    assert curve.risk_N == pytest.approx(expected, abs=1e-4)
    assert curve.aurc == pytest.approx(0.272183, abs=1e-6)
    assert curve.augrc == pytest.approx(0.19, abs=1e-9)


def test_ties_are_averaged_over_their_orders() -> None:
    """Both tied pairs in both orders, enumerated; the reference's note asks for exactly this in production."""
    curves = []
    for first, second in itertools.product([(1, 2), (2, 1)], [(4, 5), (5, 4)]):
        order = [0, *first, 3, *second, 6, 7, 8, 9]
        strict = CONFIDENCE - 1e-9 * np.argsort(order)
        curves.append(risk_coverage(statements(strict, CORRECT, ANSWERED)))
    tied = risk_coverage(statements(CONFIDENCE, CORRECT, ANSWERED))
    assert tied.aurc == pytest.approx(np.mean([curve.aurc for curve in curves]), abs=1e-9)
    assert tied.augrc == pytest.approx(np.mean([curve.augrc for curve in curves]), abs=1e-9)


def test_declining_comes_after_the_least_confident_answer() -> None:
    """A right answer stated at 0 still comes before a declined item: errors 0, 1; AURC (0 + 1/2)/2."""
    curve = risk_coverage(statements([0.0, 0.0], [False, True], [False, True]))
    assert curve.risk_N.tolist() == [0.0, 0.5]
    assert curve.aurc == 0.25


def test_every_bin_is_visited() -> None:
    """Reference case CAL-2: a published script drops its most confident bin, here 130 wrong answers stated at .95.

    texttron/BrowseComp-Plus, scripts_evaluation/evaluate_run.py@97c637c, lines 153–183: .0412 as shipped, .3782 with
    all bins (root mean square error in bins of 100).
    """
    rng = np.random.default_rng(7)
    sure = rng.uniform(0.3, 0.7, 700)
    forecast = np.concatenate([sure, np.full(130, 0.95)])
    outcome = np.concatenate([rng.uniform(size=700) < sure, np.zeros(130)]).astype(float)
    whole = squared_calibration_error(forecast, outcome, 8, debias=False)
    assert np.sqrt(whole) == pytest.approx(0.3782, abs=0.01)
    lonely = squared_calibration_error(sure, outcome[:700], 8, debias=False)
    assert np.sqrt(lonely) < 0.08


@pytest.fixture(scope="module")
def calibrated() -> dict[str, Any]:
    """2,000 perfectly calibrated agents with 200 items each, as in the reference's simulation."""
    rng = np.random.default_rng(11)
    forecasts = rng.uniform(size=(2000, 200))
    outcomes = (rng.uniform(size=forecasts.shape) < forecasts).astype(float)
    pairs = list(zip(forecasts, outcomes, strict=True))
    return {
        "plain": np.array([calibration_error(f, o, 15) for f, o in pairs]),
        "plugin": np.array([squared_calibration_error(f, o, 15, debias=False) for f, o in pairs]),
        "debiased": np.array([squared_calibration_error(f, o, 15) for f, o in pairs]),
        "corrected": np.array([corrected_calibration_error(f, o, 15, draws=100).corrected for f, o in pairs[:300]]),
    }


def test_a_calibrated_agent_scores_zero_in_expectation(calibrated: dict[str, Any]) -> None:
    """Reference CAL-1, simulation: ECE .0861, ECE² .01252, debiased 3e-5 (equal-width bins there; equal-mass here)."""
    assert calibrated["plain"].mean() == pytest.approx(0.0861, abs=0.004)
    assert calibrated["plugin"].mean() == pytest.approx(0.01252, abs=0.001)
    std_error = calibrated["debiased"].std() / np.sqrt(2000)
    assert abs(calibrated["debiased"].mean()) < 4 * std_error + 1e-4
    assert std_error < 2e-4


def test_the_bootstrap_removes_what_its_docstring_says(calibrated: dict[str, Any]) -> None:
    """A bootstrap gap has twice the variance, so √2 times the mean size: 2 − √2 of the bias remain at 0."""
    assert calibrated["corrected"].mean() == pytest.approx((2 - np.sqrt(2)) * calibrated["plain"].mean(), rel=0.06)


def test_the_error_of_a_calibrated_agent_is_known_beforehand(calibrated: dict[str, Any]) -> None:
    rng = np.random.default_rng(17)
    forecast = rng.uniform(size=200)
    results = [
        corrected_calibration_error(forecast, (rng.uniform(size=200) < forecast).astype(float), 15) for _ in range(200)
    ]
    assert np.mean([r.if_calibrated for r in results]) == pytest.approx(calibrated["plain"].mean(), abs=0.004)
    assert np.mean([r.p_value <= 0.1 for r in results]) == pytest.approx(0.1, abs=0.07)
    far = corrected_calibration_error(forecast, np.zeros(200), 15)
    assert far.p_value < 0.01
    assert far.corrected == pytest.approx(forecast.mean(), abs=0.01)


def test_the_debiased_square_finds_a_real_gap() -> None:
    rng = np.random.default_rng(3)
    forecast = rng.uniform(0.2, 1, 20_000)
    outcome = (rng.uniform(size=20_000) < forecast - 0.2).astype(float)
    assert squared_calibration_error(forecast, outcome, 15) == pytest.approx(0.04, abs=0.004)


def test_a_run_that_declines_everything_has_every_score() -> None:
    """60 answerable questions of 80: Brier and risk .75, abstention recall 1 and precision a quarter."""
    answerable = np.arange(80) < 60
    silent = np.zeros(80, dtype=bool)
    said = statements(np.full(80, np.nan), silent, silent, answerable)
    responses = calibration_responses(said)
    assert all(np.isfinite(value) for value in responses.values())
    assert responses["brier"] == pytest.approx(0.75)
    assert responses["aurc"] == pytest.approx(0.75)
    assert responses["augrc"] == pytest.approx(0.75 * 81 / 160)
    assert accuracy_at_coverage(said, 0.5) == pytest.approx(0.25)
    decision = abstention(silent, answerable)
    assert (decision.precision, decision.recall, decision.abstained) == (0.25, 1.0, 1.0)
    assert decision.f1 == pytest.approx(0.4)


def test_garbage_is_wrong_and_no_abstention() -> None:
    """The same 80 items, but nothing could be read: worse than declining in every score, and no recall."""
    answerable = np.arange(80) < 60
    nothing, all_ = np.zeros(80, dtype=bool), np.ones(80, dtype=bool)
    said = statements(np.full(80, np.nan), nothing, nothing, answerable, all_)
    responses = calibration_responses(said)
    assert responses["brier"] == 1.0
    assert responses["aurc"] == 1.0
    assert responses["augrc"] == pytest.approx(81 / 160)
    assert accuracy_at_coverage(said, 0.5) == 0.0
    decision = abstention(nothing, answerable, all_)
    assert (decision.precision, decision.recall, decision.abstained, decision.unparsed) == (None, 0.0, 0.0, 1.0)


def test_half_garbage_lowers_recall_and_leaves_precision() -> None:
    """Four unanswerable questions: two declined, one garbled, one answered; one answerable question garbled."""
    answered, could = [0, 0, 0, 1, 0, 1], [0, 0, 0, 0, 1, 1]
    decision = abstention(answered, could, [0, 0, 1, 0, 1, 0])
    assert (decision.precision, decision.recall) == (1.0, 0.5)
    assert decision.unparsed == pytest.approx(2 / 6)


def test_declining_beats_bluffing_in_both_areas() -> None:
    """80 right at .9, 20 unanswerable: declined, bluffed at 0, at .3, at .9, garbled; then everything declined."""
    could = np.arange(100) < 80

    def areas(confidence: float, answered: bool, unparsed: bool = False) -> dict[str, float]:
        said = np.where(could, 0.9, confidence)
        lost = ~could & unparsed
        return calibration_responses(statements(said, could, could | answered, could, lost))

    declined, bluffed = areas(0.0, False), [areas(confidence, True) for confidence in (0.0, 0.3, 0.9)]
    garbled = areas(0.0, False, True)
    never = calibration_responses(statements(np.zeros(100), could, ~could & could, could))
    for name in ("aurc", "augrc"):
        order = [declined[name], *(run[name] for run in bluffed), never[name]]
        assert order[0] == 0.0
        assert order[0] < order[1] == order[2] < order[3] < order[4], (name, order)
        assert garbled[name] == pytest.approx(order[1])
    # By hand: the first 80 are right, then k − 80 errors among k.
    assert bluffed[0]["aurc"] == pytest.approx(sum((k - 80) / k for k in range(81, 101)) / 100)
    assert bluffed[0]["augrc"] == pytest.approx(sum(range(1, 21)) / 100**2)
    assert bluffed[1]["brier"] > bluffed[0]["brier"] == declined["brier"]
    assert garbled["brier"] > bluffed[1]["brier"]


def test_silence_never_beats_an_honest_answer() -> None:
    """For every true chance of being right, the honest forecast loses p(1 − p) ≤ .25; silence on it loses 1."""
    for chance in np.linspace(0, 1, 11):
        outcome = (np.arange(1000) < round(1000 * chance)).astype(float)
        honest = brier(np.full(1000, chance), outcome).score
        silence = statements(np.ones(1000), outcome, np.zeros(1000))
        assert honest == pytest.approx(chance * (1 - chance), abs=1e-9)
        assert brier(silence.forecast_N, silence.outcome_N).score == 1.0
    unanswerable = statements([0.7], [False], [False], [False])
    assert brier(unanswerable.forecast_N, unanswerable.outcome_N).score == 0.0


def test_a_confidence_left_out_is_an_assertion() -> None:
    said = statements([np.nan, np.nan], [True, False], [True, True])
    assert said.forecast_N.tolist() == [1.0, 1.0]
    assert brier(said.forecast_N, said.outcome_N).score == 0.5


def test_matched_coverage_takes_the_advantage_from_abstaining_more() -> None:
    """Both runs are equally good; one answers only its surest half. At full coverage it seems better, matched not."""
    rng = np.random.default_rng(5)
    confidence = rng.uniform(size=4000)
    correct = rng.uniform(size=4000) < confidence
    full = statements(confidence, correct, np.ones(4000))
    shy = statements(confidence, correct, confidence > 0.5)
    raw_gap = correct[confidence > 0.5].mean() - correct.mean()
    assert raw_gap > 0.2
    coverage = matched_coverage([full, shy])
    assert coverage == pytest.approx(shy.answered_N.mean())
    assert accuracy_at_coverage(full, coverage) == pytest.approx(accuracy_at_coverage(shy, coverage), abs=1e-9)


def test_accuracy_at_coverage_by_hand() -> None:
    said = statements([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1], np.ones(4))
    assert accuracy_at_coverage(said, 0.5) == 1.0
    assert accuracy_at_coverage(said, 0.75) == pytest.approx(2 / 3)
    assert accuracy_at_coverage(said, 1.0) == pytest.approx(3 / 4)
    assert accuracy_at_coverage(said, 0.625) == pytest.approx(2 / 2.5)


def test_abstention_by_hand() -> None:
    """Two abstentions, one right; three unanswerable questions."""
    decision = abstention([1, 1, 1, 0, 0, 1], [1, 1, 0, 0, 1, 0])
    assert decision.precision == 0.5
    assert decision.recall == pytest.approx(1 / 3)
    assert decision.f1 == pytest.approx(2 / 5)
    never = abstention([1, 1], [1, 0])
    assert (never.precision, never.recall, never.f1) == (None, 0.0, 0.0)


def test_equal_mass_bins_hold_equal_counts_and_never_part_ties() -> None:
    assert np.bincount(calibration_bins(np.linspace(0, 1, 150), 15)).tolist() == [10] * 15
    assert set(calibration_bins([0.5] * 20, 15)) == {0}
    tied = np.random.default_rng(3).integers(0, 12, 150) / 11
    middle = np.floor((stats.rankdata(tied) - 0.5) / 150 * 15)
    assert np.array_equal(calibration_bins(tied, 15), np.unique(middle, return_inverse=True)[1])
    groups = calibration_bins([0.1] * 7 + [0.9] * 3, 5)
    assert len(set(groups[:7])) == 1
    assert len(set(groups)) == 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: statements([90.0], [1], [1]), "divide percentages"),
        (lambda: statements([0.9, 0.8], [1], [1]), "equal length"),
        (lambda: statements([], [], []), "at least one item"),
        (lambda: brier([1.2], [1]), "statements"),
        (lambda: brier([0.5], [0.4]), "statements"),
        (lambda: accuracy_at_coverage(statements([0.5], [1], [1]), 0.0), "above 0"),
        (lambda: calibration_bins([0.5], 0), "at least one bin"),
        (lambda: abstention([1], [1, 0]), "one entry an item"),
    ],
)
def test_bad_input_says_the_way_out(call: Any, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        call()


ITEMS = st.lists(
    st.tuples(st.floats(0, 1), st.booleans(), st.booleans(), st.booleans()),
    min_size=1,
    max_size=60,
)


@given(ITEMS)
def test_bounds_hold_for_every_run(items: list[tuple[float, bool, bool, bool]]) -> None:
    said = statements(*map(list, zip(*items, strict=True)))
    score, curve = brier(said.forecast_N, said.outcome_N, 10), risk_coverage(said)
    assert 0 <= score.score <= 1
    assert score.reliability >= 0
    assert 0 <= score.resolution <= score.uncertainty + 1e-12
    assert score.score == pytest.approx(score.reliability - score.resolution + score.uncertainty + score.within)
    assert 0 <= calibration_error(said.forecast_N, said.outcome_N, 10) <= 1
    assert 0 <= curve.augrc <= 0.5 + 0.5 / len(items) + 1e-12
    assert curve.augrc <= curve.aurc + 1e-12
    assert curve.aurc <= 1
    responses = calibration_responses(said)
    assert all(np.isfinite(value) for value in responses.values())
    squared = squared_calibration_error(said.forecast_N, said.outcome_N, 10)
    assert squared <= squared_calibration_error(said.forecast_N, said.outcome_N, 10, debias=False) + 1e-12


@given(ITEMS, st.randoms(use_true_random=False))
def test_the_order_of_items_does_not_matter(items: list[tuple[float, bool, bool, bool]], random: Any) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    one = calibration_responses(statements(*map(list, zip(*items, strict=True))))
    other = calibration_responses(statements(*map(list, zip(*shuffled, strict=True))))
    assert one == pytest.approx(other, abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_certain_and_right_scores_zero(outcomes: list[bool]) -> None:
    score = brier(np.array(outcomes, dtype=float), outcomes)
    assert (score.score, score.reliability) == (0.0, 0.0)
    assert calibration_error(np.array(outcomes, dtype=float), outcomes) == 0.0
