"""What torchrun says when a group of processes failed: which ended first, and how.

torchrun itself ends with code 1, whatever happened to its ranks, and closes its standard error with a report
(``torch.distributed.elastic.multiprocessing.errors.ChildFailedError``, which ``accelerate launch`` shows as well)::

    Root Cause (first observed failure):
    [0]:
      time      : 2026-11-29_10:11:53
      rank      : 1 (local_rank: 1)
      exitcode  : -9 (pid: 6533)  (SIGKILL)

or, when it was itself asked to stop, with ``SignalException: Process 6511 got signal: 15``.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

__all__ = ["GroupEnd", "group_end"]

_TITLE = "Root Cause (first observed failure):"
_FAILURE = re.compile(
    r"^ *time +: (?P<time>\S+)\n(?:.*\n){0,3}?^ *rank +: (?P<rank>\d+) .*\n^ *exitcode +: (?P<code>-?\d+) ",
    re.MULTILINE,
)
_STOPPED = re.compile(r"\bSignalException: Process \d+ got signal: (\d+)\s*\Z")
_ELASTIC = "torch/distributed/elastic/"
_OWN_PREFIX = re.compile(r"^\[rank\d+\]: ?")


@dataclass(frozen=True)
class GroupEnd:
    """How a group of processes ended.

    Attributes:
        who: The process that ended first, for a sentence: ``rank 1``.
        code: Its exit code, or minus the signal.
        errors: What the ranks wrote to standard error before torchrun reported.
    """

    who: str
    code: int
    errors: str


def group_end(errors: str) -> GroupEnd | None:
    """Read torchrun's report at the end of standard error; None if there is none.

    The report takes for the root cause the lowest rank among those found dead at once, and its clock has whole seconds:
    a rank that broke off because its neighbour was killed can come first. So one that was killed in the same second is
    the cause. torchrun kills its ranks only after 30 seconds of asking them.
    """
    before = errors.partition(_ELASTIC)[0].rpartition("\n")[0]
    plain = "\n".join(_OWN_PREFIX.sub("", line) for line in before.split("\n"))
    report, title, cause = errors.rpartition(_TITLE)
    if title and (first := _FAILURE.search(cause)) is not None:
        killed = (
            failure
            for failure in _FAILURE.finditer(report)
            if int(failure["code"]) == -signal.SIGKILL and failure["time"] == first["time"]
        )
        found = first if int(first["code"]) < 0 else next(killed, first)
        return GroupEnd(f"rank {found['rank']}", int(found["code"]), plain)
    if (stopped := _STOPPED.search(errors)) is not None:
        return GroupEnd("the launcher", -int(stopped[1]), plain)
    return None
