"""What dialogues have said so far, as trees: a history that several of them share stands once.

Shapes: G trees, B nodes of a tree that are read at a time, C columns: one more than the nodes of the largest tree, W
ancestors.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["Growth", "HistoryTrees"]

_FIRST_ROOM = 192
_MANY, _PARTS = 256, 4
"""So many new nodes are read in so many parts, because each part is padded to the most of its trees."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Growth:
    """Nodes that no model has read yet, padded to the most of a tree.

    Attributes:
        trees_G: Trees that have any.
        columns_GB: Their columns; C − 1 where there is none, which no node of any tree has, and only padding sees.
        tokens_GB: Their tokens.
        depth_GB: Their positions.
        before_GBW: The W tokens before each, the nearest first; −1 where there are none.
        visible_GBC: The columns that each sees, itself among them.
    """

    trees_G: Ints
    columns_GB: Ints
    tokens_GB: Ints
    depth_GB: Ints
    before_GBW: Ints
    visible_GBC: Bools


class HistoryTrees:
    """Grows by tokens; says what is still to be read.

    Args:
        trees: How many there are.
        window: Tokens before each that a model wants to see apart from attention; 0 for none.

    Attributes:
        room: Columns of each tree.
    """

    def __init__(self, trees: int, window: int = 0) -> None:
        self.room, self._window = _FIRST_ROOM, window
        self._sizes, self._read = [0] * trees, [0] * trees
        self._children: list[dict[tuple[int, int], int]] = [{} for _ in range(trees)]
        self._token = np.zeros((trees, self.room), dtype=np.int64)
        self._depth = np.zeros((trees, self.room), dtype=np.int64)
        self._before = np.full((trees, self.room, max(window, 1)), -1, dtype=np.int64)
        self._visible = np.zeros((trees, self.room, self.room), dtype=np.bool_)

    @property
    def count(self) -> int:
        """How many trees there are."""
        return len(self._sizes)

    def add(self, tree: int, node: int, token: int) -> int:
        """The node of a token after another node (−1: at the beginning)."""
        child = self._children[tree].get((node, token))
        if child is not None:
            return child
        child = self._sizes[tree]
        if child + 1 >= self.room:  # one more column is padding's
            self._widen()
        self._children[tree][node, token] = child
        self._sizes[tree] = child + 1
        self._token[tree, child] = token
        if node >= 0:
            self._depth[tree, child] = self._depth[tree, node] + 1
            self._visible[tree, child] = self._visible[tree, node]
            if self._window:
                self._before[tree, child, 0] = self._token[tree, node]
                self._before[tree, child, 1:] = self._before[tree, node, :-1]
        self._visible[tree, child, child] = True
        return child

    def follow(self, tree: int, node: int, tokens: Sequence[int]) -> int:
        """The node of the last of some tokens after another node."""
        children = self._children[tree]
        for i, token in enumerate(tokens):
            child = children.get((node, token))
            if child is None:
                return self._chain(tree, node, tokens[i:])
            node = child
        return node

    def _chain(self, tree: int, node: int, tokens: Sequence[int]) -> int:
        """The last of new nodes, one after the other: what the world says is mostly new."""
        first = self._sizes[tree]
        end = first + len(tokens)
        while end >= self.room:
            self._widen()
        self._sizes[tree] = end
        self._token[tree, first:end] = tokens
        self._depth[tree, first:end] = np.arange(len(tokens)) + (self._depth[tree, node] + 1 if node >= 0 else 0)
        if node >= 0:
            self._visible[tree, first:end] = self._visible[tree, node]
        self._visible[tree, first:end, first:end] |= np.tri(len(tokens), dtype=np.bool_)
        if self._window:
            nothing = np.full(self._window, -1, dtype=np.int64)
            past = np.append(self._before[tree, node, ::-1], self._token[tree, node]) if node >= 0 else nothing
            said = np.concatenate([past[-self._window :], self._token[tree, first : end - 1]])
            self._before[tree, first:end] = sliding_window_view(said, self._window)[:, ::-1]
        children = self._children[tree]
        for child, token in enumerate(tokens, first):
            children[node, token] = child
            node = child
        return node

    def keep(self, trees: Collection[int]) -> None:
        """Only these trees grow from now on: what was added to others is never read."""
        for tree in set(range(len(self._sizes))).difference(trees):
            self._read[tree] = self._sizes[tree]

    def growth(self) -> list[Growth]:
        """What was added since the last time, and counts as read from now on; many nodes in parts of similar trees."""
        trees = [tree for tree, (seen, size) in enumerate(zip(self._read, self._sizes, strict=True)) if size > seen]
        added = [self._sizes[tree] - self._read[tree] for tree in trees]
        if sum(added) < _MANY:
            return [self._grown(trees)] if trees else []
        order = sorted(range(len(trees)), key=lambda i: added[i])
        part = -(-len(order) // _PARTS)
        return [
            self._grown(sorted(trees[i] for i in order[start : start + part])) for start in range(0, len(order), part)
        ]

    def _grown(self, trees: Sequence[int]) -> Growth:
        most = max(self._sizes[tree] - self._read[tree] for tree in trees)
        spare = max(self._sizes[tree] for tree in trees)
        columns = np.full((len(trees), most), spare, dtype=np.int64)
        for row, tree in enumerate(trees):
            first, end = self._read[tree], self._sizes[tree]
            columns[row, : end - first] = np.arange(first, end)
            self._read[tree] = end
        of = np.array(trees)
        padding = columns == spare
        visible = self._visible[of[:, None], columns, : spare + 1]
        visible[padding, spare] = True  # a row that sees nothing has no softmax
        return Growth(
            trees_G=of,
            columns_GB=columns,
            tokens_GB=np.where(padding, 0, self._token[of[:, None], columns]),
            depth_GB=np.where(padding, 0, self._depth[of[:, None], columns]),
            before_GBW=np.where(padding[..., None], -1, self._before[of[:, None], columns]),
            visible_GBC=visible,
        )

    def _widen(self) -> None:
        """Twice the room."""
        trees, new = len(self._sizes), 2 * self.room

        def wider(values: NDArray[Any], fill: int, shape: tuple[int, ...]) -> NDArray[Any]:
            made = np.full(shape, fill, dtype=values.dtype)
            made[tuple(slice(0, size) for size in values.shape)] = values
            return made

        self._token = wider(self._token, 0, (trees, new))
        self._depth = wider(self._depth, 0, (trees, new))
        self._before = wider(self._before, -1, (trees, new, self._before.shape[2]))
        self._visible = wider(self._visible, 0, (trees, new, new))
        self.room = new
