"""One question of a corpus being answered: the five-tuple of the built-in world, over passages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maineffect.lab.corpus.index import Embedding, Index
from maineffect.lab.corpus.inject import CorpusQuestion, Injector, inapplicable
from maineffect.lab.corpus.load import Corpus
from maineffect.lab.corpus.protocol import declines, exact_match, normalise, parse_corpus_action
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.english import English
from maineffect.lab.world.protocol import Answer, Search, escape_tags
from maineffect.lab.world.turns import TextEpisode
from maineffect.lab.world.vocabulary import ABSTAIN
from maineffect.seeds import derive_seed

__all__ = ["CorpusEpisode", "CorpusEpisodes"]

_RULES = (
    "Answer the question from what you find. Search with <search>words</search>. End with "
    "<answer>answer | sure, likely or unsure | ids of the documents used</answer>; answer none if the documents do "
    "not say. Unreliable sources: {unreliable}."
)
_TEXT = English()


class CorpusEpisode(TextEpisode):
    """A question of a corpus, a search budget, and one answer."""

    question: CorpusQuestion

    def __init__(self, question: CorpusQuestion, settings: LabSettings, embedding: Embedding | None = None) -> None:
        super().__init__(settings, _TEXT)
        self.question = question
        self._index = Index([passage.text for passage in question.passages], embedding) if question.passages else None

    def reset(
        self,
        *,
        seed: int | None = None,  # noqa: ARG002
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[str, dict[str, Any]]:
        """Start over on the same question; other questions come from :class:`CorpusEpisodes`."""
        self._begin()
        said = _RULES.format(unreliable=escape_tags(", ".join(self.question.unreliable)))
        if self.settings.episode.budget_shown != "hidden":
            said += f" You have {self.settings.episode.budget} searches."
        past = f" (as of {self.question.as_of})" if self.question.as_of else ""
        return f"{said}\nQuestion: {escape_tags(self.question.question + past)}\n", {}

    def _parse(self, action: str) -> Search | Answer | None:
        return parse_corpus_action(action)

    def _value(self, said: str) -> str:
        """Any wording of the gold answer counts as the answer."""
        if declines(said):
            return ABSTAIN
        if self.question.answerable and exact_match(said, self.question.answers):
            return self.question.answer
        return normalise(said)

    def _find(self, words: Sequence[str], attempt: int) -> list[int]:
        ranked = self._index.rank(" ".join(words)) if self._index else ()
        return [i for i in ranked if self._returned(i, attempt)][: self.settings.retriever.top_k]

    def _returned(self, i: int, number: int) -> bool:
        """Drawn per passage and search, so that other passages change nothing for this one."""
        seed = derive_seed(self.question.seed, "recall", number, self.question.passages[i].id)
        return bool(np.random.default_rng(seed).random() < self.settings.retriever.recall)

    def _said(self, index: int, name: str) -> str:
        passage = self.question.passages[index]
        said = ", ".join(part for part in (passage.source, passage.date, passage.title) if part)
        head = "" if self.settings.retriever.snippet == "claim" else f" {said}:"
        return f"[{name}]{escape_tags(head)} {escape_tags(passage.text)}"

    def _evidence(self) -> frozenset[int]:
        return self.question.gold


class CorpusEpisodes:
    """An endless sequence of episodes: a pure function of (corpus, seed, index, levels).

    Raises:
        ValueError: A setting of the world was given that a corpus cannot follow.
    """

    def __init__(self, corpus: Corpus, settings: LabSettings, seed: int, embedding: Embedding | None = None) -> None:
        if wrong := inapplicable(settings.world):
            raise ValueError(f"world.{', world.'.join(wrong)}: not for an imported corpus; leave it out")
        self._settings, self._seed, self._embedding = settings, seed, embedding
        self._injector = Injector(corpus, settings.world, embedding)

    def question(self, index: int) -> CorpusQuestion:
        """The question at an index."""
        return self._injector.question(self._seed, index)

    def episode(self, index: int) -> CorpusEpisode:
        """A fresh episode on the question at an index."""
        return CorpusEpisode(self.question(index), self._settings, self._embedding)

    def group(self, index: int, size: int) -> list[CorpusEpisode]:
        """``size`` fresh episodes on one question (a GRPO group)."""
        question = self.question(index)
        return [CorpusEpisode(question, self._settings, self._embedding) for _ in range(size)]
