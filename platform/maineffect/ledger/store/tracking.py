"""Where the ledger is kept: the store in force, its folder for artifacts, and names that may be shown.

Nothing here connects, writes, or imports MLflow.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from maineffect.errors import LedgerError
from maineffect.ledger.store.texts import redact

__all__ = ["artifact_root", "is_local", "nothing_yet", "sqlite_path", "tracking_uri"]


def tracking_uri(explicit: str | None, home: Path) -> str:
    """The store in force: explicit, else MAINEFFECT_TRACKING_URI, else MLFLOW_TRACKING_URI, else SQLite in the home.

    Args:
        explicit: What the command line asks for.
        home: Folder of this user's sweeps. It is not created here.

    Returns:
        A URI that means the same in every process and working directory.

    Raises:
        LedgerError: A file store is asked for, the home cannot be written, or a database driver is missing.
    """
    uri = explicit or os.environ.get("MAINEFFECT_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        _require_writable(home)
        return f"sqlite:///{home.absolute() / 'mlflow.db'}"
    if uri.startswith("sqlite:"):
        return _absolute_sqlite(uri)
    scheme = uri.split(":", 1)[0]
    if scheme == "file" or (":" not in uri and uri != "databricks"):
        raise LedgerError(
            f"the tracking URI {redact(uri)!r} is a file store, which MLflow no longer serves",
            "use sqlite:////absolute/path/mlflow.db, or the http address of an MLflow server",
        )
    if scheme == "postgresql":
        return uri.replace("postgresql:", f"postgresql+{_postgresql_driver(uri)}:", 1)
    return uri


def _absolute_sqlite(uri: str) -> str:
    path = uri.removeprefix("sqlite://").removeprefix("/").split("?")[0]
    if not path or path == ":memory:":
        raise LedgerError(
            f"the tracking URI {uri!r} is a database in memory, which no other process can read",
            "name a file: sqlite:////absolute/path/mlflow.db",
        )
    return f"sqlite:///{Path(path).absolute()}"


def _postgresql_driver(uri: str) -> str:
    """SQLAlchemy's default driver changed with its versions, so it is always named."""
    for driver in ("psycopg2", "psycopg"):
        if importlib.util.find_spec(driver) is not None:
            return driver
    raise LedgerError(
        f"the ledger {redact(uri)} needs a PostgreSQL driver, and none is installed",
        "pip install psycopg2-binary, or give the http address of an MLflow server that uses this database",
    )


def _require_writable(home: Path) -> None:
    nearest = home.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise LedgerError(f"the home {home} is not a folder", "choose another with --home or MAINEFFECT_HOME")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise LedgerError(
            f"the home {home} cannot be written", "make it writable, or choose another with --home or MAINEFFECT_HOME"
        )


def is_local(uri: str) -> bool:
    """Whether only processes that share this machine's files can reach the store."""
    return uri.startswith("sqlite:")


def sqlite_path(uri: str) -> Path | None:
    """File of a SQLite store, None for any other."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def nothing_yet(uri: str) -> bool:
    """Whether the store is a SQLite file that nobody has made yet: reading it would create it."""
    path = sqlite_path(uri)
    return path is not None and (not path.exists() or path.stat().st_size == 0)


def artifact_root(uri: str, home: Path | None = None) -> str | None:
    """Folder for artifacts of a database that is used without a server; None where a server decides."""
    path = sqlite_path(uri)
    if path is not None:
        return (path.absolute().parent / "artifacts").as_uri()
    if uri.split(":", 1)[0].split("+")[0] in ("postgresql", "mysql", "mssql"):
        base = home or Path(os.environ.get("MAINEFFECT_HOME", ".maineffect"))
        return (base.absolute() / "artifacts").as_uri()
    return None
