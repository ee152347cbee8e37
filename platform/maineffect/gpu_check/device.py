"""What is measured of a device: memory held and freed, kernels that ran, products per second."""

from __future__ import annotations

import gc
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["attention_kernels", "cosine", "free_mib", "memory_of", "product_rate", "seconds_of", "used_by_others"]

_ATTENTION = ("flash", "fmha", "attention", "flex", "cudnn_generated", "mha")
MIB = 2**20


def seconds_of(work: Callable[[], Any], device: str) -> float:
    """Wall time of a piece of work, waited for; a first call warms up."""
    work()
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def memory_of(work: Callable[[], Any], device: str) -> float:
    """MiB that a forward and backward pass needs beside what is there: the peak on a GPU; on a CPU what is saved."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    saved: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        work()
    return sum(saved.values()) / MIB


def free_mib(device: str) -> float:
    """MiB free on the GPU for everybody; without one, what this process leaves of 1 TiB, so that only changes count."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info()[0] / MIB
    with open("/proc/self/statm") as file:
        return 2**20 - int(file.read().split()[1]) * resource.getpagesize() / MIB


def used_by_others() -> float | None:
    """MiB in use on all visible cards by nvidia-smi; None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    numbers = [line.strip() for line in done.stdout.splitlines() if line.strip().isdigit()]
    return float(sum(map(int, numbers))) if numbers else None


def attention_kernels(work: Callable[[], Any], device: str) -> list[str]:
    """Names of kernels (on a CPU: of torch's operations) of attention that ran, the longest-running first."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profile(activities=activities) as seen:
        work()
        _wait(device)
    ran = [event for event in seen.key_averages() if any(word in event.key.lower() for word in _ATTENTION)]
    spent: Callable[[Any], float] = lambda e: e.self_device_time_total if device == "cuda" else e.self_cpu_time_total  # noqa: E731
    return [event.key[:60] for event in sorted(ran, key=spent, reverse=True)]


def product_rate(device: str, dtype: torch.dtype, size: int) -> float:
    """FLOP/s of products of square matrices: 2·n³ operations each."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = 20

    def products() -> None:
        for _ in range(times):
            torch.mm(left, right)

    return 2.0 * size**3 * times / seconds_of(products, device)


def cosine(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    """Cosine of two sets of tensors, as one vector each."""
    if one.keys() != two.keys():
        return float("nan")
    dots = [0.0, 0.0, 0.0]
    for name, value in one.items():
        left, right = value.double().flatten(), two[name].double().flatten().to(value.device)
        for i, (a, b) in enumerate(((left, right), (left, left), (right, right))):
            dots[i] += float(a @ b)
    return dots[0] / (dots[1] * dots[2]) ** 0.5 if dots[1] and dots[2] else float("nan")
