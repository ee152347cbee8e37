"""One question of a corpus being answered: the five-tuple of the built-in world, over passages."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from maineffect.lab.corpus.index import leading
from maineffect.lab.corpus.inject import CorpusQuestion, Injector
from maineffect.lab.corpus.library import Library
from maineffect.lab.corpus.load import SourceQuestion
from maineffect.lab.grammar.actions import readings
from maineffect.lab.grammar.values import recorded
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.english import English, how_to_act
from maineffect.lab.world.protocol import Answer, escape_tags
from maineffect.lab.world.turns import TextEpisode
from maineffect.seeds import derive_seed

__all__ = ["CorpusEpisode", "CorpusEpisodes"]

_TEXT = English()
_LOOKED_AT = 64


class CorpusEpisode(TextEpisode):
    """A question of a corpus, a search budget, and one answer.

    Args:
        question: From an :class:`Injector`.
        injector: Draws the question of ``reset(seed=...)``; without one the question stays.
    """

    question: CorpusQuestion

    def __init__(self, question: CorpusQuestion, settings: LabSettings, injector: Injector | None = None) -> None:
        super().__init__(settings, _TEXT)
        self.question, self._injector = question, injector

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[str, dict[str, Any]]:
        """Start over; with a seed, another question of the corpus is drawn.

        Raises:
            ValueError: A seed for an episode that knows no other question.
        """
        if seed is not None:
            if self._injector is None:
                raise ValueError("this episode has one question; take others from CorpusEpisodes")
            self.question = self._injector.question(seed, 0)
        self._begin()
        unreliable = escape_tags(", ".join(self.question.unreliable))
        rules = f"{how_to_act(self.settings.episode, 'answer')} Unreliable sources: {unreliable}."
        if self.settings.episode.budget_shown != "hidden":
            rules += f" You have {self.settings.episode.budget} searches."
        past = f" (as of {self.question.as_of})" if self.question.as_of else ""
        return f"{rules}\nQuestion: {escape_tags(self.question.question + past)}\n", {}

    @property
    def world(self) -> Hashable:
        """The question with its documents, and the settings."""
        return id(self.question), id(self.settings)

    def _recorded(self, answer: Answer) -> Answer:
        """Any wording of the gold answer counts as the answer, whichever way its fields can be told apart."""
        asked = self.question
        if asked.answerable and not answer.abstained:
            for reading in readings(answer):
                if asked.is_right(reading.value):
                    return replace(reading, value=asked.answer)
        return replace(answer, value=recorded(answer.value))

    def _find(self, words: Sequence[str], attempt: int) -> list[int]:
        query, asked = " ".join(words), self.question
        index = asked.library.index
        scores = np.concatenate([index.scores(query), index.scores_of([p.indexed for p in asked.added], query)])
        scores[list(asked.hidden)] = 0.0
        # A copy is found where its original is, and a draw decides which comes first: that must tell nothing.
        for number, passage in enumerate(asked.added, len(scores) - len(asked.added)):
            if passage.copied is not None:
                scores[number] = scores[passage.copied]
        ties = np.random.default_rng(derive_seed(asked.seed, "ties")).random(len(scores))
        shown: list[int] = []
        # All that match are sorted only where the retriever loses the best of them.
        for count in (_LOOKED_AT, len(scores)):
            at = leading(scores, count)
            order = (int(i) for i in at[np.lexsort((ties[at], -scores[at]))])
            shown = list(islice((i for i in order if self._returned(i, attempt)), self.settings.retriever.top_k))
            if len(shown) == self.settings.retriever.top_k or len(at) < count:
                break
        return shown

    def _returned(self, i: int, number: int) -> bool:
        """Drawn per passage and search, so that other passages change nothing for this one."""
        if self.settings.retriever.recall == 1:
            return True
        seed = derive_seed(self.question.seed, "recall", number, self.question.passage(i).id)
        return bool(np.random.default_rng(seed).random() < self.settings.retriever.recall)

    def _said(self, index: int, name: str) -> str:
        passage = self.question.passage(index)
        origin = ", ".join(part for part in (passage.source, passage.date, passage.title) if part)
        head = "" if self.settings.retriever.snippet == "claim" else f" {escape_tags(origin)}:"
        return f"[{name}]{head} {escape_tags(passage.text)}"

    def _evidence(self) -> frozenset[int]:
        return self.question.gold

    def _statement(self, index: int) -> str:
        # What a gold document adds to the answer is one statement, in however many overlapping passages it stands.
        return self.question.passage(index).document


class CorpusEpisodes:
    """An endless sequence of episodes: a pure function of (corpus, questions, seed, index, levels).

    Args:
        library: The whole corpus.
        questions: Those that may be asked.
        settings: World, retriever, episode and reward.
        seed: Of the sequence.
        held_out: Whether what is injected is said in words that training never shows.
    """

    def __init__(
        self,
        library: Library,
        questions: Sequence[SourceQuestion],
        settings: LabSettings,
        seed: int,
        *,
        held_out: bool = False,
    ) -> None:
        self._settings, self._seed = settings, seed
        self._injector = Injector(library, questions, settings.world, held_out=held_out)

    def question(self, index: int) -> CorpusQuestion:
        """The question at an index."""
        return self._injector.question(self._seed, index)

    def episode(self, index: int) -> CorpusEpisode:
        """A fresh episode on the question at an index."""
        return CorpusEpisode(self.question(index), self._settings, self._injector)

    def group(self, index: int, size: int) -> list[CorpusEpisode]:
        """``size`` fresh episodes on one question (a GRPO group)."""
        question = self.question(index)
        return [CorpusEpisode(question, self._settings, self._injector) for _ in range(size)]
