"""Whatever dies in mid-sweep: nothing that finished runs again, nothing is lost, nothing stays behind."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.cluster.needs import Needs

pytestmark = pytest.mark.ray


def finished(bench) -> set[str]:
    runs = bench.ledger.state().runs
    return {run_id for run_id, status in runs.items() if status.state is RunState.FINISHED}


def taken(bench, run_id: str) -> int:
    """Steps that a run has taken."""
    return 1 + max((step for run, step in bench.steps() if run == run_id), default=-1)


def family(process) -> list[psutil.Process]:
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


def folder_of_ray(processes) -> str:
    """Ray's private folder, as its server names it on its command line."""
    words = [word for process in processes if process.name() == "gcs_server" for word in process.cmdline()]
    return next(word.partition("=")[2] for word in words if word.startswith("--session-dir=")).rpartition("/")[0]


@pytest.mark.live
def test_kill_nine_of_the_submitter_and_submit_again(bench, wait, running) -> None:
    ways = {"r0": "fine", "r1": "fine", "r2": "leaks and steps 600 0.2", "r3": "steps 600 0.2"}
    requests = bench.requests(6, ways=ways)
    first = bench.start(requests)
    wait(lambda: len(finished(bench)) == 2 and min(taken(bench, run) for run in ("r2", "r3")) >= 5)
    wait(lambda: len(bench.steps()) >= 12 and bench.leaked())
    before = family(first)
    folder = folder_of_ray(before)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait(lambda: not any(running(process.pid) for process in before), seconds=120)
    wait(lambda: not any(running(pid) for pid in bench.leaked()), seconds=120)
    wait(lambda: not os.path.exists(folder))
    assert finished(bench) == {"r0", "r1"}
    steps_before = bench.steps()
    wanted = {run: taken(bench, run) + 10 for run in ("r2", "r3")}

    short = {"r2": f"leaks and steps {wanted['r2']} 0.01", "r3": f"steps {wanted['r3']} 0.01"}
    second = bench.start(bench.requests(6, ways={**ways, **short}))
    assert second.wait(timeout=180) == 0, bench.log_of(second)
    runs = bench.ledger.state().runs
    assert finished(bench) == {request.run_id for request in requests}
    assert bench.entered() == {"r0": 1, "r1": 1, "r2": 2, "r3": 2, "r4": 1, "r5": 1}
    assert [end.failure for end in runs["r2"].ends] == [FailureClass.LOST]
    assert 0.5 < runs["r2"].ends[0].seconds < 60, "its cost is counted, though nobody was there when it died"
    assert (runs["r2"].attempts, runs["r2"].committed_attempt) == (2, 2)
    # At most the step under way is repeated: each run went on from its checkpoint.
    assert sum(bench.steps().values()) <= sum(wanted.values()) + 2
    assert set(bench.steps()) == {(run, step) for run, count in wanted.items() for step in range(count)}
    assert max(step for run, step in steps_before if run == "r3") > 1
    assert len(bench.skills()) == 6
    wait(lambda: not any(running(pid) for pid in bench.leaked()), seconds=120)


@pytest.mark.live
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_stops_runs_at_a_step_and_leaves_nothing(bench, wait, running, number) -> None:
    requests = bench.requests(4, way="steps 300 0.1")
    first = bench.start(requests)
    wait(lambda: len({run for run, _ in bench.steps()}) == 2)
    before = family(first)
    if number == signal.SIGINT:  # Ctrl-C in a terminal: the whole group hears it, Ray's processes too
        os.killpg(first.pid, number)
    else:
        first.send_signal(number)
    assert first.wait(timeout=240) == 130, bench.log_of(first)
    assert not any(running(process.pid) for process in before)
    runs = bench.ledger.state().runs
    assert {run_id: status.ends[-1].failure for run_id, status in runs.items()} == dict.fromkeys(
        runs, FailureClass.CANCELLED
    )
    assert len(runs) == 2

    short = bench.requests(4, ways={run_id: f"steps {taken(bench, run_id) + 3} 0.01" for run_id in runs})
    second = bench.start(short)
    assert second.wait(timeout=120) == 0, bench.log_of(second)
    assert finished(bench) == {"r0", "r1", "r2", "r3"}
    assert set(bench.steps().values()) == {1}, "no step was taken twice"


@pytest.mark.slow
def test_two_submitters_at_once_and_one_is_killed(bench, wait) -> None:
    requests = bench.requests(12, way="steps 5 0.2")
    first, second = bench.start(requests, workers=1), bench.start(requests, workers=1)
    wait(lambda: len(finished(bench)) >= 3)
    second.kill()
    second.wait()
    assert first.wait(timeout=240) == 0, bench.log_of(first)
    runs = bench.ledger.state().runs
    assert finished(bench) == {request.run_id for request in requests}
    assert len(bench.skills()) == 12
    repeated = {run_id for run_id, count in bench.entered().items() if count > 1}
    assert repeated == {run_id for run_id, status in runs.items() if status.ends}
    assert len(repeated) <= 1, "only what the killed one was running"


@pytest.mark.live
def test_a_killed_worker_is_found_out_and_its_run_goes_on_from_its_checkpoint(bench, wait) -> None:
    requests = bench.requests(2, way="steps 60 0.1")
    process = bench.start(requests, Needs(timeout=120, retries=3))
    wait(lambda: len(bench.steps()) >= 10 and taken(bench, "r0") >= 3)
    victim = next(int(words[2]) for words in bench.lines() if words[0] == "r0")
    os.kill(victim, signal.SIGKILL)
    assert process.wait(timeout=120) == 0, bench.log_of(process)
    runs = bench.ledger.state().runs
    assert finished(bench) == {"r0", "r1"}
    assert [end.failure for end in runs["r0"].ends] == [FailureClass.LOST]
    assert runs["r1"].ends == ()
    assert sum(count - 1 for count in bench.steps().values()) <= 1


def test_no_process_carries_a_mark_of_the_dead(wait) -> None:
    """The machine-wide check behind all of the above: nothing marked outlives its owner by more than seconds.

    Others on this machine kill drivers as well, and what these leave is ended at the next start or by its supervisor.
    """
    from maineffect.execute.cluster.processes import leftovers

    wait(lambda: leftovers() == [])
