"""A corpus made ready to be searched: its passages, their index, and what each question rests on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from maineffect.lab.corpus.index import Embedding, Index
from maineffect.lab.corpus.load import Corpus, SourceQuestion
from maineffect.lab.corpus.passages import split
from maineffect.lab.grammar.dates import Date, dates_in, whole_date
from maineffect.lab.grammar.tokens import spellings, tokens
from maineffect.lab.grammar.values import yes_or_no

__all__ = ["NEAR", "TOO_COMMON", "Library", "holds"]

NEAR = 16
"""Passages most like a question that count as its distractors: as many as ``world.distractors`` can be."""
TOO_COMMON = "its answer is in too many other passages to be removed"
_FEW, _SHARE = 8, 0.1


class Library:
    """Passages of the whole corpus. Made once; episodes of every setting share it.

    Attributes:
        passages: In the order of documents.
        index: Over all of them, titles included.
    """

    def __init__(self, corpus: Corpus, embedding: Embedding | None = None) -> None:
        self.passages = split(corpus)
        bodies = [_interned(tokens(passage.text)) for passage in self.passages]
        titles = [_interned(tokens(passage.title)) if passage.title else [] for passage in self.passages]
        read = [title + body for title, body in zip(titles, bodies, strict=True)]
        self.index = Index([passage.indexed for passage in self.passages], embedding, read)
        said = {
            part: tokens(part)
            for part in {part for passage in self.passages for part in (passage.source, passage.date)}
        }
        self._tokens = [
            said[passage.source] + said[passage.date] + words
            for passage, words in zip(self.passages, read, strict=True)
        ]
        self._with: dict[str, list[int]] = {}
        self._of: dict[str, list[int]] = {}
        self._same: dict[int, list[int]] = {}
        for i, (passage, words) in enumerate(zip(self.passages, self._tokens, strict=True)):
            self._of.setdefault(passage.document, []).append(i)
            self._same.setdefault(hash(tuple(bodies[i])), []).append(i)
            for word in set(words):
                self._with.setdefault(word, []).append(i)
        self._evidence: dict[str, frozenset[int]] = {}
        self._removed: dict[str, frozenset[int]] = {}
        self._near: dict[str, tuple[int, ...]] = {}
        self._frequency: dict[str, int] = {}

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
        own = self._of[document]
        for answer in source.wordings:
            stating = [i for i in own if _states(self.passages[i].text, answer)]
            if stating:
                return stating
        return own

    def holding(self, source: SourceQuestion) -> frozenset[int]:
        """Passages of any document that show any wording of the answer: in text, title, source or date.

        By the grammar, as whole tokens; a date in any form, a number in digits or words. Where a window ends inside the
        answer, the piece at its edge counts as well.
        """
        found: set[int] = set()
        for wording in source.wordings:
            if not yes_or_no(wording):
                found |= self._showing(wording)
        return frozenset(found)

    def _showing(self, wording: str) -> set[int]:
        found: set[int] = set()
        for sought in spellings(wording):
            rarest = min((self._with.get(word, []) for word in sought), key=len, default=[])
            whole = {i for i in rarest if _contains(self._tokens[i], sought)}
            found |= whole | self._pieces(whole, sought)
        dates = whole_date(wording)
        return found | {i for i, said in self._dates.items() if dates & said} if dates else found

    def _pieces(self, whole: Iterable[int], sought: tuple[str, ...]) -> set[int]:
        """Windows beside those that hold a value, cut so that they begin or end inside it."""
        beside = {j for i in whole for j in self._of[self.passages[i].document] if 0 < abs(i - j) <= 2}
        heads = [tuple(sought[:n]) for n in range(1, len(sought))]
        tails = [tuple(sought[n:]) for n in range(1, len(sought))]
        cut = set()
        for j in beside if heads else ():
            said = _said(self.passages[j].text)
            if any(said[-len(head) :] == head for head in heads) or any(said[: len(tail)] == tail for tail in tails):
                cut.add(j)
        return cut

    @cached_property
    def _dates(self) -> dict[int, frozenset[Date]]:
        read = ((i, dates_in(passage.shown)) for i, passage in enumerate(self.passages))
        return {i: said for i, said in read if said}

    def removed(self, source: SourceQuestion) -> frozenset[int]:
        """What a question loses with its evidence: that, its verbatim copies, and whatever shows the answer."""
        if source.id not in self._removed:
            evidence = self.evidence(source)
            copies = {j for i in evidence for j in self._same[hash(_said(self.passages[i].text))]}
            self._removed[source.id] = evidence | copies | self.holding(source)
        return self._removed[source.id]

    def unclean(self, source: SourceQuestion) -> str:
        """Why the evidence of a question cannot be removed without removing much else; empty if it can.

        A wording that is an everyday word stands all over the corpus: without all these passages it would be another
        corpus, and with them the answer would not be gone.
        """
        gold = set(source.gold)
        others = sum(self.passages[i].document not in gold for i in self.removed(source))
        most = max(_FEW, _SHARE * (len(self.passages) - sum(len(self._of[name]) for name in gold)))
        return TOO_COMMON if others > most else ""

    def near(self, source: SourceQuestion) -> tuple[int, ...]:
        """The passages of other documents that are most like the question and do not show its answer, nearest first."""
        if source.id not in self._near:
            kept_out = self.removed(source) | {i for name in source.gold for i in self._of[name]}
            ranked = self.index.best(source.question, NEAR + len(kept_out))
            self._near[source.id] = tuple([i for i in ranked if i not in kept_out][:NEAR])
        return self._near[source.id]

    def frequency(self, value: str) -> int:
        """Passages that show a value."""
        if value not in self._frequency:
            self._frequency[value] = len(self._showing(value))
        return self._frequency[value]


def holds(text: str, wordings: Sequence[str]) -> bool:
    """Whether a text shows any of the wordings."""
    said = _said(text)
    return any(_contains(said, sought) for wording in wordings for sought in spellings(wording)) or any(
        dates & _dates_said(text) for wording in wordings if (dates := whole_date(wording))
    )


# The same passage is asked for one value after the other.
@lru_cache(maxsize=1024)
def _said(text: str) -> tuple[str, ...]:
    return tuple(tokens(text))


@lru_cache(maxsize=1024)
def _dates_said(text: str) -> frozenset[Date]:
    return dates_in(text)


def _states(text: str, answer: str) -> bool:
    return not yes_or_no(answer) and holds(text, (answer,))


def _contains(said: Sequence[str], sought: Sequence[str]) -> bool:
    if not sought:
        return False
    first, length, wanted = sought[0], len(sought), list(sought)
    start = 0
    while True:
        try:
            start = said.index(first, start)
        except ValueError:
            return False
        if list(said[start : start + length]) == wanted:
            return True
        start += 1


def _interned(words: list[str]) -> list[str]:
    return [sys.intern(word) for word in words]
