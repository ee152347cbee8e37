"""Which process is which, whether it still lives, and what a dead one left behind.

A process is named by its machine (host, boot, PID namespace), its id and its start in clock ticks since boot. None of
these depends on the wall clock, so a clock that jumps by an hour makes no living process look dead.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from maineffect.process_family import carrying, end_processes

__all__ = ["MARK", "Owner", "host_of", "leftovers", "mark_of_this_process", "reap", "this_process"]

MARK = "MAINEFFECT_OWNER"
"""Environment variable by which every descendant of a run or of an embedded Ray names who it belongs to."""


@dataclass(frozen=True)
class Owner:
    """Who claimed an attempt.

    Attributes:
        machine: Host, boot and PID namespace.
        pid: Process id there.
        started: Start of the process, in clock ticks since boot.
        session: Ray cluster in which it runs; empty without Ray.
        nonce: Makes two claims of one process differ.
    """

    machine: str
    pid: int
    started: int
    session: str = ""
    nonce: str = ""

    def __str__(self) -> str:
        return "|".join((self.machine, str(self.pid), str(self.started), self.session, self.nonce))

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Read what ``str`` wrote; None for anything else."""
        parts = text.split("|")
        try:
            return cls(parts[0], int(parts[1]), int(parts[2]), *parts[3:5])
        except (ValueError, IndexError, TypeError):
            return None

    @property
    def alive(self) -> bool | None:
        """Whether the process runs; None when it is on another machine (unknown is not dead)."""
        return _start_of(self.pid) == self.started if self.machine == _machine() else None


def host_of(owner: Owner | None) -> str:
    """The host of a claim, for people."""
    return owner.machine.partition("~")[0] if owner is not None else "an unknown owner"


def this_process(session: str = "") -> Owner:
    """The current process as an owner."""
    return Owner(_machine(), os.getpid(), _start_of(os.getpid()) or 0, session, uuid.uuid4().hex[:8])


def mark_of_this_process() -> str:
    """Value of :data:`MARK` for what this process starts."""
    return f"{_machine()}|{os.getpid()}|{_start_of(os.getpid()) or 0}"


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}~{boot}~{namespace}"


def _start_of(pid: int) -> int | None:
    """Start of a living process, None for a dead or zombie one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return None
    except OSError:
        return _start_without_proc(pid)
    # The command in brackets may hold spaces and brackets of its own.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _start_without_proc(pid: int) -> int | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 100)
    except psutil.NoSuchProcess:
        return None


def leftovers(*, of: str | None = None) -> list[psutil.Process]:
    """Processes of this user that carry a mark.

    Args:
        of: Only those of this owner, dead or alive; by default those whose owner is dead.
    """
    if of is not None:
        return [process for process, mark in carrying(MARK) if mark == of]
    owned = ((process, Owner.parse(mark)) for process, mark in carrying(MARK))
    return [process for process, owner in owned if owner is not None and owner.alive is False]


def reap() -> int:
    """End everything on this machine that belongs to a dead run or a dead embedded Ray.

    Returns:
        How many processes there were.
    """
    processes = leftovers()
    end_processes(processes)
    return len(processes)
