"""A game that a model with random weights gets different rewards in: two turns in real documents.

In the search world all rollouts of such a model earn the same, which teaches nothing, so that nothing would be timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maineffect.lab.questions.generated import Generated
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes, SearchEpisode
from maineffect.lab.world.protocol import Search

__all__ = ["Game", "Letters"]

_EARLY = frozenset("abcdefghijklm")


class Letters(SearchEpisode):
    """Whatever is said first, the question's own words are searched for; whatever is said then, its letters score."""

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """The share of letters before n is the reward of the second turn."""
        if not self.record.searches:
            asked = self.question
            return self._search(Search((asked.start, *asked.relations))), 0.0, False, False, {}
        letters = [letter for letter in action.lower() if letter.isalpha()]
        reward = sum(letter in _EARLY for letter in letters) / max(1, len(letters))
        return "", reward, True, False, {"reward_components": {"letters": reward}}


class _Questions(Episodes):
    def episode(self, index: int) -> Letters:
        """A fresh game on the question at an index."""
        return self.group(index, 1)[0]

    def group(self, index: int, size: int) -> list[Letters]:  # type: ignore[override]
        """``size`` fresh games on one question."""
        question = self.question(index)
        return [Letters(question, self._settings) for _ in range(size)]


class Game(Generated):
    """The generated world, scored by letters."""

    def training(self, settings: LabSettings, seed: int) -> _Questions:
        """Games of a training run."""
        return _Questions(settings, seed)

    def games(self, settings: LabSettings, seed: int, groups: int, size: int) -> Sequence[Letters]:
        """So many games on each of so many questions."""
        questions = self.training(settings, seed)
        return [game for index in range(groups) for game in questions.group(index, size)]
