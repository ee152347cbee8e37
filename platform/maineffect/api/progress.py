"""How far a sweep is, while a call of Python waits for it: a bar on a terminal and in a notebook, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maineffect.execute.drive.progress import SweepProgress

__all__ = ["shown"]


@contextmanager
def shown(*, wanted: bool | None) -> Iterator[Callable[[SweepProgress], None] | None]:
    """Yield what a running sweep reports to.

    Args:
        wanted: None: where somebody looks on, at a terminal or in a notebook.
    """
    if wanted is False or (wanted is None and not (sys.stderr.isatty() or "ipykernel" in sys.modules)):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    in_notebook = "ipykernel" in sys.modules
    with Progress(*columns, console=Console(stderr=not in_notebook, highlight=False)) as bar:
        task = bar.add_task("sweep", total=None)

        def draw(moment: SweepProgress) -> None:
            for notice in moment.notices:
                bar.console.print(notice, markup=False)
            failed = f", {moment.failed} failed" if moment.failed else ""
            trials = f", {moment.trials_ended} of {moment.trials} trials" if moment.held and moment.trials else ""
            words = f"{moment.sweep_id}: {len(moment.running)} running{failed}{trials}"
            bar.update(task, description=words, total=moment.planned, completed=moment.finished)

        yield draw
