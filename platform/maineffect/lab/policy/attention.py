"""Attention over several sequences in one row, one after the other: no mask of all tokens by all tokens is made.

transformers looks attention up by name, and masks apart from it. Ours is torch's own, called once a sequence where a
row is said to hold several, and once otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

__all__ = ["one_by_one", "with_sequences"]

_NAME = "maineffect_sequences"
_APART: ContextVar[bool] = ContextVar("maineffect_apart", default=False)


@contextmanager
def one_by_one() -> Iterator[None]:
    """No mask is made in here: the sequences of a row are told by their sizes."""
    token = _APART.set(True)
    try:
        yield
    finally:
        _APART.reset(token)


def with_sequences(model: Any) -> None:
    """Let a model take ``sequence_sizes``.

    Args:
        model: Of transformers, with or without adapters.

    Raises:
        ValueError: The model's attention cannot be replaced.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        sequence_sizes: tuple[int, ...] | None = None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        if sequence_sizes is None:
            return sdpa_attention_forward(module, query, key, value, attention_mask, **options)  # type: ignore[no-any-return]
        sizes = list(sequence_sizes)
        parts = zip(*(torch.split(states, sizes, dim=2) for states in (query, key, value)), strict=True)
        # Without a mask, torch's attention is causal in each part, and never looks outside it.
        attended = [
            sdpa_attention_forward(module, *part, None, **{**options, "is_causal": part[0].shape[2] > 1})[0]
            for part in parts
        ]
        return torch.cat(attended, dim=1), None

    def mask(*arguments: Any, **options: Any) -> Tensor | None:
        return None if _APART.get() else sdpa_mask(*arguments, **options)

    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, mask)
    model.set_attn_implementation(_NAME)
