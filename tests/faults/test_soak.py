"""A soak: hundreds of short runs, workers killed, the store paused, and a tenth of the runs in trouble of their own.

Nobody helps: the sweep ends by itself, every run ends once in the state that it should, and the driver does not grow.
Run by ``make chaos``, which prints what happened as a table.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import shutil
import signal
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from maineffect.contracts import FailureClass, RunRequest, RunState, RunStatus
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.processes import leftovers
from maineffect.ledger.store.connection import client

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(3600)]

_SPEC = importlib.util.spec_from_file_location("troubles", Path(__file__).with_name("troubles.py"))
troubles = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(troubles)

MOST_GROWTH_MB = 100.0
WARM = 0.05  # of the runs: what Python, Ray and MLflow load by then is no growth
# What is none of a run's own doing: its worker was killed, or the store was away when it began.
NOT_ITS_OWN = (FailureClass.LOST, FailureClass.LEDGER)


@dataclass(frozen=True)
class Size:
    """How much is done, and how much of it is trouble."""

    runs: int
    troubled: int
    kills: int
    pauses: tuple[float, ...]
    seconds: tuple[float, float]


LARGE = Size(400, 40, 20, (0.2, 0.45, 0.7), (10.0, 90.0))
SMALL = Size(24, len(troubles.TROUBLES), 1, (0.4,), (3.0, 4.0))


@dataclass
class Soak:
    """Kills, pauses and measures while one driver works."""

    bench: Any
    server: Any
    requests: list[RunRequest]
    random: random.Random
    driver: Any
    kills_at: list[int]
    pauses: list[tuple[int, float]]
    kills: int = 0
    paused: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    memory: list[tuple[float, float]] = field(default_factory=list)
    warm: float | None = None

    def ended(self) -> int:
        """Runs that are finished or failed, by the database itself: the server may stand still."""
        states = Counter(status.state for status in self.bench.ledger.state().runs.values())
        return states[RunState.FINISHED] + states[RunState.FAILED]

    def measure(self) -> None:
        """The driver's memory in MB."""
        with contextlib.suppress(psutil.NoSuchProcess):
            resident = psutil.Process(self.driver.pid).memory_info().rss / 1e6
            if resident > 0:  # a process that has just ended has none
                self.memory.append((time.monotonic() - self.began, resident))

    def kill_a_worker(self) -> bool:
        """SIGKILL to a random process that is working at a run."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.driver.pid).children(recursive=True)
            workers = [child for child in family if "ray::RunWorker" in " ".join(_words(child))]
            if workers:
                self.random.choice(workers).kill()
                self.kills += 1
                return True
        return False

    def pause(self, seconds: float) -> None:
        """The server stands still, and somewhere in the middle a worker is killed."""
        os.killpg(self.server.process.pid, signal.SIGSTOP)
        ends, strikes = time.monotonic() + seconds, time.monotonic() + self.random.uniform(0.0, seconds)
        while time.monotonic() < ends:
            time.sleep(0.5)
            self.measure()
            if self.kills_at and time.monotonic() > strikes and self.kill_a_worker():
                self.kills_at.pop()
                strikes = ends
        os.killpg(self.server.process.pid, signal.SIGCONT)
        self.paused.append(seconds)

    def run(self) -> None:
        """Until the driver has ended by itself."""
        ended, looked = 0, 0.0
        while self.driver.poll() is None:
            time.sleep(0.2)
            self.measure()
            if time.monotonic() - looked > 1.0:
                ended, looked = self.ended(), time.monotonic()
            if self.warm is None and ended >= WARM * len(self.requests):
                self.warm = self.memory[-1][1]
            if self.pauses and ended >= self.pauses[0][0]:
                self.pause(self.pauses.pop(0)[1])
            elif self.kills_at and ended >= self.kills_at[0]:
                time.sleep(self.random.uniform(0.0, 1.0))
                if self.kill_a_worker():
                    self.kills_at.pop(0)

    @property
    def growth(self) -> float:
        """Most memory of the driver after it had warmed up, less what it had then, in MB."""
        assert self.warm is not None
        return max(resident for _, resident in self.memory) - self.warm


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def planned(bench: Any, size: Size, moments: random.Random) -> list[RunRequest]:
    """The runs; which of them make which trouble is drawn."""
    shutil.copy(Path(__file__).with_name("troubles.py"), bench.folder / "troubles.py")
    (bench.folder / "planted").mkdir()
    names = list(troubles.TROUBLES)
    drawn = moments.sample(range(size.runs), size.troubled)
    chosen = {f"r{number}": names[k % len(names)] for k, number in enumerate(drawn)}
    plain = bench.requests(size.runs, troubles=chosen, planted=str(bench.folder / "planted"))
    requests = [replace(request, trainable="troubles:train") for request in plain]
    both = ("skill", "train/reward")
    named = [run for run, name in chosen.items() if name == "a response named as a curve"]
    return [replace(request, responses=both) if request.run_id in named else request for request in requests]


@pytest.mark.parametrize("size", [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large")])
def test_a_soak(bench, server, wait, size) -> None:
    direct, seed = bench.ledger, int(os.environ.get("CHAOS_SEED", "1"))
    moments = random.Random(seed)
    requests = planned(bench, size, moments)
    bench.ledger = replace(direct, uri=server.uri)
    driver = bench.start(requests, Needs(cpus=0.5, timeout=300, retries=20), workers=3)
    bench.ledger = direct
    kills_at = sorted(moments.sample(range(1, int(0.95 * size.runs)), size.kills))
    pauses = [(int(size.runs * part), moments.uniform(*size.seconds)) for part in size.pauses]
    soak = Soak(bench, server, requests, moments, driver, kills_at, pauses)
    soak.run()

    assert driver.returncode == 0, bench.log_of(driver)[-5000:]
    runs = bench.ledger.state().runs
    print(table(soak, runs))
    assert (soak.kills, len(soak.paused)) == (size.kills, len(size.pauses))
    wrong = {run: (runs.get(run), ends) for run, ends in should(requests).items() if not as_it_should(runs, run, ends)}
    assert not wrong, bench.log_of(driver)[-5000:]
    assert set(runs) == set(should(requests))
    good = [request for request in requests if should(requests)[request.run_id] is None]
    commits = [key for key in bench.ledger.records.read() if key.startswith("commit.")]
    assert sorted(commits) == sorted(f"commit.{request.run_id}" for request in good)
    assert bench.skills() == {request.run_id: troubles.skill(request) for request in good}
    lost = sum(end.failure is FailureClass.LOST for status in runs.values() for end in status.ends)
    assert lost <= size.kills, "a run that nobody killed was given up for lost"
    assert all(count <= runs[run].attempts for run, count in bench.entered().items())
    assert list((bench.folder / "planted").iterdir()) == []
    assert "Traceback" not in bench.log_of(driver)
    entry = bench.ledger.entry
    ghosts = client(bench.ledger.uri).search_runs(
        [entry.experiment_id], "attributes.status = 'RUNNING' and tags.\"me.attempt\" != ''", max_results=1000
    )
    assert [run.info.run_id for run in ghosts] == []
    assert soak.growth < MOST_GROWTH_MB
    wait(lambda: leftovers() == [])


def should(requests: list[RunRequest]) -> dict[str, str | None]:
    """Run → the failure class that it should end in; None: it should finish."""
    named = requests[0].settings["troubles"]
    return {
        request.run_id: troubles.TROUBLES[named[request.run_id]][1] if request.run_id in named else None
        for request in requests
    }


def as_it_should(runs: Any, run: str, ends: str | None) -> bool:
    """Whether a run ended once, and as it should: but for kills and outages it has one end."""
    status: RunStatus | None = runs.get(run)
    if status is None:
        return False
    own = [end.failure.value for end in status.ends if end.failure not in NOT_ITS_OWN]
    if ends is None:
        return status.state is RunState.FINISHED and own == []
    return status.state is RunState.FAILED and own == [ends] and status.ends[-1].failure.value == ends


def table(soak: Soak, runs: Any) -> str:
    """What was done, and how the runs ended, as people read it."""
    named, wanted = soak.requests[0].settings["troubles"], should(soak.requests)
    groups: dict[str, list[str]] = defaultdict(list)
    for request in soak.requests:
        groups[named.get(request.run_id, "none")].append(request.run_id)
    lines = ["", f"{'trouble':34} {'runs':>5}  {'should end':12} {'ended so':>8}  {'attempts':>8}"]
    for name in sorted(groups, key=lambda name: (name != "none", name)):
        members = groups[name]
        right = sum(as_it_should(runs, run, wanted[run]) for run in members)
        attempts = sum(runs[run].attempts for run in members if run in runs)
        ends = wanted[members[0]] or "finished"
        lines.append(f"{name:34} {len(members):5}  {ends:12} {right:8}  {attempts:8}")
    ends_by_class = Counter(end.failure.value for status in runs.values() for end in status.ends)
    paused = ", ".join(f"{seconds:.0f} s" for seconds in soak.paused)
    lasted, first, last = soak.memory[-1][0], soak.warm or 0.0, soak.memory[-1][1]
    lines += [
        "",
        f"workers killed           {soak.kills}",
        f"store paused             {paused}",
        f"ends without a result    {', '.join(f'{count} {name}' for name, count in sorted(ends_by_class.items()))}",
        f"memory of the driver     {first:.0f} MB after {WARM:.0%} of the runs, {last:.0f} MB at the end, "
        f"{soak.growth:+.0f} MB at most",
        f"wall time                {lasted:.0f} s",
    ]
    return "\n".join(lines)
