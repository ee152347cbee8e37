"""The tiny policy as a reader of trees, and what plays episodes with it.

Shapes: as in :mod:`maineffect.lab.sampling.history_tree`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maineffect.lab.policy.models import WINDOW, Cache, Seen, TinyTransformer
from maineffect.lab.policy.tokens import ACTION_ENDS, PAD_ID, decode, encode
from maineffect.lab.sampling.dialogues import converse
from maineffect.lab.sampling.history_tree import Growth
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.sampling.tree_turns import TreeTurns
from maineffect.lab.world.turns import TextEpisode
from maineffect.lab.world.words import LONGEST_ACTION

__all__ = ["MOST_ACTION_TOKENS", "rollout"]

MOST_ACTION_TOKENS = LONGEST_ACTION
_SPARSE = 0.7
"""Where fewer trees than this share grow, their part of the cache is copied: less than what looking at all costs."""


class _Words:
    """The world's words as the tiny policy's tokens."""

    def opening(self, text: str) -> list[int]:
        return encode(text)

    def observation(self, text: str, last: int) -> list[int]:  # noqa: ARG002
        return encode(text)

    def said(self, ids: Sequence[int]) -> str:
        return decode(ids)

    def ended(self, ids: Sequence[int]) -> bool:
        return ids[-1] in ACTION_ENDS

    def decode(self, ids: Sequence[int]) -> str:
        return decode(ids)


class _Reader:
    """Keeps keys and values of every node of every tree, a row each."""

    window = WINDOW

    def __init__(self, model: TinyTransformer) -> None:
        self._model = model

    def begin(self, trees: int) -> None:
        self._row_of = torch.arange(trees)
        self._cache: Cache | None = None

    def keep(self, trees: Sequence[int]) -> None:
        rows = int((self._row_of >= 0).sum())
        if self._cache is None or len(trees) > _SPARSE * rows:
            return
        kept = torch.tensor(trees)
        self._cache = self._cache.rows(self._row_of[kept])
        self._row_of = torch.full_like(self._row_of, -1)
        self._row_of[kept] = torch.arange(len(kept))

    def read(self, growth: Growth) -> Tensor:
        visible_GBC = torch.from_numpy(growth.visible_GBC)
        columns = visible_GBC.shape[2]
        rows = int((self._row_of >= 0).sum())
        if self._cache is None:
            self._cache = self._model.empty_cache(rows, columns + columns // 2)
        elif self._cache.keys[0].shape[2] < columns:
            self._cache = self._cache.wider(columns + columns // 2)
        row_G = self._row_of[torch.from_numpy(growth.trees_G)]
        seen = Seen(row_G, torch.from_numpy(growth.columns_GB), len(row_G) == rows)
        before_GBW = torch.from_numpy(growth.before_GBW)
        return self._model.grow(
            torch.from_numpy(growth.tokens_GB),
            before_GBW.masked_fill(before_GBW < 0, PAD_ID),
            torch.from_numpy(growth.depth_GB),
            seen,
            visible_GBC,
            self._cache,
        )

    def logp(self, hidden_UD: Tensor) -> Tensor:
        return torch.log_softmax(self._model.logits(hidden_UD), -1)


@torch.no_grad()
def rollout(model: TinyTransformer, episodes: Sequence[TextEpisode], generator: torch.Generator | None) -> Transcripts:
    """Play every episode to its end.

    Args:
        model: The policy.
        episodes: Fresh episodes.
        generator: Source of sampling noise at temperature 1; None takes the likeliest token.
    """
    words = _Words()
    act = TreeTurns(_Reader(model), words, MOST_ACTION_TOKENS, generator)
    return converse(episodes, words, model.max_tokens, MOST_ACTION_TOKENS, act)
