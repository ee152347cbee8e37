"""What a plugin author reads: the nouns that cross stage borders, and the protocols that serve them.

Nouns:
    RunRequest     one run to be done: levels, settings, seed
    RunContext     what a trainable may use while it runs: log, checkpoints, seeds, cache
    Companion      a process of its own beside a run
    RunResult      what a trainable returns: responses, measures, items
    Trainable      ``(RunRequest, RunContext) -> RunResult``: one training with one seed
    FailureClass   why an attempt ended without a result
    LedgerState    what the ledger knows of a sweep's runs
    RunLedger      write-once claims, ends and commits of a sweep (implemented in ``ledger/``)
    AttemptRecord  one attempt being written to the ledger

This module imports nothing heavy and nothing of ours: the lab, the scheduler and the ledger meet here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

__all__ = [
    "OUTPUT_FILE",
    "AttemptEnd",
    "AttemptRecord",
    "Companion",
    "CompanionHost",
    "FailureClass",
    "LedgerState",
    "LeftFolder",
    "Level",
    "RunCancelled",
    "RunContext",
    "RunDiverged",
    "RunLedger",
    "RunLost",
    "RunRequest",
    "RunResult",
    "RunState",
    "RunStatus",
    "Trainable",
]

Level = str | int | float | bool
OUTPUT_FILE = "output.log"
"""Name of the file, in an attempt's folder and among its artifacts, that holds what it printed."""


class RunDiverged(Exception):  # noqa: N818 — an outcome, not an error
    """Raised by a trainable whose training diverged or collapsed: an outcome, never retried by itself."""


class RunCancelled(Exception):  # noqa: N818 — a request, not an error
    """Raised inside a run when the sweep was cancelled; the run stops at its last checkpoint."""


class RunLost(Exception):  # noqa: N818 — a circumstance, not an error
    """Raised by a trainable that lost what it runs on, such as a preempted node: retried, from its checkpoint."""


class FailureClass(StrEnum):
    """Why an attempt ended without a committed result. Only transient classes are retried."""

    USER_ERROR = "user-error"
    BAD_RESULT = "bad-result"
    DIVERGED = "diverged"
    OOM_HOST = "oom-host"
    OOM_GPU = "oom-gpu"
    TIMEOUT = "timeout"
    LOST = "lost"
    LEDGER = "ledger-unreachable"
    REFUSED = "ledger-refused"
    OTHER_CODE = "other-code"
    CANCELLED = "cancelled"

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed when tried again."""
        return self in (FailureClass.OOM_HOST, FailureClass.LOST, FailureClass.LEDGER)


class RunState(StrEnum):
    """Where a planned run stands in the ledger."""

    PLANNED = "planned"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True)
class RunRequest:
    """One run to be done. The work order that travels to a worker; picklable, JSON-able.

    Attributes:
        study: Study name.
        sweep_id: Sweep that this run belongs to.
        run_id: Unique within the sweep.
        cell_id: Hash of the levels.
        replicate: 1-based replicate.
        levels: Factor name → level.
        settings: The trainable's settings, nested, with the factors' bindings already written in.
        seed: The run's seed; runs of one replicate share it under common random numbers.
        evaluation_seed: Same for every run of the study.
        responses: Names that the result must hold.
        trainable: ``module:object``.
        code_version: Version of the trainable's code, as far as it is known.
        base_seed: Seed of what is made once for the whole sweep, such as a warm start; None where everything that a run
            draws follows from its own seed, as under common random numbers.
    """

    study: str
    sweep_id: str
    run_id: str
    cell_id: str
    replicate: int
    levels: Mapping[str, Level]
    settings: Mapping[str, Any]
    seed: int
    evaluation_seed: int
    responses: tuple[str, ...]
    trainable: str
    code_version: str = ""
    block: str | int | None = None
    whole_plot: str | int | None = None
    base_seed: int | None = None

    def content(self) -> str:
        """Identity of what would be measured, but for the code: trainable, levels, settings, seeds; 16 hex digits.

        Two requests of equal content and equal code version are the same run, whatever sweep asks for them.
        """
        parts: list[Any] = [self.trainable, dict(self.levels), dict(self.settings), self.seed, self.evaluation_seed]
        if self.base_seed is not None:
            parts.append(self.base_seed)
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunResult:
    """What one training gave.

    Attributes:
        responses: Response name → finite number. Must hold every response that the study declares.
        measures: Further numbers worth recording (never analysed unless declared).
        items: One mapping per evaluation item with equal keys; kept as Parquet beside the run.
        texts: File name → text artifact, such as sampled transcripts as JSON lines.
    """

    responses: Mapping[str, float]
    measures: Mapping[str, float] = field(default_factory=dict)
    items: Sequence[Mapping[str, Any]] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


class RunContext(Protocol):
    """What a trainable may use while it runs."""

    @property
    def run_dir(self) -> Path:
        """Private working directory of this attempt."""

    @property
    def cache_dir(self) -> Path:
        """Directory shared by all runs on this machine, for content-addressed reuse (write aside, then rename)."""

    def seed(self, purpose: str) -> int:
        """Seed of one purpose under this run's seed, such as ``"world"`` or ``"sampling"``."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record training metrics. Costs microseconds; never blocks on the ledger."""

    def progress(self, done: int, total: int) -> None:
        """Say how far the run is."""

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Write a checkpoint aside with ``write(directory)``, then publish it atomically."""

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        """Newest complete checkpoint of this run, from this or an earlier attempt, as (step, directory)."""

    def check_cancelled(self) -> None:
        """Raise :class:`RunCancelled` if the sweep was cancelled. Call it once a step."""


class Companion(Protocol):
    """Something that lives in a process of its own beside a run, on resources that were reserved with the run."""

    def call(self, method: str, /, *arguments: Any) -> Any:
        """Call a method there and wait for what it returns. Arrays travel through shared memory on one node.

        Raises:
            RunLost: The process is gone.
            Exception: Whatever the method raised.
        """

    def close(self) -> None:
        """End the process."""


@runtime_checkable
class CompanionHost(Protocol):
    """A :class:`RunContext` that can start processes beside the run: on Ray, with ``resources.bundles``."""

    def companion(self, maker: Callable[..., Any], /, *arguments: Any) -> Companion:
        """Call ``maker`` with arguments in a process on the next bundle that the run reserved, and keep the result.

        Raises:
            PluginError: No bundle is left, or none was reserved.
        """


@runtime_checkable
class Trainable(Protocol):
    """One training with one seed.

    A trainable may also carry, as attributes, what ``check`` uses before anything runs:

    * ``settings_model``: a pydantic model class (or a function that returns one) of its settings, so that
      bindings and levels can be validated;
    * ``response_names``: the responses it can return, or a function, of the study's settings if it takes them;
    * ``baselines``: a function of (settings, evaluation seed) that returns what policies without the capability score,
      as records of ``name``, ``response``, ``value`` and a ``description``, for the report;
    * ``check_run``: a function of (a cell's settings, factor name → setting that it drives) that returns a list of
      :class:`maineffect.errors.Problem`: what a settings model cannot see;
    * ``check_resources``: a function of (a cell's settings, the study's ``resources``) that returns such a list: what
      is reserved and not used, or used and not reserved;
    * ``lacks``: a function of a cell's settings that returns such a list: packages or devices that this machine lacks;
      a warning where runs go to a cluster, and refused where they would run here;
    * ``pin``: a function of the study's settings that returns them with the digests of files that they name, so that
      the plan changes when these do;
    * ``beside``: a function of the study's folder that returns the trainable that works there;
    * ``code_files``: a function of the study's settings that returns the folder's files which decide what a run does;
    * ``shortened``: a function of a run's settings that returns those of a run of seconds, for ``maineffect try``;
    * ``keep_checkpoints``: whether checkpoints stay when the run is recorded as finished; they are removed otherwise;
    * ``preparations`` and ``prepare``: what runs start from and share (:mod:`maineffect.preparation`).
    """

    def __call__(self, request: RunRequest, context: RunContext, /) -> RunResult | Mapping[str, float]:
        """Train once and return what was measured."""


@dataclass(frozen=True)
class AttemptEnd:
    """How an attempt ended without a result."""

    attempt: int
    failure: FailureClass
    message: str
    seconds: float = 0.0


@dataclass(frozen=True)
class RunStatus:
    """What the ledger knows of one run.

    Attributes:
        state: Derived from the records: a commit → finished; else an open claim → running; else an end → failed.
        attempts: Number of claims.
        ends: Failed attempts, oldest first.
        committed_attempt: The attempt that is the run's result, if any.
        tracking_run_id: MLflow run of the committed or latest attempt.
        started_at: When the committed or latest attempt started, in seconds since 1970 by its worker's clock: for
            display, never for decisions.
        seconds: Run time of the committed attempt; 0 without one.
        reused_from: ``<sweep>/<run>`` that the result is reused from, if this sweep does not run it itself.
    """

    run_id: str
    state: RunState = RunState.PLANNED
    attempts: int = 0
    ends: tuple[AttemptEnd, ...] = ()
    committed_attempt: int | None = None
    tracking_run_id: str | None = None
    started_at: float | None = None
    seconds: float = 0.0
    reused_from: str | None = None


@dataclass(frozen=True)
class LedgerState:
    """All records of a sweep, read at once.

    Attributes:
        runs: Planned runs.
        cancelled_by: Who cancelled the sweep, if anybody did.
        preparations: Runs that make what planned runs start from.
    """

    runs: Mapping[str, RunStatus]
    cancelled_by: str | None = None
    preparations: Mapping[str, RunStatus] = field(default_factory=dict)

    @property
    def all_runs(self) -> dict[str, RunStatus]:
        """Planned runs and preparations."""
        return {**self.runs, **self.preparations}


@dataclass(frozen=True)
class LeftFolder:
    """Where an attempt wrote its files, such as its checkpoints.

    Attributes:
        host: The machine, by the attempt's own word.
        folder: The folder there.
        unread: Why the folder cannot be read on this machine; empty where it can.
    """

    host: str
    folder: Path
    unread: str = ""


class AttemptRecord(Protocol):
    """One attempt being recorded; owned by the process that runs it."""

    @property
    def stop_reason(self) -> str | None:
        """Why this attempt should stop, as far as the ledger was heard: cancelled, or ended by somebody else."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Spool training metrics; a background thread uploads them in batches."""

    def commit(self, result: RunResult, *, seconds: float) -> bool:
        """Flush everything, then write the one commit record.

        Returns:
            False if another attempt had committed first (this attempt's result is then not the run's).
        """

    def fail(self, failure: FailureClass, message: str, *, detail: str = "", seconds: float) -> None:
        """Flush and record a failed end; ``detail`` (a traceback) becomes an artifact."""


class RunLedger(Protocol):
    """The sweep's only truth. Picklable: every process opens its own connection on first use."""

    @property
    def sweep_id(self) -> str:
        """The sweep whose records these are."""

    def state(self) -> LedgerState:
        """Read every record of the sweep (milliseconds, not a search)."""

    def claim(self, run_id: str, attempt: int, owner: str) -> bool:
        """Atomic put-if-absent. True for exactly one owner per (run, attempt)."""

    def owner(self, run_id: str, attempt: int) -> str | None:
        """Owner that claimed an attempt, if it was claimed."""

    def start_attempt(self, request: RunRequest, attempt: int, run_dir: Path) -> AttemptRecord:
        """Create the tracking run of a claimed attempt."""

    def end_attempt(
        self, run_id: str, attempt: int, failure: FailureClass, message: str, *, seconds: float = 0.0
    ) -> bool:
        """Write an end for an attempt that cannot do so itself (its worker is lost), with the run time it had cost."""

    def publish(self, run_dir: Path) -> bool | None:
        """Record the result that an attempt left in its folder because its process died or the store was away.

        Returns:
            None if the folder holds no result; else whether it is the run's result (false: another had come first).

        Raises:
            LedgerError: The store did not take it; it may be called again.
        """

    def fetch_files(self, run_id: str, names: Sequence[str], into: Path) -> bool:
        """Bring files that a finished preparation has made into a folder; whether all of them are there now."""

    def left_folder(self, run_id: str, attempt: int) -> LeftFolder | None:
        """Where an attempt wrote its files, and whether they can be read here; None before it has begun."""

    def heartbeat(self, run_id: str, attempt: int) -> str | None:
        """Seconds that the attempt had lived at its last sign of life, by its own clock; None before it has begun.

        A word that changes while the attempt's owner lives: compare it with itself, never with a clock.
        """

    def note_silent(self, run_id: str, attempt: int, beat: str | None, host: str) -> None:
        """Record that an attempt on ``host`` gave no sign of life for a whole lease since this heartbeat."""

    def silent_on(self, run_id: str, attempt: int) -> str | None:
        """The host of an attempt that was noted as silent, and has given no sign of life since."""

    def cancel(self, who: str) -> None:
        """Write the cancel record: no new claims from here on."""

    def cancelled(self) -> bool:
        """Whether the cancel record stands."""

    def reopen(self, who: str) -> None:
        """Lift an earlier cancel, on an explicit resubmit."""
