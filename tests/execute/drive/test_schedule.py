"""Which run starts next, decided from records alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus
from maineffect.execute.drive.breaker import BREAKER, breaker, signature
from maineffect.execute.drive.schedule import (
    Memory,
    backoff_seconds,
    may_retry,
    plan_next,
    to_run,
)

LOST, USER, CANCELLED = FailureClass.LOST, FailureClass.USER_ERROR, FailureClass.CANCELLED


def request(run_id: str) -> RunRequest:
    return RunRequest("s", "s-1", run_id, "c", 1, {}, {}, 1, 1, ("skill",), "m:t")


REQUESTS = [request(f"r{number}") for number in range(4)]


def failed(run_id: str, *classes: FailureClass) -> RunStatus:
    ends = tuple(AttemptEnd(number, failure, "why") for number, failure in enumerate(classes, 1))
    return RunStatus(run_id, RunState.FAILED, len(ends), ends)


def chosen(runs: dict[str, RunStatus], **options) -> list[tuple[str, int]]:
    return [(r.run_id, attempt) for r, attempt in to_run(REQUESTS, runs, **{"retry_failed": False, **options})]


def test_a_first_submission_runs_everything_in_plan_order() -> None:
    assert chosen({}) == [("r0", 1), ("r1", 1), ("r2", 1), ("r3", 1)]


def test_submit_leaves_what_finished_runs_or_failed_by_its_own_fault() -> None:
    runs = {
        "r0": RunStatus("r0", RunState.FINISHED, 1),
        "r1": RunStatus("r1", RunState.RUNNING, 1),
        "r2": failed("r2", USER),
        "r3": failed("r3", USER, CANCELLED),
    }
    assert chosen(runs) == [("r3", 3)]
    assert chosen(runs, retry_failed=True) == [("r2", 2), ("r3", 3)]
    assert chosen(runs, retry_failed=True, only={"r0", "r2"}) == [("r2", 2)]


def memory(**options) -> Memory:
    return Memory(**{"first_attempt": {r.run_id: 1 for r in REQUESTS}, "retry_failed": False, "retries": 2, **options})


def test_a_transient_failure_waits_for_its_back_off_and_is_tried_again() -> None:
    known = memory()
    runs = {"r0": failed("r0", LOST)}
    first = plan_next(REQUESTS[:1], runs, known, now=100.0)
    assert first.later == ("r0",)
    assert plan_next(REQUESTS[:1], runs, known, now=100.4).later == ("r0",), "at least half a second"
    later = plan_next(REQUESTS[:1], runs, known, now=101.6)
    assert [(r.run_id, attempt) for r, attempt in later.start] == [("r0", 2)]


def test_retries_are_counted_from_this_submission_on() -> None:
    runs = {"r0": failed("r0", LOST, LOST, LOST)}
    assert plan_next(REQUESTS[:1], runs, memory(), 1e6).left == ("r0",)
    fresh = memory(first_attempt={"r0": 4})
    assert [attempt for _, attempt in plan_next(REQUESTS[:1], runs, fresh, 1e6).start] == [4]


def test_what_others_run_is_neither_started_nor_left() -> None:
    runs = {"r0": RunStatus("r0", RunState.RUNNING, 1), "r1": RunStatus("r1", RunState.FINISHED, 1)}
    plan = plan_next(REQUESTS, runs, memory(in_flight={"r2"}), 0.0)
    assert plan.foreign == ("r0",)
    assert [r.run_id for r, _ in plan.start] == ["r3"]
    assert not plan.nothing_to_do


def test_starts_that_the_ledger_never_came_to_know_of_end_some_day() -> None:
    known = memory(unrecorded={"r0": 5})
    assert len(plan_next(REQUESTS[:1], {}, known, 0.0).later) == 1
    known.unrecorded["r0"] = 6
    assert plan_next(REQUESTS[:1], {}, known, 1e6).left == ("r0",)


@pytest.mark.parametrize(("failures", "longest"), [(1, 1.5), (2, 3.0), (3, 6.0), (7, 90.0), (50, 90.0)])
def test_back_off_doubles_up_to_a_minute(failures: int, longest: float) -> None:
    assert backoff_seconds(failures, 1.0) == longest
    assert backoff_seconds(failures, 0.0) == longest / 3


@pytest.mark.parametrize("failure", FailureClass)
def test_only_transient_classes_are_retried(failure: FailureClass) -> None:
    transient = {FailureClass.LOST, FailureClass.OOM_HOST, FailureClass.LEDGER}
    assert may_retry(failed("r0", failure).ends, 1, 1) == (failure in transient)
    assert not may_retry(failed("r0", failure).ends, 0, 1)


def test_the_breaker_sees_through_names_numbers_and_addresses() -> None:
    said = [f"KeyError: step {n} of run-{n} at 0x7f{n}a" for n in range(BREAKER)]
    signatures = [signature(USER, text, f"run-{n}") for n, text in enumerate(said)]
    assert len(set(signatures)) == 1
    assert breaker(signatures, 0) is not None
    assert breaker(signatures[1:], 0) is None
    assert breaker(signatures, 1) is None, "something works"
    assert breaker([signature(USER, f"{word} is not defined") for word in "abcde"], 0) is None


class World:
    """A ledger and its runs without time: what happens to an attempt is drawn, who decides is the real code."""

    def __init__(self, fates: list[list[FailureClass | None]]) -> None:
        self.fates = fates
        self.runs: dict[str, RunStatus] = {}
        self.trained: list[tuple[str, int]] = []

    def run(self, request: RunRequest, attempt: int) -> None:
        run_id = request.run_id
        status = self.runs.get(run_id, RunStatus(run_id))
        assert status.state is not RunState.FINISHED, "a finished run was started again"
        assert attempt == status.attempts + 1, "attempts are numbered without gaps"
        self.trained.append((run_id, attempt))
        fates = self.fates[int(run_id[1:])]
        fate = fates[attempt - 1] if attempt <= len(fates) else None
        if fate is None:
            self.runs[run_id] = replace(status, state=RunState.FINISHED, attempts=attempt, committed_attempt=attempt)
        else:
            ends = (*status.ends, AttemptEnd(attempt, fate, "why"))
            self.runs[run_id] = replace(status, state=RunState.FAILED, attempts=attempt, ends=ends)

    def submit(self, *, retry_failed: bool, retries: int = 2) -> None:
        first = {r.run_id: attempt for r, attempt in to_run(REQUESTS, self.runs, retry_failed=True)}
        known = Memory(first, retry_failed, retries)
        now = 0.0
        while not (plan := plan_next(REQUESTS, self.runs, known, now)).nothing_to_do:
            for started, attempt in plan.start:
                self.run(started, attempt)
            now += 1.0
            assert now < 1e4, "the sweep does not end"


WAVES = [replace(request(f"r{number}"), replicate=1 + number // 4, seed=number // 4) for number in range(12)]


@given(
    st.lists(
        st.lists(st.sampled_from([None, LOST, USER, FailureClass.DIVERGED]), max_size=3), min_size=12, max_size=12
    ),
    st.integers(1, 5),
    st.booleans(),
)
def test_replicates_are_complete_waves_whatever_fails(fates, slots, resubmitted) -> None:
    """No run of a later replicate starts while one of an earlier could; back-offs leave no slot empty meanwhile."""
    world = World(fates)
    if resubmitted:  # an earlier submission was stopped somewhere
        world.runs = {"r0": failed("r0", USER), "r5": failed("r5", LOST), "r6": RunStatus("r6", RunState.FINISHED, 1)}
        world.fates[0], world.fates[5] = [USER, *fates[0]], [LOST, *fates[5]]
    first = {r.run_id: attempt for r, attempt in to_run(WAVES, world.runs, retry_failed=True)}
    known, now = Memory(first, True, 2), 0.0
    while not (plan := plan_next(WAVES, world.runs, known, now)).nothing_to_do:
        replicates = [started.replicate for started, _ in plan.start]
        assert replicates == sorted(replicates)
        now += 1.0
        for started, attempt in plan.start[:slots]:
            world.run(started, attempt)
        assert now < 1e4, "the sweep does not end"
    entered: dict[str, int] = {}
    for position, (run_id, _) in enumerate(world.trained):
        entered.setdefault(run_id, position)
    by_wave = [[entered[r.run_id] for r in WAVES if r.replicate == wave and r.run_id in entered] for wave in (1, 2, 3)]
    assert max(by_wave[0]) < min(by_wave[1])
    assert max(by_wave[1]) < min(by_wave[2])


fate = st.one_of(st.none(), st.sampled_from(list(FailureClass)))


@given(st.lists(st.lists(fate, max_size=6), min_size=4, max_size=4))
def test_every_sweep_ends_and_every_run_is_finished_or_failed_for_a_reason(fates) -> None:
    world = World(fates)
    world.submit(retry_failed=False)
    for run_id, status in world.runs.items():
        if status.state is RunState.FAILED:
            last = status.ends[-1].failure
            assert not last.transient or len(status.ends) == 3, f"{run_id} was given up too early"
    before = len(world.trained)
    world.submit(retry_failed=True)
    again = {run_id for run_id, _ in world.trained[before:]}
    assert all(len([t for t in world.trained[:before] if t[0] == run]) >= 1 for run in again)
    for _ in range(6):
        world.submit(retry_failed=True)
    assert {status.state for status in world.runs.values()} == {RunState.FINISHED}, "resubmitting gets there"
