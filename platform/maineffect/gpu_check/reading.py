"""Checks 5, 6 and 15: the ways to read a batch give one gradient, and what they cost."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from maineffect.gpu_check.bench import Bench, gradient
from maineffect.gpu_check.device import attention_kernels, cosine, memory_of, seconds_of
from maineffect.gpu_check.outcome import Judged, Outcome
from maineffect.lab.policy.reading import Way

__all__ = ["checkpointed", "one_gradient", "packed_row"]

_COSINE, _GAP = 0.999, 0.05
_WAYS: tuple[Way, ...] = ("padded", "packed", "shared")
_MORE = 1.25
"""What a packed row may need of memory and time against padding: measuring is not exact."""


def one_gradient(bench: Bench) -> Outcome:
    """Gradients of padded, packed and shared reading: cosine > .999 to padded's; seconds; the attention that ran."""
    judged = Judged()
    plain: tuple[Tensor, dict[str, Tensor]] | None = None
    for way in _WAYS:
        policy = bench.load(batching=way)
        read = bench.rollouts(policy, bench.tokens(12_000, 3000))
        work = partial(gradient, policy, way, read)
        logp_S, steps = work()
        judged.numbers[f"{way}_ms"] = 1000 * seconds_of(work, bench.device)
        kernels = attention_kernels(work, bench.device)
        judged.hold(bool(kernels), f"no attention kernel was seen in {way} reading")
        judged.note(f"{way}: {kernels[0]}" if kernels else f"{way}: none")
        if plain is None:
            plain = (logp_S, steps)
            judged.numbers["tokens"] = float(read.lengths_B.sum())
            continue
        alike, gap = cosine(plain[1], steps), float((plain[0] - logp_S).abs().mean())
        judged.numbers |= {f"{way}_cosine": alike, f"{way}_gap": gap}
        judged.hold(alike > _COSINE, f"the gradient of {way} reading has a cosine of {alike:.5f} to padded's")
        judged.hold(gap < _GAP, f"log-probabilities of {way} reading are {gap:.3g} from padded's on average")
    return judged.outcome()


def checkpointed(bench: Bench) -> Outcome:
    """Gradient checkpointing: less memory, the same gradient."""
    judged = Judged()
    found: dict[bool, tuple[float, dict[str, Tensor]]] = {}
    for on in (False, True):
        policy = bench.load(gradient_checkpointing=on, batching="padded")
        read = bench.rollouts(policy, bench.tokens(6000, 2000))
        work = partial(gradient, policy, "padded", read)
        _, steps = work()
        found[on] = (memory_of(work, bench.device), steps)
    (without, plain), (with_, again) = found[False], found[True]
    alike = cosine(plain, again)
    judged.numbers |= {"without_mib": without, "with_mib": with_, "cosine": alike}
    judged.hold(alike > _COSINE, f"the gradient with checkpointing has a cosine of {alike:.5f} to that without")
    judged.hold(with_ < 0.9 * without, f"checkpointing needs {with_:,.0f} MiB, without it {without:,.0f}")
    if not bench.large:
        judged.note("memory is what is saved for the backward pass: there is no GPU whose peak could be read")
    return judged.outcome()


def packed_row(bench: Bench) -> Outcome:
    """A packed row of 16,384 tokens against the same sequences padded, and attention against torch's varlen kernel."""
    judged, tokens = Judged(), bench.tokens(16_384, 2048)
    for way in ("padded", "packed"):
        policy = bench.load(batching=way)
        read = bench.rollouts(policy, tokens)
        work = partial(gradient, policy, way, read)
        judged.numbers[f"{way}_ms"] = 1000 * seconds_of(work, bench.device)
        judged.numbers[f"{way}_mib"] = memory_of(work, bench.device)
        judged.numbers["row_tokens"] = float(read.lengths_B.sum())
    for unit in ("mib", "ms"):
        packed, padded = judged.numbers[f"packed_{unit}"], judged.numbers[f"padded_{unit}"]
        judged.hold(packed <= _MORE * padded, f"a packed row needs {packed:,.0f} {unit}, padding {padded:,.0f}")
    if not bench.large:
        judged.note("no varlen kernel without a GPU")
        return judged.outcome()
    sizes = read.lengths_B.tolist()
    judged.numbers |= _varlen(policy.model, sizes, bench.device)
    return judged.outcome()


def _varlen(model: Any, sizes: list[int], device: str) -> dict[str, float]:
    """Milliseconds of one layer's attention over a packed row: sequence by sequence, and in one kernel."""
    from torch.nn.attention.varlen import varlen_attn

    config = model.config
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    shape = (sum(sizes), heads, width)
    states = [torch.randn(shape, device=device, dtype=torch.bfloat16) for _ in range(3)]
    ends = torch.tensor([0, *sizes], device=device).cumsum(0).int()

    def apart() -> None:
        parts = zip(*(torch.split(state.transpose(0, 1)[None], sizes, dim=2) for state in states), strict=True)
        for part in parts:
            query, key, value = part
            torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)

    longest, causal = max(sizes), (-1, 0)
    query, key, value = states
    whole = partial(varlen_attn, query, key, value, ends, ends, longest, longest, window_size=causal)
    return {"apart_ms": 1000 * seconds_of(apart, device), "varlen_ms": 1000 * seconds_of(whole, device)}
