"""The driver's desk: runs on the same machine let the driver do their store work, and need no MLflow of their own.

Importing MLflow and opening a store costs two to three seconds of CPU, which every fresh worker process would pay, many
times what a claim, a start and a commit cost. The driver has it loaded; it listens on a private Unix socket, and the
functions marked with :func:`operation` are carried there. Nothing depends on it: without a desk (another machine, the
driver killed) the same function runs in the worker itself, and as all of them may be repeated, so may one that was
under way when the driver died.

Only processes of the same user are heard: the folder is private, and the kernel names the peer's user.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import socket
import socketserver
import stat
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from maineffect.errors import LedgerError

__all__ = ["open_desk", "operation"]

P = ParamSpec("P")
R = TypeVar("R")

_OPERATIONS: dict[str, Callable[..., Any]] = {}
_HEAD = struct.Struct("!Q")
# Longer than any operation's own patience: a desk that is silent for so long is no help.
_ANSWER_SECONDS = 180.0
_at_desk = threading.local()


class _NoDeskError(Exception):
    """Nobody serves this store here."""


def operation(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of the store: first argument the tracking URI, all arguments picklable, safe to repeat."""
    name = f"{function.__module__}.{function.__qualname__}"
    _OPERATIONS[name] = function

    @functools.wraps(function)
    def anywhere(*args: P.args, **kwargs: P.kwargs) -> R:
        if "mlflow" not in sys.modules and not getattr(_at_desk, "serving", False):
            with contextlib.suppress(_NoDeskError):
                answer: R = _carry(str(args[0]), name, args, kwargs)
                return answer
        return function(*args, **kwargs)

    return anywhere


def _folder() -> Path:
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"maineffect-{os.getuid()}"


def _stem(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def _is_private(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700


def _carry(uri: str, name: str, args: Any, kwargs: Any) -> Any:
    """Let a desk do it.

    Raises:
        _NoDeskError: None does, or it went away.
        LedgerError: The store refused.
    """
    folder = _folder()
    if not _is_private(folder):
        raise _NoDeskError
    for path in sorted(folder.glob(f"{_stem(uri)}-*")):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWER_SECONDS)
            try:
                line.connect(str(path))
                _send(line, (name, args, kwargs))
                good, answer = _receive(line)
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)  # its driver is gone
                continue
            except (OSError, EOFError):
                continue
        if good:
            return answer
        raise answer
    raise _NoDeskError


def _send(line: socket.socket, content: Any) -> None:
    data = pickle.dumps(content)
    line.sendall(_HEAD.pack(len(data)) + data)


def _receive(line: socket.socket) -> Any:
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


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        line: socket.socket = self.request
        if _peer(line) != os.getuid():
            return
        _at_desk.serving = True
        with contextlib.suppress(OSError, EOFError):
            name, args, kwargs = _receive(line)
            _send(line, _done(name, args, kwargs))


def _peer(line: socket.socket) -> int:
    """User at the other end, by the kernel's word where it gives one (else the folder's privacy must do)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()
    _, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(user)


def _done(name: str, args: Any, kwargs: Any) -> tuple[bool, Any]:
    try:
        return True, _OPERATIONS[name](*args, **kwargs)
    except LedgerError as error:
        return False, error
    except Exception as error:
        return False, LedgerError(f"{name} failed at the driver: {type(error).__name__}: {error}", "this is a bug")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@contextlib.contextmanager
def open_desk(uri: str) -> Iterator[None]:
    """Serve this machine's runs while a sweep is driven. Where that is not possible, runs help themselves."""
    from maineffect.ledger import attempt, records  # noqa: F401 — their import registers the operations
    from maineffect.ledger.store import client

    client(uri)  # load MLflow here, not in the first handler
    folder = _folder()
    path = folder / f"{_stem(uri)}-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(folder):
            raise PermissionError(f"{folder} is not private")
        path.unlink(missing_ok=True)
        server = _Server(str(path), _Handler)
    except OSError:
        yield
        return
    try:
        threading.Thread(target=server.serve_forever, args=(0.2,), name="maineffect-desk", daemon=True).start()
        yield
    finally:
        path.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()
