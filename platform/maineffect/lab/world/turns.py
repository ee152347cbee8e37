"""What every episode has in common, whatever is searched: turns, budget, ids of what was shown, and the end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from typing import Any, Self

import gymnasium as gym

from maineffect.lab.grammar.text import readable
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.protocol import ActionRecord, Answer, Search, StopReason, form_of, parse_action
from maineffect.lab.world.reward import Asked, reward_components
from maineffect.lab.world.vocabulary import DOCUMENT_IDS, EXHAUSTED, INVALID
from maineffect.lab.world.words import Language

__all__ = ["TextEpisode"]


class TextEpisode(gym.Env[str, str]):
    """A question, a search budget, and one answer; what is found, and how it is said, is the subclass's.

    Attributes:
        question: What is asked.
        record: What the policy did so far.
        form: How actions are written.
    """

    question: Asked

    def __init__(self, settings: LabSettings, text: Language) -> None:
        self.settings, self._text = settings, text
        self.form = form_of(settings.episode, phrases=text.phrases)
        self._begin()

    def _begin(self) -> None:
        self.record = ActionRecord()
        self._names: dict[int, str] = {}

    @property
    def world(self) -> Hashable | None:
        """Equal for two episodes that answer the same actions with the same words; None where that is not known."""
        return None

    def follow(self, other: Self) -> None:
        """Be where another episode of the same world is, without taking its actions again."""
        theirs = other.record
        self.record = replace(theirs, searches=list(theirs.searches), results=list(theirs.results))
        self._names = dict(other._names)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action in the text protocol. No text of a policy makes this raise."""
        return self.act(parse_action(action, self.form))

    def act(self, move: Search | Answer | None) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action that needs no reading: a native tool call; None is one that was not understood."""
        if isinstance(move, Answer):
            self.record.answer = self._recorded(move)
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

    @property
    def gold_ids(self) -> tuple[str, ...]:
        """Ids of shown documents that the answer rests on."""
        gold = self._evidence()
        return tuple(name for i, name in self._names.items() if i in gold)

    @property
    def gold_statements(self) -> tuple[frozenset[str], ...]:
        """Of every statement that the answer rests on, and that was shown, the ids of the documents that make it."""
        gold = self._evidence()
        made: dict[object, set[str]] = {}
        for i, name in self._names.items():
            if i in gold:
                made.setdefault(self._statement(i), set()).add(name)
        return tuple(frozenset(names) for names in made.values())

    @property
    def shown(self) -> dict[str, int]:
        """Document id → index among the question's documents."""
        return {name: index for index, name in self._names.items()}

    def _search(self, move: Search) -> str:
        words = self._text.query([readable(word) for word in move.words])
        indices = self._find(words, len(self.record.searches))
        self.record.searches.append(words)
        # A document keeps its id when it is found again.
        for index in indices:
            self._names.setdefault(index, DOCUMENT_IDS[len(self._names)])
        self.record.results.append(tuple(self._names[index] for index in indices))
        episode = self.settings.episode
        left = episode.budget - len(self.record.searches) if episode.budget_shown == "countdown" else None
        return self._text.results([self._said(index, self._names[index]) for index in indices], move.words, left)

    def _end(self, stop: StopReason) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.record.stop = stop
        parts = reward_components(self.record, self.question, self.gold_statements, self.settings.reward)
        cut = stop is StopReason.TRUNCATED
        return "", sum(parts.values()), not cut, cut, {"reward_components": parts}

    def _recorded(self, answer: Answer) -> Answer:
        """An answer as the world names it."""
        return replace(answer, value=self._text.value(answer.value))

    @abstractmethod
    def _find(self, words: Sequence[str], attempt: int) -> list[int]:
        """Indices of the documents that a search returns, in the order in which they are shown."""

    @abstractmethod
    def _said(self, index: int, name: str) -> str:
        """One found document under the name by which it can be cited."""

    @abstractmethod
    def _evidence(self) -> Collection[int]:
        """Indices of the documents that the answer rests on."""

    @abstractmethod
    def _statement(self, index: int) -> object:
        """What documents share that state the same thing: independent sources, copies, overlapping passages."""
