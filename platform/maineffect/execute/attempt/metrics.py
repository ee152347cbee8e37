"""What a run shows of itself to Prometheus: how many steps it has logged, and which was the last."""

from __future__ import annotations

import logging

from maineffect.execute.cluster.board import Board
from maineffect.record import swallowed

__all__ = ["RunMetrics"]

_log = logging.getLogger(__name__)


class RunMetrics:
    """The metrics of one attempt, shown by a thread beside the training: a step costs the training nothing more.

    Args:
        sweep_id: Value of the tag ``sweep``.
        run_id: Value of the tag ``run``.
    """

    def __init__(self, sweep_id: str, run_id: str) -> None:
        self._sweep, self._run = sweep_id, run_id
        self._board = Board()
        self._told = 0

    def show(self, logged: int, last: int) -> None:
        """Show how many steps have been logged, and the last one; nothing before the first.

        Whatever goes wrong is no affair of the run's.
        """
        if not logged:
            return
        own = {"sweep": self._sweep}
        with swallowed(_log, "the metrics of a step"):
            self._board.record(
                [
                    ("maineffect_run_steps", float(last), {**own, "run": self._run}),
                    ("maineffect_steps", float(logged - self._told), own),
                ]
            )
            self._told = logged
