"""What was spooled arrives exactly once: after replays, after kill -9, whatever the numbers."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maineffect.contracts import RunRequest
from maineffect.errors import LedgerError
from maineffect.ledger.attempt.spool import Spool, read_points
from maineffect.ledger.attempt.upload import Uploader, upload_all, uploaded
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.ledger import MlflowLedger, scratch_run
from maineffect.ledger.sweep.repair import close_ghosts


def _history(uri: str, run: str, key: str = "train/loss") -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client(uri).get_metric_history(run, key))


def test_three_replays_give_the_same_rows(uri: str, tmp_path: Path) -> None:
    run, path = scratch_run(uri, "replay"), tmp_path / "spool.jsonl"
    spool = Spool(path)
    for step in range(1250):
        spool.log(step, {"loss": step / 7, "reward": -step})
    spool.close()
    for _ in range(3):
        path.with_suffix(".offset").unlink(missing_ok=True)
        upload_all(uri, run, path, patience=5)
    assert _history(uri, run) == [(step, step / 7) for step in range(1250)]
    assert len(_history(uri, run, "train/reward")) == 1250
    assert uploaded(path) == path.stat().st_size


def test_nan_and_infinity_arrive(uri: str, tmp_path: Path) -> None:
    run = scratch_run(uri, "nan")
    spool = Spool(tmp_path / "spool.jsonl")
    spool.log(0, {"loss": math.nan})
    spool.log(1, {"loss": math.inf})
    spool.close()
    upload_all(uri, run, tmp_path / "spool.jsonl", patience=5)
    upload_all(uri, run, tmp_path / "spool.jsonl", patience=5)
    values = [point.value for point in client(uri).get_metric_history(run, "train/loss")]
    assert len(values) == 2
    assert sum(math.isnan(value) for value in values) == 1


def test_the_uploader_works_behind_the_training(uri: str, tmp_path: Path) -> None:
    run, path = scratch_run(uri, "live"), tmp_path / "spool.jsonl"
    spool = Spool(path)
    uploader = Uploader(uri, run, path, every=0.1)
    for step in range(100):
        spool.log(step, {"loss": 1.0})
    deadline = time.monotonic() + 20
    while uploaded(path) < path.stat().st_size and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(_history(uri, run)) == 100, "seen while the run goes on"
    uploader.stop()
    spool.close()


def test_a_store_that_is_gone_costs_the_training_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool = Spool(path)
    uploader = Uploader("http://127.0.0.1:9", "0" * 32, path, every=0.05)
    slowest = 0.0
    for step in range(300):
        started = time.perf_counter()
        spool.log(step, {"loss": 1.0})
        slowest = max(slowest, time.perf_counter() - started)
        time.sleep(0.002)
    uploader.stop()
    spool.close()
    assert uploader.failures > 0, "it was really tried"
    assert slowest < 0.5
    assert len(list(read_points(path))) == 300
    with pytest.raises(LedgerError):
        upload_all("http://127.0.0.1:9", "0" * 32, path, patience=0.1)


KILLED = """
import sys, time, pickle
from pathlib import Path
from maineffect.ledger.sweep.ledger import find_sweep
ledger = find_sweep(sys.argv[1], "latest")
request = pickle.loads(bytes.fromhex(sys.argv[2]))
record = ledger.start_attempt(request, 1, Path(sys.argv[3]))
for step in range(10**9):
    record.log(step, {"loss": step / 7})
    if step == 700:
        print("logging", flush=True)
    time.sleep(0.001)
"""


def test_kill_nine_while_logging_loses_no_written_step(
    sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path
) -> None:
    import pickle

    request = requests[0]
    assert sweep.claim(request.run_id, 1, "me")
    words = [sys.executable, "-c", KILLED, sweep.uri, pickle.dumps(request).hex(), str(tmp_path / "a1")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stdout is not None
    assert process.stdout.readline() == b"logging\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    tracking = sweep.records.read()[f"start.{request.run_id}.a1"].partition(":")[0]
    assert client(sweep.uri).get_run(tracking).info.status == "RUNNING"

    from maineffect.contracts import FailureClass

    sweep.end_attempt(request.run_id, 1, FailureClass.LOST, "killed")
    client(sweep.uri).update_run(tracking, "RUNNING")  # as if the driver had died between record and mirror
    assert close_ghosts(sweep, tmp_path) == [tracking]
    history = _history(sweep.uri, tracking)
    written = [(point.step, point.value) for point in read_points(tmp_path / "a1" / "spool.jsonl")]
    assert len(written) > 700
    assert history == written
    assert client(sweep.uri).get_run(tracking).info.status == "KILLED"
    assert close_ghosts(sweep, tmp_path) == []
