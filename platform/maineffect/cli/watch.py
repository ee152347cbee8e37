"""A sweep as it runs: a live display on a terminal, a line a minute anywhere else. All of it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

import typer

from maineffect.cli.console import Output
from maineffect.preparation import is_preparatory

if TYPE_CHECKING:
    from rich.table import Table

    from maineffect.execute.drive.progress import SweepProgress

__all__ = ["counting", "line", "progress"]

_QUIET_SECONDS = 60.0
_COUNT_SECONDS = 5.0


@contextmanager
def progress(output: Output) -> Iterator[Callable[[SweepProgress], None]]:
    """Yield the function that a running sweep reports to."""
    try:
        # Libraries print on stdout what is not the result (Ray: "a worker died"): one document must stay one document.
        with redirect_stdout(sys.stderr):
            yield from _display(output)
    except KeyboardInterrupt:
        output.say("interrupted: finished runs are recorded; submit (or resubmit) again goes on where this stopped")
        raise typer.Exit(130) from None


@contextmanager
def counting(output: Output, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is told (done, of); says so now and then on stderr."""
    last = [time.monotonic()]

    def tell(done: int, total: int) -> None:
        if time.monotonic() - last[0] >= _COUNT_SECONDS:
            last[0] = time.monotonic()
            output.say(f"{done} of {total} {what}")

    yield tell


def _display(output: Output) -> Iterator[Callable[[SweepProgress], None]]:
    if output.quiet:
        yield lambda moment: None  # noqa: ARG005
    elif sys.stderr.isatty():
        from rich.live import Live

        with Live(console=output.stderr(), refresh_per_second=4, transient=False) as live:

            def draw(moment: SweepProgress) -> None:
                for notice in moment.notices:
                    live.console.print(notice, markup=False)
                live.update(_table(moment))

            yield draw
    else:
        last = [time.monotonic() - _QUIET_SECONDS + 5.0]

        def speak(moment: SweepProgress) -> None:
            for notice in moment.notices:
                output.say(notice)
            if time.monotonic() - last[0] >= _QUIET_SECONDS:
                last[0] = time.monotonic()
                output.say(line(moment))

        yield speak


def line(moment: SweepProgress) -> str:
    """The sweep in one line."""
    left = f", about {_clock(moment.seconds_left)} left" if moment.seconds_left is not None else ""
    pending = f", {moment.pending} pending" if moment.pending else ""
    running = sum(not is_preparatory(run_id) for run_id in moment.running)
    return (
        f"{moment.sweep_id}: {moment.finished} of {moment.planned} finished, {moment.failed} failed, "
        f"{running} running{pending}{_prepared(moment)}; {_clock(moment.elapsed)} elapsed{left}{_cost(moment)}"
    )


def _prepared(moment: SweepProgress) -> str:
    """``; 1 warm start running, 48 runs wait``, or ``; 24 of 96 trials, 2 tuning trials running, 12 runs wait``."""
    if not moment.held:
        return ""
    making = [f"{moment.trials_ended} of {moment.trials} trials"] if moment.trials else []
    making += [f"{count} {what}{'s' if count > 1 else ''} running" for what, count in moment.preparing.items()]
    waits = f"{moment.held} runs wait" if moment.held > 1 else "1 run waits"
    return f"; {', '.join([*making, waits])}"


def _cost(moment: SweepProgress) -> str:
    hours = f"; {moment.gpu_hours:.2f} GPU-hours" if moment.gpu_hours else ""
    return hours + (f", price {moment.price:.2f}" if moment.price else "")


def _table(moment: SweepProgress) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_row(line(moment), ProgressBar(total=max(1, moment.planned), completed=moment.finished, width=30))
    for run_id, (done, total, seconds) in moment.running.items():
        grid.add_row(f"  {run_id}  {_clock(seconds)}", ProgressBar(total=max(1, total), completed=done, width=30))
    return grid


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
