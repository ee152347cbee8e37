"""One question and the documents about it, drawn from a seed. Pure: the same seed and levels give the same world.

Every episode draws its entities, relations and values anew, so that an answer can never live in a policy's weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maineffect.lab.settings import WorldSettings
from maineffect.lab.world.vocabulary import ABSTAIN, ENTITIES, RELATIONS, RELIABLE, UNRELIABLE
from maineffect.seeds import derive_seed

__all__ = ["Document", "Question", "draw_question"]


@dataclass(frozen=True)
class Document:
    """One sentence of one source.

    Attributes:
        gold: Whether it states what is true on the question's path.
        hop: The hop that it speaks about.
    """

    source: str
    subject: str
    relation: str
    value: str
    gold: bool
    hop: int


@dataclass(frozen=True)
class Question:
    """A path question: the last relation of … of the first relation of the start.

    Attributes:
        start: Entity that the question names.
        relations: In the order in which they are followed.
        answer: Gold answer, or ``none`` when the evidence was deleted.
        path: Entities on the true path, start first.
        conflicted: Whether a document contradicts the last hop.
        seed: Seeds whatever happens in the episode.
    """

    start: str
    relations: tuple[str, ...]
    answer: str
    path: tuple[str, ...]
    documents: tuple[Document, ...]
    conflicted: bool
    seed: int

    @property
    def answerable(self) -> bool:
        """Whether the documents hold the answer."""
        return self.answer != ABSTAIN


def draw_question(seed: int, settings: WorldSettings) -> Question:
    """Draw a question and its documents.

    Each factor draws from a stream of its own, so that changing one level changes nothing else: the clean and the
    conflicted version of a seed share path, distractors and order.
    """
    base = np.random.Generator(np.random.PCG64(seed))
    hops = 1 + int(base.random() * settings.hops)
    entities = [ENTITIES[i] for i in base.permutation(len(ENTITIES))]
    relations = tuple(RELATIONS[i] for i in base.permutation(len(RELATIONS))[:hops])
    path, others = tuple(entities[: hops + 1]), entities[hops + 1 :]
    events = base.random(4)
    lost_hop = int(base.random() * hops) if events[0] < settings.unanswerable_share else -1
    conflicted = bool(events[1] < settings.conflict_rate)
    documents: list[Document] = []
    for hop in range(hops):
        tier = RELIABLE if base.random() < 0.5 else UNRELIABLE
        noise = base.random(8)
        rival = others[hop]
        if conflicted and hop == hops - 1:
            # Whether the reliable source is the one that tells the truth here.
            tier = RELIABLE if events[2] < settings.reliability_gap else UNRELIABLE
            other_tier = UNRELIABLE if tier == RELIABLE else RELIABLE
            if hop != lost_hop:
                documents.append(Document(other_tier, path[hop], relations[hop], rival, False, hop))
        if hop != lost_hop:
            documents.append(Document(tier, path[hop], relations[hop], path[hop + 1], True, hop))
        for i in range(settings.distractors):
            source = RELIABLE if noise[i % 8] < 0.5 else UNRELIABLE
            subject, value = others[8 + (hop * 8 + i) % 16], others[24 + (hop * 7 + i) % 16]
            documents.append(Document(source, subject, relations[hop], value, False, hop))
    answer = ABSTAIN if lost_hop >= 0 else path[-1]
    return Question(
        path[0], relations, answer, path, tuple(documents), conflicted and lost_hop < 0, derive_seed(seed, "episode")
    )
