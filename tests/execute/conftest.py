"""Real sweeps: MLflow on SQLite, Ray on this machine, a trainable that misbehaves as told."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import homes

from maineffect.contracts import FailureClass, RunRequest, RunStatus
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.progress import SweepProgress
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep, sweep_results
from maineffect.ledger.sweep.repair import driving

SWEEP = "misfits-12345678"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of this folder's tests those on the session's one Ray come last: others start their own, or need that none runs."""
    own = Path(__file__).parent
    items.sort(
        key=lambda item: (own not in item.path.parents, own in item.path.parents and "ray_here" in _fixtures(item))
    )


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@dataclass
class Bench:
    """A folder with a trainable, a ledger, and planned runs."""

    folder: Path
    ledger: MlflowLedger
    settings: dict[str, Any] = field(default_factory=dict)
    progress: list[SweepProgress] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def diary(self) -> Path:
        return self.folder / "diary.txt"

    def requests(self, count: int, **settings: Any) -> list[RunRequest]:
        """Planned runs r0, r1, …; what they do is in the settings."""
        return [
            RunRequest(
                study="misfits",
                sweep_id=SWEEP,
                run_id=f"r{number}",
                cell_id=f"c{number % 4}",
                replicate=1 + number // 4,
                levels={"a": number % 4},
                settings={"diary": str(self.diary), **settings},
                seed=100 + number // 4,
                evaluation_seed=1,
                responses=("skill",),
                trainable="misfits:train",
            )
            for number in range(count)
        ]

    def run(self, requests: list[RunRequest], needs: Needs | None = None, **options: Any) -> Mapping[str, RunStatus]:
        """Run a sweep in this process and return what the ledger knows of it."""
        from maineffect.execute.drive.sweep import execute_sweep

        options = {"study_dir": self.folder, "workers": 2, "on_progress": self.progress.append, **options}
        with driving(self.ledger, self.home / "runs" / SWEEP):
            execute_sweep(requests, self.ledger, self.home, needs or Needs(timeout=120, retries=2), **options)
        return self.ledger.state().runs

    def start(self, requests: list[RunRequest], needs: Needs | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Run a sweep in a process of its own, which can be killed; its notices are in its log."""
        order = self.folder / f"order-{len(self.processes)}.pickle"
        options = {"study_dir": self.folder, "workers": 2, **options}
        home = options.pop("home", self.home)
        environment = {**os.environ, **options.pop("environment", {})}
        order.write_bytes(pickle.dumps((requests, self.ledger, home, needs or Needs(timeout=120), options)))
        code = (
            "import pickle, sys\n"
            "from maineffect.execute.drive.sweep import execute_sweep\n"
            "from maineffect.ledger.sweep.repair import driving\n"
            "requests, ledger, home, needs, options = pickle.load(open(sys.argv[1], 'rb'))\n"
            "tell = lambda moment: [print(notice, flush=True) for notice in moment.notices]\n"
            "try:\n    with driving(ledger, home / 'runs' / ledger.sweep_id):\n"
            "        execute_sweep(requests, ledger, home, needs, on_progress=tell, **options)\n"
            "except KeyboardInterrupt:\n    sys.exit(130)\n"
        )
        log = (self.folder / f"{order.stem}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(order)],
            cwd=self.folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"order-{self.processes.index(process)}.log").read_text()

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.diary.read_text().splitlines()] if self.diary.exists() else []

    def entered(self) -> Counter[str]:
        """Run id → how often the trainable was really entered."""
        return Counter(words[0] for words in self.lines() if len(words) == 3 and words[0] not in ("step", "leak"))

    def steps(self) -> Counter[tuple[str, int]]:
        """(run id, step) → how often that step was really taken."""
        return Counter((words[1], int(words[2])) for words in self.lines() if words[0] == "step")

    def leaked(self) -> list[int]:
        return [int(pid) for words in self.lines() if words[0] == "leak" for pid in words[1:]]

    def notices(self) -> str:
        return "\n".join(notice for moment in self.progress for notice in moment.notices)

    def skills(self) -> dict[str, float]:
        """Run id → the response in the ledger."""
        return {run_id: found["responses"]["skill"] for run_id, found in sweep_results(self.ledger).items()}

    def failures(self) -> dict[str, FailureClass]:
        return {run_id: s.ends[-1].failure for run_id, s in self.ledger.state().runs.items() if s.ends}


def wait_until(condition: Callable[[], object], seconds: float = 240.0, every: float = 0.1) -> None:
    """Wait for an event; the time limit only bounds how long a broken test takes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(every)


def is_running(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="session")
def empty_database() -> Path:
    """The schema is made once and copied, because making it takes seconds."""
    return homes.empty_database()


@pytest.fixture
def bench(tmp_path: Path, empty_database: Path) -> Iterator[Bench]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    shutil.copy(Path(__file__).with_name("misfits.py"), tmp_path / "misfits.py")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    ledger = open_sweep(uri, SWEEP, study_name="misfits", study_text=json.dumps({}), plan={"runs": {}})
    made = Bench(tmp_path, ledger)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """One embedded Ray for all sweeps of this session that run in this process."""
    from maineffect.execute.cluster import embedded

    close = embedded.start(Needs(), 2)
    yield
    close()


@pytest.fixture
def wait() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def running() -> Callable[[int], bool]:
    return is_running


@pytest.fixture
def own_ray_only() -> None:
    """For tests in which a sweep starts and ends its own Ray in this process."""
    import ray

    if ray.is_initialized():
        pytest.skip("a Ray of this session runs already")
