"""What it means that a command ended as it did."""

from __future__ import annotations

import re
import signal

from maineffect.command.ranks import group_end
from maineffect.contracts import RunLost
from maineffect.errors import MaineffectError
from maineffect.record import behind_bars

__all__ = ["CommandError", "failure_of"]

_OUTSIDE = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL}
_SHOWN_LINES = 12
_NO_MEMORY = re.compile(r"^(MemoryError\b|numpy\S*_ArrayMemoryError\b)|\bstd::bad_alloc\b|Cannot allocate memory")


class CommandError(MaineffectError):
    """The command cannot be started, or ended with an error of its own."""


def failure_of(program: str, code: int, errors: str, *, out_of_memory: bool) -> Exception:
    """The exception by which a run tells how its command failed.

    Args:
        program: The command, shortened, for the message.
        code: Exit code, or minus the signal; 128 + signal, as shells and containers report it, is the same.
        errors: End of its standard error.
        out_of_memory: Whether the kernel killed some process for want of memory meanwhile.

    Returns:
        MemoryError for want of host memory, RunLost for a kill from outside (both may succeed when tried again), and
        CommandError with the last lines of standard error for everything else, which would fail again. Of a group of
        processes it is about the one that ended first, as torchrun reports it.
    """
    if code == 1 and (group := group_end(errors)) is not None:
        program, code, errors = f"{group.who} of {program}", group.code, group.errors
    lines = [_last_drawn(line) for line in behind_bars(errors).split("\n")]
    lines = [line for line in lines if line.strip()]
    number = -code if code < 0 else code - 128 if 128 < code < 128 + signal.NSIG else 0
    name = signal.Signals(number).name if number in {int(s) for s in signal.Signals} else ""
    how = f"was ended by {name}" if name else f"ended with code {code}"
    cuda = next((line for line in reversed(lines) if _is_cuda_memory(line)), None)
    if cuda is not None:
        return CommandError(f"{program} {how}: CUDA out of memory: {cuda}")
    if name and signal.Signals(number) in _OUTSIDE:
        if number == signal.SIGKILL and out_of_memory:
            return MemoryError(f"{program} {how} when the machine's memory ran out")
        return RunLost(f"{program} {how}, which came from outside the run")
    if lines and _NO_MEMORY.search(lines[-1].strip()):
        return MemoryError(f"{program} {how}: {lines[-1].strip()}")
    last_line = f": {lines[-1].strip()}" if lines else ", and wrote nothing to standard error"
    before = "".join(f"\n  | {line}" for line in lines[-_SHOWN_LINES:-1])
    return CommandError(f"{program} {how}{last_line}{before}")


def _last_drawn(line: str) -> str:
    """What a terminal shows in the end of a line that was drawn again and again, such as a progress bar."""
    return next((drawn.rstrip() for drawn in reversed(line.split("\r")) if drawn.strip()), "")


def _is_cuda_memory(line: str) -> bool:
    """Both words in any order, found in one pass each: a pattern for it takes quadratic time on some lines."""
    folded = line.casefold()
    return "cuda" in folded and "out of memory" in folded
