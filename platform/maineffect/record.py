"""A record of the night: what was decided and why, and what was swallowed, by the standard library's loggers.

Every logger is below ``maineffect``. A driver writes them to a file of its sweep in the home's ``logs`` folder, which
``maineffect logs --driver SWEEP`` reads; ``maineffect -v`` shows them on the screen too.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

__all__ = [
    "SAID",
    "behind_bars",
    "read_record",
    "record_path",
    "recorded_to",
    "show_on_screen",
    "swallowed",
    "tell_run",
]

SAID = "maineffect: "
"""Begins each line that :func:`tell_run` writes into a run's log."""
_ROOT = "maineffect"
_FORM = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
_TIME = "%Y-%m-%dT%H:%M:%S"
# tqdm's, with a total and without; of bounded parts, so that no line of any length is read twice.
_BAR = re.compile(r"((?<!\d)\d{1,3}%\|[^|\r\n]{0,300}\|[^\[\r\n]{0,100}|(?<!\d)\d{1,12}it )\[[^\]\r\n]{0,200}\](?=\S)")
_MOST_BYTES, _OLDER_FILES = 5 * 2**20, 4

logging.getLogger(_ROOT).addHandler(logging.NullHandler())


@contextlib.contextmanager
def swallowed(logger: logging.Logger, what: str) -> Iterator[None]:
    """Go on whatever fails inside, and note it: nothing is ignored that nobody can find again.

    Args:
        logger: Of the module that goes on.
        what: What was tried, as a noun.
    """
    try:
        yield
    except Exception:
        logger.warning("%s failed, and is done without", what, exc_info=True)


def tell_run(sentence: str) -> None:
    """Say something in the run's log, which is its standard error; a run that closed it is told nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{SAID}{sentence}\n")
        sys.stderr.flush()


def behind_bars(text: str) -> str:
    """A text in which whatever was printed behind a progress bar begins a line of its own.

    A bar is drawn without a line's end, so an error that ends its program stands behind it.
    """
    return _BAR.sub(lambda bar: f"{bar[0]}\n", text)


def record_path(home: Path, sweep_id: str) -> Path:
    """Where the drivers of a sweep write what they decide."""
    return home / "logs" / f"{sweep_id}.log"


@contextlib.contextmanager
def recorded_to(path: Path) -> Iterator[None]:
    """Write the record to a file while this lasts, at most 25 MB of it; where that is not possible, do without."""
    root = logging.getLogger(_ROOT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = RotatingFileHandler(path, maxBytes=_MOST_BYTES, backupCount=_OLDER_FILES, encoding="utf-8")
    except OSError:
        yield
        return
    handler.setFormatter(_formatter())
    before = root.level
    root.addHandler(handler)
    root.setLevel(min(before or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


def read_record(home: Path, sweep_id: str) -> str | None:
    """The record of a sweep's drivers, the oldest line first; None where this home has none."""
    path = record_path(home, sweep_id)
    parts = [path.with_name(f"{path.name}.{number}") for number in range(_OLDER_FILES, 0, -1)]
    texts = [part.read_text(encoding="utf-8", errors="replace") for part in (*parts, path) if part.exists()]
    return "".join(texts) if texts else None


def show_on_screen() -> None:
    """Write the record to standard error too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    root = logging.getLogger(_ROOT)
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _formatter() -> logging.Formatter:
    formatter = logging.Formatter(_FORM, _TIME)
    formatter.converter = time.gmtime
    return formatter
