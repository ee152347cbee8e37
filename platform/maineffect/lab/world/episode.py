"""One question being answered: Gymnasium's five-tuple over text."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.english import English
from maineffect.lab.world.facts import Question
from maineffect.lab.world.families import EVALUATION
from maineffect.lab.world.graph import draw_question
from maineffect.lab.world.retriever import retrieve
from maineffect.lab.world.solver import evidence
from maineffect.lab.world.turns import TextEpisode
from maineffect.lab.world.words import Language, Words
from maineffect.seeds import derive_seed

__all__ = ["Episodes", "SearchEpisode"]

_LANGUAGES: dict[str, Language] = {"words": Words(), "english": English()}
_HELD_OUT: dict[str, Language] = {"words": Words(), "english": English(EVALUATION)}


class SearchEpisode(TextEpisode):
    """A question of the generated world, a search budget, and one answer.

    Args:
        question: From :func:`maineffect.lab.world.graph.draw_question`.
        miss_first: The retriever fails on the first search.
        ranks: Which of many seeded orders results are shown in.
        held_out: Said in the words and sentences that training never shows.
    """

    question: Question

    def __init__(
        self,
        question: Question,
        settings: LabSettings,
        *,
        miss_first: bool = False,
        ranks: int = 0,
        held_out: bool = False,
    ) -> None:
        super().__init__(settings, (_HELD_OUT if held_out else _LANGUAGES)[settings.world.language])
        self.question = question
        self._miss_first, self._ranks = miss_first, ranks

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[str, dict[str, Any]]:
        """Start over; with a seed, another question of the same world is drawn."""
        if seed is not None:
            self.question = draw_question(seed, self.settings.world)
        self._begin()
        return self._text.opening(self.question, self.settings.episode), {}

    @property
    def world(self) -> Hashable:
        """The question, the settings and what this episode's retriever does besides."""
        return id(self.question), id(self.settings), self._miss_first, self._ranks

    def _find(self, words: Sequence[str], attempt: int) -> list[int]:
        asked, retriever = self.question, self.settings.retriever
        return retrieve(
            asked.documents, words, retriever, asked.seed, attempt, miss_first=self._miss_first, ranks=self._ranks
        )

    def _said(self, index: int, name: str) -> str:
        return self._text.document(name, self.question.documents[index], self.settings.retriever, self.question)

    def _evidence(self) -> frozenset[int]:
        return evidence(self.question)

    def _statement(self, index: int) -> tuple[str, str, str]:
        document = self.question.documents[index]
        return document.subject, document.relation, document.value


class Episodes:
    """An endless sequence of episodes: a pure function of (seed, index, levels).

    Args:
        held_out: Questions that the sequence of the same seed for training never asks, in words that it never says.
    """

    def __init__(self, settings: LabSettings, seed: int, *, held_out: bool = False) -> None:
        self._settings, self._held_out = settings, held_out
        self._seed = derive_seed(seed, "held out") if held_out else seed

    def question(self, index: int) -> Question:
        """The question at an index."""
        return draw_question(derive_seed(self._seed, index), self._settings.world)

    def episode(self, index: int) -> SearchEpisode:
        """A fresh episode on the question at an index."""
        return SearchEpisode(self.question(index), self._settings, held_out=self._held_out)

    def group(self, index: int, size: int) -> list[SearchEpisode]:
        """``size`` fresh episodes on one question (a GRPO group)."""
        question = self.question(index)
        return [SearchEpisode(question, self._settings, held_out=self._held_out) for _ in range(size)]
