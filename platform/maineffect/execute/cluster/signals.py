"""Ctrl-C, SIGTERM and a closed terminal stop a sweep alike, while Ray starts as well as when it runs."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from maineffect.execute.cluster import supervisor

__all__ = ["hangup_held", "heard_by_supervisor", "raise_if_told", "stop_on_signals"]

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_told = threading.Event()
"""An exception that a handler raises is lost where Python is in a destructor or in a callback of a library's."""


def stop_on_signals() -> Callable[[], None]:
    """From here on SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread. Ray sets handlers of its own.

    A SIGHUP that is ignored, as ``nohup`` has it, stays so.

    Returns:
        What sets the handlers back that were there before.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def interrupt(number: int, _frame: FrameType | None) -> None:
        _told.set()
        if number == signal.SIGHUP:
            _leave_terminal()
        raise KeyboardInterrupt("terminated")

    before: dict[signal.Signals, Any] = {}
    for number in _ENDING:
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        before[number] = signal.signal(number, interrupt)

    def restore() -> None:
        _told.clear()
        for number, handler in before.items():
            signal.signal(number, handler if callable(handler) else signal.SIG_DFL)

    return restore


def raise_if_told() -> None:
    """Raise again what a signal raised where it was lost.

    Raises:
        KeyboardInterrupt: SIGTERM or SIGHUP came, and this is the first that is heard of it.
    """
    if _told.is_set():
        _told.clear()
        raise KeyboardInterrupt("terminated")


def _leave_terminal() -> None:
    """What is still to be said to a terminal that was closed is said to nobody, and raises nothing."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            with contextlib.suppress(OSError):
                if stat.S_ISCHR(os.fstat(stream).st_mode):
                    os.dup2(nowhere, stream)
        os.close(nowhere)


@contextlib.contextmanager
def hangup_held() -> Iterator[None]:
    """Hold SIGHUP back: what is started meanwhile never dies of it, and this process hears of it afterwards.

    A terminal that is closed tells every process in it. Ray's processes must outlive that for as long as their driver
    needs to stop its runs.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def heard_by_supervisor(line: int) -> Iterator[None]:
    """Let the supervisor hear of signals that this process cannot act on, because a call of Ray's holds it.

    Args:
        line: The supervisor's standard input. The system itself writes there, whatever this process does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    os.set_blocking(line, False)
    before = signal.set_wakeup_fd(line, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        with contextlib.suppress(OSError):
            os.write(line, supervisor.HEEDED)
