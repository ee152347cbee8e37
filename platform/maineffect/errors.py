"""Every error a user can meet, in one tree.

::

    MaineffectError            exit 1   something is wrong; the hint says what to do
    ├── UsageError             exit 2   the command line asks for something that does not exist
    ├── SpecError              exit 3   the study file is invalid (holds every problem found)
    ├── DesignError            exit 3   no such design, or it cannot answer what is asked
    ├── PlanChangedError       exit 4   the plan differs from its registration
    ├── LedgerError            exit 1   the tracking store did not answer, or refused
    │   └── StoreRefusedError           it answered, and will not take this however often it is asked
    ├── PluginError            exit 3   a trainable cannot be imported or breaks its contract
    ├── BadResultError         exit 1   a trainable returned something that is not a result
    └── AnalysisError          exit 1   the data cannot support what was asked
                                        (what is merely not estimable is reported, not raised)

All are picklable, because they cross Ray process boundaries.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

__all__ = [
    "AnalysisError",
    "BadResultError",
    "DesignError",
    "LedgerError",
    "MaineffectError",
    "PlanChangedError",
    "PluginError",
    "Problem",
    "SpecError",
    "StoreRefusedError",
    "UsageError",
    "disk_way_out",
]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class MaineffectError(Exception):
    """An error with the way out.

    Args:
        message: What is wrong and where, in one sentence.
        hint: What the user can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.message, self.hint))


class UsageError(MaineffectError):
    """The command line names something that does not exist."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a study file.

    Attributes:
        message: What is wrong, with the offending value.
        path: Dotted path in the study file, such as ``factors.hops.levels``.
        file: File that holds the value, if known.
        line: 1-based line in ``file``, if known.
        hint: The way out, such as the nearest valid name.
    """

    message: str
    path: str = ""
    file: str = ""
    line: int | None = None
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line is not None else self.file
        head = ": ".join(part for part in (where, self.path, self.message) if part)
        return f"{head}\n  → {self.hint}" if self.hint else head


class SpecError(MaineffectError):
    """The study file is invalid.

    Args:
        problems: Every problem found, in file order.
        hint: The way out that holds for all of them.
    """

    exit_code = 3

    def __init__(self, problems: list[Problem] | tuple[Problem, ...], hint: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.problems, self.hint))


class DesignError(MaineffectError):
    """No design fits the request, or the design cannot estimate what is registered."""

    exit_code = 3


class PlanChangedError(MaineffectError):
    """The study's plan is not the one that was registered."""

    exit_code = 4


class LedgerError(MaineffectError):
    """The tracking store refused a record or did not answer."""


class StoreRefusedError(LedgerError):
    """The tracking store answered, and refused what no waiting will make it take."""


class PluginError(MaineffectError):
    """A trainable cannot be found, imported, or does not follow its contract."""

    exit_code = 3


class BadResultError(MaineffectError):
    """A trainable returned something that is not a result."""


class AnalysisError(MaineffectError):
    """The table cannot be analysed as asked."""


def disk_way_out(error: OSError, place: object) -> str:
    """What to do about a disk that refused, by the system's own number of the error.

    Args:
        error: What the system said.
        place: The file or folder.

    Returns:
        The way out; empty where the number tells none.
    """
    if error.errno in _FULL:
        return f"free space in {place}"
    if error.errno in _CLOSED:
        return f"make {place} writable"
    return ""
