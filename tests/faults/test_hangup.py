"""The terminal is closed, or the shell that a driver was started from is gone: the sweep stops, or goes on, in order."""

from __future__ import annotations

import contextlib
import os
import pickle
import pty
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.cluster.needs import Needs

pytestmark = [pytest.mark.ray]

DRIVE = """
import contextlib, pickle, sys
from maineffect.execute.drive.sweep import execute_sweep
from maineffect.ledger.sweep.repair import driving
requests, ledger, home, needs, options = pickle.load(open(sys.argv[1], "rb"))
def tell(moment):
    with contextlib.suppress(OSError):  # between the terminal's end and the signal there is nobody to tell
        print(*moment.notices, moment.finished, sep="\\n", flush=True)
try:
    with driving(ledger, home / "runs" / ledger.sweep_id):
        execute_sweep(requests, ledger, home, needs, on_progress=tell, **options)
except KeyboardInterrupt:
    open(sys.argv[1] + ".interrupted", "w").close()
    sys.exit(130)
"""


def order_of(bench, requests, needs: Needs) -> Path:
    order = bench.folder / "order.pickle"
    options = {"study_dir": bench.folder, "workers": 1}
    order.write_bytes(pickle.dumps((requests, bench.ledger, bench.home, needs, options)))
    return order


@pytest.mark.live
def test_a_closed_terminal_stops_a_sweep_as_a_sigterm_does(bench, wait, running) -> None:
    requests = bench.requests(2, way="steps 600 0.1")
    order = order_of(bench, requests, Needs(timeout=120))
    pid, terminal = pty.fork()
    if pid == 0:  # the leader of a session with a terminal of its own
        os.chdir(bench.folder)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a suite under nohup would hand its ignoring on
        os.execv(sys.executable, [sys.executable, "-c", DRIVE, str(order)])
    try:
        os.set_blocking(terminal, False)

        def stepping() -> bool:
            with contextlib.suppress(OSError):
                os.read(terminal, 1 << 16)  # a terminal that nobody reads would fill up
            return len(bench.steps()) >= 3

        wait(stepping)
        family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    assert os.waitstatus_to_exitcode(status) == 130
    assert Path(f"{order}.interrupted").exists()
    assert bench.failures() == {"r0": FailureClass.CANCELLED}, "it stopped at a step, and said so"
    assert sum(count - 1 for count in bench.steps().values()) == 0
    wait(lambda: not any(running(one) for one in family))


def test_nohup_keeps_its_promise() -> None:
    from maineffect.execute.cluster.signals import stop_on_signals

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        restore = stop_on_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        restore()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.live
def test_an_orphan_whose_node_is_killed_starts_another(bench, wait) -> None:
    """Ray took the death of a driver's parent for that of its node: it exited without a word."""
    requests = bench.requests(2, ways={"r0": "steps 30 0.1"})
    order, log = order_of(bench, requests, Needs(timeout=120, retries=2)), bench.folder / "orphan.log"
    script = bench.folder / "drive.py"
    script.write_text(DRIVE)
    line = f"{sys.executable} {script} {order} >{log} 2>&1 & echo $!"
    shell = subprocess.run(["sh", "-c", line], cwd=bench.folder, stdout=subprocess.PIPE, text=True, check=True)
    driver = psutil.Process(int(shell.stdout))
    try:
        wait(lambda: len(bench.steps()) >= 3)
        assert driver.ppid() == 1, "the shell is gone"
        (node,) = [child for child in driver.children(recursive=True) if child.name() == "raylet"]
        node.kill()
        wait(lambda: not driver.is_running() or driver.status() == psutil.STATUS_ZOMBIE, seconds=100)
        states = {run_id: status.state for run_id, status in bench.ledger.state().runs.items()}
        assert states == dict.fromkeys(("r0", "r1"), RunState.FINISHED), log.read_text()
        assert "Ray's node on this machine died: started again" in log.read_text()
    finally:
        for process in [driver, *driver.children(recursive=True)] if driver.is_running() else []:
            process.kill()
