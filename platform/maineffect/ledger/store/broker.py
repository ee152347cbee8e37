"""The driver as a broker of the store: runs on its machine let it do their store work and need no MLflow of their own.

Importing MLflow and opening a store costs two to three seconds of CPU, which every fresh worker process would pay, many
times what a claim, a start and a commit cost. The driver has it loaded; it listens on a private Unix socket, and the
functions marked with :func:`operation` are carried there. Nothing depends on it: without a broker (another machine, the
driver killed) the same function runs in the worker itself, and as all of them may be repeated, so may one that was
under way when the driver died. This is the side of the runs; :mod:`maineffect.ledger.attempt.serving` answers.

Only processes of the same user are heard: the folder is private, and the kernel names the peer's user.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import socket
import stat
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

__all__ = ["OPERATIONS", "broker_folder", "is_private", "operation", "receive", "send", "serving_here", "stem_of"]

P = ParamSpec("P")
R = TypeVar("R")

OPERATIONS: dict[str, Callable[..., Any]] = {}
_HEAD = struct.Struct("!Q")
# Longer than any operation's own patience: a broker that is silent for so long is no help.
_ANSWER_SECONDS = 180.0
serving_here = threading.local()
# Brokers that were once silent for that long (a driver that was stopped): this process does not ask them again.
_SILENT: set[Path] = set()


class _NoBrokerError(Exception):
    """Nobody serves this store here."""


def operation(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of the store: first argument the tracking URI, all arguments picklable, safe to repeat."""
    name = f"{function.__module__}.{function.__qualname__}"
    OPERATIONS[name] = function

    @functools.wraps(function)
    def anywhere(*args: P.args, **kwargs: P.kwargs) -> R:
        if "mlflow" not in sys.modules and not getattr(serving_here, "serving", False):
            with contextlib.suppress(_NoBrokerError):
                answer: R = _carry(str(args[0]), name, args, kwargs)
                return answer
        return function(*args, **kwargs)

    return anywhere


def broker_folder() -> Path:
    """Where drivers of this user listen."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"maineffect-{os.getuid()}"


def stem_of(uri: str) -> str:
    """Beginning of the names of the sockets that serve a store."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def is_private(folder: Path) -> bool:
    """Whether it is a folder that this user alone can use."""
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and stat.S_IMODE(facts.st_mode) == 0o700


def _carry(uri: str, name: str, args: Any, kwargs: Any) -> Any:
    """Let the broker do it.

    Raises:
        _NoBrokerError: None does, or it went away.
        LedgerError: The store refused.
    """
    folder = broker_folder()
    if not is_private(folder):
        raise _NoBrokerError
    for path in sorted({*folder.glob(f"{stem_of(uri)}-*")} - _SILENT):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWER_SECONDS)
            try:
                line.connect(str(path))
                send(line, (name, args, kwargs))
                good, answer = receive(line)
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)  # its driver is gone
                continue
            except TimeoutError:
                _SILENT.add(path)
                continue
            except (OSError, EOFError):
                continue
        if good:
            return answer
        raise answer
    raise _NoBrokerError


def send(line: socket.socket, content: Any) -> None:
    """Write one message."""
    data = pickle.dumps(content)
    line.sendall(_HEAD.pack(len(data)) + data)


def receive(line: socket.socket) -> Any:
    """Read one message.

    Raises:
        EOFError: The other end went away.
    """
    (size,) = _HEAD.unpack(_exactly(line, _HEAD.size))
    return pickle.loads(_exactly(line, size))


def _exactly(line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = line.recv(min(size - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
