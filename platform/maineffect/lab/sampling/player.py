"""A model as a player of episodes: in batches that bound memory, remembering what was said."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from maineffect.lab.sampling.sampler import Policy, Sampler, open_sampler
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.world.turns import TextEpisode

__all__ = ["ModelPlayer"]


class ModelPlayer:
    """Plays episodes to their ends; greedy without a generator.

    Args:
        policy: The model, or a sampler that has its weights.
        generator: Source of sampling noise.

    Attributes:
        rewards: Of every episode played so far.
        components: Reward components of every episode played so far.
    """

    def __init__(self, policy: Policy | Sampler, generator: torch.Generator | None = None) -> None:
        self._sampler: Sampler = open_sampler(policy) if isinstance(policy, torch.nn.Module) else policy
        self._generator = generator
        self._where: list[tuple[Transcripts, int]] = []
        self.rewards: list[float] = []
        self.components: list[dict[str, float]] = []

    def __call__(self, episodes: Sequence[TextEpisode]) -> list[int]:
        """Play; tokens of each transcript."""
        tokens: list[int] = []
        rows = self._sampler.rows
        for start in range(0, len(episodes), rows):
            played = self._sampler.play(episodes[start : start + rows], self._generator)
            count = len(played.components)
            self._where += [(played, row) for row in range(count)]
            self.rewards += played.rewards_B.tolist()
            self.components += played.components
            tokens += played.lengths_B.tolist()
        return tokens

    def text(self, i: int) -> list[tuple[str, bool]]:
        """Transcript of the i-th episode ever played, as (text, written by the policy) pieces."""
        played, row = self._where[i]
        return played.text(row)
