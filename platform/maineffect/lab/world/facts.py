"""What a world holds: documents, and the question that they are about. Plain values; nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from maineffect.lab.world.vocabulary import ABSTAIN, YEARS

__all__ = ["MOST_SLOTS", "RELIABLE", "UNRELIABLE", "UNSIGNED_TIER", "Document", "Kind", "Question", "Role"]

RELIABLE, UNRELIABLE, UNSIGNED_TIER = 2, 1, 0
"""Tiers of sources; a higher one is to be believed."""

MOST_SLOTS = 512


class Role(StrEnum):
    """Why a document is there. Nothing of it is shown."""

    GOLD = "gold"
    LINK = "link"
    RIVAL = "rival"
    STALE = "stale"
    DISTRACTOR = "distractor"
    INJECTED = "injected"


class Kind(StrEnum):
    """What is asked."""

    PATH = "path"
    COUNT = "count"
    MORE = "more"


@dataclass(frozen=True)
class Document:
    """One sentence of one source.

    Attributes:
        source: Name of the source as it is shown.
        tier: Of the source in this world: 2 reliable, 1 unreliable, 0 unsigned.
        date: Year, 1 to 8; a larger one is newer.
        relation: The relation's own word, whatever word is shown for it.
        role: Why it is there.
        hop: The hop that it speaks about.
        slot: Its identity in the retriever's draws: the same document in two versions of a world has the same slot.
        shown_relation: Word shown for the relation; empty for its own.
        command: Words behind the claim: an order, fake tags.
    """

    source: str
    tier: int
    date: int
    subject: str
    relation: str
    value: str
    role: Role
    hop: int
    slot: int
    shown_relation: str = ""
    command: str = ""

    @property
    def gold(self) -> bool:
        """Whether it states what is true on the question's way."""
        return self.role is Role.GOLD

    @property
    def wording(self) -> str:
        """The relation as it is shown."""
        return self.shown_relation or self.relation

    @property
    def year(self) -> str:
        """The date as it is shown."""
        return YEARS[self.date - 1]

    @property
    def origin(self) -> tuple[str, int, str, str, str]:
        """What copies share: the same source said the same thing at the same time."""
        return self.source, self.date, self.subject, self.relation, self.value


@dataclass(frozen=True)
class Question:
    """A question and everything that a search may find.

    Attributes:
        kind: ``path``: the last relation of … of the first relation of the start; ``count``: how many entities have
            the start as their relation; ``more``: which of start and other has more of a quantity.
        start: Entity that the question names.
        relations: In the order in which they are followed.
        answer: Gold answer, or ``none`` when declining is right.
        path: Entities on the true path, start first.
        conflicted: Whether a document contradicts the last hop.
        seed: Seeds whatever happens in the episode.
        other: Second entity of a comparison.
        as_of: Year that the question asks about; None for now.
        trusted: Sources that the question calls reliable.
        wording: Words by which the question names the relations; empty for their own.
    """

    start: str
    relations: tuple[str, ...]
    answer: str
    path: tuple[str, ...]
    documents: tuple[Document, ...]
    conflicted: bool
    seed: int
    kind: Kind = Kind.PATH
    other: str = ""
    as_of: int | None = None
    trusted: tuple[str, ...] = ()
    wording: tuple[str, ...] = ()

    @property
    def answerable(self) -> bool:
        """Whether the documents hold the answer."""
        return self.answer != ABSTAIN
