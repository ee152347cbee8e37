"""A team's store: an MLflow server on PostgreSQL, both real, both killed once.

Needs PostgreSQL's programs, a driver (``pip install psycopg2-binary``), and, as root, another user to run it as.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import pytest

from maineffect.contracts import RunRequest, RunResult
from maineffect.errors import LedgerError
from maineffect.ledger.attempt import recording as attempt_module
from maineffect.ledger.store.connection import client
from maineffect.ledger.store.records import Records
from maineffect.ledger.store.tracking import tracking_uri
from maineffect.ledger.sweep.contract import check_store, race
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep, scratch_run, sweep_results

pytestmark = pytest.mark.slow

PASSWORD = "s3cret-of-the-database"


class Database:
    """A PostgreSQL of our own on a free port."""

    def __init__(self, folder: Path, user: list[str]) -> None:
        self.data, self.user = folder / "data", user
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (folder / "password").write_text(PASSWORD)
        self._call("initdb", "-D", str(self.data), "-U", "me", "-A", "scram-sha-256", "--pwfile", f"{folder}/password")
        self.log = folder / "log"
        self.start()

    @property
    def uri(self) -> str:
        return f"postgresql://me:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.data}"
        self._call("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.log), "-o", options, "start")

    def kill(self) -> None:
        """SIGKILL to the server's head; its children leave by themselves."""
        head = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(head, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                    break
            time.sleep(0.1)
        time.sleep(1.0)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        self._call("pg_ctl", "-D", str(self.data), "-m", "immediate", "stop")

    def _call(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [*self.user, str(shutil.which(program)), *words],
            cwd="/",
            text=True,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    if importlib.util.find_spec("psycopg2") is None and importlib.util.find_spec("psycopg") is None:
        pytest.skip("no PostgreSQL driver: pip install psycopg2-binary")
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("PostgreSQL's programs are not installed")
    folder = Path(tempfile.mkdtemp(prefix="maineffect-pg-"))
    user: list[str] = []
    if os.getuid() == 0:
        try:
            other = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, other.pw_uid, other.pw_gid)
        user = ["runuser", "-u", "postgres", "--"]
    made = Database(folder, user)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def team_server(database: Database, server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = type(server)(tmp_path_factory.mktemp("team"), tracking_uri(database.uri, Path()))
    made.start(seconds=180)
    yield made
    made.kill()


def test_postgresql_keeps_the_promise_among_processes(database: Database, pool: Pool, tmp_path: Path) -> None:
    uri = tracking_uri(database.uri, tmp_path)
    check_store(uri)
    records = Records(uri, scratch_run(uri, "race"))
    keys = [f"claim.run{k}.a1" for k in range(40)]
    pool.map(Records.read, [records] * 12, chunksize=1)
    waiting = [pool.apply_async(race, (records, keys, f"owner {owner}")) for owner in range(6)]
    wins = [result.get(timeout=120) for result in waiting]
    standing = records.read()
    for number, key in enumerate(keys):
        winners = [owner for owner in range(6) if wins[owner][number]]
        assert len(winners) == 1, key
        assert standing[key] == f"owner {winners[0]}"


def test_a_sweep_through_server_and_database_survives_both_being_killed(
    team_server,
    database: Database,
    plan: dict[str, Any],
    requests: list[RunRequest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt_module, "_COMMIT_PATIENCE", 1.0)
    ledger: MlflowLedger = open_sweep(team_server.uri, "known-1", study_name="known", study_text="x", plan=plan)
    check_store(team_server.uri)
    for request, victim in zip(requests, (database, team_server), strict=False):
        assert ledger.claim(request.run_id, 1, "me")
        record = ledger.start_attempt(request, 1, tmp_path / request.run_id)
        for step in range(300):
            record.log(step, {"loss": step / 3})
        victim.kill()
        with pytest.raises(LedgerError) as caught:
            record.commit(RunResult({"skill": 0.1}), seconds=1)
        assert PASSWORD not in str(caught.value)
        victim.start()
        _until_it_answers(ledger)
        assert record.commit(RunResult({"skill": 0.1}), seconds=1)
        tracking = ledger.state().runs[request.run_id].tracking_run_id
        steps = sorted(point.step for point in client(ledger.uri).get_metric_history(tracking, "train/loss"))
        assert steps == list(range(300))
    assert len(sweep_results(ledger)) == 2


def _until_it_answers(ledger: MlflowLedger) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            ledger.state()
            return
        except LedgerError:
            assert time.monotonic() < deadline
