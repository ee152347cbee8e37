"""Ranking of passages: BM25, or the cosine of any embedding."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray

__all__ = ["Embedding", "Index", "open_embedding"]

Embedding = Callable[[Sequence[str]], NDArray[np.float64]]
"""n texts → (n, d) vectors."""


def open_embedding(name: str) -> Embedding:
    """The callable at ``module:function``.

    Raises:
        ValueError: There is none.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"embedding {name!r}: {error}; name it module:function") from error
    embedding: Embedding = found
    return embedding


class Index:
    """Texts in a fixed order, ranked for a query.

    Args:
        embedding: Left out, BM25 (Lù 2024, bm25s, arXiv 2407.03618, with its defaults).
    """

    def __init__(self, texts: Sequence[str], embedding: Embedding | None = None) -> None:
        self._size, self._embedding = len(texts), embedding
        if embedding is not None:
            self._vectors = _unit(embedding(texts))
            return
        tokens = [_tokens(text) for text in texts]
        self._known = {token for text in tokens for token in text}
        self._bm25 = bm25s.BM25()
        self._bm25.index(tokens, show_progress=False)

    def rank(self, query: str) -> tuple[int, ...]:
        """Positions of the texts that match at all, best first; ties in the order of the texts."""
        scores = np.round(self._scores(query), 6)
        order = np.argsort(-scores, kind="stable")
        return tuple(int(i) for i in order if scores[i] > 0)

    def _scores(self, query: str) -> NDArray[np.float64]:
        if self._embedding is not None:
            return np.asarray(self._vectors @ _unit(self._embedding([query]))[0], dtype=np.float64)
        tokens = [token for token in _tokens(query) if token in self._known]
        if not tokens:
            return np.zeros(self._size)
        return np.asarray(self._bm25.get_scores(tokens), dtype=np.float64)


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return unit
