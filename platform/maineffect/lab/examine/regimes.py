"""In regime and out of regime: was something learned, or was the policy fitted to its own world?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from maineffect.lab.applicable import world_of
from maineffect.lab.evaluate.battery import spoken_as
from maineffect.lab.questions.contract import Source
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.player import ModelPlayer
from maineffect.lab.settings import EpisodeSettings, LabSettings, RetrieverSettings, WorldSettings
from maineffect.lab.world.turns import TextEpisode
from maineffect.seeds import derive_seed

__all__ = ["GRID", "RegimeScores", "played_regimes", "regime_gains", "regime_scores"]

GRID: tuple[WorldSettings, ...] = tuple(
    WorldSettings(conflict_rate=conflict, unanswerable_share=share, distractors=distractors)
    for conflict, share, distractors in product((0.0, 0.5), (0.0, 0.3), (1, 4))
)
"""A fixed grid over the environment factors, the same for every run whatever it was trained in."""


@dataclass(frozen=True)
class RegimeScores:
    """Shares of questions that were handled rightly: answered right, or declined where declining is right.

    Attributes:
        own: In the run's own world.
        grid: Over the fixed grid of worlds.
        reward: Mean reward in the run's own world.
    """

    own: float
    grid: float
    reward: float


def regime_scores(
    settings: LabSettings,
    seed: int,
    play: Callable[[Sequence[TextEpisode]], Sequence[float]],
    source: Source | None = None,
) -> RegimeScores:
    """Score a policy in its own regime and over the grid, on questions that training never saw.

    Args:
        seed: Held-out questions; the same before and after training.
        play: Plays fresh episodes to their ends and returns their rewards.
        source: Where questions come from; left out, they are generated.
    """
    source = source or Generated()
    count = settings.evaluation.regime_episodes
    held_out = source.held_out(settings, derive_seed(seed, "world"))
    batch = [held_out.episode(i) for i in range(count)]
    rewards = play(batch)
    elsewhere: list[TextEpisode] = []
    retriever = RetrieverSettings(index=settings.evaluation.index)
    for number, world in enumerate(GRID):
        episode = spoken_as(settings, EpisodeSettings().budget).model_copy(update={"max_tokens": None})
        cell = LabSettings(
            world=world_of(world, settings), retriever=retriever, episode=episode, reward=settings.reward
        )
        episodes = source.held_out(cell, derive_seed(seed, "grid", number))
        elsewhere += [episodes.episode(i) for i in range(max(1, count // len(GRID)))]
    play(elsewhere)
    return RegimeScores(_share(batch), _share(elsewhere), sum(rewards) / count)


def played_regimes(
    policy: Any, settings: LabSettings, questions: int, noise: int, source: Source | None = None
) -> RegimeScores:
    """Scores of a policy in its own regime and over the grid, sampled at temperature 1 as in training.

    Args:
        policy: The model, or a sampler that has its weights.
        questions: Seed of the held-out questions.
        noise: Seed of the sampling.
        source: Where questions come from; left out, they are generated.
    """
    player = ModelPlayer(policy, torch.Generator().manual_seed(noise))

    def play(episodes: Sequence[TextEpisode]) -> Sequence[float]:
        player(episodes)
        return player.rewards[-len(episodes) :]

    return regime_scores(settings, questions, play, source)


def regime_gains(before: RegimeScores, after: RegimeScores) -> dict[str, float]:
    """The regime responses: where training led, what it gained, and how much more at home than elsewhere."""
    regime_gain, elsewhere = after.own - before.own, after.grid - before.grid
    return {
        "reward_trained": after.reward,
        "reward_gain": after.reward - before.reward,
        "regime_score": after.own,
        "regime_gain": regime_gain,
        "transfer_score": after.grid,
        "transfer_gain": elsewhere,
        "regime_overfit": regime_gain - elsewhere,
    }


def _share(episodes: Sequence[TextEpisode]) -> float:
    right = [e.record.answer is not None and e.record.answer.value == e.question.answer for e in episodes]
    return sum(right) / len(right)
