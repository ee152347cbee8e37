"""The search world as a registered Gymnasium environment: ``gymnasium.make("maineffect/Search-v0", settings={...})``.

:class:`maineffect.lab.world.episode.SearchEpisode` is one question. Here is the endless sequence of them that
Gymnasium's ``reset`` means: with a seed the sequence starts again, without one the next question is drawn.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from maineffect.lab.questions.contract import Questions
from maineffect.lab.questions.source import training_questions
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.turns import TextEpisode

__all__ = ["WORLD_ID", "AnyText", "SearchWorld", "register_world"]

WORLD_ID = "maineffect/Search-v0"
_LONGEST = 1 << 16


class AnyText(spaces.Text):
    """Strings of any characters up to a length.

    :class:`gymnasium.spaces.Text` holds strings over a fixed alphabet. An imported corpus may contain every character
    there is, and so may what a policy writes; only samples are drawn from an alphabet.
    """

    def __init__(self, max_length: int = _LONGEST) -> None:
        super().__init__(max_length, min_length=0, charset=string.ascii_lowercase + " </>")

    def contains(self, x: Any) -> bool:
        """Whether it is a string that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length


class SearchWorld(gym.Env[str, str]):
    """Questions of one search world, one per reset.

    Args:
        settings: :class:`LabSettings` or their nested fields, such as ``{"world": {"hops": 1}}``.
        held_out: Questions that training never asks.

    ``info`` of the last step holds ``reward_components``, which sum to the reward.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 — Gymnasium's own attribute, an instance's in its types

    def __init__(self, settings: LabSettings | Mapping[str, Any] | None = None, *, held_out: bool = False) -> None:
        self._held_out = held_out
        self.settings = (
            settings if isinstance(settings, LabSettings) else LabSettings.model_validate(dict(settings or {}))
        )
        self.observation_space, self.action_space = AnyText(), AnyText()
        self._episode: TextEpisode | None = None
        self._episodes: Questions | None = None
        self._next = 0

    @property
    def episode(self) -> TextEpisode:
        """The question being answered.

        Raises:
            gymnasium.error.ResetNeeded: None was drawn yet.
        """
        if self._episode is None:
            raise gym.error.ResetNeeded("call reset() first")
        return self._episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """The next question; with a seed, the first of that seed's sequence.

        Args:
            seed: Of the sequence of questions.
            options: ``{"index": i}`` asks the question at an index of the sequence instead.
        """
        super().reset(seed=seed)
        if seed is not None or self._episodes is None:
            # Without a seed Gymnasium's generator is drawn from the system's entropy, as in every environment.
            start = seed if seed is not None else int(self.np_random.integers(1 << 62))
            self._episodes, self._next = training_questions(self.settings, start, held_out=self._held_out), 0
        index = int((options or {}).get("index", self._next))
        self._next = index + 1
        self._episode = self._episodes.episode(index)
        return self._episode.reset()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """One action in the text protocol."""
        return self.episode.step(action)


def register_world() -> str:
    """Make :data:`WORLD_ID` known to ``gymnasium.make``; the id. Calling it again changes nothing."""
    if WORLD_ID not in gym.registry:
        gym.register(WORLD_ID, entry_point=f"{__name__}:SearchWorld")
    return WORLD_ID
