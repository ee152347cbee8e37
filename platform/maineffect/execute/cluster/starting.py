"""Why Ray did not start: by its own logs, and by what can be checked on this machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import psutil

__all__ = ["ended_for_memory", "keep_logs", "reason_of", "way_out"]

_LINE = re.compile(r"^\[[^\]]+ (?P<level>[CE]) \d+ \d+\] \((?P<who>[^)]+)\) \S+?:\d+: (?P<says>.+)$", re.MULTILINE)
# A failed check is introduced by a paragraph that says nothing.
_INTRODUCTION = re.compile(r"^.*?Check failed: ")
_MOST = 300
_LITTLE_DISK = 500 * 2**20
_LITTLE_MEMORY = 500 * 2**20


def reason_of(folder: Path, error: BaseException | None = None) -> str:
    """The last fatal line of Ray's logs, else the last error in them, else what Ray raised, if anything.

    Args:
        folder: Ray's folder.
        error: What it raised.
    """
    raised = "" if error is None else (str(error).strip().splitlines() or [type(error).__name__])[0][:_MOST]
    said: dict[str, list[str]] = {"C": [], "E": []}
    for path in sorted(folder.glob("session_latest/logs/*.err")) + sorted(folder.glob("session_latest/logs/*.out")):
        with contextlib.suppress(OSError):
            for found in _LINE.finditer(path.read_text(encoding="utf-8", errors="replace")):
                says = _INTRODUCTION.sub("check failed: ", found["says"]).strip()
                said[found["level"]].append(f"{found['who']}: {says[:_MOST]}")
    fatal = said["C"] or said["E"]
    if not fatal:
        return raised
    return f"{fatal[-1]} ({raised})" if raised else fatal[-1]


def way_out(base: Path) -> str:
    """What was found to be short on this machine, and what to do about it; empty if nothing was.

    Args:
        base: Folder in which Ray keeps its files.
    """
    found = []
    with contextlib.suppress(OSError):
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > 2 * cores:
            found.append(f"{load:.0f} processes want the {cores} core(s) of this machine: try again when fewer do")
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(base).free
        if free < _LITTLE_DISK:
            found.append(f"{base} has {free / 2**20:.0f} MB free: free some")
    with contextlib.suppress(psutil.Error, OSError):
        memory = psutil.virtual_memory().available
        if memory < _LITTLE_MEMORY:
            found.append(f"{memory / 2**20:.0f} MB of memory are free: end what holds it")
    return "; ".join(found)


def keep_logs(folder: Path) -> Path | None:
    """Copy Ray's logs to where they outlive its folder; None where there are none."""
    logs = folder / "session_latest" / "logs"
    if not logs.is_dir():
        return None
    with contextlib.suppress(OSError, shutil.Error):
        kept = Path(tempfile.mkdtemp(prefix="maineffect-ray-logs-"))
        shutil.copytree(logs, kept, dirs_exist_ok=True, ignore_dangling_symlinks=True)
        return kept
    return None


def _kernel_kills() -> int | None:
    """Processes that the kernel has ended for want of memory since it started; None where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


_KILLS_BEFORE = _kernel_kills()


def ended_for_memory() -> int | None:
    """Processes of this machine that the kernel has ended for want of memory since this process began."""
    now = _kernel_kills()
    return None if now is None or _KILLS_BEFORE is None else now - _KILLS_BEFORE
