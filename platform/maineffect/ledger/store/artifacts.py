"""Reading what was kept beside a run: straight from the disk where the store is on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from maineffect.ledger.store import quick
from maineffect.ledger.store.connection import ask
from maineffect.ledger.store.tracking import artifact_root

__all__ = ["artifact_folder", "fetch", "local_folder", "read_text"]


def local_folder(artifact_uri: str) -> Path | None:
    """The folder of an artifact URI that is a folder of this machine."""
    parts = urlsplit(artifact_uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(artifact_uri) if parts.scheme == "" else None


def read_text(uri: str, run: str, name: str) -> str | None:
    """One text artifact, or None if it is not there.

    Raises:
        LedgerError: The store does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="maineffect-") as folder:
        path = fetch(uri, run, name, Path(folder))
        return path.read_text(encoding="utf-8") if path is not None else None


def artifact_folder(uri: str, run: str) -> Path | None:
    """The folder of a run's artifacts where the store has them on this machine's disk, else None."""
    if artifact_root(uri) is None:
        return None
    place = quick.artifact_uri(uri, run) or ask(uri, lambda store: str(store.get_run(run).info.artifact_uri))
    return local_folder(place)


def fetch(uri: str, run: str, name: str, into: Path) -> Path | None:
    """One artifact as a file: the original where it is on this machine, else a copy in ``into``. None if absent."""
    folder = artifact_folder(uri, run)
    if folder is not None:
        return folder / name if (folder / name).exists() else None
    parent, _, _ = name.rpartition("/")
    listed = ask(uri, lambda store: [file.path for file in store.list_artifacts(run, parent or None)])
    if name not in listed:
        return None
    return Path(ask(uri, lambda store: store.download_artifacts(run, name, str(into))))
