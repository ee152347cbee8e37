"""Actors of attempts: started by name, found by name, asked without ever waiting long."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maineffect.contracts import RunRequest
from maineffect.execute.attempt.one_run import WorkOrder
from maineffect.execute.attempt.worker import RunWorker, actor_name
from maineffect.execute.cluster.embedded import NAMESPACE
from maineffect.execute.cluster.mailbox import Report, ask_to_stop, forget, read_reports
from maineffect.execute.cluster.needs import Needs
from maineffect.record import swallowed

__all__ = ["Flight", "Reports", "find_worker", "start_worker"]

_log = logging.getLogger(__name__)

_ASK_SECONDS = 0.2


@dataclass
class Flight:
    """An attempt that this driver watches.

    Attributes:
        result: Reference of the outcome.
        limit: Its time limit in seconds, as its own watchdog has it; None until it says so.
        began: When it had claimed, by this driver's clock; None while it waits for resources.
        progress: Steps done, steps in all, seconds so far.
        report: What it last said of itself.
        stopping: When it was asked to stop, by this driver's clock.
        overdue: Whether this driver killed it for its time limit.
        notice: What the user should know of the place where it runs.
    """

    request: RunRequest
    attempt: int
    actor: Any
    result: Any
    launched: float
    limit: float | None = None
    began: float | None = None
    progress: tuple[int, int, float] = (0, 0, 0.0)
    report: Report | None = None
    stopping: float | None = None
    overdue: bool = False
    notice: str = ""

    @property
    def name(self) -> str:
        """Name of its actor."""
        return actor_name(self.request, self.attempt)

    def cancel(self, now: float) -> None:
        """Ask it to stop at its next step; a cluster that does not answer holds nobody up."""
        if self.stopping is None:
            self.stopping = now
            threading.Thread(target=self._ask_to_stop, daemon=True).start()

    def _ask_to_stop(self) -> None:
        with swallowed(_log, "the request to stop"):
            ask_to_stop(self.name)

    def kill(self) -> None:
        """End its process and free its resources."""
        import ray

        with swallowed(_log, "the end of a worker"):
            ray.kill(self.actor)
        with swallowed(_log, "the end of its mail"):
            forget(self.name)
        # Only a run with bundles has a placement group.
        with swallowed(_log, "the end of its placement group"), contextlib.suppress(ValueError):
            group = ray.util.get_placement_group(self.name)
            ray.util.remove_placement_group(group)


def start_worker(order: WorkOrder, needs: Needs, now: float, limit: float) -> Flight:
    """Start the detached actor of an attempt, or find it when another driver has started it.

    Args:
        order: The work order.
        needs: What it reserves.
        now: By this driver's clock.
        limit: Time limit in seconds.
    """
    import ray

    name = actor_name(order.request, order.attempt)
    options: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "num_cpus": needs.cpus,
        "num_gpus": needs.gpus,
        "resources": dict(needs.custom) or None,
        "max_restarts": 0,
        "max_concurrency": 1,  # with more, Ray calls into threads of its own, and not into the main one
    }
    with swallowed(_log, "the removal of old mail"):
        forget(name)  # of an actor of this name that was stopped before it had claimed
    if needs.memory_gb is not None:
        options["memory"] = int(needs.memory_gb * 1e9)
    try:
        if needs.bundles:
            options["scheduling_strategy"] = _placement(name, needs)
        actor = ray.remote(RunWorker).options(**options).remote(order, limit)
    except ValueError:
        actor = ray.get_actor(name, namespace=NAMESPACE)
    _log.info("%s attempt %d is started", order.request.run_id, order.attempt)
    return Flight(order.request, order.attempt, actor, actor.result.remote(), now, limit)


def _placement(name: str, needs: Needs) -> Any:
    """Trainer and engines are placed together, or not at all: half a run would hold its resources for ever."""
    from ray.util import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    trainer_bundle = {"CPU": needs.cpus, "GPU": needs.gpus, **needs.custom}
    if needs.memory_gb is not None:
        trainer_bundle["memory"] = needs.memory_gb * 1e9
    bundles = [
        {key: amount for key, amount in trainer_bundle.items() if amount},
        *(dict(bundle) for bundle in needs.bundles),
    ]
    group = placement_group(bundles, strategy="PACK", name=name, lifetime="detached")
    return PlacementGroupSchedulingStrategy(group, 0, placement_group_capture_child_tasks=True)


def find_worker(request: RunRequest, attempt: int, now: float) -> Flight | None:
    """The living actor of an attempt that another driver started in this cluster."""
    import ray

    try:
        actor = ray.get_actor(actor_name(request, attempt), namespace=NAMESPACE)
    except ValueError:
        return None
    return Flight(request, attempt, actor, actor.result.remote(), now)


class Reports:
    """What runs have left of themselves, read in a thread beside the driver: a cluster that hangs does not hold it."""

    def __init__(self) -> None:
        self._reader: threading.Thread | None = None
        self._read: dict[str, Report] = {}

    def take(self, flights: Sequence[Flight], now: float) -> None:
        """Ask for the reports of all, wait a moment for them, and enter what has come so far.

        Args:
            flights: What this driver watches.
            now: By this driver's clock.
        """
        if self._reader is None:
            names = [flight.name for flight in flights]
            self._reader = threading.Thread(target=self._look, args=(names,), daemon=True)
            self._reader.start()
        self._reader.join(_ASK_SECONDS)
        if self._reader.is_alive():
            return
        self._reader = None
        for flight in flights:
            report = self._read.get(flight.name)
            if report is None or report == flight.report:
                continue  # of a run that cannot speak its last word still lies there
            flight.report = report
            flight.progress = report.done, report.total, report.seconds
            flight.notice, flight.limit = report.notice, report.limit
            if report.seconds > 0:
                flight.began = now - report.seconds

    def _look(self, names: Sequence[str]) -> None:
        self._read = {}
        with swallowed(_log, "the question how far runs are"):
            self._read = read_reports(names)
