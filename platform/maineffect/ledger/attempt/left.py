"""What an attempt left behind: its folder, perhaps on another machine, perhaps in another home on this one.

Homes may share nothing but the store, so it is the store that says where the files of an attempt are. Its word is a
path, and the same path is another folder on another machine: what stands there is taken for the attempt's only if it
says so itself.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from maineffect.contracts import LeftFolder
from maineffect.ledger.attempt.publish import Identity
from maineffect.ledger.store import quick
from maineffect.ledger.store.broker import operation
from maineffect.ledger.store.connection import ask

__all__ = ["FOLDER", "left_folder", "tags_of"]

FOLDER = "me.folder"
"""Tag of an attempt's tracking run that holds the path of its folder."""


def tags_of(uri: str, tracking: str, *, patience: float = 20.0) -> dict[str, str]:
    """Tags of a tracking run.

    Raises:
        LedgerError: The store did not answer for ``patience`` seconds.
    """
    tags = quick.tags(uri, tracking)
    return _tags(uri, tracking, patience) if tags is None else tags


@operation
def _tags(uri: str, tracking: str, patience: float) -> dict[str, str]:
    return ask(uri, lambda store: dict(store.get_run(tracking).data.tags), patience=patience)


def left_folder(uri: str, tracking: str) -> LeftFolder | None:
    """The folder of the attempt that a tracking run shows; None if it does not say where that is.

    Raises:
        LedgerError: The store does not answer.
    """
    tags = tags_of(uri, tracking)
    if FOLDER not in tags:
        return None  # another version of maineffect began it
    folder = Path(tags[FOLDER])
    return LeftFolder(tags.get("me.host", "another machine"), folder, _unread(folder, tracking))


def _unread(folder: Path, tracking: str) -> str:
    """Why a folder is of no use here; empty if it is the attempt's own and can be read."""
    here = socket.gethostname()
    try:
        facts = folder.stat()
        os.listdir(folder)
    except FileNotFoundError:
        return f"is not there on {here}"
    except OSError as error:
        return f"cannot be read on {here} ({error.strerror})"
    # A checkpoint is often a pickle: to load one is to run what its owner put in.
    if facts.st_uid != os.getuid():
        return f"belongs to another user on {here}"
    identity = Identity.load(folder)
    if identity is None or identity.tracking_run_id != tracking:
        return f"holds no files of this attempt on {here}"
    return ""
