"""Search over a question's documents: lexical overlap, seeded misses, seeded order of ties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maineffect.lab.settings import RetrieverSettings
from maineffect.lab.world.graph import Document
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
) -> list[int]:
    """Indices of the documents shown for a query, in shuffled rank.

    A document matches when its subject or relation is in the query. Documents about the asked subject are dropped
    with probability 1 − recall, drawn anew for every search, so that searching again can find what was missed.

    Args:
        attempt: Number of earlier searches in the episode.
        miss_first: Drop what matches subject and relation on the first search (the retriever-fault probe).
    """
    words = set(query)
    rng = np.random.Generator(np.random.PCG64(derive_seed(seed, "search", attempt)))
    draws = rng.random((len(documents), 2))
    scored = []
    for i, document in enumerate(documents):
        overlap = (document.subject in words) + (document.relation in words)
        if overlap == 2 and (draws[i, 0] >= settings.recall or (miss_first and attempt == 0)):
            continue
        if overlap:
            scored.append((-overlap, draws[i, 1], i))
    found = [i for _, _, i in sorted(scored)[: settings.top_k]]
    return [found[j] for j in rng.permutation(len(found))]
