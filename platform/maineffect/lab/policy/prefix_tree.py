"""A batch of sequences as prefix trees: what several sequences begin with is read once.

A token sees its ancestors and itself, and its position is its depth, so that every hidden state and every gradient is
that of the sequences read one by one (tree attention: Tree Training, arXiv 2511.00413, sec. 3).

Shapes: N sequences, T tokens of the longest, K trees, P nodes of the largest tree, W ancestors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["PrefixTrees", "distinct_tokens", "tree_sizes"]


@dataclass(frozen=True)
class PrefixTrees:
    """Sequences merged where they begin alike. Padding nodes see nothing but themselves.

    Attributes:
        tokens_KP: Token of each node.
        depth_KP: Position of each node in its sequences.
        parent_KP: Node before it in the same tree; P for the first of a sequence.
        real_KP: False for padding nodes.
        node_NT: Index into the flattened nodes (K · P) of every token that is read; −1 beyond a sequence's end.
        distinct: Nodes in all, padding left out.
    """

    tokens_KP: Tensor
    depth_KP: Tensor
    parent_KP: Tensor
    real_KP: Tensor
    node_NT: Tensor
    distinct: int

    @classmethod
    def of(cls, tokens_NT: Tensor, lengths_N: Tensor, tree_N: Tensor | None = None) -> PrefixTrees:
        """Merge sequences.

        Args:
            tokens_NT: Right-padded sequences.
            lengths_N: Tokens of each that are read.
            tree_N: The tree that each belongs to, numbered from 0; left out, all belong to one.
        """
        tree = np.zeros(len(tokens_NT), dtype=np.int64) if tree_N is None else tree_N.numpy()
        merged = _merge(tokens_NT.cpu().numpy(), lengths_N.cpu().numpy(), tree)
        tree_of, local = merged.tree, _rank_within(merged.tree)
        trees, size = int(tree.max()) + 1, int(np.bincount(tree_of).max())
        tokens, depth = np.zeros((trees, size), dtype=np.int64), np.zeros((trees, size), dtype=np.int64)
        parent = np.full((trees, size), size, dtype=np.int64)
        tokens[tree_of, local], depth[tree_of, local] = merged.token, merged.depth
        inner = merged.parent >= 0
        parent[tree_of[inner], local[inner]] = local[merged.parent[inner]]
        place = tree_of * size + local
        node = np.where(merged.node >= 0, place[merged.node], -1)
        return cls(
            tokens_KP=torch.from_numpy(tokens),
            depth_KP=torch.from_numpy(depth),
            parent_KP=torch.from_numpy(parent),
            real_KP=torch.arange(size)[None] < torch.from_numpy(np.bincount(tree_of, minlength=trees))[:, None],
            node_NT=torch.from_numpy(node),
            distinct=len(merged.token),
        )

    @cached_property
    def visible_KPP(self) -> Tensor:  # noqa: N802 — the name ends in its shape
        """Whether node (k, p) sees node (k, q)."""
        trees, size = self.parent_KP.shape
        parent, depth = self.parent_KP.numpy(), self.depth_KP.numpy()
        visible = np.zeros((trees, size, size), dtype=bool)
        for level in range(int(depth.max()) + 1):
            of, at = np.nonzero(depth == level)
            if level:
                visible[of, at] = visible[of, parent[of, at]]
            visible[of, at, at] = True
        return torch.from_numpy(visible)

    def tour(self) -> tuple[Tensor, Tensor]:
        """Nodes in depth-first order, in which what a node is seen by stands in one stretch behind it.

        Returns:
            order_KP: The node at each place of the order; padding nodes come last.
            end_KP: The place at which the stretch of the node at each place ends: the node at place q sees the node at
                place p where p ≤ q < end[p].
        """
        trees, size = self.parent_KP.shape
        parent, depth = self.parent_KP.numpy(), self.depth_KP.numpy()
        real = self.real_KP.numpy()
        levels = range(int(depth.max()) + 1)
        within = np.ones((trees, size + 1), dtype=np.int64)  # nodes of each subtree; the last column is nobody's
        for level in reversed(levels[1:]):
            of, at = np.nonzero(real & (depth == level))
            np.add.at(within, (of, parent[of, at]), within[of, at])
        begin = np.full((trees, size + 1), -1, dtype=np.int64)
        for level in levels:
            of, at = np.nonzero((depth == level) & (real | (level == 0)))
            by_parent = np.argsort(of * (size + 1) + parent[of, at], kind="stable")
            of, at = of[by_parent], at[by_parent]
            above, sizes = parent[of, at], within[of, at]
            before = np.cumsum(sizes) - sizes
            first = np.r_[True, (of[1:] != of[:-1]) | (above[1:] != above[:-1])]
            siblings = before - before[first][np.cumsum(first) - 1]  # what earlier siblings take
            begin[of, at] = begin[of, above] + 1 + siblings
        tree = np.arange(trees)[:, None]
        order = np.argsort(begin[:, :size], axis=1)
        end = (begin + within)[:, :size][tree, order]
        return torch.from_numpy(order), torch.from_numpy(end)

    def ancestors(self, most: int) -> Tensor:
        """The nodes 1, 2, …, ``most`` steps above each node (K, P, W); P where there are none."""
        size = self.parent_KP.shape[1]
        above = torch.cat([self.parent_KP, torch.full((len(self.parent_KP), 1), size)], 1)
        steps = [self.parent_KP]
        for _ in range(most - 1):
            steps.append(above.gather(1, steps[-1]))
        return torch.stack(steps, 2)


@dataclass(frozen=True)
class _Merged:
    """Nodes in order of their depth: parents come before children."""

    token: NDArray[np.int64]
    depth: NDArray[np.int64]
    parent: NDArray[np.int64]
    tree: NDArray[np.int64]
    node: NDArray[np.int64]


def _merge(tokens: NDArray[np.int64], lengths: NDArray[np.int64], tree: NDArray[np.int64]) -> _Merged:
    longest = int(lengths.max())
    inside = np.arange(longest)[None] < lengths[:, None]
    shown = np.where(inside, tokens[:, :longest], -1)
    # In this order sequences that begin alike are neighbours: one has nodes of its own from where it first differs from
    # the one before it.
    order = np.lexsort((*shown.T[::-1], tree))
    shown, inside, of = shown[order], inside[order], tree[order]
    apart = np.ones(shown.shape, dtype=bool)
    apart[1:] = np.logical_or.accumulate(shown[1:] != shown[:-1], axis=1) | (of[1:] != of[:-1])[:, None]
    new = apart & inside
    counts = new.sum(axis=0)
    numbers = np.where(inside, np.cumsum(counts) - counts + np.cumsum(new, axis=0) - 1, -1)
    node = np.full(tokens.shape, -1, dtype=np.int64)
    node[order, :longest] = numbers
    depth, at = np.nonzero(new.T)
    parent = np.where(depth > 0, numbers[at, depth - 1], -1)
    return _Merged(shown[at, depth], depth, parent, of[at], node)


def _rank_within(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many earlier entries are of the same group."""
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - starts
    return rank


def distinct_tokens(tokens_NT: Tensor, lengths_N: Tensor) -> list[int]:
    """For each sequence, how many of its tokens no earlier sequence has read.

    Args:
        tokens_NT: Right-padded sequences.
        lengths_N: Tokens of each that are read.
    """
    merged = _merge(tokens_NT.cpu().numpy(), lengths_N.cpu().numpy(), np.zeros(len(tokens_NT), dtype=np.int64))
    first = np.empty(len(merged.token), dtype=np.int64)
    for row in reversed(range(len(tokens_NT))):
        first[merged.node[row, : int(lengths_N[row])]] = row
    return [int(count) for count in np.bincount(first, minlength=len(tokens_NT))]


def tree_sizes(tokens_NT: Tensor, lengths_N: Tensor, tree_N: Tensor) -> list[int]:
    """Nodes of each tree.

    Args:
        tokens_NT: Right-padded sequences.
        lengths_N: Tokens of each that are read.
        tree_N: The tree that each belongs to, numbered from 0.
    """
    merged = _merge(tokens_NT.cpu().numpy(), lengths_N.cpu().numpy(), tree_N.cpu().numpy())
    return [int(count) for count in np.bincount(merged.tree)]
