"""What a sweep shows of itself to Prometheus: the metrics that exist, and the board that hands them to Ray.

Ray exports what its processes record, with ``ray_`` before each name, at the metrics port of their node. Drivers and
runs of any number of sweeps record on the same names and are told apart by the tag ``sweep``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "METRICS",
    "PORT",
    "Board",
    "MetricSpec",
    "Reading",
    "RemoteBoard",
    "export_options",
    "no_export",
    "open_board",
]

PORT = "MAINEFFECT_METRICS_PORT"
"""Environment variable with the port at which a Ray of this process's own exports metrics; unset: it exports none."""

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True)
class MetricSpec:
    """One metric.

    Attributes:
        name: Name as it is recorded.
        kind: What Prometheus takes it for.
        says: What it says, in one line.
        tags: Names of its tags.
        boundaries: Upper bounds of a histogram's buckets.
    """

    name: str
    kind: Kind
    says: str
    tags: tuple[str, ...] = ("sweep",)
    boundaries: tuple[float, ...] = ()

    def exported(self) -> tuple[str, ...]:
        """Names under which Prometheus finds it. A histogram's sum is left out: Ray only estimates it from buckets."""
        base = f"ray_{self.name}"
        if self.kind == "histogram":
            return f"{base}_bucket", f"{base}_count"
        return (f"{base}_total",) if self.kind == "counter" else (base,)


_MINUTE, _HOUR = 60, 3600
_RUN_SECONDS = (
    *(1, 2, 5, 10, 15, 20, 30, 45),
    *(minutes * _MINUTE for minutes in (1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45)),
    *(hours * _HOUR for hours in (1, 1.5, 2, 3, 4, 6, 8, 12, 24, 48)),
)
_STORE_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)

METRICS = {
    spec.name: spec
    for spec in (
        MetricSpec("maineffect_runs", "gauge", "Planned runs by state", ("sweep", "state")),
        MetricSpec("maineffect_failed_runs", "gauge", "Failed runs by class of their last failure", ("sweep", "class")),
        MetricSpec("maineffect_failed_attempts", "gauge", "Failed attempts by class", ("sweep", "class")),
        MetricSpec("maineffect_gpu_hours_spent", "gauge", "GPU-hours spent, running and failed attempts included"),
        MetricSpec("maineffect_gpu_hours_left", "gauge", "GPU-hours left of the budget, if there is one"),
        MetricSpec("maineffect_cpu_hours_spent", "gauge", "Core-hours spent, running and failed attempts included"),
        MetricSpec("maineffect_cpu_hours_left", "gauge", "Core-hours left of the budget, if there is one"),
        MetricSpec("maineffect_seconds_left", "gauge", "Seconds until the sweep ends, from finished runs"),
        MetricSpec("maineffect_run_seconds", "histogram", "Seconds of a finished run", boundaries=_RUN_SECONDS),
        MetricSpec(
            "maineffect_store_seconds", "histogram", "Seconds of a read of the store", boundaries=_STORE_SECONDS
        ),
        MetricSpec("maineffect_store_answers", "gauge", "Whether the store answered the last read: 1 or 0"),
        MetricSpec("maineffect_run_steps", "gauge", "Last step that a running run has logged", ("sweep", "run")),
        MetricSpec("maineffect_steps", "counter", "Steps that runs have logged"),
    )
}
"""Name → metric."""

Reading = tuple[str, float, dict[str, str]]
"""Name of a metric, a value, and the tags: to be set (gauge), added (counter) or observed (histogram)."""


class Board:
    """Records readings in this process, which must be one of Ray's: a driver or a worker. Microseconds each.

    Ray exports a gauge that was set since its last report, and forgets one that was not: a living process sets its
    gauges again and again, and those of a dead one go by themselves.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def record(self, readings: Iterable[Reading]) -> None:
        """Record them all.

        Raises:
            KeyError: There is no such metric.
        """
        for name, value, tags in readings:
            spec = METRICS[name]
            metric = self._made.get(name)
            if metric is None:
                metric = self._made[name] = _make(spec)
            if spec.kind == "gauge":
                metric.set(value, tags=tags)
            elif spec.kind == "histogram":
                metric.observe(value, tags=tags)
            elif value > 0:
                metric.inc(value, tags=tags)


class RemoteBoard:
    """A board in an actor of the cluster: a driver that talks through Ray's client is none of Ray's processes."""

    def __init__(self) -> None:
        import ray

        self._actor = ray.remote(Board).options(num_cpus=0).remote()

    def record(self, readings: Iterable[Reading]) -> None:
        """Send them all, and wait for nothing."""
        self._actor.record.remote(list(readings))


def _make(spec: MetricSpec) -> Any:
    from ray.util import metrics

    if spec.kind == "histogram":
        return metrics.Histogram(spec.name, spec.says, boundaries=list(spec.boundaries), tag_keys=spec.tags)
    return (metrics.Gauge if spec.kind == "gauge" else metrics.Counter)(spec.name, spec.says, tag_keys=spec.tags)


def open_board() -> Board | RemoteBoard:
    """The board of a driver, on the Ray that it is connected to."""
    from ray.util.client import ray as client

    return RemoteBoard() if client.is_connected() else Board()


def no_export() -> dict[str, Any]:
    """Arguments of ``ray.init`` for a Ray without a port for metrics; new ones each time, since Ray changes them."""
    return {"_system_config": {"enable_metrics_collection": False}}


def export_options() -> tuple[dict[str, Any], str]:
    """How a Ray of this process's own exports metrics, by :data:`PORT`.

    Ray does not start when the port is taken: so nothing is exported unless it was asked for, and a sweep goes on
    without metrics rather than not at all. Like all of this Ray, the port is on the loopback.

    Returns:
        Arguments of ``ray.init``, and what the user should know of it.
    """
    asked = os.environ.get(PORT, "").strip()
    if not asked:
        return no_export(), ""
    port = int(asked) if asked.isdecimal() else -1
    if not 1 <= port <= 65535:
        return no_export(), f"{PORT}={asked!r} is not a port: no metrics are exported"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            why = error.strerror or str(error)
            return no_export(), f"no metrics are exported: port {port} ({PORT}) cannot be had ({why.lower()})"
    return {"_metrics_export_port": port}, f"metrics: http://127.0.0.1:{port}/metrics, from this machine only"
