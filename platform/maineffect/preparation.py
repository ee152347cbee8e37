"""Runs before the runs: what several runs of a sweep start from is made once, as a run of its own.

A trainable declares it by two functions that it carries as attributes, beside those of
:class:`maineffect.contracts.Trainable`:

* ``preparations(request)`` returns the :class:`Preparation` records that a run starts from; it is called by the driver,
  so it must be quick, and must return the same wherever it is called;
* ``prepare(request, context)`` makes one of them, and writes its files below ``context.cache_dir``.

The driver starts such a run before the runs that need it, with claims, attempts, checkpoints, time limit and budget
like any other. It has no place in the analysis. A run that is called without a driver finds no file, and makes what it
needs itself: a preparation saves time and changes no number.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

from maineffect.contracts import RunContext, RunRequest, RunResult

__all__ = [
    "PREPARED_FOLDER",
    "SEARCH",
    "TRIAL",
    "PhaseRecords",
    "PhaseRequest",
    "Preparation",
    "PreparatoryRequest",
    "Preparing",
    "TrialRequest",
    "is_preparatory",
    "is_trial",
    "link_or_copy",
    "preparatory_request",
    "trial_id",
    "what_of",
]

PREPARED_FOLDER = "prepared"
"""Folder, in an attempt's directory and among its artifacts, of the files that a preparation has made."""

TRIAL = "tuning trial"
"""What a trial of a tuning is called, for people."""

SEARCH = "search trial"
"""What a trial of a search for the best setting is called."""

_PREFIX = "prep-"
_DIGITS = 12


@dataclass(frozen=True)
class Preparation:
    """What runs start from.

    Attributes:
        name: What it is, for people: ``warm start``.
        key: Everything that decides what it becomes, and nothing else: of equal keys one is made.
        settings: The trainable's settings under which it is made.
        seed: Its seed.
        files: What it makes, as paths below the cache folder. Equal keys name equal files, and another key never does.
    """

    name: str
    key: str
    settings: Mapping[str, Any]
    seed: int
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for file in self.files:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{file!r} is not a path below the cache folder")


@dataclass(frozen=True)
class PhaseRequest(RunRequest):
    """The work order of a run that comes before the registered ones, and is no part of the analysis.

    Attributes:
        name: What it is, for people.
        serves: How many runs of the sweep wait for it.
    """

    name: str = ""
    serves: int = 0


@dataclass(frozen=True)
class TrialRequest(PhaseRequest):
    """The work order of a trial: a run of the trainable with values that a search or a tuning asks for.

    Attributes:
        group: Whose trial it is.
        number: Which of the group's points it tries, from 0.
    """

    group: str = ""
    number: int = 0


@dataclass(frozen=True)
class PreparatoryRequest(PhaseRequest):
    """The work order of a preparation; it declares no responses, and stands in no cell.

    Attributes:
        key: See :class:`Preparation`.
        files: See :class:`Preparation`.
    """

    key: str = ""
    files: tuple[str, ...] = field(default=())

    def content(self) -> str:
        """Identity of what is made, but for the code: trainable, name and key; 16 hex digits."""
        return _digest(self.trainable, self.name, self.key)[:16]


@runtime_checkable
class Preparing(Protocol):
    """A trainable that declares preparations."""

    def preparations(self, request: RunRequest, /) -> Sequence[Preparation]:
        """What a run starts from."""

    def prepare(self, request: RunRequest, context: RunContext, /) -> RunResult | Mapping[str, float] | None:
        """Make one of them; numbers that are returned become measures."""


class PhaseRecords(Protocol):
    """What a sweep remembers of a phase before its registered runs: words that are written once, and results."""

    def notes(self) -> Mapping[str, str]:
        """Every word by its key."""

    def note(self, key: str, word: str) -> str:
        """Write a word unless one stands under this key; the one that stands."""

    def responses(self, run_ids: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
        """Responses of those of these runs that are committed."""

    def seconds(self, run_ids: Sequence[str]) -> Mapping[str, float]:
        """Run time of those of these runs that are committed."""


def trial_id(group: str, number: int, cell_id: str, what: str = TRIAL) -> str:
    """Run id of a trial, in one cell of its group."""
    return f"{_PREFIX}{what.replace(' ', '-')}-{_digest(group, str(number), cell_id)[:_DIGITS]}"


def preparatory_request(first: RunRequest, preparation: Preparation, serves: int) -> PreparatoryRequest:
    """The work order of a preparation.

    Args:
        first: The first run that needs it: study, sweep, trainable, code and evaluation seed are taken from it.
        preparation: What is to be made.
        serves: How many runs of the sweep start from it.
    """
    word = re.sub(r"[^a-z0-9]+", "-", preparation.name.lower()).strip("-") or "preparation"
    run_id = f"{_PREFIX}{word}-{_digest(first.trainable, preparation.name, preparation.key)[:_DIGITS]}"
    return PreparatoryRequest(
        study=first.study,
        sweep_id=first.sweep_id,
        run_id=run_id,
        cell_id=run_id,
        replicate=0,
        levels={},
        settings=preparation.settings,
        seed=preparation.seed,
        evaluation_seed=first.evaluation_seed,
        responses=(),
        trainable=first.trainable,
        code_version=first.code_version,
        name=preparation.name,
        key=preparation.key,
        files=preparation.files,
        serves=serves,
    )


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file another name, or copy it where that is not possible; such files are never changed, only replaced."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def is_preparatory(run_id: str) -> bool:
    """Whether a run comes before the registered ones. These are named by hex digits, so none begins like it."""
    return run_id.startswith(_PREFIX)


def what_of(run_id: str) -> str:
    """What a preparatory run makes, as its id tells: ``warm start``."""
    return run_id.removeprefix(_PREFIX)[: -_DIGITS - 1].replace("-", " ")


def is_trial(run_id: str) -> bool:
    """Whether a run is a trial: a whole run of the trainable, of which registered runs take something over."""
    return is_preparatory(run_id) and what_of(run_id) in (TRIAL, SEARCH)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
