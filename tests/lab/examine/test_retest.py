"""Repeated measurements: the formula against published numbers and a known truth, and real policies."""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.metrics import BATTERY_RESPONSES, REGIME_RESPONSES, RESPONSES
from maineffect.lab.evaluate.reliability import icc, reliability, standard_error_of_measurement
from maineffect.lab.examine.retest import Remeasured, remeasure, repeatability
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.loop import train
from maineffect.lab.train.warmstart import warm_start
from maineffect.seeds import derive_seed, generator

# Shrout and Fleiss (1979), Psychological Bulletin 86:420-428, table 2: six targets, four judges.
RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def test_reliability_is_the_published_one_way_coefficient() -> None:
    """Their table 3 has BMS 11.24 and WMS 6.26, their table 4 ICC(1,1) = .17."""
    within = float(np.var(RATINGS, axis=1, ddof=1).mean())
    between = RATINGS.shape[1] * float(np.var(RATINGS.mean(axis=1), ddof=1))
    assert (round(between, 2), round(within, 2)) == (11.24, 6.26)
    single = (between + (RATINGS.shape[1] - 1) * within) / RATINGS.shape[1]  # variance of single measurements
    assert round(reliability(single, within), 2) == 0.17
    # SEM = SD·√(1 − ρ) is the error's own standard deviation (Lord and Novick, 1968, eq. 3.4.4).
    assert standard_error_of_measurement(np.sqrt(single), reliability(single, within)) == pytest.approx(np.sqrt(within))
    assert icc(RATINGS).ms_runs == pytest.approx(between)


def test_reliability_of_runs_that_do_not_differ_is_refused() -> None:
    with pytest.raises(AnalysisError, match="runs that differ"):
        reliability(0.0, 0.1)
    assert reliability(0.1, 0.2) == pytest.approx(-1.0), "more error than difference"


def test_a_known_truth_is_recovered() -> None:
    """True scores with variance .04, errors with .01: reliability .8, SEM .1."""
    draw = generator(3, "truth")
    truth_R = draw.normal(0, 0.2, 4000)

    def measured(of: float) -> dict[str, float]:
        return {name: of + draw.normal(0, 0.1) for name in RESPONSES}

    policies = [
        Remeasured(measured(of), [measured(of)] * 2, [measured(of)] * 2, [measured(of) for _ in range(5)])
        for of in truth_R[:300]
    ]
    over_runs = {"triad": [of + draw.normal(0, 0.1) for of in truth_R]}
    rows = {row.response: row for row in repeatability(policies, over_runs)}
    assert rows["triad"].sem == pytest.approx(0.1, rel=0.05)
    assert rows["triad"].reliability == pytest.approx(0.8, abs=0.03)
    assert rows["triad"].detectable == pytest.approx(1.96 * np.sqrt(2) * 0.1, rel=0.05)
    assert rows["brier"].reliability is None, "nothing is known about the runs"


SMALL = {"width": 32, "steps": 20, "items": 6, "pairs": 3, "episodes": 16}
LARGE = {"width": 48, "steps": 40, "items": 12, "pairs": 4, "episodes": 32}


@pytest.fixture(scope="module", params=[SMALL, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["small", "large"])
def measured(request, tmp_path_factory) -> tuple[Remeasured, Remeasured]:
    """A cloned and trained policy, measured again by two calls."""
    size, folder = request.param, tmp_path_factory.mktemp("retest")
    settings = LabSettings.model_validate(
        {
            "policy": {"width": size["width"]},
            "warmstart": {"steps": size["steps"], "batch": 32, "slices": 4},
            "train": {"steps": 2, "prompts": 6},
            "evaluation": {"items": size["items"], "pairs": size["pairs"], "regime_episodes": size["episodes"]},
        }
    )

    class Context:
        run_dir = cache_dir = folder

        def seed(self, purpose: str) -> int:
            return derive_seed(5, purpose)

        def latest_checkpoint(self) -> None:
            return None

        def log(self, step: int, metrics: dict[str, float]) -> None: ...

        def progress(self, done: int, total: int) -> None: ...

        def check_cancelled(self) -> None: ...

    after = train(warm_start(settings, 1, folder), settings, Context())
    before, told = warm_start(settings, 1, folder), []
    both = [
        remeasure(
            before, after, settings, held_out=7, evaluation_seed=11, repeats=2, tell=lambda *now: told.append(now)
        )
        for _ in range(2)
    ]
    assert told[:7] == [(done, 7) for done in range(1, 8)]
    return both[0], both[1]


def test_measuring_again_is_itself_repeatable(measured) -> None:
    assert repr(measured[0]) == repr(measured[1])


def test_every_response_is_measured_in_every_way(measured) -> None:
    seen = measured[0]
    assert set(seen.first) == set(RESPONSES)
    assert all(set(scores) == set(RESPONSES) for scores in (*seen.resampled, *seen.redrawn))
    assert all(set(scores) == set(BATTERY_RESPONSES) for scores in seen.tempered)


def test_greedy_decoding_repeats_exactly_and_sampling_does_not(measured) -> None:
    rows = {row.response: row for row in repeatability([measured[0]], {})}
    assert all(rows[name].resampled_sd == 0 for name in BATTERY_RESPONSES)
    assert rows["reward_trained"].resampled_sd > 0, "the regime's episodes are sampled"
    assert rows["reward_gain"].resampled_sd > 0
    assert max(rows[name].tempered_sd for name in BATTERY_RESPONSES) > 0, "temperature 1 plays differently each time"
    assert max(rows[name].sem for name in BATTERY_RESPONSES) > 0, "other items, other scores"
    assert all(rows[name].tempered is None for name in REGIME_RESPONSES)


def test_one_repetition_is_refused() -> None:
    with pytest.raises(AnalysisError, match="at least two"):
        remeasure(None, None, LabSettings(), held_out=1, evaluation_seed=1, repeats=1, tell=lambda *_: None)
