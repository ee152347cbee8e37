"""Scripts that know nothing of the platform, run as trainables in real processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from maineffect.command import CommandTrainable
from maineffect.conformance import RecordingContext
from maineffect.contracts import Level, RunCancelled, RunRequest, RunResult


class CancelledContext(RecordingContext):
    """A context whose sweep is cancelled once ``when`` says so."""

    when: Callable[[], bool] = staticmethod(lambda: False)

    def check_cancelled(self) -> None:
        if self.when():
            raise RunCancelled("the sweep was cancelled")


@dataclass
class Bench:
    """A study's folder with a script in it."""

    base: Path
    context: CancelledContext = field(init=False)

    def __post_init__(self) -> None:
        self.study.mkdir()
        self.context = CancelledContext(self.base / "home", 11)

    @property
    def study(self) -> Path:
        return self.base / "study with a space"

    def script(self, source: str, name: str = "train.py") -> None:
        (self.study / name).write_text(source)

    def run(
        self,
        command: str,
        *,
        levels: Mapping[str, Level] | None = None,
        responses: tuple[str, ...] = ("skill",),
        **settings: Any,
    ) -> RunResult:
        given = {"command": command, **(levels or {}), **settings}
        request = RunRequest("s", "s-1", "r1", "c", 2, dict(levels or {}), given, 11, 5, responses, "command")
        return CommandTrainable(self.study)(request, self.context)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def running() -> Callable[[int], bool]:
    return is_running


@pytest.fixture
def wait() -> Callable[..., None]:
    return wait_until
