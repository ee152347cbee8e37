"""One question being answered: Gymnasium's five-tuple over text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.english import English
from maineffect.lab.world.facts import Question
from maineffect.lab.world.graph import draw_question
from maineffect.lab.world.protocol import ActionRecord, Answer, Search, StopReason, parse_action
from maineffect.lab.world.retriever import retrieve
from maineffect.lab.world.reward import reward_components
from maineffect.lab.world.solver import evidence
from maineffect.lab.world.vocabulary import DOCUMENT_IDS, EXHAUSTED, INVALID
from maineffect.lab.world.words import Language, Words
from maineffect.seeds import derive_seed

__all__ = ["Episodes", "SearchEpisode"]

_LANGUAGES: dict[str, Language] = {"words": Words(), "english": English()}


class SearchEpisode(gym.Env[str, str]):
    """A question, a search budget, and one answer.

    Args:
        question: From :func:`maineffect.lab.world.graph.draw_question`.
        miss_first: The retriever fails on the first search.
        ranks: Which of many seeded orders results are shown in.
    """

    def __init__(self, question: Question, settings: LabSettings, *, miss_first: bool = False, ranks: int = 0) -> None:
        self.question = question
        self.settings = settings
        self.record = ActionRecord()
        self._miss_first, self._ranks = miss_first, ranks
        self._text = _LANGUAGES[settings.world.language]
        self._names: dict[int, str] = {}

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[str, dict[str, Any]]:
        """Start over; with a seed, another question of the same world is drawn."""
        if seed is not None:
            self.question = draw_question(seed, self.settings.world)
        self.record, self._names = ActionRecord(), {}
        return self._text.opening(self.question, self.settings.episode), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action in the text protocol."""
        move = parse_action(action)
        if isinstance(move, Answer):
            self.record.answer = replace(move, value=self._text.value(move.value))
            return self._end(StopReason.ANSWERED)
        if isinstance(move, Search) and len(self.record.searches) < self.settings.episode.budget:
            return self._search(move), 0.0, False, False, {}
        # One notice, then the next action must be an answer: a policy cannot stall for ever.
        if self.record.invalid:
            return self._end(StopReason.INVALID)
        self.record.invalid += 1
        return self._text.notice(EXHAUSTED if isinstance(move, Search) else INVALID), 0.0, False, False, {}

    def truncate(self) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """End without an answer: the transcript is full."""
        return self._end(StopReason.TRUNCATED)

    def _search(self, move: Search) -> str:
        words, settings = self._text.query(move.words), self.settings
        found = retrieve(
            self.question.documents,
            words,
            settings.retriever,
            self.question.seed,
            len(self.record.searches),
            miss_first=self._miss_first,
            ranks=self._ranks,
        )
        self.record.searches.append(words)
        # A document keeps its id when it is found again.
        for index in found:
            self._names.setdefault(index, DOCUMENT_IDS[len(self._names)])
        self.record.results.append(tuple(self._names[index] for index in found))
        shown = [
            self._text.document(self._names[i], self.question.documents[i], settings.retriever, self.question)
            for i in found
        ]
        countdown = settings.episode.budget_shown == "countdown"
        left = settings.episode.budget - len(self.record.searches) if countdown else None
        return self._text.results(shown, move.words, left)

    @property
    def gold_ids(self) -> tuple[str, ...]:
        """Ids of shown documents that the answer rests on."""
        gold = evidence(self.question)
        return tuple(name for i, name in self._names.items() if i in gold)

    def _end(self, stop: StopReason) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.record.stop = stop
        parts = reward_components(self.record, self.question, self.gold_ids, self.settings.reward)
        cut = stop is StopReason.TRUNCATED
        return "", sum(parts.values()), not cut, cut, {"reward_components": parts}

    @property
    def shown(self) -> dict[str, int]:
        """Document id → index into the question's documents."""
        return {name: index for index, name in self._names.items()}


class Episodes:
    """An endless sequence of episodes: a pure function of (seed, index, levels)."""

    def __init__(self, settings: LabSettings, seed: int) -> None:
        self._settings, self._seed = settings, seed

    def question(self, index: int) -> Question:
        """The question at an index."""
        return draw_question(derive_seed(self._seed, index), self._settings.world)

    def episode(self, index: int) -> SearchEpisode:
        """A fresh episode on the question at an index."""
        return SearchEpisode(self.question(index), self._settings)

    def group(self, index: int, size: int) -> list[SearchEpisode]:
        """``size`` fresh episodes on one question (a GRPO group)."""
        question = self.question(index)
        return [SearchEpisode(question, self._settings) for _ in range(size)]
