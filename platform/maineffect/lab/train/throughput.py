"""Model FLOPs of a run and the peak of its device: what share of it training and sampling used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.sampling.sampler import Policy

__all__ = ["PEAKS", "ModelFlops", "device_peak", "model_flops", "throughput_lines"]

PEAKS: tuple[tuple[tuple[str, ...], Mapping[str, float]], ...] = (
    (("H200",), {"bfloat16": 989.0, "float32": 67.0}),
    (("H100", "PCIe"), {"bfloat16": 756.0, "float32": 51.0}),
    (("H100", "HBM3"), {"bfloat16": 989.0, "float32": 67.0}),
    (("A100",), {"bfloat16": 312.0, "float32": 19.5}),
    (("L40S",), {"bfloat16": 362.0, "float32": 91.6}),
    (("L4",), {"bfloat16": 121.0, "float32": 30.3}),
    (("A10",), {"bfloat16": 125.0, "float32": 31.2}),
)
"""Words of a GPU's name → peak in TFLOP/s by precision, from NVIDIA's data sheets: dense matrix products in bfloat16,
and plain float32, because torch leaves TF32 off unless it is asked. Other devices: ``policy.peak_tflops``."""


@dataclass(frozen=True)
class ModelFlops:
    """Floating-point operations that the model needs by its size alone, and the most that its device can do.

    Attributes:
        weights: Parameters in all, tied ones once, as in PaLM (Chowdhery et al. 2022, arXiv 2204.02311, appendix B).
        trained: Of these, the ones in training.
        peak: FLOP/s of a device; None where it is not known.
        devices: The trainer's, and one like it of an engine in a process of its own.
    """

    weights: int
    trained: int
    peak: float | None = None
    devices: int = 1

    def train(self, tokens: int) -> float:
        """Operations of a forward and a backward pass.

        2 per weight and token forward and twice that backward (Kaplan et al. 2020, arXiv 2001.08361, sec. 2.1), of
        which the half that is for the weights' gradients only where weights are trained: 6·N without adapters. What
        attention, recomputed activations and the pass of the warm start add is not counted.
        """
        return (4.0 * self.weights + 2.0 * self.trained) * tokens

    def sample(self, tokens: int) -> float:
        """Operations of sampling: 2·N per token (Kaplan et al., table 1); tokens that are only read are not counted."""
        return 2.0 * self.weights * tokens


def model_flops(policy: Policy) -> ModelFlops:
    """Sizes of a policy, and the peak of what it is trained on."""
    sizes = [(value.numel(), value.requires_grad) for value in policy.parameters()]
    trained = sum(size for size, learns in sizes if learns)
    devices = 2 if policy.settings.placement == "actor" else 1
    return ModelFlops(sum(size for size, _ in sizes), trained, device_peak(policy.settings), devices)


def device_peak(settings: PolicySettings) -> float | None:
    """FLOP/s that the device can do in this precision: as stated, or by its name; None where neither is known."""
    if settings.peak_tflops is not None:
        return settings.peak_tflops * 1e12
    if settings.model is None or settings.device != "cuda" or not torch.cuda.is_available():
        return None
    return _peak_of(torch.cuda.get_device_name(), settings.precision_name)


def _peak_of(name: str, dtype: str) -> float | None:
    words = set(name.replace("-", " ").split())
    matching_peaks = (peak for device_words, peak in PEAKS if words.issuperset(device_words))
    peak = next(matching_peaks, {}).get(dtype)
    return None if peak is None else peak * 1e12


def throughput_lines(numbers: Mapping[str, float]) -> list[str]:
    """A run's throughput for people: what ``logs`` shows at its end.

    Args:
        numbers: What :meth:`maineffect.lab.train.phases.Phases.measures` gives.
    """
    spent = sorted(((v, k.partition(".")[2]) for k, v in numbers.items() if k.startswith("seconds.")), reverse=True)
    shares = ", ".join(f"{name} {numbers[f'time_share.{name}']:.0%} ({value:.1f} s)" for value, name in spent)
    lines = [f"time: {shares}"]
    rates = [
        f"{numbers[key]:,.0f} {name}"
        for name in ("rollout", "train")
        if (key := f"tokens_per_second.{name}") in numbers
    ]
    if rates:
        lines.append(f"tokens/s: {', '.join(rates)}")
    used = [f"{numbers[key]:.1%} {name}" for name in ("rollout", "train") if (key := f"mfu.{name}") in numbers]
    lines.append(
        f"model-FLOPs utilisation: {', '.join(used)}"
        if used
        else "model-FLOPs utilisation: not known, because the device's peak is not (policy.peak_tflops states it)"
    )
    gpu = f"{numbers['gpu_memory_gib']:.2f} GiB of the GPU's" if "gpu_memory_gib" in numbers else "no GPU"
    lines.append(f"memory at most: {numbers['memory_gib']:.2f} GiB, {gpu}")
    return lines
