"""The head of a cluster: a process that is connected to it is ended by Ray, without a word, a minute after it is gone.

So it is knocked at before Ray is asked anything: a call that waits for a dead head cannot be ended from within. What is
asked every second is asked in a thread beside the driver, so that the driver is not caught in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from maineffect.errors import MaineffectError

__all__ = ["Head", "end_without_ray", "in_time", "refusal"]

T = TypeVar("T")

_KNOCK_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0
"""Half of what Ray waits: a head with fault tolerance comes back meanwhile."""


def refusal(host: str, port: int, seconds: float) -> str:
    """Why nothing answers at an address; empty where something does."""
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def in_time(call: Callable[[], T], seconds: float, otherwise: T) -> T:
    """What a call returns, or something else where it does not return in time: it is left to itself then.

    Raises:
        Exception: Whatever the call raised in time.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    return answers[0] if answers else otherwise


def end_without_ray() -> None:
    """End this process at once, as failed: without its head Ray can be neither left nor torn down."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(1)


class Head:
    """Watches the head of the cluster in use.

    Args:
        address: ``host:port`` of its control store.
        clock: Monotonic clock of this process.
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._clock = address, clock
        self._away_since = -1.0

    @property
    def away(self) -> bool:
        """Whether it was away when it was last knocked at."""
        return self._away_since >= 0

    def answers(self, say: Callable[[str], None]) -> bool:
        """Knock, and say once that it is away, and that it is back.

        Raises:
            MaineffectError: It has been away for too long.
        """
        now = self._clock()
        host, _, port = self._address.rpartition(":")
        why = refusal(host.strip("[]"), int(port), _KNOCK_SECONDS)
        if not why:
            if self.away:
                say(f"the head of the Ray cluster at {self._address} answers again")
            self._away_since = -1.0
            return True
        if not self.away:
            self._away_since = now
            say(f"the head of the Ray cluster at {self._address} does not answer ({why.lower()}): nothing new starts")
        if now - self._away_since > _PATIENCE_SECONDS:
            raise MaineffectError(
                f"the head of the Ray cluster at {self._address} has not answered for {_PATIENCE_SECONDS:g} s "
                f"({why.lower()})",
                "start the cluster again, and submit or resubmit: what is finished is recorded, and what is not goes "
                "on from its checkpoints where these can be read",
            )
        return False
