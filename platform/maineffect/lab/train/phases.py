"""Where a run's time goes: seconds, tokens and operations per phase, as metrics of a step and measures of the run."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["Phases"]


class Phases:
    """A stopwatch with names.

    Args:
        peak: FLOP/s of a device; without it there is no utilisation.
        devices: Devices that the run uses in all.

    Attributes:
        seconds: Wall time per phase; together they are the time of the run.
        beside: Wall time of phases that went on beside others, in another thread: for rates, not for shares.
        tokens: Tokens per phase.
        flops: Operations that the model needs per phase.
    """

    def __init__(self, peak: float | None = None, devices: int = 1) -> None:
        self.peak, self.devices = peak, devices
        self.seconds: dict[str, float] = defaultdict(float)
        self.beside: dict[str, float] = defaultdict(float)
        self.tokens: dict[str, int] = defaultdict(int)
        self.flops: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Count the block's wall time under a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - started

    def add(self, other: Phases) -> None:
        """Add another stopwatch's numbers."""
        for name, value in other.seconds.items():
            self.seconds[name] += value
        for name, value in other.beside.items():
            self.beside[name] += value
        for name, count in other.tokens.items():
            self.tokens[name] += count
        for name, value in other.flops.items():
            self.flops[name] += value

    def report(self) -> dict[str, float]:
        """Share of the time per phase; tokens per second and, with a known peak, model-FLOPs utilisation of some."""
        whole = sum(self.seconds.values()) or 1.0
        numbers = {f"time_share.{name}": value / whole for name, value in self.seconds.items()}
        for name, count in self.tokens.items():
            numbers[f"tokens_per_second.{name}"] = count / self._spent(name)
        if self.peak is not None and self.flops:
            numbers |= {f"mfu.{name}": value / self._spent(name) / self.peak for name, value in self.flops.items()}
            numbers["mfu"] = sum(self.flops.values()) / whole / (self.peak * self.devices)
        return numbers

    def _spent(self, phase: str) -> float:
        return max(self.seconds.get(phase, 0.0) + self.beside.get(phase, 0.0), 1e-9)

    def measures(self, *, on_gpu: bool = False) -> dict[str, float]:
        """The report of a whole run, with seconds and the high-water marks of memory in GiB.

        GPU-hours are not among them: the scheduler knows what was reserved, and records it as ``cost/gpu_hours``.

        Args:
            on_gpu: Whether this process uses a GPU, which has a high-water mark then.
        """
        numbers = {**self.report(), **{f"seconds.{name}": value for name, value in self.seconds.items()}}
        # Linux counts in KiB.
        numbers["memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        if on_gpu:
            numbers["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        return numbers
