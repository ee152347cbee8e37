"""One question of a corpus being answered: the five-tuple of the built-in world, over passages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from maineffect.lab.corpus.index import Embedding, Index
from maineffect.lab.corpus.inject import CorpusQuestion, Injector, inapplicable
from maineffect.lab.corpus.load import Corpus
from maineffect.lab.corpus.passages import Passage
from maineffect.lab.corpus.protocol import declines, exact_match, normalise, parse_corpus_action
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.english import English
from maineffect.lab.world.protocol import ActionRecord, Answer, Search, StopReason, escape_tags
from maineffect.lab.world.reward import reward_components
from maineffect.lab.world.vocabulary import ABSTAIN, DOCUMENT_IDS, EXHAUSTED, INVALID
from maineffect.seeds import derive_seed

__all__ = ["CorpusEpisode", "CorpusEpisodes"]

_RULES = (
    "Answer the question from what you find. Search with <search>words</search>. End with "
    "<answer>answer | sure, likely or unsure | ids of the documents used</answer>; answer none if the documents do "
    "not say. Unreliable sources: {unreliable}."
)
_TEXT = English()


class CorpusEpisode(gym.Env[str, str]):
    """A question, a search budget, and one answer."""

    def __init__(self, question: CorpusQuestion, settings: LabSettings, embedding: Embedding | None = None) -> None:
        self.question, self.settings, self.record = question, settings, ActionRecord()
        self._names: dict[int, str] = {}
        self._index = Index([passage.text for passage in question.passages], embedding) if question.passages else None

    def reset(
        self,
        *,
        seed: int | None = None,  # noqa: ARG002
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[str, dict[str, Any]]:
        """Start over on the same question; other questions come from :class:`CorpusEpisodes`."""
        self.record, self._names = ActionRecord(), {}
        said = _RULES.format(unreliable=escape_tags(", ".join(self.question.unreliable)))
        if self.settings.episode.budget_shown != "hidden":
            said += f" You have {self.settings.episode.budget} searches."
        past = f" (as of {self.question.as_of})" if self.question.as_of else ""
        return f"{said}\nQuestion: {escape_tags(self.question.question + past)}\n", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action in the text protocol."""
        move = parse_corpus_action(action)
        if isinstance(move, Answer):
            self.record.answer = replace(move, value=self._value(move.value))
            return self._end(StopReason.ANSWERED)
        if isinstance(move, Search) and len(self.record.searches) < self.settings.episode.budget:
            return self._search(move), 0.0, False, False, {}
        # One notice, then the next action must be an answer: a policy cannot stall for ever.
        if self.record.invalid:
            return self._end(StopReason.INVALID)
        self.record.invalid += 1
        return _TEXT.notice(EXHAUSTED if isinstance(move, Search) else INVALID), 0.0, False, False, {}

    def truncate(self) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """End without an answer: the transcript is full."""
        return self._end(StopReason.TRUNCATED)

    def _value(self, said: str) -> str:
        """Any wording of the gold answer counts as the answer."""
        if declines(said):
            return ABSTAIN
        if self.question.answerable and exact_match(said, self.question.answers):
            return self.question.answer
        return normalise(said)

    def _search(self, move: Search) -> str:
        words, number = _TEXT.query(move.words), len(self.record.searches)
        ranked = self._index.rank(" ".join(words)) if self._index else ()
        found = [i for i in ranked if self._returned(i, number)][: self.settings.retriever.top_k]
        self.record.searches.append(words)
        for i in found:
            self._names.setdefault(i, DOCUMENT_IDS[len(self._names)])
        self.record.results.append(tuple(self._names[i] for i in found))
        countdown = self.settings.episode.budget_shown == "countdown"
        left = self.settings.episode.budget - len(self.record.searches) if countdown else None
        shown = [self._shown(self._names[i], self.question.passages[i]) for i in found]
        return _TEXT.results(shown, move.words, left)

    def _returned(self, i: int, number: int) -> bool:
        """Drawn per passage and search, so that other passages change nothing for this one."""
        seed = derive_seed(self.question.seed, "recall", number, self.question.passages[i].id)
        return bool(np.random.default_rng(seed).random() < self.settings.retriever.recall)

    def _shown(self, name: str, passage: Passage) -> str:
        said = ", ".join(part for part in (passage.source, passage.date, passage.title) if part)
        head = "" if self.settings.retriever.snippet == "claim" else f" {said}:"
        return f"[{name}]{escape_tags(head)} {escape_tags(passage.text)}"

    @property
    def gold_ids(self) -> tuple[str, ...]:
        """Ids of shown passages that hold the evidence."""
        return tuple(name for i, name in self._names.items() if i in self.question.gold)

    @property
    def shown(self) -> dict[str, int]:
        """Id → position among the question's passages."""
        return {name: i for i, name in self._names.items()}

    def _end(self, stop: StopReason) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.record.stop = stop
        parts = reward_components(self.record, self.question, self.gold_ids, self.settings.reward)
        cut = stop is StopReason.TRUNCATED
        return "", sum(parts.values()), not cut, cut, {"reward_components": parts}


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
