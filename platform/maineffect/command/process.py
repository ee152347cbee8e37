"""A command as a process: started apart, its output passed on, and ended with everything that it started."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from maineffect.process_family import carrying, descendants, living

__all__ = ["Child", "oom_kills"]

_MARK = "MAINEFFECT_COMMAND"
_CHUNK = 65536
_TAIL_CHARACTERS = 65536
_STUBBORN_SECONDS = 5.0
_SMALLEST_SECRET = 6


class Child:
    """A running command.

    Args:
        arguments: Program and arguments, as the kernel takes them; no shell.
        folder: Working directory.
        variables: The whole environment.
        secrets: Texts that are replaced by ``***`` in all that it prints.

    Raises:
        OSError: The program cannot be started.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, variables: Mapping[str, str], secrets: Sequence[str] = ()
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._secrets = sorted({s for s in secrets if len(s) >= _SMALLEST_SECRET}, key=len, reverse=True)
        self._process = subprocess.Popen(
            list(arguments),
            cwd=folder,
            env={**variables, _MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._errors: deque[str] = deque()
        self._kept = 0
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._pumps = [
            threading.Thread(target=self._pump, args=(pipe, name), name=f"maineffect-{name}", daemon=True)
            for pipe, name in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr"))
        ]
        for pump in self._pumps:
            pump.start()

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's and its session's."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """The end of what it wrote to standard error, without secrets."""
        return "".join(self._errors)

    def wait(self, seconds: float) -> int | None:
        """Its exit code (negative: the signal) if it ends within so many seconds, else None."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self, grace: float) -> int:
        """Ask the whole family to stop, wait, kill what is left of it; returns the exit code."""
        before = self._family()  # who leaves the family while its head dies is known from before
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
            self.wait(grace)
        return self.close(before)

    def close(self, processes: Sequence[psutil.Process] = ()) -> int:
        """Kill whatever the command left behind, and take the rest of its output."""
        deadline = time.monotonic() + _STUBBORN_SECONDS
        while (family := living([*processes, *self._family()])) and time.monotonic() < deadline:
            for member in family:
                with contextlib.suppress(psutil.Error):
                    member.kill()
            self.wait(0.0)
            time.sleep(0.02)
        code = self._process.wait()
        for pump in self._pumps:
            pump.join(timeout=_STUBBORN_SECONDS)
        return code

    def _family(self) -> list[psutil.Process]:
        """Living processes of its session, its descendants, and those that left both but carry its mark."""
        family = []
        if self._process.returncode is None:
            with contextlib.suppress(psutil.Error):
                family += descendants(psutil.Process(self.pid))
        for member in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(member.pid) == self.pid:
                    family.append(member)
        family += [process for process, mark in carrying(_MARK) if mark == self._mark]
        return living(family)

    def _pump(self, pipe: IO[bytes], name: str) -> None:
        """Pass output on as it comes. Whatever happens to our own output, the command must never wait for us."""
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        held = ""
        with contextlib.suppress(OSError, ValueError), pipe:
            while data := os.read(pipe.fileno(), _CHUNK):
                text, held = self._hidden(held + decode(data), final=False)
                self._pass_on(text, name)
        text, _ = self._hidden(held + decode(b"", True), final=True)
        self._pass_on(text, name)

    def _hidden(self, text: str, *, final: bool) -> tuple[str, str]:
        """The text without secrets, and an end that may be the beginning of one and is held back."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if final:
            return text, ""
        held = max((_overlap(text, secret) for secret in self._secrets), default=0)
        return (text[:-held], text[-held:]) if held else (text, "")

    def _pass_on(self, text: str, name: str) -> None:
        if not text:
            return
        with contextlib.suppress(OSError, ValueError):
            stream = getattr(sys, name)
            stream.write(text)
            stream.flush()
        if name == "stderr":
            self._errors.append(text)
            self._kept += len(text)
            while len(self._errors) > 1 and self._kept - len(self._errors[0]) >= _TAIL_CHARACTERS:
                self._kept -= len(self._errors.popleft())


def _overlap(text: str, secret: str) -> int:
    """Length of the longest end of the text with which the secret begins."""
    return next((n for n in range(min(len(secret) - 1, len(text)), 0, -1) if text.endswith(secret[:n])), 0)


def oom_kills() -> int:
    """How many processes the kernel has killed on this machine because memory ran out; 0 where nobody counts."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
