"""A run that is silent on another machine is told from one that runs, and every wait for it has an end."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.journey.run.test_submission import _submitted

from maineffect import study
from maineffect.cli import sweeps
from maineffect.execute.cluster.processes import this_process
from maineffect.execute.drive import lease
from maineffect.execute.drive.foreign import ForeignAttempts
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.run.submission import stored_submission
from maineffect.journey.run.unheard import Listener
from maineffect.ledger.store.connection import client

CLOCK_STEP = 15.0


class Far:
    """A sweep of which one run was begun on another machine, whose heart beats as the test says."""

    def __init__(self, folder: Path) -> None:
        self.place, self.sweep, _ = _submitted(folder, "full")
        checked, self.ledger = stored_submission(self.sweep, self.place)
        self.request = plan_requests(checked, self.sweep)[0]
        self.run_id = self.request.run_id
        self.ledger.claim(self.run_id, 1, str(replace(this_process(), machine="another~machine~1")))
        self.record = self.ledger.start_attempt(self.request, 1, folder / "far")
        self.record._uploader.stop()
        self.beat(20.0)

    def beat(self, lived: float) -> None:
        tracking = self.ledger.state().runs[self.run_id].tracking_run_id
        client(self.ledger.uri).set_tag(tracking, "me.heartbeat", str(lived))

    def waited_for(self) -> None:
        """A driver waits for it longer than a lease, and ends."""
        now = [0.0]
        foreign = ForeignAttempts(self.ledger, self.place.home, clock=lambda: now[0])
        while now[0] <= lease.LEASE_SECONDS + 2 * CLOCK_STEP:
            foreign.look(self.request, self.ledger.state().runs[self.run_id])
            now[0] += CLOCK_STEP
        assert foreign.silent == {self.run_id: "another"}

    def status(self) -> dict[str, Any]:
        return study.status(self.sweep, self.place)


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path)


def test_what_a_driver_found_silent_is_silent_until_it_is_heard_again(far: Far) -> None:
    alive = far.status()
    assert (alive["silent"], alive["counts"]["running"]) == ({}, 1)
    assert alive["next"] == f"maineffect status {far.sweep} --watch"
    far.waited_for()
    silent = far.status()
    assert silent["silent"] == {far.run_id: "another"}
    assert silent["next"] == f"maineffect resubmit {far.sweep} --takeover", "a watch would wait for ever"
    said = sweeps.status_text(silent)
    assert ": 1 silent, 15 planned of 16\n" in said
    assert f"silent: {far.run_id} on another (no sign of life for minutes; --takeover gives it up for lost)\n" in said
    far.beat(900.0)
    heard = far.status()
    assert (heard["silent"], heard["next"]) == ({}, alive["next"]), "it lives after all"


def test_a_watch_without_any_driver_ends(far: Far, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(lease, "_LOOK_EVERY", 0.1)
    monkeypatch.setattr(sweeps, "_LOOK_SECONDS", 0.2)
    sweeps.show_status(far.sweep, far.place, watch=True)
    assert f"next: maineffect resubmit {far.sweep} --takeover\n" in capsys.readouterr().out
    assert far.status()["silent"] == {}, "what one watch has seen by its short lease is not recorded for others"


def test_a_preview_says_what_becomes_of_runs_on_other_machines(far: Far) -> None:
    def notices(*, takeover: bool) -> list[str]:
        document = study.preview_resubmit(far.sweep, replace(far.place, takeover=takeover))
        assert far.run_id not in {row["run_id"] for row in document["would_run"]}
        return document["notices"]

    name = f"{far.run_id} (another)"
    held = f"1 run(s) held by another machine: {name}; they would be waited for"
    assert notices(takeover=False) == notices(takeover=True) == [held]
    far.waited_for()
    silent = f"1 run(s) silent for 5 minutes when last looked after: {name}; they would be "
    assert notices(takeover=False) == [f"{silent}left alone; --takeover gives them up and runs them again"]
    assert notices(takeover=True) == [
        f"{silent}taken over and run again once they are silent for that long again",
    ]


@pytest.mark.live
def test_a_watch_hears_a_run_that_began_after_its_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a server every look has a snapshot, and an old one knows no attempt that began later."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(lease, "_LOOK_EVERY", 0.05)
    beats = iter(range(1000))

    class Snapshot:
        def __init__(self, *, knows: bool) -> None:
            self.knows = knows

        def heartbeat(self, run_id: str, attempt: int) -> str | None:
            return str(next(beats)) if self.knows else None

    listener = Listener()
    assert not listener.is_silent(Snapshot(knows=False), ("r0", 1))
    for _ in range(10):
        time.sleep(0.06)
        assert not listener.is_silent(Snapshot(knows=True), ("r0", 1))
