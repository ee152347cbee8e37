"""A home with an empty store, made once on a machine and copied: making the schema takes seconds."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from maineffect.ledger.store import connection
from maineffect.ledger.store.connection import client, prepare

__all__ = ["empty_database", "ready_home"]


@functools.cache
def empty_database() -> Path:
    """A store with its schema and nothing in it; the processes of ``make test`` find that of the first."""
    made_by = f"{version('mlflow')} {os.getuid()} {Path(connection.__file__).read_text(encoding='utf-8')}"
    kept = Path(tempfile.gettempdir()) / f"maineffect-schema-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}.db"
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(prefix="maineffect-schema-") as folder:
        file, whole = Path(folder) / "mlflow.db", Path(folder) / "whole.db"
        uri = f"sqlite:///{file}"
        prepare(uri)
        client(uri).search_experiments()
        # What is still in the log of the database comes along, and no other process ever sees half of it.
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(whole)) as target:
            source.backup(target)
        part = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(whole, part)
        part.replace(kept)
    return kept


def ready_home(home: Path) -> Path:
    """Make a home that nobody has to wait for."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_database(), home / "mlflow.db")
    return home
