"""A full disk and a read-only ledger: named in words, nothing that was recorded is harmed, and it goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from maineffect.contracts import RunRequest, RunResult
from maineffect.errors import LedgerError
from maineffect.ledger.attempt import recording as attempt_module
from maineffect.ledger.store.connection import prepare
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep, sweep_results


@pytest.fixture
def small_disk(tmp_path: Path, empty_database: Path) -> Iterator[Path]:
    """A disk of three megabytes with an empty ledger on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root and CAP_SYS_ADMIN")
    shutil.copy(empty_database, disk / "mlflow.db")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def ledger(small_disk: Path) -> MlflowLedger:
    plan = {"runs": {}}
    return open_sweep(f"sqlite:///{small_disk}/mlflow.db", "s-1", study_name="s", study_text="s", plan=plan)


def test_a_full_disk_is_named_and_nothing_recorded_is_lost(
    ledger: MlflowLedger, small_disk: Path, requests: list[RunRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "_COMMIT_PATIENCE", 0.3)
    first, second = requests[:2]
    ledger.claim(first.run_id, 1, "me")
    assert ledger.start_attempt(first, 1, small_disk / "a").commit(RunResult({"skill": 1.0}), seconds=1)
    ledger.claim(second.run_id, 1, "me")
    record = ledger.start_attempt(second, 1, small_disk / "b")

    ballast = small_disk / "ballast"
    ballast.touch()
    with pytest.raises(OSError, match="No space"):
        _fill(ballast)
    for step in range(2000):
        record.log(step, {"loss": 1.0})  # costs points, never the training
    with pytest.raises(LedgerError) as caught:
        record.commit(RunResult({"skill": 2.0}), seconds=1)
    assert "No space left" in str(caught.value) or "full" in str(caught.value)
    assert "free" in caught.value.hint
    assert str(small_disk) in str(caught.value)
    assert sweep_results(ledger)[first.run_id]["responses"] == {"skill": 1.0}

    ballast.unlink()
    assert record.commit(RunResult({"skill": 2.0}), seconds=1), "it goes on once there is space"
    assert {run: result["responses"]["skill"] for run, result in sweep_results(ledger).items()} == {
        first.run_id: 1.0,
        second.run_id: 2.0,
    }


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_read_only_ledger_can_be_read_and_says_that_it_cannot_be_written(
    ledger: MlflowLedger, small_disk: Path, requests: list[RunRequest]
) -> None:
    ledger.claim(requests[0].run_id, 1, "me")
    # Over itself, because a database that is in use keeps its own mount from turning read-only.
    subprocess.run(["mount", "--bind", str(small_disk), str(small_disk)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(small_disk)], check=True)
    try:
        assert list(ledger.state().runs) == [requests[0].run_id]
        with pytest.raises(LedgerError, match="refused") as caught:
            ledger.claim(requests[1].run_id, 1, "me")
        assert caught.value.hint == f"make {small_disk}/mlflow.db writable"
        with pytest.raises(LedgerError):
            prepare(ledger.uri)
    finally:
        subprocess.run(["umount", "-l", str(small_disk)], check=True)
    assert ledger.claim(requests[1].run_id, 1, "me")
