"""Documents cut into passages that overlap."""

from __future__ import annotations

from dataclasses import dataclass

from maineffect.lab.corpus.load import Corpus

__all__ = ["Passage", "split"]


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


def split(corpus: Corpus, words: int = 80, stride: int = 40) -> tuple[Passage, ...]:
    """Windows of ``words`` words, a new one every ``stride`` words, so that every word is in at least one.

    Raises:
        ValueError: The stride is not between 1 and ``words``.
    """
    if not 1 <= stride <= words:
        raise ValueError(f"stride {stride} must be 1 to {words}, the words of a passage: words would be lost")
    passages = []
    for document in corpus.documents:
        text = document.text.split()
        starts = range(0, max(1, len(text) - words + stride), stride)
        for number, start in enumerate(starts):
            window = " ".join(text[start : start + words])
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
