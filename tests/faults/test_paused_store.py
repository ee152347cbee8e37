"""The MLflow server stands still for longer than a minute: `--takeover` ends no run that lives through it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from maineffect.contracts import RunState
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.processes import this_process

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

PAUSE_SECONDS = 70.0
# The pause, the longest back-off of its uploader after it, and time for a hasty driver to act.
LIVES_SECONDS = PAUSE_SECONDS + 60.0 + 50.0
WORKER = f"""
import pickle, sys, time
from maineffect.contracts import RunResult
ledger, request, folder, owner = pickle.load(open(sys.argv[1], "rb"))
assert ledger.claim(request.run_id, 1, owner)
record = ledger.start_attempt(request, 1, folder)
print("started", flush=True)
time.sleep({LIVES_SECONDS})
assert record.stop_reason is None, record.stop_reason
assert record.commit(RunResult({{"skill": 7.0}}), seconds=5.0)
"""


def test_a_takeover_ends_no_run_that_lives_through_a_paused_server(bench, server, wait) -> None:
    ledger = replace(bench.ledger, uri=server.uri)
    bench.ledger = ledger
    far, near = bench.requests(2, ways={"r1": f"steps 20 {LIVES_SECONDS / 20}"})
    order = bench.folder / "far.pickle"
    owner = str(replace(this_process(), machine="another~machine~1"))
    order.write_bytes(pickle.dumps((ledger, far, bench.folder / "far", owner)))
    # Not served by the driver's broker, as it would not be on another machine.
    elsewhere = {**os.environ, "XDG_RUNTIME_DIR": str(bench.folder)}
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(order)], stdout=subprocess.PIPE, env=elsewhere)
    assert worker.stdout.readline() == b"started\n"
    driver = bench.start([far, near], Needs(timeout=600), takeover=True, workers=1)
    wait(lambda: len(bench.steps()) >= 2)
    os.killpg(server.process.pid, signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    os.killpg(server.process.pid, signal.SIGCONT)
    assert worker.wait(timeout=LIVES_SECONDS + 60) == 0, bench.log_of(driver)
    assert driver.wait(timeout=120) == 0, bench.log_of(driver)
    runs = ledger.state().runs
    assert {run_id: (status.state, status.ends) for run_id, status in runs.items()} == {
        "r0": (RunState.FINISHED, ()),
        "r1": (RunState.FINISHED, ()),
    }
    assert bench.skills()["r0"] == 7.0
