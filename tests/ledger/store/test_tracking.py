"""Which store is in force, what is refused with a way out, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.errors import LedgerError
from maineffect.ledger.store.texts import redact
from maineffect.ledger.store.tracking import artifact_root, nothing_yet, tracking_uri


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAINEFFECT_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_order_of_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri(None, tmp_path) == "http://mlflow:5000"
    monkeypatch.setenv("MAINEFFECT_TRACKING_URI", "http://ours:5000")
    assert tracking_uri(None, tmp_path) == "http://ours:5000"
    assert tracking_uri("https://asked", tmp_path) == "https://asked"


def test_asking_makes_nothing(tmp_path: Path) -> None:
    uri = tracking_uri(None, tmp_path / "new" / "home")
    assert list(tmp_path.iterdir()) == []
    assert nothing_yet(uri)


def test_a_relative_sqlite_file_means_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking_uri("sqlite:///here.db", tmp_path) == f"sqlite:///{tmp_path}/here.db"
    assert tracking_uri("sqlite:////abs/here.db", tmp_path) == "sqlite:////abs/here.db"


@pytest.mark.parametrize(
    ("asked", "says", "way_out"),
    [
        ("file:./mlruns", "file store", "sqlite:///"),
        ("./mlruns", "file store", "sqlite:///"),
        ("/data/mlruns", "file store", "sqlite:///"),
        ("sqlite://", "in memory", "name a file"),
        ("sqlite:///:memory:", "in memory", "name a file"),
    ],
)
def test_stores_that_cannot_serve_are_refused_with_the_way_out(
    tmp_path: Path, asked: str, says: str, way_out: str
) -> None:
    with pytest.raises(LedgerError, match=says) as caught:
        tracking_uri(asked, tmp_path)
    assert way_out in caught.value.hint


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="not a folder") as caught:
        tracking_uri(None, tmp_path / "file" / "home")
    assert "--home" in caught.value.hint


def test_postgresql_always_names_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "postgresql://me:hunter22@db/mlflow"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if name == "psycopg" else None)
    assert tracking_uri(asked, tmp_path) == "postgresql+psycopg://me:hunter22@db/mlflow"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LedgerError, match="driver") as caught:
        tracking_uri(asked, tmp_path)
    assert "hunter22" not in str(caught.value)
    assert "psycopg2-binary" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter22@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("https://t0ken-only@host/path", "https://***@host/path"),
        ("http://host:5000", "http://host:5000"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("https://s3/x?X=1&token=abc123&y=2", "https://s3/x?X=1&token=***&y=2"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_values_of_secret_environment_variables_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    assert redact("refused: correct horse battery") == "refused: *** battery"


def test_artifacts_lie_beside_a_sqlite_store_and_where_a_server_says() -> None:
    assert artifact_root("sqlite:////data/me/mlflow.db") == "file:///data/me/artifacts"
    assert artifact_root("http://mlflow:5000") is None
