"""Where a run's time goes: seconds and tokens per phase, as metrics of a step and as measures of the run."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["Phases"]


class Phases:
    """A stopwatch with names."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.tokens: dict[str, int] = defaultdict(int)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Count the block's wall time under a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - started

    def add(self, other: Phases) -> None:
        """Add another stopwatch's times and tokens."""
        for name, value in other.seconds.items():
            self.seconds[name] += value
        for name, count in other.tokens.items():
            self.tokens[name] += count

    def report(self) -> dict[str, float]:
        """Share of the time per phase, and tokens per second of phases that have tokens."""
        whole = sum(self.seconds.values()) or 1.0
        numbers = {f"time_share.{name}": value / whole for name, value in self.seconds.items()}
        for name, count in self.tokens.items():
            numbers[f"tokens_per_second.{name}"] = count / max(self.seconds[name], 1e-9)
        return numbers

    def measures(self) -> dict[str, float]:
        """The report of a whole run, with seconds and the high-water marks of memory in GiB."""
        numbers = {**self.report(), **{f"seconds.{name}": value for name, value in self.seconds.items()}}
        # Linux counts in KiB.
        numbers["memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        if torch.cuda.is_available():
            numbers["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
            numbers["gpu_hours"] = sum(self.seconds.values()) / 3600
        return numbers
