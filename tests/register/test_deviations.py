"""Every way in which a sweep left its plan becomes a sentence; a sweep that kept it has none."""

from __future__ import annotations

from maineffect.contracts import AttemptEnd, FailureClass, RunState, RunStatus
from maineffect.register.deviations import deviations

PLANNED = ["r1", "r2", "r3"]


def finished(run: str, *failures: FailureClass) -> RunStatus:
    ends = tuple(AttemptEnd(i, failure, "why") for i, failure in enumerate(failures, 1))
    return RunStatus(run, RunState.FINISHED, len(ends) + 1, ends, len(ends) + 1)


KEPT = {run: finished(run) for run in PLANNED}


def test_a_plan_that_was_kept_has_no_deviation() -> None:
    assert deviations(PLANNED, KEPT, []) == []


def test_a_transient_failure_is_no_deviation() -> None:
    assert deviations(PLANNED, {**KEPT, "r2": finished("r2", FailureClass.LOST, FailureClass.OOM_HOST)}, []) == []


def test_missing_and_failed_runs() -> None:
    states = {"r1": finished("r1"), "r2": RunStatus("r2", RunState.FAILED)}
    (sentence,) = deviations(PLANNED, states, [])
    assert sentence == "2 of 3 planned runs have no result: r2, r3"


def test_a_diverged_run_that_was_tried_until_it_worked() -> None:
    (sentence,) = deviations(PLANNED, {**KEPT, "r3": finished("r3", FailureClass.DIVERGED)}, [])
    assert sentence.startswith("1 diverged run(s) were tried again and then counted: r3")


def test_a_run_of_no_plan() -> None:
    (sentence,) = deviations(PLANNED, {**KEPT, "r9": finished("r9")}, [])
    assert "1 run(s) are not of the plan and were left out: r9" in sentence


def test_a_replaced_registration(frozen) -> None:
    frozen.register()
    frozen.change("seed: 3", "seed: 4")
    registration = frozen.register(again=True)
    (sentence,) = deviations(PLANNED, KEPT, registration.earlier)
    assert "registered 2026-01-01T01:00:00+00:00, was replaced" in sentence
    assert "seed: 3 → 4" in sentence


def test_many_runs_are_summed_up() -> None:
    (sentence,) = deviations([f"r{i}" for i in range(40)], {}, [])
    assert sentence.endswith("r0, r1, r2, r3, r4 …")
