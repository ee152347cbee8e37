"""The word-level rendering: one token a field. What the tiny policy reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from maineffect.lab.grammar.text import readable
from maineffect.lab.grammar.values import number_of, recorded
from maineffect.lab.settings import EpisodeSettings, LabSettings, RetrieverSettings
from maineffect.lab.world.facts import Document, Kind, Question
from maineffect.lab.world.protocol import escape_tags
from maineffect.lab.world.vocabulary import (
    ABSTAIN,
    AS_OF,
    BUDGET,
    COMMAND,
    COUNT,
    END_QUESTION,
    END_RESULT,
    ENTITIES,
    FILLER,
    LEFT,
    MORE,
    NOTICE,
    NUMBERS,
    QUESTION,
    RESULT,
    TRUST,
    YEARS,
)

__all__ = ["LONGEST_ACTION", "Language", "Words", "longest_transcript", "world_value"]

_AMOUNTS = frozenset(range(len(NUMBERS)))
_VALUES = frozenset({ABSTAIN, *ENTITIES, *NUMBERS})
LONGEST_ACTION = 8
"""Tokens of the longest action that is read to its end: an answer with four citations."""


class Language(Protocol):
    """How a world is put into text, and a policy's text back into the world's names.

    Attributes:
        phrases: Whether values may have several words.
    """

    phrases: bool

    def opening(self, question: Question, settings: EpisodeSettings) -> str:
        """The question, with what the world says about itself."""
        ...

    def document(self, name: str, document: Document, settings: RetrieverSettings, question: Question) -> str:
        """One found document under the name by which it can be cited."""
        ...

    def results(self, documents: Sequence[str], query: Sequence[str], left: int | None) -> str:
        """A page of results; ``left``: searches left, where that is said."""
        ...

    def notice(self, what: str) -> str:
        """Why nothing happened."""
        ...

    def query(self, words: Sequence[str]) -> tuple[str, ...]:
        """A query as the retriever reads it."""
        ...

    def value(self, text: str) -> str:
        """An answer as the world names it."""
        ...


class Words:
    """Question, documents and notices as space-separated words of the vocabulary."""

    phrases = False

    def opening(self, question: Question, settings: EpisodeSettings) -> str:
        """The question, with what the world says about itself before it."""
        preamble = [TRUST, *question.trusted] if question.trusted else []
        if settings.budget_shown != "hidden":
            preamble += [BUDGET, NUMBERS[settings.budget]]
        relations = list(reversed(question.wording or question.relations))
        if question.kind is Kind.COUNT:
            asked = [COUNT, *relations, question.start]
        elif question.kind is Kind.MORE:
            asked = [MORE, *relations, question.start, question.other]
        else:
            asked = [*relations, question.start]
        past = [AS_OF, YEARS[question.as_of - 1]] if question.as_of is not None else []
        return " ".join([QUESTION, *preamble, *asked, *past, END_QUESTION])

    def document(self, name: str, document: Document, settings: RetrieverSettings, question: Question) -> str:  # noqa: ARG002
        """One found document under the name by which it can be cited."""
        head = [] if settings.snippet == "claim" else [document.source, document.year]
        claim = [document.subject, document.wording, document.value, *document.command.split()]
        tail = FILLER if settings.snippet == "padded" else ()
        return " ".join([name, *(escape_tags(word) for word in (*head, *claim)), *tail])

    def results(self, documents: Sequence[str], query: Sequence[str], left: int | None) -> str:
        """A page of results; the query is repeated behind them, as a search page repeats it in its box."""
        box = [word for word in query[:2] if word == escape_tags(word)]
        count = [LEFT, NUMBERS[left]] if left is not None else []
        return " ".join([RESULT, *documents, *box, *count, END_RESULT])

    def notice(self, what: str) -> str:
        """Why nothing happened."""
        return f"{NOTICE} {what}"

    def query(self, words: Sequence[str]) -> tuple[str, ...]:
        """A query as the retriever reads it."""
        return tuple(words)

    def value(self, text: str) -> str:
        """An answer as the world names it."""
        return text if text in _VALUES else world_value(text)


def world_value(text: str) -> str:
    """An answer as the generated world names it: by the grammar, a number as its word."""
    number = number_of(readable(text))
    return NUMBERS[int(number)] if number in _AMOUNTS else recorded(text)


def longest_transcript(settings: LabSettings) -> int:
    """Tokens that a transcript of word-level episodes can need with these settings, with room for one more action."""
    world, retriever, episode = settings.world, settings.retriever, settings.episode
    opening = 2 + max(world.hops + 1, 4) + (2 if world.staleness else 0)
    opening += 5 if world.source_names == "stated" else 0
    opening += 2 if episode.budget_shown != "hidden" else 0
    document = 4 + (0 if retriever.snippet == "claim" else 2) + (len(FILLER) if retriever.snippet == "padded" else 0)
    page = 2 + retriever.top_k * document + 2 + (2 if episode.budget_shown == "countdown" else 0)
    if world.adversary == "instruction":
        page += len(COMMAND) + 3
    return opening + episode.budget * (LONGEST_ACTION + page) + 3 * LONGEST_ACTION + 2
