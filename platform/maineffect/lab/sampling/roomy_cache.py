"""Keys and values of read tokens, with room for more: a token is written beside the others, which are not copied."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor

__all__ = ["roomy_cache"]

_FIRST_ROOM = 64


def roomy_cache() -> Any:
    """A cache of transformers, empty. transformers' own copies all that it holds for every token that is added."""
    from transformers.cache_utils import Cache

    return Cache(layer_class_to_replicate=_layer())


@cache
def _layer() -> Any:
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):  # type: ignore[misc]
        """Keys and values are views of buffers that are twice as long as what made them."""

        keys: Any
        values: Any
        _buffers: tuple[Tensor, Tensor] | None = None

        def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            """Write new columns behind the others; all of them (B, heads, L, width)."""
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            held = self.get_seq_length()
            length = held + key_states.shape[-2]
            if self._buffers is None or self._buffers[0].shape[-2] < length:
                old = (self.keys, self.values)
                room = max(2 * length, _FIRST_ROOM)
                self._buffers = (_room(key_states, room), _room(value_states, room))
                if held:
                    for buffer, kept in zip(self._buffers, old, strict=True):
                        buffer[..., :held, :] = kept
            for buffer, state in zip(self._buffers, (key_states, value_states), strict=True):
                buffer[..., held:length, :] = state
            self.keys, self.values = (buffer[..., :length, :] for buffer in self._buffers)
            return self.keys, self.values

        def batch_repeat_interleave(self, repeats: int) -> None:
            """As the layer's own, which makes new tensors."""
            super().batch_repeat_interleave(repeats)
            self._buffers = None

        def batch_select_indices(self, indices: Tensor) -> None:
            """As the layer's own, which makes new tensors."""
            super().batch_select_indices(indices)
            self._buffers = None

    return RoomyLayer


def _room(state: Tensor, length: int) -> Tensor:
    return state.new_empty((*state.shape[:-2], length, state.shape[-1]))
