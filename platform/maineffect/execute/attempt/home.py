"""Whether a worker's home is the driver's: the same path on two machines may be two folders."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from pathlib import Path

__all__ = ["apart", "mark_home"]

_MARKER = "home.id"


def mark_home(home: Path) -> str:
    """Put a marker into a home, or read the one that stands there.

    Returns:
        What the marker says; empty where none can be written, and then nothing can be said of workers' homes.
    """
    marker = home / _MARKER
    aside = home / f".{_MARKER}.{uuid.uuid4().hex}"
    with contextlib.suppress(OSError):
        if not marker.exists():
            home.mkdir(parents=True, exist_ok=True)
            aside.write_text(uuid.uuid4().hex)
            try:
                os.link(aside, marker)  # complete or not there: a reader never sees half a marker
            except FileExistsError:
                pass  # another driver's, of the same moment
            finally:
                aside.unlink()
        return marker.read_text()
    return ""


def apart(home: Path, mark: str) -> str:
    """What to tell the user when ``home`` on this machine is not the one that the driver has marked; else nothing.

    Args:
        home: Path of the home.
        mark: What :func:`mark_home` returned to the driver.
    """
    try:
        here = (home / _MARKER).read_text() if mark else ""
    except FileNotFoundError:
        here = ""
    except OSError as error:
        return f"the home {home} cannot be read on {socket.gethostname()}: {error.strerror}"
    if here == mark:
        return ""
    return (
        f"the home {home} on {socket.gethostname()} is not the driver's folder: checkpoints stay on their node, and a "
        "run that is tried again on another one starts from its beginning (results are safe); give a --home that "
        "every node sees"
    )
