"""Attention over several sequences in one row, and over prefix trees: no mask of all tokens by all tokens is made.

transformers looks attention up by name, and masks apart from it. Ours is torch's own, called once a sequence where a
row is said to hold several, and once otherwise. Trees are attended to block by block, by FlexAttention (Dong et al.
2024, arXiv 2412.05496): in depth-first order a token is seen by one stretch of tokens behind it, so that most blocks
are empty and are left out. On CUDA only: on a CPU torch has no backward pass for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

__all__ = ["one_by_one", "tree_blocks", "with_sequences", "with_trees"]

_NAME, _TREES = "maineffect_sequences", "maineffect_trees"
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


def with_trees(model: Any) -> None:
    """Let a model take the mask that :func:`tree_blocks` makes, and any other as before.

    Args:
        model: Of transformers, with or without adapters.

    Raises:
        ValueError: The model's attention cannot be replaced.
    """
    from torch.nn.attention.flex_attention import BlockMask
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.flex_attention import flex_attention_forward
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any) -> Any:
        blocks = isinstance(attention_mask, BlockMask)
        chosen = flex_attention_forward if blocks else sdpa_attention_forward
        return chosen(module, query, key, value, attention_mask, **options)

    AttentionInterface.register(_TREES, attend)
    AttentionMaskInterface.register(_TREES, sdpa_mask)
    model.set_attn_implementation(_TREES)


def tree_blocks(end_KP: Tensor) -> Any:
    """The block mask of prefix trees in depth-first order.

    Args:
        end_KP: Place at which the stretch that sees each node ends, as :meth:`PrefixTrees.tour` gives it.
    """
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(tree: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (query < end_KP[tree, key])

    trees, size = end_KP.shape
    compiled = end_KP.device.type == "cuda"  # so that not even here all tokens by all tokens are looked at
    return create_block_mask(sees, trees, None, size, size, device=end_KP.device, _compile=compiled)
