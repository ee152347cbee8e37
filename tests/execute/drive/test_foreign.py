"""What is known of an attempt that died where nobody looked."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.cluster.processes import this_process
from maineffect.execute.drive.budget import Spending
from maineffect.execute.drive.foreign import ForeignAttempts, lived
from maineffect.execute.drive.lease import LEASE_SECONDS
from maineffect.ledger.attempt import upload

WORKER = """
import pickle, sys, time
from maineffect.ledger.attempt import upload
kinds = upload.Uploader.__init__.__kwdefaults__
kinds |= {"every": 0.05, "beat": 0.1}
ledger, request, folder, owner = pickle.load(open(sys.argv[1], "rb"))
assert ledger.claim(request.run_id, 1, owner)
ledger.start_attempt(request, 1, folder)
time.sleep(600)
"""


@pytest.fixture
def far_worker(bench, wait):
    """Start an attempt whose files are on another machine, let its heart beat for a while, and kill it."""
    import pickle

    def start(request, owner: str) -> float:
        order = bench.folder / "far.pickle"
        order.write_bytes(pickle.dumps((bench.ledger, request, bench.folder / "far" / "a1", owner)))
        process = subprocess.Popen([sys.executable, "-c", WORKER, str(order)])
        try:
            wait(lambda: float(bench.ledger.heartbeat(request.run_id, 1) or 0.0) > 1.0)
        finally:
            process.kill()
            process.wait()
        return float(bench.ledger.heartbeat(request.run_id, 1))

    return start


def look(bench, request, **options) -> ForeignAttempts:
    found = ForeignAttempts(bench.ledger, bench.home, **options)
    assert found.look(request, bench.ledger.state().runs[request.run_id]) is None
    return found


@pytest.mark.live
def test_an_attempt_that_died_on_another_machine_costs_what_its_heart_beat(bench, far_worker) -> None:
    (request,) = bench.requests(1)
    far = replace(this_process(), machine="another~machine~1")
    beaten = far_worker(request, str(far))
    assert beaten > 1.0
    now = 0.0
    found = look(bench, request, takeover=True, clock=lambda: now)
    running = bench.ledger.state().runs["r0"]
    while now <= LEASE_SECONDS:
        now += 20.0
        found.look(request, running)
    status = bench.ledger.state().runs["r0"]
    assert (status.state, status.ends[0].failure) == (RunState.FAILED, FailureClass.LOST)
    assert "taken over from another" in status.ends[0].message
    assert status.ends[0].seconds == pytest.approx(beaten, abs=1e-3)
    assert Spending.of([status]).spent == pytest.approx(beaten, abs=1e-3)


@pytest.mark.live
def test_it_never_costs_more_than_its_time_limit(bench, far_worker) -> None:
    (request,) = bench.requests(1)
    dead = replace(this_process(), started=1)  # a process of this machine that is gone
    far_worker(request, str(dead))
    look(bench, request, limit=0.5)
    assert bench.ledger.state().runs["r0"].ends[0].seconds == 0.5


def test_files_that_are_here_tell_more_than_the_last_heartbeat(bench, far_worker) -> None:
    (request,) = bench.requests(1)
    beaten = far_worker(request, str(this_process()))
    folder = bench.home / "runs" / request.sweep_id / "r0" / "a1"
    folder.mkdir(parents=True)
    for name, moment in (("first", 1000.0), ("last", 1600.0)):
        (folder / name).touch()
        os.utime(folder / name, (moment, moment))
    assert lived(bench.ledger, bench.home, request, 1) == 600.0 > beaten


def test_an_attempt_that_never_began_cost_nothing(bench) -> None:
    (request,) = bench.requests(1)
    bench.ledger.claim("r0", 1, "somebody")
    assert lived(bench.ledger, bench.home, request, 1) == 0.0
    assert upload.HEARTBEAT_SECONDS > 1.0, "what the last beat leaves out is bounded by this"
