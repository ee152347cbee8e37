"""The driver's side of the broker: it answers the runs of this machine on a private Unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from typing import Any

from maineffect.errors import LedgerError
from maineffect.ledger.store.broker import (
    OPERATIONS,
    broker_folder,
    is_private,
    receive,
    send,
    serving_here,
    stem_of,
)

__all__ = ["open_broker"]


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        line: socket.socket = self.request
        if _peer(line) != os.getuid():
            return
        serving_here.serving = True
        with contextlib.suppress(OSError, EOFError):
            name, args, kwargs = receive(line)
            send(line, _done(name, args, kwargs))


def _peer(line: socket.socket) -> int:
    """User at the other end, by the kernel's word where it gives one (else the folder's privacy must do)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()
    _, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(user)


def _done(name: str, args: Any, kwargs: Any) -> tuple[bool, Any]:
    try:
        return True, OPERATIONS[name](*args, **kwargs)
    except LedgerError as error:
        return False, error
    except Exception as error:
        return False, LedgerError(
            f"{name} failed at the driver: {type(error).__name__}: {error}", "see `maineffect logs --driver`"
        )


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@contextlib.contextmanager
def open_broker(uri: str) -> Iterator[None]:
    """Serve this machine's runs while a sweep is driven. Where that is not possible, runs help themselves."""
    from maineffect.ledger.attempt import recording  # noqa: F401 — its import registers every operation
    from maineffect.ledger.store.connection import client

    client(uri)  # load MLflow here, not in the first handler
    folder = broker_folder()
    path = folder / f"{stem_of(uri)}-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(folder):
            raise PermissionError(f"{folder} is not private")
        path.unlink(missing_ok=True)
        server = _Server(str(path), _Handler)
    except OSError:
        yield
        return
    try:
        threading.Thread(target=server.serve_forever, args=(0.2,), name="maineffect-broker", daemon=True).start()
        yield
    finally:
        path.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()
