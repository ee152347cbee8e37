"""A store that does not answer is named in seconds; what may pass by itself is asked again."""

from __future__ import annotations

import socket
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from maineffect.errors import LedgerError
from maineffect.ledger.store.connection import ask, explain, prepare, probe
from maineffect.ledger.sweep.ledger import find_sweep


def test_a_server_that_is_not_there_fails_in_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://me:hunter22@127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(LedgerError, match="does not answer") as caught:
        find_sweep(address, "latest")
    assert time.monotonic() - started < 10
    assert "hunter22" not in str(caught.value)
    assert "--tracking-uri" in caught.value.hint


def test_a_server_that_accepts_and_says_nothing_fails_in_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(LedgerError, match="does not answer"):
            probe(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=1.0)
        assert time.monotonic() - started < 5


def test_a_database_host_that_is_not_there_fails_in_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LedgerError, match="does not answer") as caught:
        probe(f"postgresql+psycopg2://me:hunter22@127.0.0.1:{port}/mlflow", seconds=2.0)
    assert "hunter22" not in str(caught.value)


def test_a_new_store_is_private(tmp_path: Path) -> None:
    path = tmp_path / "home" / "mlflow.db"
    prepare(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be written") as caught:
        prepare(f"sqlite:///{tmp_path}/file/mlflow.db")
    assert "--home" in caught.value.hint


def test_a_locked_database_is_named(uri: str) -> None:
    holder = sqlite3.connect(uri.removeprefix("sqlite:///"))
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="locked") as caught:
        probe(uri, seconds=0.3)
    assert "another process" in caught.value.hint
    holder.rollback()
    holder.close()
    probe(uri, seconds=0.3)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to have a header" * 40)
    with pytest.raises(LedgerError, match="not a database"):
        probe(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_read_only_database_is_named_with_its_way_out(uri: str) -> None:
    path = uri.removeprefix("sqlite:///")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as refused:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    told = explain(uri, refused.value)
    assert "readonly" in told.message
    assert told.hint == f"make {path} writable"


@pytest.mark.parametrize(
    ("uri", "said", "way_out"),
    [
        (
            "http://x:5000",
            "failed with error code 403: Invalid Host header - possible DNS rebinding",
            "--allowed-hosts",
        ),
        ("http://x:5000", "failed with error code 401", "(or MLFLOW_TRACKING_TOKEN): MLFLOW_TRACKING_TOKEN is set"),
        ("http://x:5000", "failed with error code 500: a malformed request", "see the server's own log"),
        ("http://x:5000", "Permission denied: '/mlartifacts'", "make the disk of http://x:5000 writable"),
        ("postgresql+psycopg2://me@x/db", "password authentication failed", "the password in the tracking URI"),
    ],
)
def test_a_way_out_follows_from_what_was_said(monkeypatch, uri: str, said: str, way_out: str) -> None:
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    assert way_out in explain(uri, OSError(said)).hint


def test_what_may_pass_is_asked_again(uri: str) -> None:
    calls = []

    def question(store: object) -> str:
        calls.append(time.monotonic())
        if len(calls) < 3:
            raise ConnectionError("connection reset")
        return "answer"

    assert ask(uri, question, patience=10) == "answer"
    assert len(calls) == 3
    assert calls[2] - calls[1] > calls[1] - calls[0], "pauses grow"


def test_what_cannot_pass_is_said_at_once(uri: str) -> None:
    calls = []

    def question(store: object) -> None:
        calls.append(1)
        raise OSError("attempt to write a readonly database")

    with pytest.raises(LedgerError, match="readonly"):
        ask(uri, question, patience=60)
    assert len(calls) == 1


def test_patience_ends(uri: str) -> None:
    def question(store: object) -> None:
        raise ConnectionError("Failed to connect to http://me:hunter22@host")

    started = time.monotonic()
    with pytest.raises(LedgerError) as caught:
        ask(uri, question, patience=0.7)
    assert time.monotonic() - started < 3
    assert "hunter22" not in str(caught.value)
