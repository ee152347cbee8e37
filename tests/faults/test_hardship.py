"""A full disk, a read-only or locked ledger, clocks that jump, a poisoned run: named in words, nothing else harmed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.errors import LedgerError
from maineffect.execute.cluster.needs import Needs
from maineffect.ledger.store.connection import prepare
from maineffect.ledger.sweep.ledger import open_sweep
from maineffect.seeds import generator

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]


def expected(requests) -> dict[str, float]:
    """What the trainable returns when nothing disturbs it."""
    noise = {r.run_id: generator(r.seed, "noise", r.run_id).normal(0.0, 0.1) for r in requests}
    return {request.run_id: float(request.levels["a"] + noise[request.run_id]) for request in requests}


def all_recorded_once(bench, requests) -> None:
    runs = bench.ledger.state().runs
    assert {run_id: status.state for run_id, status in runs.items()} == {
        request.run_id: RunState.FINISHED for request in requests
    }
    assert bench.skills() == expected(requests)


@pytest.fixture
def on_small_disk(bench, tmp_path: Path, empty_database: Path) -> Iterator[Path]:
    """The bench's ledger alone on a disk of four megabytes; the runs' folders stay where they are."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root and CAP_SYS_ADMIN")
    shutil.copy(empty_database, disk / "mlflow.db")
    uri = f"sqlite:///{disk / 'mlflow.db'}"
    bench.ledger = open_sweep(uri, bench.ledger.sweep_id, study_name="m", study_text=json.dumps({}), plan={"runs": {}})
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def use_up(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def during(bench, wait, fault: Callable[[], None]) -> Future[None]:
    """Bring the fault about once the sweep's first steps are taken; the result says whether it went as it should."""

    def work() -> None:
        wait(lambda: len(bench.steps()) >= 3)
        fault()

    with_one = ThreadPoolExecutor(1)
    future = with_one.submit(work)
    with_one.shutdown(wait=False)
    return future


@pytest.mark.slow  # a minute of patience; tests/ledger/test_full_disk.py is its quick sister
def test_the_ledgers_disk_fills_up_in_mid_sweep(bench, wait, on_small_disk: Path) -> None:
    requests = bench.requests(6, way="steps 5 0.1")
    ballast = on_small_disk / "ballast"

    def fill() -> None:
        with pytest.raises(OSError, match="No space"):
            use_up(ballast)
        wait(lambda: "free disk space" in bench.notices() or "No space" in bench.notices() or "full" in bench.notices())
        ballast.unlink()

    filler = during(bench, wait, fill)
    bench.run(requests, Needs(timeout=120, retries=5))
    filler.result()
    all_recorded_once(bench, requests)


@pytest.mark.slow  # half a minute
def test_the_ledger_turns_read_only_in_mid_sweep(bench, wait, on_small_disk: Path) -> None:
    requests = bench.requests(6, way="steps 5 0.1")

    def freeze() -> None:
        # Over itself, because a database that is in use keeps its own mount from turning read-only.
        subprocess.run(["mount", "--bind", str(on_small_disk), str(on_small_disk)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(on_small_disk)], check=True)
        try:
            with pytest.raises(LedgerError) as caught:
                prepare(bench.ledger.uri)
            assert caught.value.hint.startswith("make ")
            wait(lambda: "read-only" in bench.notices() or "readonly" in bench.notices())
        finally:
            subprocess.run(["umount", "-l", str(on_small_disk)], check=True)

    freezer = during(bench, wait, freeze)
    bench.run(requests, Needs(timeout=120, retries=5))
    freezer.result()
    all_recorded_once(bench, requests)


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.rollback()
"""


@pytest.mark.live
def test_another_process_locks_the_ledger_in_mid_sweep(bench, wait) -> None:
    requests = bench.requests(6, way="steps 5 0.1")

    def lock() -> None:
        words = [sys.executable, "-c", HOLD, str(bench.home / "mlflow.db"), "8"]
        other = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match="locked") as caught:
            prepare(bench.ledger.uri)
        assert "another process holds" in caught.value.hint
        assert other.wait(60) == 0

    locker = during(bench, wait, lock)
    bench.run(requests, Needs(timeout=120, retries=5))
    locker.result()
    all_recorded_once(bench, requests)
    assert bench.entered() == {request.run_id: 1 for request in requests}, "a lock costs time, never a run"


@pytest.mark.live
def test_clocks_that_jump_by_an_hour_change_nothing(bench, wait, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers' clocks an hour ahead from their third step on, the driver's an hour back."""
    requests = bench.requests(4, way="steps 5 0.1 +3600")
    true = time.time
    jumper = during(bench, wait, lambda: monkeypatch.setattr(time, "time", lambda: true() - 3600.0))
    bench.run(requests)
    jumper.result()
    all_recorded_once(bench, requests)
    runs = bench.ledger.state().runs
    assert all(status.ends == () and 0 < status.seconds < 60 for status in runs.values()), "durations know no clock"
    assert max(status.started_at for status in runs.values()) < true() + 60


@pytest.mark.slow
def test_a_poisoned_run_is_given_up_and_named_and_the_others_end(bench, running) -> None:
    requests = bench.requests(5, ways={"r1": "leaks and dies"})
    runs = bench.run(requests, Needs(timeout=60, retries=2))
    assert runs["r1"].state is RunState.FAILED
    assert [end.failure for end in runs["r1"].ends] == [FailureClass.LOST] * 3
    assert "its worker process died without a word" in bench.notices()
    well = expected(requests)
    del well["r1"]
    assert bench.skills() == well
    assert bench.entered() == {"r0": 1, "r1": 3, "r2": 1, "r3": 1, "r4": 1}
    assert all(runs[f"r{number}"].ends == () for number in (0, 2, 3, 4))
    assert not any(running(pid) for pid in bench.leaked())
