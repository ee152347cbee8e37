"""Checkpoints that a command writes in its own way, made the run's checkpoints once they are complete."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["SavedFolders"]

_NUMBER = re.compile(r"\d+")
_PLATFORM = "checkpoints"
_Seen = tuple[int, int, int]


class SavedFolders:
    """Folders such as ``checkpoint-500`` that appear while the command runs.

    A script seldom says when a checkpoint is complete. Here it is when nothing in it has changed for some seconds, or
    when the script has ended in order. It is published by hard links, so that nothing is written twice.

    Args:
        run_dir: The run's folder.
        pattern: Which folders in it; the last number in a folder's name is its step.
        settle: Seconds without a change.
        save: As :meth:`maineffect.contracts.RunContext.save_checkpoint`.
    """

    def __init__(
        self,
        run_dir: Path,
        pattern: str | None,
        settle: float,
        save: Callable[[int, Callable[[Path], None]], None],
    ) -> None:
        self._run_dir, self._pattern, self._settle, self._save = run_dir, pattern, settle, save
        self._old = set(self._folders().values())
        self._seen: dict[Path, tuple[_Seen, float]] = {}
        self._published = -1
        self._next_look = 0.0

    def look(self, *, last: bool = False) -> None:
        """Publish the newest complete folder; with ``last``, the newest at all."""
        now = time.monotonic()
        if now < self._next_look and not last:
            return
        self._next_look = now + self._settle / 4
        ready = {step: folder for step, folder in self._folders().items() if self._is_ready(step, folder, now, last)}
        if not ready:
            return
        step = max(ready)
        with contextlib.suppress(OSError):  # the script may have taken it away again meanwhile
            self._save(step, lambda aside: _link_tree(ready[step], aside))
            self._published = step

    def _folders(self) -> dict[int, Path]:
        if self._pattern is None:
            return {}
        folders = {}
        for path in self._run_dir.glob(self._pattern):
            numbers = _NUMBER.findall(path.name)
            if numbers and path.is_dir() and path.relative_to(self._run_dir).parts[0] != _PLATFORM:
                folders[int(numbers[-1])] = path
        return folders

    def _is_ready(self, step: int, folder: Path, now: float, last: bool) -> bool:
        if step <= self._published or folder in self._old:
            return False
        state = _state(folder)
        if state[0] == 0:
            return False
        before, since = self._seen.get(folder, (None, now))
        if state != before:
            since = now
        self._seen[folder] = (state, since)
        return last or now - since >= self._settle


def _state(folder: Path) -> _Seen:
    """How many files, how many bytes, and when the newest was written: a change shows in one of them."""
    count = size = newest = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                facts = os.stat(os.path.join(where, name))
                count, size, newest = count + 1, size + facts.st_size, max(newest, facts.st_mtime_ns)
    return count, size, newest


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
