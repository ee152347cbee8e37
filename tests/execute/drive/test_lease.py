"""Leases: an outage of any length makes nobody silent, and whoever is heard again is alive again."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass, replace

import pytest

from maineffect.contracts import RunResult, RunState
from maineffect.errors import LedgerError
from maineffect.execute.cluster.processes import this_process
from maineffect.execute.drive.foreign import ForeignAttempts
from maineffect.execute.drive.lease import LEASE_SECONDS
from maineffect.execute.drive.sweep import Needs, execute_sweep
from maineffect.ledger.attempt import upload
from maineffect.ledger.store import broker, quick
from maineffect.ledger.store.connection import client

FAR = "another~machine~1"
# An observer looks now and then; the clock of this test moves so far between two looks.
STEP = 15.0


@dataclass
class Observer:
    """A driver's view of one attempt on another machine, with a clock that the test moves."""

    bench: object
    request: object
    takeover: bool
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.foreign = ForeignAttempts(
            self.bench.ledger, self.bench.home, takeover=self.takeover, clock=lambda: self.now
        )
        self.look()

    def look(self) -> None:
        status = self.bench.ledger.state().runs[self.request.run_id]
        if status.state is RunState.RUNNING:
            assert self.foreign.look(self.request, status) is None

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            self.look()

    def outage(self, seconds: float) -> None:
        """Nobody answers at the store's address; looked at in the beginning and at the end."""
        there = self.bench.ledger
        self.foreign.ledger = self.foreign._watch.ledger = replace(there, uri="http://127.0.0.1:9")
        for part in (STEP, seconds - STEP):
            self.now += part
            with pytest.raises(LedgerError):
                self.look()
        self.foreign.ledger = self.foreign._watch.ledger = there

    @property
    def ended(self) -> bool:
        return self.bench.ledger.state().runs[self.request.run_id].state is RunState.FAILED


@pytest.fixture
def far(bench):
    """An attempt that lives on another machine; ``far(word)`` is its heartbeat."""
    (request,) = bench.requests(1)
    bench.ledger.claim(request.run_id, 1, str(replace(this_process(), machine=FAR)))
    record = bench.ledger.start_attempt(request, 1, bench.folder / "far")
    tracking = bench.ledger.state().runs[request.run_id].tracking_run_id

    def beat(lived: float) -> None:
        client(bench.ledger.uri).set_tag(tracking, "me.heartbeat", str(lived))

    beat.request = request
    yield beat
    record._uploader.stop()


@pytest.mark.parametrize("seconds", [70.0, 660.0])
def test_an_outage_of_any_length_ends_no_living_run(bench, far, seconds: float) -> None:
    observer = Observer(bench, far.request, takeover=True)
    far(20.0)
    observer.pass_time(LEASE_SECONDS - 60)  # it was silent for most of a lease when the store went away
    observer.outage(seconds)
    observer.pass_time(LEASE_SECONDS - STEP)
    assert not observer.ended, "the outage was counted, or what came before it"
    far(900.0)
    observer.pass_time(LEASE_SECONDS - STEP)
    assert not observer.ended
    observer.pass_time(3 * STEP)
    assert observer.ended, "with answers all the time and no sign of life, the lease passes"
    (end,) = bench.ledger.state().runs["r0"].ends
    assert end.message == "taken over from another, which gave no sign of life for 300 s"


def test_an_outage_that_another_read_has_met_counts_as_well(bench, far) -> None:
    observer = Observer(bench, far.request, takeover=True)
    observer.pass_time(LEASE_SECONDS - STEP)
    observer.foreign.store_was_away()
    observer.pass_time(LEASE_SECONDS - STEP)
    assert not observer.ended


def test_an_observer_that_was_stopped_has_seen_nothing(bench, far) -> None:
    observer = Observer(bench, far.request, takeover=True)
    observer.now += 3600.0
    observer.look()
    assert not observer.ended


def test_what_was_silent_and_is_heard_again_is_alive_again(bench, far) -> None:
    observer = Observer(bench, far.request, takeover=False)
    observer.pass_time(LEASE_SECONDS + STEP)
    assert observer.foreign.silent == {"r0": "another"}
    far(320.0)
    observer.pass_time(STEP)
    assert observer.foreign.silent == {}
    assert not observer.ended


def test_the_lease_is_longer_than_a_healthy_attempt_is_ever_silent() -> None:
    calls = 2 * 10.0  # MLflow's own limit of a call: one that fails, and one that succeeds at last
    worst = upload.HEARTBEAT_SECONDS + upload._LONGEST_PAUSE + broker._ANSWER_SECONDS + calls
    assert worst < LEASE_SECONDS


def test_an_attempt_costs_one_small_read_per_interval(bench, far, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = Observer(bench, far.request, takeover=False)
    status = bench.ledger.state().runs["r0"]
    questions, real = [], quick._rows
    monkeypatch.setattr(quick, "_rows", lambda uri, *asked: questions.extend(asked) or real(uri, *asked))
    for _ in range(120):
        observer.now += 0.5
        observer.foreign.look(far.request, status)
    assert len(questions) == 4
    assert all("FROM tags" in question for question, _ in questions)


WORKER = """
import pickle, sys, time
from maineffect.contracts import RunResult
ledger, request, folder, owner = pickle.load(open(sys.argv[1], "rb"))
assert ledger.claim(request.run_id, 1, owner)
record = ledger.start_attempt(request, 1, folder)
print("started", flush=True)
time.sleep(4)
record.commit(RunResult({"skill": 1.0}), seconds=4.0)
"""


def test_a_driver_that_starts_nothing_more_waits_for_what_lives_elsewhere(bench) -> None:
    requests = bench.requests(2)
    order = bench.folder / "far.pickle"
    far = str(replace(this_process(), machine=FAR))
    order.write_bytes(pickle.dumps((bench.ledger, requests[0], bench.folder / "far", far)))
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(order)], stdout=subprocess.PIPE)
    bench.processes.append(worker)
    assert worker.stdout.readline() == b"started\n"
    runs = bench.run(requests, halt="enough is known")
    assert runs["r0"].state is RunState.FINISHED, "it ended while a run of its sweep lived"
    assert set(runs) == {"r0"}, "and started nothing"
    assert "waiting for 1 run(s) that another driver started: r0" in bench.notices()


def test_an_outage_while_only_others_run_is_waited_out(bench, far) -> None:
    """A driver that had started nothing itself gave up at the first read that failed."""
    reads, away = [], threading.Event()

    class Sometimes(type(bench.ledger)):
        """The third read of everything meets an address where nobody answers."""

        def state(self):
            reads.append(1)
            if len(reads) == 3:
                away.set()
                replace(self.records, uri="http://127.0.0.1:9").read(patience=0.0)
            return super().state()

    failed: list[BaseException] = []
    ledger = Sometimes(bench.ledger.uri, bench.ledger.entry)

    def drive() -> None:
        try:
            execute_sweep([far.request], ledger, bench.home, Needs(), on_progress=bench.progress.append)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    assert away.wait(60)
    bench.ledger.start_attempt(far.request, 1, bench.folder / "far").commit(RunResult({"skill": 1.0}), seconds=1.0)
    thread.join(60)
    assert (thread.is_alive(), failed) == (False, [])
    assert "nothing new starts, what runs goes on" in bench.notices()
