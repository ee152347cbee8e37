"""What a driver shows of its sweep to Prometheus: the same numbers that ``status`` gives, while it runs.

All of them follow from what the ledger knows, so a driver that is started again shows the same, and two drivers of one
sweep agree: queries take the maximum over drivers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from maineffect.contracts import FailureClass, RunRequest, RunState, RunStatus
from maineffect.execute.cluster.board import Board, Reading, RemoteBoard, open_board
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.progress import SweepProgress
from maineffect.preparation import is_preparatory

__all__ = ["SweepMetrics", "gauges_of"]

_EVERY = 1.0


def gauges_of(
    requests: Sequence[RunRequest], runs: Mapping[str, RunStatus], moment: SweepProgress, needs: Needs
) -> Iterator[tuple[str, float, dict[str, str]]]:
    """Gauges of a sweep: name, value, and its tags beside the sweep's.

    Args:
        requests: Every run of the sweep.
        runs: What the ledger knows of them.
        moment: What it has cost, and how long it will take.
        needs: What one run needs, and what the sweep may spend.
    """
    statuses = [runs[request.run_id] for request in requests if request.run_id in runs]
    states = Counter(status.state for status in statuses)
    states[RunState.PLANNED] += len(requests) - len(statuses)
    for state in RunState:
        yield "maineffect_runs", states[state], {"state": state.value}
    failed = Counter(s.ends[-1].failure for s in statuses if s.state is RunState.FAILED and s.ends)
    for failure in FailureClass:  # all of them: a class that is not told any more would keep its count for a while
        yield "maineffect_failed_runs", failed[failure], {"class": failure.value}
    for failure, count in Counter(end.failure for status in statuses for end in status.ends).items():
        yield "maineffect_failed_attempts", count, {"class": failure.value}
    cost = needs.cost(moment.run_seconds)
    yield "maineffect_gpu_hours_spent", cost.gpu_hours, {}
    yield "maineffect_cpu_hours_spent", cost.cpu_hours, {}
    if needs.most_gpu_hours is not None:
        yield "maineffect_gpu_hours_left", max(0.0, needs.most_gpu_hours - cost.gpu_hours), {}
    if needs.most_cpu_hours is not None:
        yield "maineffect_cpu_hours_left", max(0.0, needs.most_cpu_hours - cost.cpu_hours), {}
    if moment.seconds_left is not None:
        yield "maineffect_seconds_left", moment.seconds_left, {}


class SweepMetrics:
    """The metrics of one driver. Whatever goes wrong in here is said once, and the sweep goes on without metrics.

    Args:
        sweep_id: Value of the tag ``sweep``.
        needs: What one run needs, and what the sweep may spend.
        say: Called with what the user should know, at most once.
    """

    def __init__(self, sweep_id: str, needs: Needs, say: Callable[[str], None]) -> None:
        self._sweep, self._needs, self._say = sweep_id, needs, say
        self._board: Board | RemoteBoard | None = None
        self._broken = False
        self._shown_at = -1e9
        self._timed: set[str] = set()
        self._reads: list[float] = []
        self._answers = True

    def connected(self, board: Callable[[], Board | RemoteBoard] = open_board) -> None:
        """There is a Ray: a new one knows nothing yet of what earlier ones were shown."""
        self._timed.clear()
        try:
            self._board = board()
        except Exception as error:
            self._give_up(error)

    @contextmanager
    def store_read(self) -> Iterator[None]:
        """Around a read of the store: how long it takes, and whether it is answered."""
        began, self._answers = time.monotonic(), False
        try:
            yield
            self._answers = True
        finally:
            if self._board is not None and not self._broken:
                self._reads.append(time.monotonic() - began)

    def show(self, requests: Sequence[RunRequest], runs: Mapping[str, RunStatus], moment: SweepProgress) -> None:
        """Show one moment of the sweep; at most once a second.

        Args:
            requests: Every run of the sweep.
            runs: What the ledger knows of them.
            moment: What it has cost, and how long it will take.
        """
        now = time.monotonic()
        if self._board is None or self._broken or now - self._shown_at < _EVERY:
            return
        self._shown_at = now
        try:
            self._board.record(self._readings(requests, runs, moment))
        except Exception as error:
            self._give_up(error)

    def _readings(
        self, requests: Sequence[RunRequest], runs: Mapping[str, RunStatus], moment: SweepProgress
    ) -> Iterator[Reading]:
        tagged = {"sweep": self._sweep}
        for name, value, tags in gauges_of(requests, runs, moment, self._needs):
            yield name, value, {**tagged, **tags}
        yield "maineffect_store_answers", float(self._answers), tagged
        reads, self._reads = self._reads, []
        for seconds in reads:
            yield "maineffect_store_seconds", seconds, tagged
        for run_id, status in runs.items():
            if is_preparatory(run_id) or status.reused_from is not None:
                continue
            if status.state is RunState.FINISHED and run_id not in self._timed:
                self._timed.add(run_id)
                yield "maineffect_run_seconds", status.seconds, tagged

    def _give_up(self, error: Exception) -> None:
        self._broken = True
        first = (str(error).splitlines() or [""])[0]
        self._say(f"this sweep exports no metrics from here on: {type(error).__name__}: {first}")
