"""A corpus made ready to be searched: its passages, their index, and what each question rests on."""

from __future__ import annotations

from maineffect.lab.corpus.index import Embedding, Index
from maineffect.lab.corpus.load import Corpus, SourceQuestion
from maineffect.lab.corpus.passages import split
from maineffect.lab.grammar.values import normalise

__all__ = ["NEAR", "Library", "holds"]

NEAR = 16
"""Passages most like a question that count as its distractors: as many as ``world.distractors`` can be."""


class Library:
    """Passages of the whole corpus. Made once; episodes of every setting share it.

    Attributes:
        passages: In the order of documents.
        index: Over all of them.
    """

    def __init__(self, corpus: Corpus, embedding: Embedding | None = None) -> None:
        self.passages = split(corpus)
        self.index = Index([passage.text for passage in self.passages], embedding)
        self._plain = [_padded(passage.text) for passage in self.passages]
        self._evidence: dict[str, frozenset[int]] = {}
        self._near: dict[str, tuple[int, ...]] = {}
        self._of: dict[str, list[int]] = {}
        for i, passage in enumerate(self.passages):
            self._of.setdefault(passage.document, []).append(i)

    def evidence(self, source: SourceQuestion) -> frozenset[int]:
        """Passages that the answer rests on, of every gold document some.

        Of a document those that state the answer, in the first of its wordings that the document has; all of them
        where it states none, as a document does that only leads to the answer.
        """
        if source.id not in self._evidence:
            indices = [i for document in source.gold for i in self._stating(document, source)]
            self._evidence[source.id] = frozenset(indices)
        return self._evidence[source.id]

    def _stating(self, document: str, source: SourceQuestion) -> list[int]:
        for answer in source.answers:
            stating = [i for i in self._of[document] if _padded(answer) in self._plain[i]]
            if stating:
                return stating
        return self._of[document]

    def holding(self, source: SourceQuestion) -> frozenset[int]:
        """Passages of any document with any wording of the answer."""
        wordings = [_padded(answer) for answer in source.answers]
        return frozenset(i for i, text in enumerate(self._plain) if any(wording in text for wording in wordings))

    def near(self, source: SourceQuestion) -> tuple[int, ...]:
        """The passages of other documents that are most like the question and do not hold its answer, nearest first."""
        if source.id not in self._near:
            holding, gold = self.holding(source), set(source.gold)
            ranked = self.index.rank(source.question)
            others = [i for i in ranked if self.passages[i].document not in gold and i not in holding]
            self._near[source.id] = tuple(others[:NEAR])
        return self._near[source.id]


def holds(text: str, source: SourceQuestion) -> bool:
    """Whether a text has any wording of the answer."""
    return any(_padded(answer) in _padded(text) for answer in source.answers)


def _padded(text: str) -> str:
    return f" {normalise(text)} "
