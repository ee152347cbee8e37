"""Torch sampling of a language model: one cache for all dialogues, whose columns may be padding in some rows.

Shapes: B dialogues that go on, F fresh tokens, L cached columns, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.dialogues import Action, Dialogue, converse
from maineffect.lab.policy.transcripts import Transcripts
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
        settings = self._policy.settings
        training = self._policy.training
        self._policy.eval()  # gradient checkpointing, which drops caches, is only for training
        parts = []
        try:
            with self._policy.precision():
                for start in range(0, len(episodes), settings.rollout_rows):
                    turns = _Turns(self._policy, generator)
                    part = episodes[start : start + settings.rollout_rows]
                    room = self._policy.max_tokens
                    parts.append(converse(part, self._policy.text, room, settings.max_action_tokens, turns))
        finally:
            self._policy.train(training)
        return parts[0] if len(parts) == 1 else Transcripts.joined(parts)

    def sleep(self) -> None:
        """Nothing to free."""

    def close(self) -> None:
        """Nothing to end."""


class _Turns:
    """The cache of one batch of dialogues, from turn to turn."""

    def __init__(self, policy: CausalPolicy, generator: torch.Generator | None) -> None:
        from transformers import DynamicCache

        self._policy, self._generator = policy, generator
        self._cache: Any = DynamicCache()
        self._cached: list[Dialogue] = []
        self._visible_BL = torch.zeros(0, 0, dtype=torch.bool, device=policy.device)

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Action]:
        """One action per dialogue."""
        self._keep(dialogues)
        hidden_BD = self._read(dialogues)
        actions: list[tuple[list[int], list[float]]] = [([], []) for _ in dialogues]
        open_ = [True] * len(dialogues)
        for _ in range(self._policy.settings.max_action_tokens):
            token_B, logp_B = self._draw(hidden_BD)
            for row, (ids, logp) in enumerate(actions):
                if open_[row]:
                    ids.append(int(token_B[row]))
                    logp.append(float(logp_B[row]))
                    open_[row] = not self._policy.text.ended(ids)
            if not any(open_):
                break
            hidden_BD = self._feed(token_B[:, None], torch.tensor(open_)[:, None])[:, 0]
        return [Action(ids, logp) for ids, logp in actions]

    def _keep(self, dialogues: Sequence[Dialogue]) -> None:
        """Drop rows of dialogues that have ended."""
        if not self._cached:
            self._visible_BL = self._visible_BL.new_zeros(len(dialogues), 0)
        elif len(dialogues) < len(self._cached):
            going = {id(dialogue) for dialogue in dialogues}
            index = torch.tensor([i for i, old in enumerate(self._cached) if id(old) in going])
            self._cache.batch_select_indices(index.to(self._policy.device))
            self._visible_BL = self._visible_BL[index]
        self._cached = list(dialogues)

    def _read(self, dialogues: Sequence[Dialogue]) -> Tensor:
        """Run what is not cached yet through the model; hidden state (B, D) after each row's last token."""
        fresh = [d.ids[int(seen) :] for d, seen in zip(dialogues, self._visible_BL.sum(1), strict=True)]
        longest = max(map(len, fresh))
        tokens_BF = torch.tensor([ids + [0] * (longest - len(ids)) for ids in fresh])
        real_BF = torch.tensor([[True] * len(ids) + [False] * (longest - len(ids)) for ids in fresh])
        hidden_BFD = self._feed(tokens_BF, real_BF)
        return hidden_BFD[torch.arange(len(fresh)), torch.tensor([len(ids) - 1 for ids in fresh])]

    def _feed(self, tokens_BF: Tensor, real_BF: Tensor) -> Tensor:
        device = self._policy.device
        seen_B1 = self._visible_BL.sum(1, keepdim=True)
        real_BF = real_BF.to(device)
        position_BF = (seen_B1 + real_BF.long().cumsum(1) - 1).clamp(min=0)
        self._visible_BL = torch.cat([self._visible_BL, real_BF], 1)
        return self._policy.extend(tokens_BF.to(device), position_BF, self._visible_BL, self._cache)

    def _draw(self, hidden_BD: Tensor) -> tuple[Tensor, Tensor]:
        logp_BV = functional.log_softmax(self._policy.logits(hidden_BD), -1).cpu()
        if self._generator is None:
            token_B = logp_BV.argmax(-1)
        else:
            token_B = torch.multinomial(logp_BV.exp(), 1, generator=self._generator)[:, 0]
        return token_B, logp_BV.gather(1, token_B[:, None])[:, 0]
