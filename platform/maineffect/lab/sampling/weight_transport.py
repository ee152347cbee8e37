"""Weights between processes: in parts that shared memory holds, and of LoRA nothing but the adapters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maineffect.lab.policy.causal import Adapter

__all__ = ["Packed", "kept", "mergeable", "merged", "pack", "parts", "unpack"]

_PART_BYTES = 32 << 20
"""Weights that travel at once: Ray's store in a process of ours holds 80 MiB, and what does not fit goes to disk."""

Packed = dict[str, tuple[str, NDArray[Any]]]
"""Name → precision and values of a weight, as arrays that travel without being copied."""


def pack(weights: Iterable[tuple[str, Tensor]]) -> Packed:
    """Weights as arrays; numpy has no bfloat16, so that travels as its bits."""
    packed: Packed = {}
    for name, value in weights:
        plain = value.detach().cpu().contiguous()
        bits = plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain
        packed[name] = (str(plain.dtype).removeprefix("torch."), bits.numpy())
    return packed


def unpack(weights: Mapping[str, tuple[str, NDArray[Any]]]) -> Iterator[tuple[str, Tensor]]:
    """The weights again, without a copy: what shares memory with other processes is only read."""
    for name, (dtype, values) in weights.items():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable.*")
            plain = torch.from_numpy(np.asarray(values))
        yield name, plain.view(getattr(torch, dtype))


def parts(weights: Iterable[tuple[str, Tensor]], most_bytes: int = _PART_BYTES) -> Iterator[list[tuple[str, Tensor]]]:
    """Weights in parts; only one part at a time has to be there, and one that is larger is a part of its own.

    Args:
        weights: Made as they are asked for.
        most_bytes: Of a part.
    """
    part: list[tuple[str, Tensor]] = []
    held = 0
    for name, value in weights:
        size = value.numel() * value.element_size()
        if part and held + size > most_bytes:
            yield part
            part, held = [], 0
        part.append((name, value))
        held += size
    if part:
        yield part


def kept(weights: Packed) -> Packed:
    """A copy in this process's own memory, so that the shared memory is free for the next part."""
    return {name: (dtype, values.copy()) for name, (dtype, values) in weights.items()}


def mergeable(folder: str, adapters: Sequence[Adapter]) -> bool:
    """Whether an engine can add these adapters to the pretrained files by itself.

    Args:
        folder: Where the files should be: safetensors, of which an engine reads one tensor after another.
        adapters: Each layer's weight must be in them by its name and shape.
    """
    shapes = {name: shape for name, shape, _ in _stored(folder)}
    return bool(adapters) and all(
        shapes.get(one.name) == (one.up_OR.shape[0], one.down_RI.shape[1]) for one in adapters
    )


def merged(folder: str, adapters: Iterable[Adapter], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """The pretrained weights with adapters added in, one after another.

    Args:
        folder: The pretrained files.
        adapters: In float32.
        dtype: Of the weights under the adapters in training, and of what is returned.
    """
    by_name = {one.name: one for one in adapters}
    for name, _, read in _stored(folder):
        value = read().to(dtype)
        if (one := by_name.get(name)) is not None:
            value = (value.float() + (one.up_OR @ one.down_RI) * one.scale).to(dtype)
        yield name, value


def _stored(folder: str) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """Name, shape and reader of every tensor in a folder of safetensors."""
    from safetensors import safe_open

    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 — not a mapping
                yield name, tuple(file.get_slice(name).get_shape()), lambda n=name, f=file: f.get_tensor(n)
