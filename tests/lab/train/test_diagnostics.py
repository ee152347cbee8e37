"""A collapse is told from a bad step, and named."""

from __future__ import annotations

import pytest

from maineffect.contracts import RunDiverged
from maineffect.lab.train.diagnostics import CollapseDetector

HEALTHY = {
    "reward": 0.5,
    "loss": 0.1,
    "grad_norm": 1.0,
    "entropy": 0.3,
    "kl": 0.01,
    "positive_logp": -0.4,
    "abstained": 0.1,
    "unanswerable": 0.1,
    "invalid": 0.0,
    "zero_std_groups": 0.2,
    "taught": 0.8,
}
NAN = float("nan")
UNTAUGHT = {
    **HEALTHY,
    "taught": 0.0,
    "zero_std_groups": 1.0,
    **dict.fromkeys(("loss", "grad_norm", "entropy", "kl", "positive_logp"), NAN),
}


@pytest.mark.parametrize("name", ["reward", "loss", "grad_norm", "entropy", "kl", "positive_logp"])
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_numbers_that_are_not_finite_end_a_run_at_once(name: str, value: float) -> None:
    if name == "positive_logp" and value != value:
        CollapseDetector(8).check(3, {**HEALTHY, name: value})  # every good rollout was truncated
        return
    with pytest.raises(RunDiverged, match=name):
        CollapseDetector(8).check(3, {**HEALTHY, name: value})


def test_a_run_is_compared_with_its_first_step_that_taught() -> None:
    """A first step without any lesson is no baseline: 0 would make every later log-probability look displaced."""
    detector = CollapseDetector(1)
    detector.check(0, {**UNTAUGHT, "reward": 0.9})
    detector.check(1, {**HEALTHY, "reward": 0.5, "positive_logp": -2.5})
    detector.check(2, {**HEALTHY, "reward": 0.4, "positive_logp": -3.0})
    detector.check(3, UNTAUGHT)
    with pytest.raises(RunDiverged, match="displaced"):
        detector.check(4, {**HEALTHY, "reward": 0.4, "positive_logp": -4.6})
    with pytest.raises(RunDiverged, match="abstains"):
        CollapseDetector(1).check(0, {**UNTAUGHT, "abstained": 1.0})


def test_collapse_needs_patience_and_forgets_a_bad_step() -> None:
    detector = CollapseDetector(3)
    silent = {**HEALTHY, "abstained": 1.0}
    for step, metrics in enumerate([silent, silent, HEALTHY, silent, silent]):
        detector.check(step, metrics)
    with pytest.raises(RunDiverged, match="abstains"):
        detector.check(5, silent)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"abstained": 0.99}, "abstains"),
        ({"abstained": 0.99, "reward": 0.9}, "abstains"),  # escaping a cost raises reward: a collapse all the same
        ({"invalid": 1.5}, "invalid"),
        ({"entropy": 1e-6, "reward": 0.1}, "frozen"),
        ({"positive_logp": -3.0, "reward": 0.1}, "displaced"),
    ],
)
def test_each_way_of_collapsing_is_named(change: dict[str, float], word: str) -> None:
    detector = CollapseDetector(2)
    detector.check(0, HEALTHY)
    detector.check(1, {**HEALTHY, **change})
    with pytest.raises(RunDiverged, match=word):
        detector.check(2, {**HEALTHY, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"abstained": 1.0, "unanswerable": 1.0},  # nothing can be answered: abstaining is right
        {"entropy": 1e-6, "reward": 0.9},  # a policy that became sure and good
        {"positive_logp": -3.0, "reward": 0.6},
    ],
)
def test_what_looks_like_collapse_but_is_not(change: dict[str, float]) -> None:
    detector = CollapseDetector(1)
    detector.check(0, HEALTHY)
    detector.check(1, {**HEALTHY, **change})


def test_a_resumed_detector_goes_on_counting() -> None:
    first, second = CollapseDetector(3), CollapseDetector(3)
    silent = {**HEALTHY, "abstained": 1.0}
    first.check(0, HEALTHY)
    first.check(1, silent)
    second.restore(first.state())
    second.check(2, silent)
    with pytest.raises(RunDiverged, match="for 3 steps"):
        second.check(3, silent)
