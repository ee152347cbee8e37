"""Torch sampling of a language model: each distinct history is read once, what all dialogues begin with once for all.

Shapes: G trees in the cache, B new nodes of each, L cached columns, some of which are padding in some trees, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.sampling.dialogues import converse
from maineffect.lab.sampling.history_tree import Growth
from maineffect.lab.sampling.roomy_cache import roomy_cache
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.sampling.tree_turns import TreeTurns
from maineffect.lab.world.turns import TextEpisode

__all__ = ["CausalSampler"]


class CausalSampler:
    """Samples with the weights in training themselves, so that there is nothing to synchronise.

    Attributes:
        version: Updates that the weights have seen.
    """

    rows = 1 << 30

    def __init__(self, policy: CausalPolicy) -> None:
        self._policy, self.version = policy, 0

    def sync(self, policy: CausalPolicy, version: int) -> None:
        """Sample with these weights from now on."""
        self._policy, self.version = policy, version

    @torch.no_grad()
    def play(self, episodes: Sequence[TextEpisode], generator: torch.Generator | None) -> Transcripts:
        """Play episodes to their ends at temperature 1; without a generator the likeliest tokens are taken."""
        policy, settings = self._policy, self._policy.settings
        training, longest = policy.training, settings.max_action_tokens
        policy.eval()  # gradient checkpointing, which drops caches, is only for training
        parts = []
        try:
            with policy.precision():
                for start in range(0, len(episodes), settings.rollout_rows):
                    act = TreeTurns(_Reader(policy), policy.text, longest, generator)
                    part = episodes[start : start + settings.rollout_rows]
                    parts.append(converse(part, policy.text, policy.max_tokens, longest, act))
        finally:
            policy.train(training)
        return parts[0] if len(parts) == 1 else Transcripts.joined(parts)

    def sleep(self) -> None:
        """Nothing to free."""

    def close(self) -> None:
        """Nothing to end."""


class _Reader:
    """Keeps keys and values of every node; a row of the cache is a tree, and grows by as many columns as its fullest.

    A cache can only be appended to, so a tree's nodes stand in columns of their own, with padding between.
    """

    window = 0

    def __init__(self, policy: CausalPolicy) -> None:
        self._policy = policy

    def begin(self, trees: int) -> None:
        self._cache: Any = roomy_cache()
        self._rows = list(range(trees))
        self._node_GL = np.full((trees, 0), -1, dtype=np.int64)

    def keep(self, trees: Sequence[int]) -> None:
        if len(trees) == len(self._rows) or not self._node_GL.shape[1]:
            return
        index = [self._rows.index(tree) for tree in trees]
        self._cache.batch_select_indices(torch.tensor(index, device=self._policy.device))
        self._node_GL, self._rows = self._node_GL[index], list(trees)

    def read(self, growth: Growth) -> Tensor:
        rows, most = [self._rows.index(tree) for tree in growth.trees_G], growth.tokens_GB.shape[1]
        tokens_GB = np.zeros((len(self._rows), most), dtype=np.int64)
        depth_GB, node_GB = np.zeros_like(tokens_GB), np.full_like(tokens_GB, -1)
        tokens_GB[rows], depth_GB[rows] = growth.tokens_GB, growth.depth_GB
        padding_GB = growth.columns_GB == growth.visible_GBC.shape[2] - 1
        node_GB[rows] = np.where(padding_GB, -1, growth.columns_GB)
        begun = self._begin_alike(tokens_GB, depth_GB, node_GB) if not self._node_GL.shape[1] else []
        first = self._node_GL.shape[1]
        tokens_GB, depth_GB, node_GB = (part[:, first if begun else 0 :] for part in (tokens_GB, depth_GB, node_GB))
        self._node_GL = np.concatenate([self._node_GL, node_GB], 1)
        visible_GBL = np.zeros((len(self._rows), node_GB.shape[1], self._node_GL.shape[1]), dtype=np.bool_)
        seen_GBC = growth.visible_GBC[:, first if begun else 0 :]
        node_GL = self._node_GL[rows]
        # Node −1, padding, is looked up in the last column, which nothing but padding sees.
        visible_GBL[rows] = np.take_along_axis(seen_GBC, np.broadcast_to(node_GL[:, None], visible_GBL[rows].shape), 2)
        visible_GBL[rows] &= node_GL[:, None] >= 0
        new = np.arange(node_GB.shape[1])
        visible_GBL[:, new, self._node_GL.shape[1] - node_GB.shape[1] + new] = True
        hidden_GBD = self._feed(tokens_GB, depth_GB, visible_GBL)
        return torch.cat([*(part.expand(len(self._rows), -1, -1) for part in begun), hidden_GBD], 1)[rows].float()

    def _begin_alike(self, tokens_GB: np.ndarray, depth_GB: np.ndarray, node_GB: np.ndarray) -> list[Tensor]:
        """Read once what all trees begin with; at least a token is left to each."""
        trees, most = tokens_GB.shape
        alike = np.logical_and.accumulate((tokens_GB == tokens_GB[:1]).all(0) & (node_GB >= 0).all(0))
        shared = min(int(alike.sum()), int((node_GB >= 0).sum(1).min()) - 1, most - 1)
        if trees == 1 or shared < 1:
            return []
        causal_1BB = np.tril(np.ones((1, shared, shared), dtype=np.bool_))
        hidden_1BD = self._feed(tokens_GB[:1, :shared], depth_GB[:1, :shared], causal_1BB)
        self._cache.batch_repeat_interleave(trees)
        self._node_GL = node_GB[:, :shared]
        return [hidden_1BD]

    def _feed(self, tokens_GB: np.ndarray, depth_GB: np.ndarray, visible_GBL: np.ndarray) -> Tensor:
        device = self._policy.device
        tokens, depth, visible = (
            torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (tokens_GB, depth_GB, visible_GBL)
        )
        return self._policy.grow(tokens, depth, visible, self._cache)

    def logp(self, hidden_UD: Tensor) -> Tensor:
        return functional.log_softmax(self._policy.logits(hidden_UD), -1)
