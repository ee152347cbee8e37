"""A home with an empty store, made once a session and copied: making the schema takes seconds."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

from maineffect.ledger.store.connection import client, prepare

__all__ = ["empty_database", "ready_home"]


@functools.cache
def empty_database() -> Path:
    """A store with its schema and nothing in it."""
    folder = Path(tempfile.mkdtemp(prefix="maineffect-schema-"))
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    prepare(uri)
    client(uri).search_experiments()
    return folder / "mlflow.db"


def ready_home(home: Path) -> Path:
    """Make a home that nobody has to wait for."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_database(), home / "mlflow.db")
    return home
