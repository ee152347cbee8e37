"""Actors of attempts: started by name, found by name, asked without ever waiting long."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any

from maineffect.contracts import RunRequest
from maineffect.execute.attempt.one_run import WorkOrder
from maineffect.execute.attempt.worker import RunWorker
from maineffect.execute.cluster.embedded import NAMESPACE
from maineffect.execute.cluster.needs import Needs
from maineffect.record import swallowed

__all__ = ["Flight", "actor_name", "ask_progress", "find_worker", "start_worker"]

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
        asked: Outstanding question about progress.
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
    asked: Any = field(default=None, repr=False)
    stopping: float | None = None
    overdue: bool = False
    notice: str = ""

    def cancel(self, now: float) -> None:
        """Ask it to stop at its next step."""
        if self.stopping is None:
            self.stopping = now
            with swallowed(_log, "the request to stop"):
                self.actor.cancel.remote()

    def kill(self) -> None:
        """End its process and free its resources."""
        import ray

        with swallowed(_log, "the end of a worker"):
            ray.kill(self.actor)
        # Only a run with bundles has a placement group.
        with swallowed(_log, "the end of its placement group"), contextlib.suppress(ValueError):
            group = ray.util.get_placement_group(actor_name(self.request, self.attempt))
            ray.util.remove_placement_group(group)


def actor_name(request: RunRequest, attempt: int) -> str:
    """A name that is taken while the attempt lives: a second start of it fails in the cluster."""
    return f"me-{request.sweep_id}-{request.run_id}-a{attempt}"


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
        "max_concurrency": 4,
    }
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


def ask_progress(flights: list[Flight], now: float) -> None:
    """Ask every actor how far it is; one that does not answer does not delay the others."""
    import ray

    for flight in flights:
        if flight.asked is None:
            flight.asked = flight.actor.report.remote()
    asked = {flight.asked: flight for flight in flights}
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ASK_SECONDS) if asked else ([], [])
    for reference in ready:
        flight = asked[reference]
        flight.asked = None
        with contextlib.suppress(ray.exceptions.RayError):
            flight.progress, flight.notice, flight.limit = ray.get(reference)
            if flight.progress[2] > 0:
                flight.began = now - flight.progress[2]
