"""What one run needs, and what a sweep may spend."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Needs"]


@dataclass(frozen=True)
class Needs:
    """What one run needs, and what the sweep may use.

    Attributes:
        timeout: Time limit of a run in seconds.
        retries: Further attempts after a transient failure, in one submission.
        custom: Custom Ray resources of a run.
        bundles: Resources of further processes that a run starts through Ray (a vLLM engine beside the trainer); all
            are reserved together with the run, or none.
        gpu_hour_price: Price of a GPU-hour.
        most_gpu_hours: Budget of the sweep in GPU-hours, earlier submissions included.
        most_run_hours: Budget of the sweep in hours of run time.
        most_price: Budget of the sweep in the price's currency.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float | None = None
    timeout: float = 1800.0
    retries: int = 2
    custom: dict[str, float] = field(default_factory=dict)
    bundles: tuple[dict[str, float], ...] = ()
    gpu_hour_price: float = 0.0
    most_gpu_hours: float | None = None
    most_run_hours: float | None = None
    most_price: float | None = None

    def resources(self) -> dict[str, float]:
        """Everything that one run reserves, by Ray's names."""
        total = {"CPU": self.cpus, "GPU": self.gpus, **self.custom}
        for bundle in self.bundles:
            for name, amount in bundle.items():
                total[name] = total.get(name, 0.0) + amount
        return {name: amount for name, amount in total.items() if amount}
