"""What runs start from, on a real Ray: made once, before the runs that need it, and by a run like any other."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.cluster.needs import Needs
from maineffect.ledger.store.connection import ask
from maineffect.ledger.sweep.curves import read_curves

pytestmark = [pytest.mark.ray]


def misfits():
    spec = importlib.util.spec_from_file_location("misfits_here", Path(__file__).parents[1] / "misfits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planned(bench, count: int, **settings):
    return [replace(request, trainable="misfits:stand_on") for request in bench.requests(count, **settings)]


def made(bench) -> list[tuple[int, int]]:
    """(seed, attempt) of every preparation that was really entered."""
    return [(int(words[1]), int(words[2])) for words in bench.lines() if words[0] == "start" and len(words) == 4]


def alone(bench) -> list[str]:
    return [words[1] for words in bench.lines() if words[0] == "alone"]


def expected(requests, start: float = 0.007) -> dict[str, float]:
    """What the trainable returns when it is called without any driver."""
    return {request.run_id: misfits().skill(request) + start for request in requests}


def finished(bench) -> set[str]:
    runs = bench.ledger.state().runs
    return {run_id for run_id, status in runs.items() if status.state is RunState.FINISHED}


@pytest.mark.usefixtures("ray_here")
def test_it_is_made_once_while_runs_that_need_none_go_on(bench) -> None:
    requests = planned(bench, 6, bare=[0], ways={"start": "after r0 steps 8 0.05"})
    bench.run(requests)
    state = bench.ledger.state()
    assert set(state.runs) == finished(bench) == {request.run_id for request in requests}
    (run_id,) = state.preparations
    assert state.preparations[run_id].state is RunState.FINISHED
    assert (made(bench), alone(bench)) == ([(7, 1)], [])
    order = [" ".join(words[:2]) for words in bench.lines() if words[0] != "step"]
    last_step = bench.lines().index(["step", run_id, "7"])
    entered = {words[0]: number for number, words in enumerate(bench.lines()) if words[0] in state.runs}
    assert entered["r0"] < last_step, f"the run that needs none waits for nobody: {order}"
    assert min(entered[run] for run in ("r1", "r2", "r3", "r5")) > last_step, order
    bare = {
        run: misfits().skill(request) for run, request in zip(("r0", "r4"), (requests[0], requests[4]), strict=True)
    }
    assert bench.skills() == {**expected(requests), **bare}, "what a run returns does not depend on who prepares"
    moments = [moment for moment in bench.progress if moment.preparing and moment.held]
    assert any(dict(moment.preparing) == {"warm start": 1} and moment.held == 4 for moment in moments)
    assert bench.progress[-1].planned == bench.progress[-1].finished == 6

    tracking = state.preparations[run_id].tracking_run_id
    tags = ask(bench.ledger.uri, lambda store: dict(store.get_run(tracking).data.tags))
    assert (tags["me.phase"], tags["me.serves"], tags["me.state"]) == ("warm start", "4", "finished")
    assert set(read_curves(bench.ledger, bench.home / "cache")) <= set(state.runs), "its curve is no curve of a run"
    assert set(read_curves(bench.ledger, bench.home / "cache", runs=state.runs)) <= set(state.runs)

    before = len(bench.lines())
    bench.run(requests)
    assert len(bench.lines()) == before, "submitting again makes nothing"


@pytest.mark.usefixtures("ray_here")
def test_what_failed_for_good_leaves_its_runs_waiting_until_it_is_resubmitted(bench) -> None:
    requests = planned(bench, 3, bare=[0], ways={"start": "raises"})
    runs = bench.run(requests)
    assert set(runs) == {"r0"}, "no run that needs it has begun"
    (run_id,) = bench.ledger.state().preparations
    assert bench.ledger.state().preparations[run_id].ends[-1].failure is FailureClass.USER_ERROR
    assert f"2 run(s) wait for {run_id}, which has failed and is not tried again by itself" in bench.notices()
    bench.run(requests)
    assert made(bench) == [(7, 1)], "a plain submit leaves what failed by its own fault"
    well = planned(bench, 3, bare=[0])
    bench.run(well, retry_failed=True, only=["r1"])
    assert (made(bench), finished(bench)) == ([(7, 1), (7, 2)], {"r0", "r1"})
    bench.run(well)
    assert finished(bench) == {"r0", "r1", "r2"}
    assert made(bench) == [(7, 1), (7, 2)]


@pytest.mark.live
@pytest.mark.usefixtures("ray_here")
def test_it_comes_from_the_cache_or_from_the_store_of_another_home(bench) -> None:
    requests = planned(bench, 2, bare=[0], ways={"r1.a1": "raises"})
    bench.run(requests)
    assert made(bench) == [(7, 1)]
    (start,) = (bench.home / "cache" / "starts").glob("*.txt")
    shutil.rmtree(bench.home / "cache")
    bench.run(planned(bench, 2, bare=[0]), retry_failed=True)
    assert finished(bench) == {"r0", "r1"}
    assert (made(bench), alone(bench)) == ([(7, 1)], []), "its file came from the store"
    assert start.read_text() == "0.007"

    other = [replace(request, sweep_id="misfits-87654321") for request in planned(bench, 2)]
    from maineffect.ledger.sweep.ledger import open_sweep

    bench.ledger = open_sweep(
        bench.ledger.uri, "misfits-87654321", study_name="misfits", study_text="{}", plan={"runs": {}}
    )
    bench.run(other)
    assert finished(bench) == {"r0", "r1"}
    assert (made(bench), alone(bench)) == ([(7, 1)], []), "it lies in the home's cache"
    assert bench.ledger.state().preparations == {}
    assert f"the warm start of 2 run(s) is in {bench.home / 'cache'}: it is not made again" in bench.notices()


@pytest.mark.usefixtures("ray_here")
def test_a_cancel_stops_it_at_a_step_and_it_goes_on_from_there(bench, wait) -> None:
    import threading

    requests = planned(bench, 2, ways={"start": "steps 600 0.1"})
    taken = lambda: sum(words[0] == "step" for words in bench.lines())  # noqa: E731
    sweep = threading.Thread(target=bench.run, args=(requests,))
    sweep.start()
    wait(lambda: taken() >= 3)
    bench.ledger.cancel("a test")
    sweep.join(timeout=240)
    assert not sweep.is_alive()
    (status,) = bench.ledger.state().preparations.values()
    assert [end.failure for end in status.ends] == [FailureClass.CANCELLED]
    assert (bench.ledger.state().runs, taken() < 600) == ({}, True)
    bench.ledger.reopen("a test")
    bench.run(planned(bench, 2, ways={"start": f"steps {taken() + 3} 0.01"}))
    assert finished(bench) == {"r0", "r1"}
    assert made(bench) == [(7, 1), (7, 2)]
    assert set(bench.steps().values()) == {1}, "no step was taken twice"


@pytest.mark.live
def test_whatever_is_killed_it_is_made_once_and_goes_on_from_its_checkpoint(bench, wait, running) -> None:
    """The worker first, then the driver; then two drivers at once go on."""
    requests = planned(bench, 4, per_seed=True, ways={"start": "steps 60 0.1"})
    first = bench.start(requests, Needs(timeout=120, retries=3))
    taken = lambda: sum(words[0] == "step" for words in bench.lines())  # noqa: E731
    wait(lambda: taken() >= 5)
    os.kill(int(next(words[3] for words in bench.lines() if words[0] == "start")), signal.SIGKILL)
    wait(lambda: len(made(bench)) == 2 and taken() >= 10)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait(lambda: not running(int([words[3] for words in bench.lines() if words[0] == "start"][-1])), seconds=120)
    assert bench.ledger.state().runs == {}, "nothing that needs it has begun"

    count = taken()
    short = planned(bench, 4, per_seed=True, ways={"start": f"steps {count + 20} 0.1"})
    two = [bench.start(short, Needs(timeout=120, retries=3), workers=1) for _ in range(2)]
    assert [driver.wait(timeout=240) for driver in two] == [0, 0], [bench.log_of(driver) for driver in two]
    assert finished(bench) == {"r0", "r1", "r2", "r3"}
    assert made(bench) == [(100, 1), (100, 2), (100, 3)], "each attempt by one owner"
    (status,) = bench.ledger.state().preparations.values()
    assert [end.failure for end in status.ends] == [FailureClass.LOST, FailureClass.LOST]
    assert sum(count - 1 for count in bench.steps().values()) <= 2, "at most the step under way is repeated"
    assert alone(bench) == []
    assert bench.entered() == {"r0": 1, "r1": 1, "r2": 1, "r3": 1}
    assert bench.skills() == expected(requests, 0.1)
