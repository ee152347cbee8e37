"""Actions of many dialogues at once: each distinct history is read once, and each distinct continuation decoded once.

Shapes: R dialogues whose action is open, U distinct histories among them, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from maineffect.lab.sampling.dialogues import Action, Dialogue, DialogueText
from maineffect.lab.sampling.history_tree import Growth, HistoryTrees

__all__ = ["TreeReader", "TreeTurns", "drawn"]

_MOST_OF_A_TREE = 32
"""Dialogues of one tree: a token looks at all of a tree's columns, of which those of other dialogues are masked."""


class TreeReader(Protocol):
    """A model that reads trees as they grow, and remembers what it has read.

    Attributes:
        window: Tokens before each that it wants to see apart from attention.
    """

    window: int

    def begin(self, trees: int) -> None:
        """Forget everything, and get ready for so many trees."""

    def keep(self, trees: Sequence[int]) -> None:
        """Only these trees grow from now on."""

    def read(self, growth: Growth) -> Tensor:
        """Hidden states (G, B, D) of new nodes."""

    def logp(self, hidden_UD: Tensor) -> Tensor:
        """Log-probabilities (U, V) of the next token."""


class TreeTurns:
    """Samples an action for each of the dialogues that go on; called once a turn of all of them.

    Args:
        reader: The model.
        text: Says when an action has ended.
        longest_action: Tokens of the longest action.
        generator: Source of sampling noise at temperature 1; None takes the likeliest token.
    """

    def __init__(
        self, reader: TreeReader, text: DialogueText, longest_action: int, generator: torch.Generator | None
    ) -> None:
        self._reader, self._text = reader, text
        self._longest, self._generator = longest_action, generator
        self._trees: HistoryTrees | None = None
        self._place: dict[int, tuple[int, int]] = {}
        self._hidden_GCD = torch.zeros(0, 0, 0)

    @torch.no_grad()
    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Action]:
        """One action per dialogue."""
        if self._trees is None:
            self._trees = self._plant(dialogues)
        self._enter(dialogues)
        going = sorted({self._place[id(dialogue)][0] for dialogue in dialogues})
        self._trees.keep(going)
        self._reader.keep(going)
        actions: list[tuple[list[int], list[float]]] = [([], []) for _ in dialogues]
        open_ = list(range(len(dialogues)))
        for _ in range(self._longest):
            self._read()
            tokens, logps = self._draw([self._place[id(dialogues[row])] for row in open_])
            still = []
            for row, token, logp in zip(open_, tokens, logps, strict=True):
                ids, own = actions[row]
                ids.append(token)
                own.append(logp)
                key = id(dialogues[row])
                tree, node = self._place[key]
                self._place[key] = (tree, self._trees.add(tree, node, token))
                if not self._text.ended(ids):
                    still.append(row)
            open_ = still
            if not open_:
                break
        return [Action(ids, logp) for ids, logp in actions]

    def _plant(self, dialogues: Sequence[Dialogue]) -> HistoryTrees:
        """One tree for all that begin alike."""
        trees: dict[tuple[tuple[int, ...], int], int] = {}
        members: dict[tuple[int, ...], int] = {}
        for dialogue in dialogues:
            opening = tuple(dialogue.ids)
            rank = members[opening] = members.get(opening, -1) + 1
            tree = trees.setdefault((opening, rank // _MOST_OF_A_TREE), len(trees))
            self._place[id(dialogue)] = (tree, -1)
        self._reader.begin(len(trees))
        return HistoryTrees(len(trees), self._reader.window)

    def _enter(self, dialogues: Sequence[Dialogue]) -> None:
        """Add what the world has said."""
        assert self._trees is not None
        # Dialogues that share a history are told the same list of tokens.
        told: dict[tuple[int, int, int], int] = {}
        for dialogue in dialogues:
            key = id(dialogue)
            tree, node = self._place[key]
            alike = (tree, node, id(dialogue.told))
            if alike not in told:
                told[alike] = self._trees.follow(tree, node, dialogue.told)
            self._place[key] = (tree, told[alike])

    def _read(self) -> None:
        """Read what was added; hidden states are kept, because a later dialogue may come to a node read before."""
        assert self._trees is not None
        for growth in self._trees.growth():
            hidden_GBD = self._reader.read(growth)
            kept = self._hidden_GCD
            if kept.shape[1] < self._trees.room:
                self._hidden_GCD = hidden_GBD.new_zeros(self._trees.count, self._trees.room, hidden_GBD.shape[2])
                if kept.shape[1]:
                    self._hidden_GCD[:, : kept.shape[1]] = kept
            tree_G1, column_GB = torch.from_numpy(growth.trees_G)[:, None], torch.from_numpy(growth.columns_GB)
            self._hidden_GCD[tree_G1, column_GB] = hidden_GBD

    def _draw(self, places: Sequence[tuple[int, int]]) -> tuple[list[int], list[float]]:
        """A token for each place, and its log-probability."""
        distinct = {place: i for i, place in enumerate(dict.fromkeys(places))}
        trees, nodes = zip(*distinct, strict=True)
        logp_UV = self._reader.logp(self._hidden_GCD[list(trees), list(nodes)])
        of_R = torch.tensor([distinct[place] for place in places], device=logp_UV.device)
        if self._generator is None:
            token_R = logp_UV.argmax(-1)[of_R]
        elif logp_UV.device.type != "cpu":
            # Noise is of the processor, where it is a function of the seed; probabilities stay where they are.
            token_R = drawn(logp_UV, of_R, torch.rand(len(places), generator=self._generator))
        else:
            token_R = torch.multinomial(logp_UV.exp()[of_R], 1, generator=self._generator)[:, 0]
        return token_R.tolist(), logp_UV[of_R, token_R].tolist()


def drawn(logp_UV: Tensor, of_R: Tensor, uniform_R: Tensor) -> Tensor:
    """Tokens (R,) by inversion: the first whose cumulated probability exceeds a uniform number (Devroye 1986, III.2.1).

    Args:
        logp_UV: Log-probabilities of each history.
        of_R: History of each draw.
        uniform_R: Numbers in [0, 1).
    """
    below_UV = logp_UV.double().exp().cumsum(-1)
    point_R = uniform_R.to(logp_UV.device).double() * below_UV[of_R, -1]
    token_R = torch.searchsorted(below_UV[of_R], point_R[:, None], right=True)[:, 0]
    return token_R.clamp(max=logp_UV.shape[1] - 1)
