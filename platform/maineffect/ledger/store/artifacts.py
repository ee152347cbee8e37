"""What is kept beside a run: straight on the disk where the store is on this machine, else through the server.

A SQLite store keeps absolute paths. When its home was moved or renamed they lead nowhere, and what they mean lies
beside the database, where it was before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from maineffect.errors import LedgerError, disk_way_out
from maineffect.ledger.store import quick
from maineffect.ledger.store.connection import ask, explain
from maineffect.ledger.store.tracking import artifact_root, is_local

__all__ = ["artifact_folder", "bring", "fetch", "keep_file", "keep_text", "placed", "read_text"]


def placed(uri: str, artifact_uri: str) -> Path | None:
    """The folder that an artifact URI means on this machine, wherever its home is now; None if it is no folder."""
    folder, root = _local(artifact_uri), artifact_root(uri)
    here = None if root is None or not is_local(uri) else _local(root)
    if folder is None or here is None or folder.is_relative_to(here):
        return folder
    for old in folder.parents:
        moved = here / folder.relative_to(old)
        if old.name == here.name and (moved.exists() or not old.exists()):
            return moved
    return folder


def _local(artifact_uri: str) -> Path | None:
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
    return placed(uri, place)


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


def bring(uri: str, run: str, name: str, target: Path) -> bool:
    """Copy one artifact to a path, whole or not at all; whether it was there.

    Raises:
        LedgerError: The store does not answer, or the disk refused.
    """
    with tempfile.TemporaryDirectory(prefix="maineffect-") as folder:
        path = fetch(uri, run, name, Path(folder))
        if path is None:
            return False
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, aside)
            aside.replace(target)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise LedgerError(f"{target} cannot be written: {error.strerror}", disk_way_out(error, target)) from None
    return True


def keep_text(uri: str, run: str, name: str, text: str, *, patience: float = 20.0) -> None:
    """Keep a text beside a run.

    Raises:
        LedgerError: The store did not take it.
    """
    with tempfile.TemporaryDirectory(prefix="maineffect-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        keep_file(uri, run, path, patience=patience)


def keep_file(uri: str, run: str, path: Path, *, patience: float = 20.0) -> None:
    """Keep a file beside a run, under its own name; whoever reads it meanwhile sees the old one or the new one.

    Raises:
        LedgerError: The store did not take it.
    """
    place = artifact_folder(uri, run)
    if place is None:
        ask(uri, lambda store: store.log_artifact(run, str(path)), patience=patience)
        return
    aside = place / f".{path.name}.{os.getpid()}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, aside)
        aside.replace(place / path.name)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise explain(uri, error) from None
