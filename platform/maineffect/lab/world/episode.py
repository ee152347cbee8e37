"""One question being answered: Gymnasium's five-tuple over text."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.graph import Question, draw_question
from maineffect.lab.world.protocol import ActionRecord, Answer, Search, StopReason, escape_tags, parse_action
from maineffect.lab.world.retriever import retrieve
from maineffect.lab.world.reward import reward_components
from maineffect.lab.world.vocabulary import (
    DOCUMENT_IDS,
    END_QUESTION,
    END_RESULT,
    EXHAUSTED,
    INVALID,
    NOTICE,
    QUESTION,
    RESULT,
)
from maineffect.seeds import derive_seed

__all__ = ["Episodes", "SearchEpisode"]


class SearchEpisode(gym.Env[str, str]):
    """A question, a search budget, and one answer.

    Args:
        question: From :func:`maineffect.lab.world.graph.draw_question`.
        miss_first: The retriever fails on the first search.
    """

    def __init__(self, question: Question, settings: LabSettings, *, miss_first: bool = False) -> None:
        self.question = question
        self.settings = settings
        self.record = ActionRecord()
        self._miss_first = miss_first
        self._shown: dict[str, int] = {}

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[str, dict[str, Any]]:
        """Start over; with a seed, another question of the same world is drawn."""
        if seed is not None:
            self.question = draw_question(seed, self.settings.world)
        self.record, self._shown = ActionRecord(), {}
        asked = self.question
        return " ".join([QUESTION, *reversed(asked.relations), asked.start, END_QUESTION]), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action in the text protocol."""
        move = parse_action(action)
        if isinstance(move, Answer):
            self.record.answer = move
            return self._end(StopReason.ANSWERED)
        if isinstance(move, Search) and len(self.record.searches) < self.settings.episode.budget:
            return self._search(move), 0.0, False, False, {}
        # One notice, then the next action must be an answer: a policy cannot stall for ever.
        if self.record.invalid:
            return self._end(StopReason.INVALID)
        self.record.invalid += 1
        return f"{NOTICE} {EXHAUSTED if isinstance(move, Search) else INVALID}", 0.0, False, False, {}

    def truncate(self) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """End without an answer: the transcript is full."""
        return self._end(StopReason.TRUNCATED)

    def _search(self, move: Search) -> str:
        found = retrieve(
            self.question.documents,
            move.words,
            self.settings.retriever,
            self.question.seed,
            len(self.record.searches),
            miss_first=self._miss_first,
        )
        self.record.searches.append(move.words)
        words = [RESULT]
        names = []
        for index in found:
            document = self.question.documents[index]
            name = DOCUMENT_IDS[len(self._shown) % len(DOCUMENT_IDS)]
            self._shown[name] = index
            names.append(name)
            fields = (document.source, document.subject, document.relation, document.value)
            words += [name, *(escape_tags(text) for text in fields)]
        self.record.results.append(tuple(names))
        # The query is repeated behind the documents, as a search page repeats it in its box.
        words += [word for word in move.words[:2] if word == escape_tags(word)]
        return " ".join([*words, END_RESULT])

    @property
    def gold_ids(self) -> tuple[str, ...]:
        """Ids of shown documents that state the answer on the path."""
        last = len(self.question.relations) - 1
        documents = self.question.documents
        return tuple(name for name, i in self._shown.items() if documents[i].gold and documents[i].hop == last)

    def _end(self, stop: StopReason) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.record.stop = stop
        parts = reward_components(self.record, self.question, self.gold_ids, self.settings.reward)
        cut = stop is StopReason.TRUNCATED
        return "", sum(parts.values()), not cut, cut, {"reward_components": parts}

    @property
    def shown(self) -> dict[str, int]:
        """Document id → index into the question's documents."""
        return dict(self._shown)


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
