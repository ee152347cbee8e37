"""The promise: whatever is killed, and whenever, every planned run ends recorded exactly once.

Drivers, workers, Ray's nodes and (in the large test) the MLflow server are killed with SIGKILL at seeded random moments,
while two drivers work on the same sweep at once.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import psutil
import pytest

from maineffect.contracts import RunState
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.processes import Owner, leftovers
from maineffect.ledger.store.connection import client
from maineffect.ledger.sweep.ledger import MlflowLedger

pytestmark = pytest.mark.ray


def expected(request) -> float:
    """What the trainable returns when nothing disturbs it."""
    from maineffect.seeds import generator

    return float(request.levels["a"] + generator(request.seed, "noise", request.run_id).normal(0.0, 0.1))


@dataclass
class Chaos:
    """Kills, by a seeded plan, what belongs to a sweep."""

    bench: object
    requests: list
    random: random.Random
    plan: list[str]
    server: object | None = None
    drivers: list[subprocess.Popen] = field(default_factory=list)
    done: Counter = field(default_factory=Counter)

    def keep_drivers(self, count: int) -> None:
        """Two ``resubmit`` at once, all the time."""
        for driver in [d for d in self.drivers if d.poll() is not None]:
            self.drivers.remove(driver)
        while len(self.drivers) < count:
            needs = Needs(timeout=300, retries=100)
            self.drivers.append(self.bench.start(self.requests, needs, retry_failed=True, workers=1))

    def finished(self) -> int:
        return sum(status.state is RunState.FINISHED for status in self.bench.ledger.state().runs.values())

    def strike(self) -> None:
        """The next fault of the plan, if it is possible at this moment."""
        victim = getattr(self, f"_{self.plan[-1]}")()
        if victim is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                self.done[self.plan.pop()] += 1

    def workers(self) -> list[int]:
        """Processes that are running a run at this moment."""
        open_claims = [
            Owner.parse(self.bench.ledger.owner(run_id, status.attempts) or "")
            for run_id, status in self.bench.ledger.state().runs.items()
            if status.state is RunState.RUNNING
        ]
        return sorted(owner.pid for owner in open_claims if owner is not None and owner.alive)

    def _worker(self) -> int | None:
        alive = self.workers()
        return self.random.choice(alive) if alive else None

    def _driver(self) -> int | None:
        alive = [driver.pid for driver in self.drivers if driver.poll() is None]
        return self.random.choice(alive) if alive else None

    def _node(self) -> int | None:
        found = [
            child.pid
            for driver in self.drivers
            if driver.poll() is None
            for child in psutil.Process(driver.pid).children(recursive=True)
            if child.name() == "raylet"
        ]
        return self.random.choice(found) if found else None

    def _mlflow(self) -> int | None:
        """The server is away for a while; the drivers and runs must live with it."""
        self.server.kill()
        self.done[self.plan.pop()] += 1
        time.sleep(self.random.uniform(0.5, 5.0))
        self.server.start()
        return None


def run_chaos(bench, wait, *, runs: int, faults: int, seed: int, kinds, pause: float, server=None) -> Chaos:
    """Strike until the faults are done, then let the sweep end."""
    requests = bench.requests(runs, way="steps 4 0.15")
    moments = random.Random(seed)
    plan = [kinds[number % len(kinds)] for number in range(faults)]
    moments.shuffle(plan)
    chaos = Chaos(bench, requests, moments, plan, server)
    deadline = time.monotonic() + 3600
    while chaos.finished() < runs:
        assert time.monotonic() < deadline, f"the sweep does not end; {chaos.done}"
        chaos.keep_drivers(2)
        time.sleep(0.1)
        # Something must be at stake: a fault before the first run has started tells nothing.
        if chaos.plan and chaos.workers():
            time.sleep(chaos.random.uniform(0.0, 2 * pause))
            with contextlib.suppress(psutil.NoSuchProcess):
                chaos.strike()
    for driver in chaos.drivers:
        assert driver.wait(timeout=300) == 0, bench.log_of(driver)
    return chaos


def verify(bench, wait, chaos: Chaos) -> None:
    """Exactly once, to the last digit, and nothing left."""
    planned = {request.run_id for request in chaos.requests}
    final = bench.start(chaos.requests, Needs(timeout=300), retry_failed=True)
    assert final.wait(timeout=300) == 0, bench.log_of(final)
    runs = bench.ledger.state().runs
    assert set(runs) == planned
    assert {status.state for status in runs.values()} == {RunState.FINISHED}
    assert bench.skills() == {request.run_id: expected(request) for request in chaos.requests}
    commits = [key for key in bench.ledger.records.read() if key.startswith("commit.")]
    assert sorted(commits) == sorted(f"commit.{run_id}" for run_id in planned)
    for run_id, status in runs.items():
        # Entered no more often than attempts were claimed: no attempt ever had two owners.
        assert bench.entered()[run_id] <= status.attempts
    entry = bench.ledger.entry
    alive = client(bench.ledger.uri).search_runs(
        [entry.experiment_id],
        f"tags.\"mlflow.parentRunId\" = '{entry.sweep_run}' and attributes.status = 'RUNNING'",
        max_results=1000,
    )
    assert [run.info.run_id for run in alive] == []
    workers = {int(words[2]) for words in bench.lines() if len(words) == 3 and words[0] in planned}
    wait(lambda: not any(is_worker(pid) for pid in workers))
    wait(lambda: leftovers() == [])


def attempts(bench) -> int:
    return sum(status.attempts for status in bench.ledger.state().runs.values())


def is_worker(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return "ray::" in " ".join(psutil.Process(pid).cmdline())
    return False


@pytest.mark.parametrize(
    ("runs", "kinds", "faults"),
    [
        pytest.param(8, ("worker", "driver", "node"), {"worker": 1, "driver": 1, "node": 1}, marks=pytest.mark.live),
        pytest.param(
            20,
            ("worker", "worker", "driver", "node"),
            {"worker": 4, "driver": 2, "node": 2},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_small_chaos(bench, wait, runs, kinds, faults) -> None:
    chaos = run_chaos(bench, wait, runs=runs, faults=sum(faults.values()), seed=20261123, kinds=kinds, pause=0.5)
    verify(bench, wait, chaos)
    assert chaos.done == faults


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_large_chaos(bench, server, wait) -> None:
    """200 runs, 55 faults, a server that comes and goes. Run by ``make chaos``."""
    ledger = replace(bench.ledger, uri=server.uri)
    assert isinstance(ledger, MlflowLedger)
    bench.ledger = ledger
    kinds = ("worker",) * 4 + ("driver", "node", "mlflow")
    seed = int(os.environ.get("CHAOS_SEED", "1"))
    chaos = run_chaos(bench, wait, runs=200, faults=55, seed=seed, kinds=kinds, pause=0.6, server=server)
    verify(bench, wait, chaos)
    print(f"faults: {dict(chaos.done)}, attempts: {attempts(bench)}")
    assert chaos.done.total() == 55
