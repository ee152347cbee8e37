"""What one run needs, and what a sweep may spend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

__all__ = ["LEAST_LIMIT", "TIMES_MEDIAN", "Cost", "Needs"]

LEAST_LIMIT = 1800.0
TIMES_MEDIAN = 20.0
"""The time limit that nobody has set: this many times the median of the finished runs, and never less than the least.
"""


@dataclass(frozen=True)
class Cost:
    """What run time costs: everything that was reserved counts, used or not."""

    gpu_hours: float
    cpu_hours: float
    price: float


@dataclass(frozen=True)
class Needs:
    """What one run needs, and what the sweep may use.

    Attributes:
        timeout: Time limit of a run in seconds; None: it follows from what finished runs cost.
        wait: Seconds that runs wait for a node that could take one of them, before the sweep ends without.
        retries: Further attempts after a transient failure, in one submission.
        custom: Custom Ray resources of a run.
        bundles: Resources of further processes that a run starts through Ray (a vLLM engine beside the trainer); all
            are reserved together with the run, or none.
        gpu_hour_price: Price of a GPU-hour.
        cpu_hour_price: Price of a core-hour.
        most_gpu_hours: Budget of the sweep in GPU-hours, earlier submissions included.
        most_cpu_hours: Budget of the sweep in core-hours.
        most_price: Budget of the sweep in the prices' currency.
        most_wall_seconds: Time that this submission may take.
        priority: Weight of the sweep where several share a cluster.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float | None = None
    timeout: float | None = None
    wait: float = 1800.0
    retries: int = 2
    custom: dict[str, float] = field(default_factory=dict)
    bundles: tuple[dict[str, float], ...] = ()
    gpu_hour_price: float = 0.0
    cpu_hour_price: float = 0.0
    most_gpu_hours: float | None = None
    most_cpu_hours: float | None = None
    most_price: float | None = None
    most_wall_seconds: float | None = None
    priority: int = 1

    def limit(self, finished: Sequence[float] = ()) -> float:
        """Time limit of a run that starts now.

        Args:
            finished: Seconds of each finished run.
        """
        if self.timeout is not None:
            return self.timeout
        return max(LEAST_LIMIT, TIMES_MEDIAN * median(finished)) if finished else LEAST_LIMIT

    def resources(self) -> dict[str, float]:
        """Everything that one run reserves, by Ray's names."""
        total = {"CPU": self.cpus, "GPU": self.gpus, **self.custom}
        for bundle in self.bundles:
            for name, amount in bundle.items():
                total[name] = total.get(name, 0.0) + amount
        return {name: amount for name, amount in total.items() if amount}

    def parts(self) -> list[dict[str, float]]:
        """What each node must have for a part of the run: the run itself, and each bundle. Memory in bytes."""
        own = {"CPU": self.cpus, "GPU": self.gpus, **self.custom, "memory": int((self.memory_gb or 0.0) * 1e9)}
        return [{name: amount for name, amount in part.items() if amount} for part in (own, *self.bundles)]

    def reserved(self) -> dict[str, float]:
        """The same with the memory of the run, in bytes."""
        total = self.resources()
        if self.memory_gb is not None:
            total["memory"] = total.get("memory", 0.0) + int(self.memory_gb * 1e9)
        return total

    def cost(self, seconds: float) -> Cost:
        """What this much run time costs."""
        reserved, hours = self.resources(), seconds / 3600
        gpu_hours, cpu_hours = hours * reserved.get("GPU", 0.0), hours * reserved.get("CPU", 0.0)
        return Cost(gpu_hours, cpu_hours, gpu_hours * self.gpu_hour_price + cpu_hours * self.cpu_hour_price)
