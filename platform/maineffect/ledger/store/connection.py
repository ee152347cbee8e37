"""The tracking store answers or says in words why not: one client a process, one error, one probe, one patience.

Every call on MLflow goes through :func:`ask`. Whatever it raises becomes a LedgerError that names the store (without
its password), what happened, and the way out; what may pass by itself is asked again until patience ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from maineffect.errors import LedgerError, StoreRefusedError
from maineffect.ledger.store.proxy import health_of, proxy_in_between
from maineffect.ledger.store.texts import redact
from maineffect.ledger.store.tracking import sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["ask", "client", "explain", "prepare", "probe"]

T = TypeVar("T")

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # Retries are ours: MLflow's own seven block a call for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    # Standard output is the result's: one document stays one document.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_LONGEST_PAUSE = 60.0
_PROBE_SECONDS = 4.0

# What a store says → the way out. First match counts; the flag says whether it may pass by itself.
_WAYS_OUT: tuple[tuple[tuple[str, ...], str, bool], ...] = (
    (("disk is full", "no space left"), "free disk space in {place}; what was recorded is intact", True),
    (
        ("readonly database", "read-only", "permission denied", "unable to open database"),
        "make {place} writable",
        False,
    ),
    (("database is locked",), "another process holds {place}; end it (fuser shows it), or use an MLflow server", True),
    (
        ("file is not a database", "disk image is malformed"),
        "{place} is damaged or no MLflow database; restore it or name another",
        False,
    ),
    (("invalid host header",), "let the server take that name: mlflow server --allowed-hosts …", False),
    (("password authentication",), "check the user and the password in the tracking URI", False),
    (
        ("error code 401", "error code 403", "unauthorized", "forbidden"),
        "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN): {given}",
        False,
    ),
    (("out-of-date database schema", "detected out-of-date"), "run: mlflow db upgrade <tracking uri>", False),
    (("no module named",), "install the driver that the message names", False),
)
_PASSING = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED")
# Two writers met on one key: MLflow then reports the database's words instead of comparing the values.
_COLLISIONS = ("unique constraint", "duplicate key", "integrityerror")


@lru_cache(maxsize=8)
def client(uri: str) -> MlflowClient:
    """A client of the store, made once per process. Importing MLflow takes a second or two: keep it off hot paths."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    path = sqlite_path(uri)
    if path is None:
        return MlflowClient(tracking_uri=uri)
    with _alone(path), contextlib.suppress(Exception):  # whatever is wrong, the caller's own call will say it
        # The first call makes or upgrades the tables; another process that asks meanwhile would find half of them.
        MlflowClient(tracking_uri=uri).get_experiment("0")
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Only one process of this machine at a time makes a store's tables; the others wait for it.

    The lock ends with its process, so that one that is killed holds up nobody. Where no lock can be had (a folder that
    is read-only, a file system without locks) the call goes on without.
    """
    try:
        file = path.with_name(f".{path.name}.lock").open("a")
    except OSError:
        yield
        return
    with file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ask(uri: str, question: Callable[[MlflowClient], T], *, patience: float = 20.0) -> T:
    """Ask the store, and again after a failure that may pass by itself.

    Args:
        uri: Tracking URI.
        question: Called with the client; must be safe to repeat.
        patience: Seconds after which a passing failure counts as lasting.

    Raises:
        StoreRefusedError: The store answered, and refused for good.
        LedgerError: It did not answer for that long.
    """
    deadline = time.monotonic() + patience
    pause = 0.5
    while True:
        try:
            return question(client(uri))
        except LedgerError:
            raise
        except Exception as error:
            if not passing(error):
                told = explain(uri, error)
                raise StoreRefusedError(told.message, told.hint) from None
            if time.monotonic() + pause > deadline:
                raise explain(uri, error) from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def passing(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    message = str(error).lower()
    for words, _, may_pass in _WAYS_OUT:
        if any(word in message for word in words):
            return may_pass
    if any(word in message for word in _COLLISIONS):
        return True
    code = getattr(error, "error_code", None)
    return code in _PASSING if code is not None else not isinstance(error, TypeError | ValueError | AttributeError)


def explain(uri: str, error: Exception) -> LedgerError:
    """One error that says what did not answer and the way out, without secrets."""
    lines = [line.strip()[:300] for line in redact(str(error)).strip().splitlines()] or [type(error).__name__]
    first = lines[0]
    message = str(error).lower()
    path = sqlite_path(uri)
    place = str(path) if path is not None else f"the disk of {redact(uri)}"
    for words, way_out, _ in _WAYS_OUT:
        if any(word in message for word in words):
            # SQLAlchemy may put advice about sessions first; the store's own words are the cause.
            cause = next((line for line in lines if any(word in line.lower() for word in words)), first)
            cause += " (its disk is mounted read-only)" if path is not None and _frozen(path) else ""
            return LedgerError(
                f"the ledger {redact(uri)} refused: {cause}", way_out.format(place=place, given=_given())
            )
    return LedgerError(f"the ledger {redact(uri)} does not answer as it should: {first}", _where_to_look(uri, message))


def _given() -> str:
    """Which of the credentials there are; whether they are right, only the server knows."""
    names = [name for name in _CREDENTIALS if os.environ.get(name)]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} set" if names else "none of them is set"


def _where_to_look(uri: str, message: str) -> str:
    """Where the reason of an unknown failure is to be found."""
    if not uri.startswith("http"):
        return "check the path, its permissions and the free space, or give another --tracking-uri"
    if (proxy := proxy_in_between(uri)) is not None:
        return f"{proxy.says}; {proxy.way_out}"
    if "error code" in message:  # it runs, and has answered
        return "see the server's own log, or give another --tracking-uri"
    return "check that the server runs and the address is right, or give another --tracking-uri"


def _frozen(path: Path) -> bool:
    """Whether a database's disk takes no writes: SQLite itself then says no more than that it cannot open the file."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def prepare(uri: str) -> None:
    """Make a SQLite store's folder and file with private modes, then :func:`probe`. Call before the first write."""
    path = sqlite_path(uri)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise LedgerError(
                f"the ledger {path} cannot be written: {error.strerror}",
                "make its folder writable, choose another --home, or give another --tracking-uri",
            ) from None
        with _alone(path):  # whoever makes its tables holds it for seconds
            probe(uri)
        return
    probe(uri)


def probe(uri: str, seconds: float = _PROBE_SECONDS) -> None:
    """Find out in seconds whether the store answers at all.

    Raises:
        LedgerError: It does not: says what was asked, and the way out.
    """
    path = sqlite_path(uri)
    if path is not None:
        _probe_sqlite(uri, path, seconds)
    elif uri.startswith(("http://", "https://")):
        _probe_http(uri, seconds)
    elif (parts := urlsplit(uri)).hostname:
        try:
            socket.create_connection((parts.hostname, parts.port or _port(parts.scheme)), timeout=seconds).close()
        except OSError as error:
            raise LedgerError(
                f"the ledger's database {redact(uri)} does not answer: {error}",
                "start the database, check host and port, or give another --tracking-uri",
            ) from None


def _port(scheme: str) -> int:
    return {"postgresql": 5432, "mysql": 3306, "mssql": 1433}.get(scheme.split("+")[0], 443)


def _probe_sqlite(uri: str, path: Path, seconds: float) -> None:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=seconds)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise explain(uri, error) from None


def _probe_http(uri: str, seconds: float) -> None:
    try:
        urllib.request.build_opener().open(health_of(uri), timeout=seconds).close()  # urlopen keeps its first proxies
    except urllib.error.HTTPError as error:
        # Something answers; whether it is MLflow, and lets us in, the first real call will say.
        if (proxy := proxy_in_between(uri)) is not None:
            raise LedgerError(f"{proxy.says} (it answers {error.code} itself)", proxy.way_out) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if "CERTIFICATE" in str(reason).upper():
            return
        if (proxy := proxy_in_between(uri)) is not None:
            raise LedgerError(f"{proxy.says} ({reason})", proxy.way_out) from None
        raise LedgerError(
            f"the MLflow server {redact(uri)} does not answer: {reason}",
            "start it (mlflow server --workers 1 …), check the address, or give another --tracking-uri",
        ) from None
