"""A budget is never overrun by runs that take no longer than the longest so far."""

from __future__ import annotations

import pytest

from maineffect.contracts import AttemptEnd, FailureClass, RunState, RunStatus
from maineffect.execute.cluster.needs import Cost, Needs
from maineffect.execute.drive.budget import Spending, affordable, allowed_seconds, in_time


def test_the_tightest_budget_counts() -> None:
    assert allowed_seconds(Needs()) is None
    assert allowed_seconds(Needs(most_cpu_hours=2)) == 7200
    assert allowed_seconds(Needs(gpus=2, most_gpu_hours=1)) == 1800
    assert allowed_seconds(Needs(gpus=2, gpu_hour_price=3, most_price=3)) == 1800
    assert allowed_seconds(Needs(gpus=0.5, most_gpu_hours=1, most_cpu_hours=1)) == 3600
    assert allowed_seconds(Needs(gpus=1, bundles=({"GPU": 1.0},), most_gpu_hours=1)) == 1800, "the engine's GPU as well"
    assert allowed_seconds(Needs(cpus=4, cpu_hour_price=0.5, most_price=1)) == 1800
    assert allowed_seconds(Needs(gpus=0, most_gpu_hours=1)) is None, "no GPU, no GPU-hours"


def test_failed_attempts_cost_as_much_as_others() -> None:
    ends = (AttemptEnd(1, FailureClass.USER_ERROR, "x", 30.0), AttemptEnd(2, FailureClass.LOST, "x", 5.0))
    done = RunStatus("r0", RunState.FINISHED, 3, ends, 3, seconds=60.0)
    assert Spending.of([done, RunStatus("r1")]) == Spending(95.0, (60.0,))
    taken_over = RunStatus("r2", RunState.FINISHED, 1, (), 1, seconds=50.0, reused_from="s-1/r2")
    assert Spending.of([done, taken_over]) == Spending(95.0, (60.0, 50.0)), "known to take 50 s, paid for before"


@pytest.mark.parametrize(
    ("allowed", "spent", "finished", "running", "count"),
    [
        (100.0, 0.0, (), (), 1),  # nobody knows what a run costs: one pilot
        (100.0, 0.0, (), (5.0,), 0),  # and no second one before the first has finished
        (5000.0, 0.0, (), (), 2),  # unless two fit even if both reach their time limit
        (100.0, 10.0, (10.0,), (), 9),
        (100.0, 10.0, (10.0,), (3.0, 4.0), 7),
        (100.0, 60.0, (40.0,), (), 1),
        (100.0, 61.0, (40.0,), (), 0),
        (100.0, 60.0, (40.0,), (1.0,), 0),
        (100.0, 10.0, (10.0,), (85.0,), 0),  # one runs longer than any before
        (100.0, 100.0, (), (), 0),
        (100.0, 140.0, (70.0,), (), 0),
    ],
)
def test_how_many_may_start(allowed, spent, finished, running, count) -> None:
    assert affordable(allowed, Spending(spent, finished), running, timeout=2000.0) == count


def test_cost_counts_what_is_reserved_bundles_too() -> None:
    needs = Needs(cpus=2, gpus=0.5, bundles=({"CPU": 1.0, "GPU": 1.0},), gpu_hour_price=4.0, cpu_hour_price=0.1)
    assert needs.cost(1800.0) == Cost(0.75, 1.5, 0.75 * 4.0 + 1.5 * 0.1)


@pytest.mark.parametrize(
    ("most", "elapsed", "finished", "fits"),
    [
        (None, 1e9, (10.0,), True),
        (100.0, 0.0, (), True),
        (100.0, 100.0, (), False),
        (100.0, 80.0, (10.0, 15.0), True),
        (100.0, 90.0, (10.0, 15.0), False),
    ],
)
def test_nothing_starts_that_would_end_after_the_submissions_time(most, elapsed, finished, fits) -> None:
    assert in_time(most, elapsed, Spending(0.0, finished)) == fits
