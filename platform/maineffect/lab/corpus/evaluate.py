"""Scores of any player on held-out questions of a corpus, item by item."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from maineffect.lab.corpus.episode import CorpusEpisode
from maineffect.lab.corpus.load import Corpus
from maineffect.lab.corpus.protocol import token_f1

__all__ = ["CorpusItem", "divide", "evaluate"]


@dataclass(frozen=True)
class CorpusItem:
    """One played episode.

    Attributes:
        exact: 1.0 when handled rightly: answered right, or declined where the evidence was removed.
        f1: Of the answer's words; as ``exact`` where nothing can be answered.
        citation_precision: Share of the cited passages that are shown evidence; 0 without citations.
        citation_recall: Share of the shown evidence that was cited; 0 where none was shown.
    """

    question: str
    answerable: bool
    abstained: bool
    exact: float
    f1: float
    citation_precision: float
    citation_recall: float


def divide(corpus: Corpus, held_out: float = 0.3) -> tuple[Corpus, Corpus]:
    """A corpus for training and one for evaluation: same documents, questions divided by the hash of their ids.

    Adding a question moves no other one to the other side.

    Raises:
        ValueError: One side would have no questions.
    """
    sides = [_place(question.id) < held_out for question in corpus.questions]
    if len(set(sides)) < 2:
        raise ValueError(f"a share of {held_out} of {len(sides)} questions leaves one side empty; change the share")
    training = tuple(q for q, held in zip(corpus.questions, sides, strict=True) if not held)
    evaluation = tuple(q for q, held in zip(corpus.questions, sides, strict=True) if held)
    return replace(corpus, questions=training), replace(corpus, questions=evaluation)


def evaluate(
    episodes: Sequence[CorpusEpisode], play: Callable[[Sequence[CorpusEpisode]], object]
) -> tuple[CorpusItem, ...]:
    """Let a player play fresh episodes to their ends, and score them from their records alone."""
    play(episodes)
    return tuple(_item(episode) for episode in episodes)


def _item(episode: CorpusEpisode) -> CorpusItem:
    question, answer = episode.question, episode.record.answer
    gold = set(episode.gold_ids)
    cited = set(answer.cited) if answer else set()
    exact = float(answer is not None and answer.value == question.answer)
    f1 = exact
    if answer is not None and question.answerable and not answer.abstained:
        # The value of a matched wording is the first wording, so that an exact answer has F1 1 as well.
        f1 = token_f1(answer.value, question.answers)
    return CorpusItem(
        question.id,
        question.answerable,
        answer is not None and answer.abstained,
        exact,
        f1,
        len(cited & gold) / len(cited) if cited else 0.0,
        len(cited & gold) / len(gold) if gold else 0.0,
    )


def _place(name: str) -> float:
    """A number in [0, 1) that follows from the id alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48
