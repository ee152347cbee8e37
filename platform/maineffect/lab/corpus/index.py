"""Ranking of passages: BM25, or the cosine of any embedding."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import bm25s
import numpy as np
import regex
from numpy.typing import ArrayLike, NDArray

from maineffect.errors import PluginError
from maineffect.lab.grammar.tokens import UNSPACED, tokens

__all__ = ["BM25", "Embedding", "Index", "leading", "open_embedding"]

BM25 = "bm25"
_UNSPACED = regex.compile(rf"[{UNSPACED}]")
_K1, _B = 1.5, 0.75
Floats = NDArray[np.float64]
Embedding = Callable[[Sequence[str]], Floats]
"""n texts → (n, d) vectors, each a function of its own text alone."""


def open_embedding(name: str, folder: Path | None = None) -> Embedding | None:
    """The callable at ``module:function``, or the encoder at ``hf:name``; none for :data:`BM25`.

    Args:
        name: As settings name it.
        folder: The study's, where an encoder may lie; left out, the current one.

    Raises:
        PluginError: There is no such function or encoder, or it does not map n texts to n vectors.
    """
    if name == BM25:
        return None
    module, _, function = name.partition(":")
    if module == "hf":
        from maineffect.lab.corpus.encoder import open_encoder

        return open_encoder(function, folder or Path.cwd())
    try:
        embedding: Embedding = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise PluginError(
            f"embedding {name!r}: {type(error).__name__}: {error}",
            "name module:function, of an installed module or of a file beside the study",
        ) from error
    try:
        vectors = _unit(embedding(["one text", "another"]))
    except Exception as error:
        raise PluginError(f"embedding {name!r} raised {type(error).__name__}: {error}") from error
    if vectors.ndim != 2 or len(vectors) != 2:
        raise PluginError(
            f"embedding {name!r} made an array of shape {vectors.shape} of two texts", "return an array (texts, width)"
        )
    return embedding


class Index:
    """Texts in a fixed order, scored for a query.

    Args:
        embedding: Left out, BM25 (Lù 2024, bm25s, arXiv 2407.03618, with its defaults: Lucene's variant, k1 1.5,
            b 0.75).
        read: The texts' tokens (:func:`maineffect.lab.grammar.tokens.tokens`), where they are known.
    """

    def __init__(
        self,
        texts: Sequence[str],
        embedding: Embedding | None = None,
        read: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self._size, self._embedding = len(texts), embedding
        if embedding is not None:
            self._vectors = _unit(embedding(texts))
            return
        words = [list(_tokens(text)) for text in texts] if read is None else [_terms(said) for said in read]
        self._holding = Counter(token for text in words for token in set(text))
        self._length = float(np.mean([len(text) for text in words]))
        self._bm25 = bm25s.BM25(k1=_K1, b=_B, method="lucene")
        self._bm25.index(words, show_progress=False)

    def scores(self, query: str) -> Floats:
        """(N,) score of every text; 0 where nothing matches."""
        if self._embedding is not None:
            return _rounded(self._vectors @ _unit(self._embedding([query]))[0])
        asked = [token for token in _tokens(query) if token in self._holding]
        if not asked:
            return np.zeros(self._size)
        return _rounded(self._bm25.get_scores(asked))

    def scores_of(self, texts: Sequence[str], query: str) -> Floats:
        """(n,) scores that other texts get by the statistics of the indexed ones, as if they were among them."""
        if not texts:
            return np.zeros(0)
        if self._embedding is not None:
            vectors = _unit(self._embedding([query, *texts]))
            return _rounded(vectors[1:] @ vectors[0])
        asked = [token for token in _tokens(query) if token in self._holding]
        return _rounded([self._bm25_of(_tokens(text), asked) for text in texts])

    def _bm25_of(self, text: Sequence[str], asked: Sequence[str]) -> float:
        """BM25 in Lucene's variant (Kamphuis et al. 2020, ECIR, table 1)."""
        counts, norm = Counter(text), _K1 * (1 - _B + _B * len(text) / self._length)
        total = 0.0
        for token in asked:
            holding = self._holding[token]
            rarity = np.log(1 + (self._size - holding + 0.5) / (holding + 0.5))
            total += float(rarity) * counts[token] / (counts[token] + norm)
        return total

    def rank(self, query: str) -> tuple[int, ...]:
        """Positions of the texts that match at all, best first; ties in the order of the texts."""
        return self.best(query, self._size)

    def best(self, query: str, count: int) -> tuple[int, ...]:
        """The first ``count`` of :meth:`rank`."""
        scores = self.scores(query)
        at = leading(scores, count)
        return tuple(int(i) for i in at[np.argsort(-scores[at], kind="stable")][:count])


def leading(scores: Floats, count: int) -> NDArray[np.intp]:
    """Positions of the ``count`` largest scores above 0, with all that tie with the last of them, in their order."""
    at = np.flatnonzero(scores > 0)
    if 0 < count < len(at):
        least = np.partition(scores[at], len(at) - count)[len(at) - count]
        at = at[scores[at] >= least]
    return at


def _rounded(scores: ArrayLike) -> Floats:
    """To five digits: what is in the index has single precision."""
    return np.asarray(np.round(np.asarray(scores, dtype=np.float64), 5), dtype=np.float64)


# What is put into a world beside the corpus is scored at every search.
@lru_cache(maxsize=1024)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(_terms(tokens(text)))


def _terms(said: Sequence[str]) -> list[str]:
    """What is indexed of a text's tokens: words and numbers; of scripts without blanks characters, and their pairs.

    Pairs of characters find Chinese, Japanese and Thai about as well as words do (Nie, Gao, Zhang and Zhou 2000, On the
    use of words and n-grams for Chinese information retrieval, table 3).
    """
    words = [word for word in said if word[0].isalnum() or word[0] == "-"]
    if all(word.isascii() for word in words):
        return words
    single = [_UNSPACED.match(word) is not None for word in words]
    pairs = [words[i] + words[i + 1] for i in range(len(words) - 1) if single[i] and single[i + 1]]
    return words + pairs


def _unit(vectors: Floats) -> Floats:
    values = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    unit: Floats = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return unit
