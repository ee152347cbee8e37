"""What a trainable may use while it runs: the RunContext of one attempt."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from maineffect.contracts import AttemptRecord, Companion, RunCancelled, RunRequest
from maineffect.errors import PluginError
from maineffect.execute.attempt.companion import RayCompanions
from maineffect.seeds import derive_seed

__all__ = ["AttemptContext", "attempt_folder", "run_folder"]

_KEPT_CHECKPOINTS = 2


def run_folder(home: Path, sweep_id: str, run_id: str) -> Path:
    """Folder of all attempts of a run."""
    return home / "runs" / sweep_id / run_id


def attempt_folder(home: Path, sweep_id: str, run_id: str, attempt: int) -> Path:
    """Private folder of one attempt."""
    return run_folder(home, sweep_id, run_id) / f"a{attempt}"


class AttemptContext:
    """Implements :class:`maineffect.contracts.RunContext` and ``CompanionHost`` for one attempt.

    Attributes:
        cancelled: Set when the attempt is to stop.
        elsewhere: Folders of earlier attempts in other homes, whose checkpoints count too.
        notice: What the user should know of where the run goes on.
        companions: Starts processes on the run's further bundles; None where there are none.
        logged: How many steps have been logged.
        last_step: The last of them.
    """

    def __init__(
        self,
        request: RunRequest,
        attempt: int,
        home: Path,
        record: AttemptRecord,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._request, self._record, self._on_progress = request, record, on_progress
        self._base = run_folder(home, request.sweep_id, request.run_id)
        self._run_dir = attempt_folder(home, request.sweep_id, request.run_id, attempt)
        self._cache_dir = home / "cache"
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        self.cancelled = threading.Event()
        self.elsewhere: tuple[Path, ...] = ()
        self.notice = ""
        self.companions: RayCompanions | None = None
        self.logged, self.last_step = 0, 0

    @property
    def run_dir(self) -> Path:
        """Private working directory of this attempt."""
        return self._run_dir

    @property
    def cache_dir(self) -> Path:
        """Shared by the runs of this home."""
        return self._cache_dir

    def seed(self, purpose: str) -> int:
        """Seed of one purpose under the run's seed."""
        return derive_seed(self._request.seed, purpose)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record training metrics."""
        self._record.log(step, metrics)
        if step != self.last_step or not self.logged:
            self.logged, self.last_step = self.logged + 1, step

    def companion(self, maker: Callable[..., Any], /, *arguments: Any) -> Companion:
        """Call ``maker`` in a process of its own, on the next bundle that was reserved with the run."""
        if self.companions is None:
            hint = "reserve its resources in the study, such as resources.bundles: [{GPU: 1}], and submit it"
            raise PluginError("the run reserved nothing for a process beside it", hint)
        return self.companions.start(maker, arguments)

    def progress(self, done: int, total: int) -> None:
        """Say how far the run is."""
        if self._on_progress is not None:
            self._on_progress(done, total)

    @property
    def stop_reason(self) -> str | None:
        """Why this attempt should stop, if it should."""
        return "the sweep was cancelled" if self.cancelled.is_set() else self._record.stop_reason

    def check_cancelled(self) -> None:
        """Raise when the sweep was cancelled, or this attempt was taken for dead and replaced."""
        if (reason := self.stop_reason) is not None:
            raise RunCancelled(reason)

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Write aside, then publish by one rename; older ones beyond two are removed."""
        folder = self._run_dir / "checkpoints"
        aside = folder / f".{step}.{os.getpid()}"
        final = folder / f"{step:012}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, mode=0o700)
        write(aside)
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
        for old in sorted(path for path in folder.iterdir() if path.name.isdigit())[:-_KEPT_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)

    def remove_checkpoints(self) -> None:
        """Remove the checkpoints of all attempts: the run is recorded as finished, and nothing goes on from them."""
        for folder in (*self._base.glob("a*"), *self.elsewhere):
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        """Newest complete checkpoint of this run's attempts; of two with the same step the one in this home."""
        folders = [*self._base.glob("a*"), *self.elsewhere]
        paths = [path for folder in folders for path in folder.glob("checkpoints/*")]
        checkpoints = [(int(path.name), path) for path in paths if path.is_dir() and path.name.isdigit()]
        return max(checkpoints, key=lambda item: item[0]) if checkpoints else None
