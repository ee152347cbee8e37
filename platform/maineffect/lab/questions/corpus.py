"""A corpus as a study's source of questions: some to train on, others to evaluate on, all over the same documents."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from maineffect.lab.corpus.battery import (
    CLAIMING,
    CorpusItem,
    corpus_responses,
    digest_of,
    frozen_items,
    rows_of,
    unwritten,
)
from maineffect.lab.corpus.divide import Together, divide, groups
from maineffect.lab.corpus.episode import CorpusEpisode, CorpusEpisodes
from maineffect.lab.corpus.index import open_embedding
from maineffect.lab.corpus.library import Library
from maineffect.lab.corpus.load import Corpus, CorpusError, SourceQuestion, corpus_files, load_corpus
from maineffect.lab.corpus.scripted import BELIEVER, Policy, careful, naive, scripted, shortcuts
from maineffect.lab.grammar.actions import in_form
from maineffect.lab.questions.contract import Exam, Player, Shortcuts
from maineffect.lab.settings import LabSettings
from maineffect.seeds import derive_seed, generator

__all__ = ["CorpusSource", "open_corpus"]

_PASSAGE_TOKENS, _OPENING_TOKENS, _PAGE_TOKENS = 192, 256, 96
"""Room for a passage of 80 words with its head, for rules and question, and for an action with its page's frame."""


class CorpusSource:
    """Questions of one corpus, divided by the study's evaluation seed.

    Args:
        corpus: With at least two questions.
        name: How the study names it.
        held_out: Share of the questions that are never trained on.
        evaluation_seed: Of the study.
        folder: The study's, where an encoder may lie.
        together: What questions must share to be on one side.

    Raises:
        CorpusError: The corpus has one question only, or all of them hang together.
    """

    def __init__(
        self,
        corpus: Corpus,
        name: str,
        held_out: float,
        evaluation_seed: int,
        folder: Path,
        together: Together = "question",
    ) -> None:
        self._corpus, self._name, self._folder, self._together = corpus, name, folder, together
        seed = derive_seed(evaluation_seed, "division")
        try:
            self._training, self._evaluation = divide(corpus, held_out, seed, together)
        except ValueError as error:
            raise CorpusError(f"{name}:1: {error}", "write at least two questions") from None
        self._libraries: dict[str, Library] = {}
        self._frozen: tuple[tuple[str, int], tuple[CorpusItem, ...], dict[str, int]] | None = None

    @property
    def digest(self) -> str:
        """Of documents, questions and their division."""
        return f"{self._corpus.digest[:20]}-{self._training.digest[:20]}"

    @cached_property
    def _alike(self) -> list[list[SourceQuestion]]:
        return groups(self._corpus.questions, self._together)

    @property
    def content(self) -> str:
        """Digest of documents and questions."""
        return self._corpus.digest

    def require(self, digest: str | None) -> None:
        """Refuse another corpus than the one that a study was submitted with.

        Raises:
            CorpusError: The digest is given, and is not this corpus's.
        """
        if digest is not None and digest != self.content:
            raise CorpusError(
                f"{self._name}:1: the corpus here is {self.content[:12]}, the study is about {digest[:12]}",
                "go back to that corpus; or submit the study again, as a sweep of its own",
            )

    def training(self, settings: LabSettings, seed: int) -> CorpusEpisodes:
        """Questions of a training run."""
        return CorpusEpisodes(self._library(settings.retriever.index), self._training.questions, settings, seed)

    def held_out(self, settings: LabSettings, seed: int) -> CorpusEpisodes:
        """Questions that training never asks."""
        library = self._library(settings.retriever.index)
        return CorpusEpisodes(library, self._evaluation.questions, settings, seed, held_out=True)

    def _library(self, index: str) -> Library:
        if index not in self._libraries:
            self._libraries[index] = Library(self._corpus, open_embedding(index, self._folder))
        return self._libraries[index]

    def demonstration(self, settings: LabSettings, seed: int, index: int, episode: Any) -> Sequence[tuple[str, bool]]:
        """A question of the training side, answered by the warm start's demonstrator."""
        shows = careful if settings.warmstart.demonstrator == "careful" else naive(generator(seed, "demo", index))
        return _played(episode, shows)

    def longest(self, settings: LabSettings) -> int | None:
        """Tokens that the run's own episodes and the frozen items can need."""
        usual = LabSettings()
        pages = [(s.episode.budget, s.retriever.top_k) for s in (settings, usual)]
        return max(_OPENING_TOKENS + budget * (_PAGE_TOKENS + k * _PASSAGE_TOKENS) for budget, k in pages)

    def examine(self, settings: LabSettings, evaluation_seed: int, player: Player) -> Exam:
        """The held-out questions, as they are and with conflicts, attacks and missing evidence."""
        items, _ = self._items(settings, evaluation_seed)
        episodes = [item.episode() for item in items]
        rows = rows_of(items, episodes, player(episodes))
        provenance = self.facts(settings, evaluation_seed)
        measures = {"corpus": float(int(self._corpus.digest[:8], 16)), "corpus_items": float(len(items))}
        texts = {"corpus.json": json.dumps(provenance, ensure_ascii=False, indent=1) + "\n"}
        return Exam(rows, corpus_responses(rows), digest_of(items, self._corpus.digest), measures, texts)

    def _items(self, settings: LabSettings, evaluation_seed: int) -> tuple[tuple[CorpusItem, ...], dict[str, int]]:
        """The frozen items, and why some are none; kept, because every scripted policy is asked the same."""
        asked = (settings.model_dump_json(), evaluation_seed)
        if self._frozen is None or self._frozen[0] != asked:
            library, questions = self._library(settings.evaluation.index), self._evaluation.questions
            items = frozen_items(library, questions, settings, evaluation_seed)
            self._frozen = asked, items, dict(unwritten(library, questions, settings, evaluation_seed))
        return self._frozen[1:]

    def facts(self, settings: LabSettings, evaluation_seed: int) -> dict[str, Any]:
        """What was asked of whom: both sides, questions that stay together, items by probe, and why some are none."""
        items, missing = self._items(settings, evaluation_seed)
        evaluated = self._evaluation.questions
        return {
            "corpus": self._name,
            "digest": self._corpus.digest,
            "documents": len(self._corpus.documents),
            "trained": [question.id for question in self._training.questions],
            "evaluated": [question.id for question in evaluated],
            "asked_alike": [[question.id for question in alike] for alike in self._alike if len(alike) > 1],
            "items": dict(Counter(item.probe for item in items)),
            "no_items": missing,
        }

    def baselines(self, settings: LabSettings, evaluation_seed: int) -> list[dict[str, Any]]:
        """Scripted policies on the frozen items."""
        return [
            {"name": name, "response": response, "value": value, "description": _DESCRIPTIONS.get(name, "")}
            for name, exam in self._scripted(settings, evaluation_seed).items()
            for response, value in exam.responses.items()
        ]

    def shortcuts(self, settings: LabSettings, evaluation_seed: int) -> Shortcuts:
        """Scripted policies on the frozen items, item by item."""
        exams = self._scripted(settings, evaluation_seed)
        probes = list(dict.fromkeys(row["probe"] for row in exams["oracle"].rows))
        never_read = tuple(name for name in shortcuts(self._corpus.questions) if name != BELIEVER)
        # Who takes claims reads well where nothing is claimed.
        rivals = {probe: (*never_read, *((BELIEVER,) if probe in CLAIMING else ())) for probe in probes}
        return Shortcuts(exams["oracle"].digest, {name: exam.rows for name, exam in exams.items()}, rivals)

    def _scripted(self, settings: LabSettings, evaluation_seed: int) -> dict[str, Exam]:
        return {
            name: self.examine(settings, evaluation_seed, partial(_words, make))
            for name, make in scripted(self._corpus.questions).items()
        }


_DESCRIPTIONS = {
    "naive": "One search; believes any passage that claims something, cites sloppily, rarely declines.",
    "closed book": "Never searches; guesses an answer of the corpus.",
    BELIEVER: "Reads like the oracle, but takes whatever an unreliable passage claims.",
}


def _words(make: Callable[[np.random.Generator], Policy], episodes: Sequence[CorpusEpisode]) -> list[int]:
    """A player: words of each transcript."""
    played = [_played(episode, make(generator(0, i))) for i, episode in enumerate(episodes)]
    return [sum(len(text.split()) for text, _ in pieces) for pieces in played]


def _played(episode: CorpusEpisode, policy: Policy) -> list[tuple[str, bool]]:
    """The transcript of an episode played to its end, as (text, written by the policy) pieces."""
    pieces = [(episode.reset()[0], False)]
    while True:
        action = in_form(policy(episode), episode.form)
        observation, _, done, cut, _ = episode.step(action)
        pieces.append((action, True))
        if done or cut:
            return pieces
        pieces.append((observation, False))


def open_corpus(settings: LabSettings, folder: Path, evaluation_seed: int) -> CorpusSource:
    """The corpus that ``world.corpus`` names.

    Args:
        folder: What the path is relative to.

    Raises:
        CorpusError: It cannot be used.
    """
    assert settings.world.corpus is not None
    path = folder / settings.world.corpus
    state = tuple((str(file), file.stat().st_mtime_ns) for file in corpus_files(path) if file.exists())
    source = _opened(
        folder,
        state,
        settings.world.corpus,
        settings.evaluation.held_out,
        evaluation_seed,
        settings.evaluation.together,
    )
    source.require(settings.world.corpus_digest)
    return source


@lru_cache(maxsize=4)
def _opened(
    folder: Path,
    state: tuple[tuple[str, int], ...],  # noqa: ARG001 — another state of the files is another corpus
    name: str,
    held_out: float,
    evaluation_seed: int,
    together: Together,
) -> CorpusSource:
    """Read once per state of the files: cells of a check and episodes of an adapter ask again and again."""
    return CorpusSource(load_corpus(folder / name), name, held_out, evaluation_seed, folder, together)
