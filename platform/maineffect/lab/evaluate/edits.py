"""One change to a world, and what is true afterwards. Truth is recomputed by the solver after every edit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from maineffect.lab.world.facts import Document, Question, Role
from maineffect.lab.world.solver import solve
from maineffect.lab.world.vocabulary import ENTITIES, RELIABLE_SOURCES, SYNONYMS

__all__ = [
    "ablated",
    "aged",
    "edited",
    "flipped",
    "irrelevantly_edited",
    "keeping",
    "led_elsewhere",
    "reasked",
    "redated",
    "settled_by_crowd",
    "with_documents",
]


def with_documents(question: Question, documents: Collection[Document]) -> Question:
    """The question over other documents, with the answer that follows from them."""
    changed = replace(question, documents=tuple(documents))
    return replace(changed, answer=solve(changed))


def _mapped(question: Question, change: Callable[[Document], Document | None]) -> Question:
    return with_documents(question, [new for new in map(change, question.documents) if new is not None])


def _last(question: Question) -> int:
    return len(question.relations) - 1


def _of_answer(question: Question, document: Document) -> bool:
    """Whether a document speaks of the last fact of the path."""
    return document.hop == _last(question) and document.role not in (Role.DISTRACTOR, Role.LINK)


def ablated(question: Question) -> Question:
    """Without any document on the last fact."""
    return _mapped(question, lambda d: None if _of_answer(question, d) else d)


def edited(question: Question) -> Question:
    """With another value in the gold documents of the last fact."""
    used = {word for d in question.documents for word in (d.subject, d.value)} | set(question.path)
    value = next(name for name in ENTITIES[_turn(question) :] + ENTITIES if name not in used)
    changed = _mapped(question, lambda d: replace(d, value=value) if d.gold and _of_answer(question, d) else d)
    return replace(changed, path=(*question.path[:-1], value))


def irrelevantly_edited(question: Question) -> Question:
    """With another value in a document off the path."""
    used = {word for d in question.documents for word in (d.subject, d.value)} | set(question.path)
    value = next(name for name in ENTITIES[_turn(question) :] + ENTITIES if name not in used)
    off = [d for d in question.documents if d.role is Role.DISTRACTOR and d.hop == _last(question)]
    slot = off[_turn(question) % len(off)].slot
    return _mapped(question, lambda d: replace(d, value=value) if d.slot == slot else d)


def flipped(question: Question) -> Question:
    """With the sources of the two contradicting claims exchanged."""
    gold = next(d for d in question.documents if d.gold and _of_answer(question, d))
    rival = next(d for d in question.documents if d.role is Role.RIVAL)

    def change(document: Document) -> Document:
        if document.role is Role.RIVAL:
            return replace(document, source=gold.source, tier=gold.tier)
        if document.gold and _of_answer(question, document):
            return replace(document, source=rival.source, tier=rival.tier)
        return document

    return _follow_answer(_mapped(question, change))


def settled_by_crowd(question: Question) -> Question:
    """The crowd's claim now comes from reliable sources, each its own, and the lone one from an unreliable source."""
    rival = next(d for d in question.documents if d.role is Role.RIVAL)
    gold = next(d for d in question.documents if d.gold and _of_answer(question, d))

    def change(document: Document) -> Document:
        if document.role is Role.RIVAL:
            new_source = RELIABLE_SOURCES[(document.slot + _turn(question)) % len(RELIABLE_SOURCES)]
            return replace(document, source=new_source, tier=gold.tier)
        if document.gold and _of_answer(question, document):
            return replace(document, source=rival.source, tier=rival.tier)
        return document

    return _follow_answer(_mapped(question, change))


def redated(question: Question) -> Question:
    """With the dates of the current and the outdated version exchanged."""
    gold = next(d for d in question.documents if d.gold and _of_answer(question, d))
    stale = next(d for d in question.documents if d.role is Role.STALE)

    def change(document: Document) -> Document:
        if document.role is Role.STALE:
            return replace(document, date=gold.date)
        if document.gold and _of_answer(question, document):
            return replace(document, date=stale.date)
        return document

    return _follow_answer(_mapped(question, change))


def aged(question: Question, *, rumour_newer: bool) -> Question:
    """With the contradicting claims all newer than the true one, or all older."""
    date = 7 if rumour_newer else 3

    def change(document: Document) -> Document:
        if document.role is Role.RIVAL:
            return replace(document, date=date)
        return replace(document, date=5) if document.gold and _of_answer(question, document) else document

    return _mapped(question, change)


def reasked(question: Question, *, as_of: int | None = None, wording: bool = False) -> Question:
    """The question put in other words, or about another year."""
    words = tuple(SYNONYMS[relation] for relation in question.relations) if wording else question.wording
    changed = replace(question, as_of=as_of, wording=words)
    return replace(changed, answer=solve(changed))


def led_elsewhere(question: Question) -> Question:
    """With another bridge: the first hop now leads to an entity that was a distractor of the second."""
    off = [d for d in question.documents if d.role is Role.DISTRACTOR and d.hop == 1]
    other = off[_turn(question) % len(off)]
    changed = _mapped(question, lambda d: replace(d, value=other.subject) if d.gold and d.hop == 0 else d)
    return replace(changed, path=(question.path[0], other.subject, other.value))


def keeping(question: Question, kept: Collection[int]) -> Question:
    """With these documents only (by index)."""
    return with_documents(question, [d for i, d in enumerate(question.documents) if i in set(kept)])


def _follow_answer(question: Question) -> Question:
    return replace(question, path=(*question.path[:-1], question.answer))


def _turn(question: Question) -> int:
    return question.seed % len(ENTITIES)
