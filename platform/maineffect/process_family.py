"""The family of a process: who descends from it, who carries its mark, and how all of them are ended.

A mark is an environment variable that every descendant inherits, so that one is found even when it has left its
parent's session, or its parent is dead. :mod:`maineffect.execute` ends runs by it and :mod:`maineffect.command`
commands; the supervisor of an embedded Ray is a script of the standard library alone and has its own few lines.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

__all__ = ["carrying", "descendants", "end_processes", "living", "mark_of"]

_GENTLE_SECONDS = 1.0
_KILL_SECONDS = 5.0


def mark_of(pid: int, variable: str) -> str | None:
    """Value of an environment variable of a process; None without it, for a dead process and for another user's."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return _mark_without_proc(pid, variable)
    for entry in environment.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and name == variable.encode():
            return value.decode(errors="replace")
    return None


def _mark_without_proc(pid: int, variable: str) -> str | None:
    if Path("/proc/self/environ").exists():
        return None
    with contextlib.suppress(psutil.Error, OSError):
        return psutil.Process(pid).environ().get(variable)
    return None


def carrying(variable: str) -> Iterator[tuple[psutil.Process, str]]:
    """Processes of this user that carry a mark, each with its value; this process is not among them."""
    for pid in psutil.pids():
        mark = mark_of(pid, variable)
        if mark is None or pid == os.getpid():
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid), mark


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Everything that a process has started, and what these have started; empty when it is dead."""
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that ended and was not waited for does not."""
    alive = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def end_processes(processes: Iterable[psutil.Process], *, gentle_seconds: float = _GENTLE_SECONDS) -> None:
    """Ask to stop, then kill, and wait until they are gone."""
    alive = list(processes)
    if not alive:
        return
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(alive, timeout=gentle_seconds)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_KILL_SECONDS)
