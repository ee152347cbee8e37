"""Documents cut into passages that overlap."""

from __future__ import annotations

from dataclasses import dataclass

import regex

from maineffect.lab.corpus.load import Corpus
from maineffect.lab.grammar.tokens import UNSPACED

__all__ = ["Passage", "split"]

_UNIT = regex.compile(rf"[{UNSPACED}]\p{{M}}*|(?:(?![{UNSPACED}])\S)+", regex.V1)
# A thin or fixed blank stays: it may join the groups of a number.
_SPACED_OUT = regex.compile(r"[ \t\n\r\f\v\u2028\u2029]+")


@dataclass(frozen=True)
class Passage:
    """A window of a document's words; its id is the document's and the window's number.

    Attributes:
        claim: What an injected passage says the answer is; never shown.
        copied: Number of the passage that an injected one was copied from.
    """

    id: str
    document: str
    text: str
    title: str = ""
    source: str = ""
    date: str = ""
    reliable: bool = True
    claim: str = ""
    copied: int | None = None

    @property
    def indexed(self) -> str:
        """What a search matches: the title and the text."""
        return f"{self.title}\n{self.text}" if self.title else self.text

    @property
    def shown(self) -> str:
        """Everything of it that a page can show."""
        return "\n".join(part for part in (self.title, self.source, self.date, self.text) if part)


def split(corpus: Corpus, words: int = 80, stride: int = 40) -> tuple[Passage, ...]:
    """Windows of ``words`` words, a new one every ``stride`` words, so that every word is in at least one.

    Of scripts without blanks every character is a word.

    Raises:
        ValueError: The stride is not between 1 and ``words``.
    """
    if not 1 <= stride <= words:
        raise ValueError(f"stride {stride} must be 1 to {words}, the words of a passage: words would be lost")
    passages = []
    for document in corpus.documents:
        for number, window in enumerate(_windows(document.text, words, stride)):
            passages.append(
                Passage(
                    id=f"{document.id}#{number}",
                    document=document.id,
                    text=window,
                    title=document.title,
                    source=document.source or "corpus",
                    date=document.date,
                    reliable=document.reliable,
                )
            )
    return tuple(passages)


def _windows(text: str, words: int, stride: int) -> list[str]:
    spans = [unit.span() for unit in _UNIT.finditer(text)]
    starts = range(0, max(1, len(spans) - words + stride), stride)
    cut = [(spans[start][0], spans[min(start + words, len(spans)) - 1][1]) for start in starts if start < len(spans)]
    return [_SPACED_OUT.sub(" ", text[begin:end]) for begin, end in cut] or [""]
