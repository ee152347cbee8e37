"""Sweeps on a real Ray in this process: every end is classified, nothing runs twice, nothing is left behind."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from pathlib import Path

import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.attempt.one_run import WorkOrder
from maineffect.execute.attempt.output import read_output
from maineffect.execute.cluster.mailbox import read_reports
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.actors import Reports, find_worker, start_worker
from maineffect.journey.read.logs import logs_document

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]


def misfits():
    spec = importlib.util.spec_from_file_location("misfits_here", Path(__file__).parents[1] / "misfits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_run_is_recorded_once_with_its_known_result(bench) -> None:
    requests = bench.requests(4)
    runs = bench.run(requests)
    assert {run_id: status.state for run_id, status in runs.items()} == {r.run_id: RunState.FINISHED for r in requests}
    assert bench.entered() == {request.run_id: 1 for request in requests}
    assert bench.skills() == {request.run_id: misfits().skill(request) for request in requests}
    last = bench.progress[-1]
    assert (last.planned, last.finished, last.failed, dict(last.running)) == (4, 4, 0, {})
    assert last.run_seconds > 0

    started = len(bench.lines())
    bench.run(requests)
    assert len(bench.lines()) == started, "submitting again runs nothing"


def test_each_failure_has_its_class_and_the_others_go_on(bench) -> None:
    ways = {
        "r0": "raises",
        "r1": "diverges",
        "r2": "dies",
        "r3": "hangs",
        "r4": "holds the interpreter",
        "r5": "leaks and dies",
        "r6": "leaks",
    }
    requests = bench.requests(9, ways=ways)
    runs = bench.run(requests, Needs(timeout=10, retries=0))
    assert bench.failures() == {
        "r0": FailureClass.USER_ERROR,
        "r1": FailureClass.DIVERGED,
        "r2": FailureClass.LOST,
        "r3": FailureClass.TIMEOUT,
        "r4": FailureClass.TIMEOUT,
        "r5": FailureClass.LOST,
    }
    assert {run for run, status in runs.items() if status.state is RunState.FINISHED} == {"r6", "r7", "r8"}
    assert all(9 < runs[run].ends[0].seconds < 120 for run in ("r3", "r4")), "what was cut off had its cost as well"
    assert runs["r0"].ends[0].message == "ValueError: the learning rate is a vegetable"
    assert "10 s" in runs["r3"].ends[0].message
    assert bench.entered() == {request.run_id: 1 for request in requests}
    assert "r0 failed (user-error): ValueError: the learning rate is a vegetable" in bench.notices()


def test_a_run_has_the_main_thread_of_its_process(bench) -> None:
    """Signal handlers, timers and event loops: what Python and its frameworks allow in the main thread alone."""
    runs = bench.run(bench.requests(1, way="main thread"), Needs(timeout=60, retries=0))
    assert runs["r0"].state is RunState.FINISHED, runs["r0"].ends
    assert json.loads(bench.diary.read_text().splitlines()[-1]) == [True, "SIGUSR1", "SIGALRM", "loop", "run"]


def test_a_run_that_computes_is_heard_and_hears(bench, wait, request: pytest.FixtureRequest) -> None:
    """Nobody can call into the thread that computes: its report and the request to stop come another way."""
    import ray

    (planned,) = bench.requests(1, way="computes")
    order = WorkOrder(planned, 1, "", bench.ledger, bench.home, bench.folder)
    flight = start_worker(order, Needs(timeout=500), time.monotonic(), 500.0)
    request.addfinalizer(flight.kill)  # a failure here must not leave a run of this name to the next test
    adopted = find_worker(planned, 1, time.monotonic())
    reports = Reports()

    def heard() -> bool:
        reports.take([flight, adopted], time.monotonic())
        return flight.progress[:2] == (1, 2)

    wait(heard)
    assert adopted.progress == flight.progress, "whoever adopts it hears the same"
    assert flight.limit == 500.0
    flight.cancel(time.monotonic())
    outcome = ray.get(flight.result, timeout=240)
    assert outcome.failure is FailureClass.CANCELLED
    assert ray.get(adopted.result, timeout=240) == outcome
    assert bench.entered() == {"r0": 1}
    flight.kill()
    assert read_reports([flight.name]) == {}, "nothing of it stays in the cluster"


def test_a_worker_that_is_told_to_go_is_lost_and_not_at_fault(bench) -> None:
    """A cluster that takes a node away sends SIGTERM; in the main thread Ray would raise SystemExit from it."""
    runs = bench.run(bench.requests(1, ways={"r0.a1": "terminated"}), Needs(timeout=60, retries=1))
    assert runs["r0"].state is RunState.FINISHED
    assert [end.failure for end in runs["r0"].ends] == [FailureClass.LOST]


def test_what_a_run_started_ends_with_it(bench, wait, running) -> None:
    bench.run(bench.requests(2, ways={"r0": "leaks", "r1": "leaks and dies"}), Needs(timeout=60, retries=0))
    leaked = bench.leaked()
    assert len(leaked) == 6
    wait(lambda: not any(running(pid) for pid in leaked))


def test_only_transient_failures_are_tried_again_and_each_try_is_recorded(bench) -> None:
    ways = {"r0.a1": "dies", "r1": "dies", "r2": "raises", "r3.a1": "out of memory"}
    runs = bench.run(bench.requests(4, ways=ways), Needs(timeout=60, retries=1))
    assert runs["r0"].state is RunState.FINISHED
    assert [end.failure for end in runs["r0"].ends] == [FailureClass.LOST]
    assert (runs["r0"].attempts, runs["r0"].committed_attempt) == (2, 2)
    assert runs["r1"].state is RunState.FAILED, "a poisoned run is not tried for ever"
    assert [end.failure for end in runs["r1"].ends] == [FailureClass.LOST, FailureClass.LOST]
    assert runs["r2"].attempts == 1
    assert runs["r3"].state is RunState.FINISHED
    assert [end.failure for end in runs["r3"].ends] == [FailureClass.OOM_HOST]
    assert bench.entered() == {"r0": 2, "r1": 2, "r2": 1, "r3": 2}


def test_what_a_run_printed_is_kept_with_its_traceback(bench) -> None:
    bench.run(bench.requests(2, ways={"r0.a1": "dies", "r1": "raises"}))
    printed = read_output(bench.home, bench.ledger.sweep_id, "r0")
    assert printed == {1: "attempt 1 of r0 begins\n", 2: "attempt 2 of r0 begins\n"}
    assert read_output(bench.home, bench.ledger.sweep_id, "r9") == {}
    # Where the folder is not, the ledger's artifacts say the same.
    for home, source in ((bench.home, "folder"), (bench.folder / "elsewhere", "ledger")):
        (failed,) = logs_document(bench.ledger, home, "r1")["attempts"]
        assert (failed["source"], failed["output"]) == (source, "attempt 1 of r1 begins\n")
        assert failed["traceback"].rstrip().endswith("ValueError: the learning rate is a vegetable")
    assert [a["state"] for a in logs_document(bench.ledger, bench.home, "r0")["attempts"]] == ["failed", "finished"]


def test_resubmit_runs_exactly_what_failed_and_submit_leaves_it(bench) -> None:
    requests = bench.requests(5, ways={"r1.a1": "raises", "r3.a1": "diverges"})
    bench.run(requests)
    assert set(bench.failures()) == {"r1", "r3"}
    bench.run(requests)
    assert sum(bench.entered().values()) == 5, "submit does not try user errors again"
    bench.run(requests, retry_failed=True, only=["r3"])
    assert bench.entered() == {"r0": 1, "r1": 1, "r2": 1, "r3": 2, "r4": 1}
    runs = bench.run(requests, retry_failed=True)
    assert bench.entered() == {"r0": 1, "r1": 2, "r2": 1, "r3": 2, "r4": 1}
    assert all(status.state is RunState.FINISHED for status in runs.values())


def test_the_same_error_five_times_stops_the_sweep(bench) -> None:
    runs = bench.run(bench.requests(12, way="raises"))
    assert 5 <= len(runs) < 12
    assert "nothing new starts: the first 5 runs all failed with: ValueError: the learning" in bench.notices()


def test_cancel_stops_running_runs_at_a_step_and_resubmit_goes_on_from_there(bench, wait) -> None:
    requests = bench.requests(4, way="steps 600 0.1")

    def cancel() -> None:
        # Both are under way: on a busy machine the second run begins many seconds after the first.
        wait(lambda: len({run for run, _ in bench.steps()}) == 2 and sum(bench.steps().values()) >= 10)
        bench.ledger.cancel("a test")

    canceller = threading.Thread(target=cancel)
    canceller.start()
    runs = bench.run(requests)
    canceller.join()
    assert "the sweep was cancelled" in bench.notices()
    assert {status.state for status in runs.values()} == {RunState.FAILED}
    assert set(bench.failures().values()) == {FailureClass.CANCELLED}
    assert len(runs) == 2, "nothing new started"
    taken = bench.steps()

    assert bench.run(requests) == runs, "a cancelled sweep stays cancelled"
    bench.ledger.reopen("a test")
    short = bench.requests(4, way="steps 20 0.01", ways={r: f"steps {taken_steps(taken, r) + 5} 0.01" for r in runs})
    again = bench.run(short, retry_failed=True)
    assert {status.state for status in again.values()} == {RunState.FINISHED}
    assert set(bench.steps().values()) == {1}, "no step was taken twice: each run went on from its checkpoint"


def taken_steps(steps, run_id: str) -> int:
    return max(step for run, step in steps if run == run_id) + 1


def test_a_budget_stops_before_it_is_overrun_and_says_what_is_left(bench) -> None:
    needs = Needs(timeout=120, most_cpu_hours=6.0 / 3600)
    runs = bench.run(bench.requests(8, way="steps 4 0.5"), needs)
    seconds = [status.seconds for status in runs.values()]
    assert 1 <= len(runs) < 8
    assert all(status.state is RunState.FINISHED for status in runs.values())
    # A run is reckoned at the longest before it: on a busy machine each of the two that run at a time may take longer.
    assert sum(seconds) <= 6.0 + 2 * (max(seconds) - min(seconds))
    assert f"the budget bears no further run: {8 - len(runs)} runs are left undone" in bench.notices()


def test_two_drivers_share_one_sweep_and_run_everything_once(bench) -> None:
    requests = bench.requests(5, way="steps 4 0.1")
    drivers = [threading.Thread(target=bench.run, args=(requests,)) for _ in range(2)]
    for driver in drivers:
        driver.start()
        time.sleep(0.3)
    for driver in drivers:
        driver.join()
    assert bench.entered() == {request.run_id: 1 for request in requests}
    assert bench.skills() == {request.run_id: misfits().skill(request) for request in requests}
