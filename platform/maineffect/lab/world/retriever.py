"""Search over a question's documents: lexical overlap, seeded misses, seeded order of ties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maineffect.lab.settings import RetrieverSettings
from maineffect.lab.world.facts import MOST_SLOTS, Document
from maineffect.lab.world.vocabulary import near_names
from maineffect.seeds import derive_seed

__all__ = ["retrieve"]


def retrieve(
    documents: Sequence[Document],
    query: Sequence[str],
    settings: RetrieverSettings,
    seed: int,
    attempt: int,
    *,
    miss_first: bool = False,
    ranks: int = 0,
) -> list[int]:
    """Indices of the documents shown for a query, in shuffled rank.

    A document scores 2 for its subject in the query, 1 for its relation and 1 more with it for a subject whose name is
    near; 3 when relation and value are in the query (which is how a count is searched). Documents that score by
    subject or value are what recall is about: they are dropped with probability 1 − recall, drawn again for every
    search, so that searching again can find what was missed. A document's draws belong to its slot: another document
    more or less in the world does not change them.

    Args:
        attempt: Number of earlier searches in the episode.
        miss_first: Drop what recall is about on the first search (the retriever-fault probe).
        ranks: Which of many seeded orders the results are shown in (the order probe).
    """
    words = set(query)
    near = {other for word in words for other in near_names(word)}
    rng = np.random.Generator(np.random.PCG64(derive_seed(seed, "search", attempt)))
    draws = rng.random((3, MOST_SLOTS)).tolist()
    scored = []
    for i, document in enumerate(documents):
        asked = document.wording in words
        exact = document.subject in words or (asked and document.value in words)
        if exact and (draws[0][document.slot] >= settings.recall or (miss_first and attempt == 0)):
            continue
        score = 2 * exact + asked + (asked and not exact and document.subject in near)
        if score:
            scored.append((-score, draws[1][document.slot], i))
    hits = [i for _, _, i in sorted(scored)[: settings.top_k]]
    if ranks:
        order = np.random.Generator(np.random.PCG64(derive_seed(seed, "ranks", attempt, ranks))).random(MOST_SLOTS)
        return sorted(hits, key=lambda i: float(order[documents[i].slot]))
    return sorted(hits, key=lambda i: draws[2][documents[i].slot])
