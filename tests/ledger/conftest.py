"""Real MLflow on SQLite: the schema is made once and copied, because making it takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import pytest
from tests import homes

from maineffect.contracts import RunRequest
from maineffect.design.model.model import Cell, Design, PlannedRun, cell_id
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep
from maineffect.spec.factors import Factor

STUDY_TEXT = "name: known\n# a comment that must survive\n"


@pytest.fixture(scope="session")
def empty_database() -> Path:
    """The schema is made once and copied, because making it takes seconds."""
    return homes.empty_database()


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    return f"sqlite:///{home / 'mlflow.db'}"


@pytest.fixture(scope="session")
def design() -> Design:
    """Two factors, four cells, two replicates; one factor's name is no MLflow key."""
    factors = (Factor(name="hops", levels=(1, 2)), Factor(name="reward('x')", levels=("plain", "shaped")))
    cells = tuple(
        Cell(cell_id(levels), levels)
        for levels in ({"hops": h, "reward('x')": r} for h in (1, 2) for r in ("plain", "shaped"))
    )
    runs = tuple(
        PlannedRun(f"{cell.cell_id}-r{rep}", cell.cell_id, rep, rep, None, 100 + rep, 4 * (rep - 1) + k)
        for rep in (1, 2)
        for k, cell in enumerate(cells)
    )
    return Design("known", "full", factors, cells, runs, ("hops",))


@pytest.fixture(scope="session")
def plan(design: Design) -> dict[str, Any]:
    return {"plan_version": 1, "study": {"name": "known"}, "runs": {run.run_id: {} for run in design.runs}}


@pytest.fixture
def sweep(uri: str, plan: dict[str, Any]) -> MlflowLedger:
    return open_sweep(uri, "known-12345678", study_name="known", study_text=STUDY_TEXT, plan=plan)


@pytest.fixture(scope="session")
def requests(design: Design) -> list[RunRequest]:
    return [
        RunRequest(
            study="known",
            sweep_id="known-12345678",
            run_id=run.run_id,
            cell_id=run.cell_id,
            replicate=run.replicate,
            levels=design.levels_of(run),
            settings={},
            seed=run.seed,
            evaluation_seed=1,
            responses=("skill",),
            trainable="known:train",
            block=run.block,
        )
        for run in design.runs
    ]


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Six processes that share nothing; they start fast because their common parent has imported MLflow."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["maineffect.ledger.sweep.ledger", "mlflow.store.tracking.sqlalchemy_store"])
    with context.Pool(6) as made:
        yield made


class Server:
    """A real MLflow server that can be killed and started again on the same database and port."""

    def __init__(self, folder: Path, backend: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.backend = folder, backend
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds: float = 90.0) -> None:
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        words = ["server", "--workers", "1", "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--backend-store-uri", self.backend, "--artifacts-destination", str(self.folder / "artifacts")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "server.log").open("ab"),
            start_new_session=True,
        )
        deadline = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
                assert time.monotonic() < deadline, "the MLflow server does not start"
                time.sleep(0.2)

    def kill(self) -> None:
        """SIGKILL to the whole session: uvicorn's workers too."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    made = Server(folder, f"sqlite:///{folder / 'mlflow.db'}")
    made.start()
    yield made
    made.kill()
