"""Signs of life need no common clock, and an attempt that was given up learns of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from maineffect.contracts import FailureClass, RunRequest, RunResult
from maineffect.ledger.attempt import upload
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.ledger import MlflowLedger, sweep_results


def test_an_hour_of_clock_skew_changes_no_decision(
    sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is an hour late writes its records; only displayed times differ."""
    request = requests[0]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600.0)
    assert sweep.claim(request.run_id, 1, "late")
    record = sweep.start_attempt(request, 1, tmp_path / "a1")
    record.log(0, {"loss": 1.0})
    monkeypatch.setattr(time, "time", real)
    assert not sweep.claim(request.run_id, 1, "early")
    assert record.commit(RunResult({"skill": 1.0}), seconds=2.0)
    status = sweep.state().runs[request.run_id]
    assert status.started_at == pytest.approx(real() - 3600.0, abs=60)
    assert sweep_results(sweep)[request.run_id]["seconds"] == 2.0, "durations come from one clock"


def test_a_living_attempt_beats_and_learns_that_it_was_given_up(
    sweep: MlflowLedger, requests: list[RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        upload.Uploader.__init__,
        "__kwdefaults__",
        {
            **(upload.Uploader.__init__.__kwdefaults__ or {}),
            "every": 0.05,
            "beat": 0.1,
        },
    )
    request = requests[0]
    sweep.claim(request.run_id, 1, "me")
    record = sweep.start_attempt(request, 1, tmp_path / "a1")
    tracking = sweep.state().runs[request.run_id].tracking_run_id
    assert _wait(lambda: client(sweep.uri).get_run(tracking).data.tags.get("me.heartbeat") is not None)
    assert record.stop_reason is None
    sweep.end_attempt(request.run_id, 1, FailureClass.LOST, "taken over")
    assert _wait(lambda: record.stop_reason is not None)
    assert "another driver" in record.stop_reason
    sweep.cancel("ann")
    assert _wait(lambda: record.stop_reason == "cancelled by ann")
    record.fail(FailureClass.CANCELLED, "stopped", seconds=1)


def _wait(condition, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
