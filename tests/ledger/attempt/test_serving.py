"""With a broker a run needs no MLflow; without one, or when the driver dies, it helps itself. The records are the same."""

from __future__ import annotations

import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from maineffect.contracts import FailureClass, RunRequest, RunState
from maineffect.errors import LedgerError
from maineffect.ledger.attempt.serving import open_broker
from maineffect.ledger.store import broker
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.ledger import MlflowLedger, sweep_results

WORKER = """
import json, pickle, sys
from pathlib import Path
from maineffect.contracts import FailureClass, RunResult
ledger, request, attempt, folder, wait = pickle.loads(bytes.fromhex(sys.argv[1]))
won = ledger.claim(request.run_id, attempt, "worker") and not ledger.cancelled()
record = ledger.start_attempt(request, attempt, Path(folder))
for step in range(50):
    record.log(step, {"loss": step / 7})
if wait:
    print("begun", flush=True)
    sys.stdin.readline()
if request.replicate == 2:
    record.fail(FailureClass.USER_ERROR, "boom", detail="Traceback", seconds=1.0)
else:
    won = record.commit(RunResult({"skill": 1 / 3}), seconds=1.0) and won
print(json.dumps([won, "mlflow" in sys.modules]))
"""


@pytest.fixture(autouse=True)
def own_sockets(monkeypatch: pytest.MonkeyPatch):
    with tempfile.TemporaryDirectory(prefix="me-") as folder:  # a socket's path must be short
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def _worker(
    ledger: MlflowLedger, request: RunRequest, attempt: int, folder: Path, *, wait: bool = False
) -> subprocess.Popen[str]:
    order = pickle.dumps((ledger, request, attempt, str(folder), wait)).hex()
    words = [sys.executable, "-c", WORKER, order]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_with_a_desk_a_run_is_fully_recorded_without_mlflow(
    sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path, own_sockets: Path
) -> None:
    with open_broker(sweep.uri):
        (folder,) = own_sockets.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        workers = [_worker(sweep, request, 1, tmp_path / request.run_id) for request in (requests[0], requests[4])]
        said = [json.loads(worker.communicate(timeout=240)[0]) for worker in workers]
        lost = _worker(sweep, requests[1], 1, tmp_path / "x")
        lost.communicate(timeout=240)
    assert said == [[True, False], [True, False]]
    assert list(folder.iterdir()) == [], "no socket is left"
    runs = sweep.state().runs
    assert runs[requests[0].run_id].state is RunState.FINISHED
    assert runs[requests[4].run_id].ends[0].failure is FailureClass.USER_ERROR
    assert sweep_results(sweep)[requests[0].run_id]["responses"]["skill"] == 1 / 3
    tracking = runs[requests[0].run_id].tracking_run_id
    assert len(client(sweep.uri).get_metric_history(tracking, "train/loss")) == 50
    assert client(sweep.uri).get_run(tracking).data.tags["me.pid"] == str(workers[0].pid), "the worker's facts"


def test_without_a_desk_a_run_helps_itself(sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path) -> None:
    worker = _worker(sweep, requests[0], 1, tmp_path / "a1")
    assert json.loads(worker.communicate(timeout=240)[0]) == [True, True]
    assert sweep.state().runs[requests[0].run_id].state is RunState.FINISHED


DRIVER = """
import sys, time
from maineffect.ledger.attempt.serving import open_broker
with open_broker(sys.argv[1]):
    print("open", flush=True)
    time.sleep(600)
"""


@pytest.mark.live
def test_a_driver_killed_in_between_leaves_the_run_to_help_itself(
    sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path, own_sockets: Path
) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, sweep.uri], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert driver.stdout.readline() == "open\n"
    worker = _worker(sweep, requests[0], 1, tmp_path / "a1", wait=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "begun\n"
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    assert json.loads(worker.communicate("go\n", timeout=240)[0]) == [True, True], (
        "begun by the broker, ended by itself"
    )
    assert sweep_results(sweep)[requests[0].run_id]["responses"]["skill"] == 1 / 3
    assert list((own_sockets / f"maineffect-{os.getuid()}").iterdir()) == [], "the dead driver's socket is cleared away"


def test_a_refusal_at_the_desk_is_the_same_refusal(sweep: MlflowLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_broker(sweep.uri):
        with pytest.raises(LedgerError, match="holds no result"):
            broker._carry(
                sweep.uri,
                "maineffect.ledger.attempt.publish.publish",
                (sweep.uri, sweep.entry, Path("/none")),
                {"patience": 1.0},
            )
        with pytest.raises(LedgerError, match="failed at the driver"):
            broker._carry(sweep.uri, "no.such.operation", (sweep.uri,), {})
    with pytest.raises(broker._NoBrokerError):
        broker._carry(sweep.uri, "no.such.operation", (sweep.uri,), {})


def test_a_folder_that_others_may_write_is_not_trusted(sweep: MlflowLedger, own_sockets: Path) -> None:
    folder = own_sockets / f"maineffect-{os.getuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with open_broker(sweep.uri):
        assert list(folder.iterdir()) == [], "no broker is opened there"
        with pytest.raises(broker._NoBrokerError):
            broker._carry(sweep.uri, "x", (sweep.uri,), {})
