"""The supervisor: a small process beside an embedded Ray that leaves nothing behind when its driver is killed.

Ray's own processes die with their driver within seconds, but its agents linger for a minute, and what a run started in
a session of its own (an inference engine) would stay for ever. The supervisor notes the descendants of Ray's processes
once a second; when its standard input closes and the driver is dead, it kills them and removes Ray's folder. While Ray
starts it also hears which signals the driver gets, and acts on them when the driver hangs in a call. It imports
nothing but the standard library, so that it starts in milliseconds:
``python -I -S supervisor.py <pid> <start> <NAME=value of the mark> <folder>``.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

__all__ = ["GOOD_BYE", "HEEDED", "main"]

GOOD_BYE, HEEDED = b".", b"h"
"""What a driver says: all is over; and: it acts on signals itself (again)."""
_STOPPING = {bytes([number]) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
_EVERY = 1.0
_HEEDING_SECONDS = 2.0
_ENDING_SECONDS = 8.0


def main(words: list[str]) -> int:
    """Watch until the driver says good-bye on standard input or dies."""
    driver, started, mark, folder = int(words[0]), words[1], words[2], Path(words[3])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ray_processes: dict[int, str] = {}
    watching = False
    told: tuple[float, bytes] | None = None
    while True:
        table = _processes()
        ray_processes |= {pid: table[pid][1] for pid in _of_ray(driver, table, mark)}
        if not watching:
            watching = bool(os.write(1, b"watching\n"))
        ready, _, _ = select.select([sys.stdin], [], [], _EVERY)
        word = os.read(0, 1) if ready else b""
        if word == GOOD_BYE:
            return 0
        if word == HEEDED:
            told = None
        elif word in _STOPPING and told is None:
            told = time.monotonic(), word
        if _processes().get(driver, (0, ""))[1] != started:
            break
        if told is not None and _insist(driver, ray_processes, mark, *told):
            told = None  # a killed process may take a moment to be gone
        if ready and not word:  # the pipe is closed, but the driver lives: it is on its way out
            time.sleep(_EVERY)
    _clean(ray_processes, mark)
    _remove(folder)
    return 0


def _insist(driver: int, ray_processes: dict[int, str], mark: str, since: float, word: bytes) -> bool:
    """The driver was told to stop while Ray starts, and hangs in a call: end what it waits for, then itself.

    Returns:
        Whether the driver was killed.
    """
    waited = time.monotonic() - since
    if waited > _HEEDING_SECONDS:
        _clean(ray_processes, mark)
    if waited > _ENDING_SECONDS and word != bytes([signal.SIGINT]):
        with contextlib.suppress(OSError):  # the terminal was closed
            os.write(2, b"stopped while Ray was starting; nothing had begun\n")
        os.kill(driver, signal.SIGKILL)
        return True
    return False


def _processes() -> dict[int, tuple[int, str]]:
    """Living process → (parent, start)."""
    table = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            fields = text.rpartition(")")[2].split()
            if fields[0] not in "ZX":
                table[int(entry.name)] = (int(fields[1]), fields[19])
    return table


def _of_ray(driver: int, table: dict[int, tuple[int, str]], mark: str) -> set[int]:
    """Ray's processes and all that they started; whatever else the driver started is not ours to end."""
    roots = {pid for pid, (parent, _) in table.items() if parent == driver and _marked(pid, mark)}
    return roots | {pid for root in roots for pid in _descendants(root, table)}


def _descendants(root: int, table: dict[int, tuple[int, str]]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in table.items():
        children.setdefault(parent, []).append(pid)
    descendants: set[int] = set()
    front = [root]
    while front:
        front = [child for pid in front for child in children.get(pid, ()) if child not in descendants]
        descendants |= set(front)
    return descendants - {os.getpid()}


def _clean(ray_processes: dict[int, str], mark: str) -> None:
    """Kill what the driver left, and what that had started since, until nothing of it runs."""
    for _ in range(50):
        table = _processes()
        doomed = {pid for pid, start in ray_processes.items() if table.get(pid, (0, ""))[1] == start}
        doomed |= {child for pid in doomed for child in _descendants(pid, table)}
        doomed |= {pid for pid in table if _marked(pid, mark) or _belongs(pid, mark, ray_processes)}
        for pid in doomed - {os.getpid()}:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        if not doomed:
            return
        time.sleep(0.2)


def _remove(folder: Path) -> None:
    """Remove Ray's folder; something that was being written when its writer died may make a second try needed."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)


def _marked(pid: int, mark: str) -> bool:
    return mark.encode() in _environment(pid)


def _belongs(pid: int, mark: str, ray_processes: dict[int, str]) -> bool:
    """Whether a process carries the mark of one of the driver's runs: an orphan in a session of its own, too."""
    name = mark.partition("=")[0].encode() + b"="
    for entry in _environment(pid):
        if entry.startswith(name):
            parts = entry[len(name) :].decode(errors="replace").split("|")
            return len(parts) >= 3 and parts[1].isdigit() and ray_processes.get(int(parts[1])) == parts[2]
    return False


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
