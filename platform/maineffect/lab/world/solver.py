"""What a reader without flaw concludes from documents. Truth after every edit is recomputed here, never assumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maineffect.lab.world.facts import Document, Kind, Question
from maineffect.lab.world.vocabulary import ABSTAIN, ALIAS, NUMBERS

__all__ = ["about", "as_of_hop", "believed", "evidence", "names_of", "solve", "steps"]


def names_of(subject: str, documents: Iterable[Document]) -> tuple[str, ...]:
    """The subject and every alias that a document gives it."""
    return (subject, *(d.value for d in documents if d.relation == ALIAS and d.subject == subject))


def about(documents: Sequence[Document], subject: str, relation: str) -> list[Document]:
    """Documents about a subject's relation, aliases included."""
    names = names_of(subject, documents)
    return [d for d in documents if d.relation == relation and d.subject in names]


def believed(documents: Sequence[Document], as_of: int | None = None) -> list[Document]:
    """The documents to believe among those about one fact: the best tier first, then the newest that held by then.

    Args:
        as_of: Year that is asked about; None for now.

    Returns:
        Documents of the best tier and the newest date within it; empty if none held by then. If they state different
        values, nothing decides between them.
    """
    held = [d for d in documents if as_of is None or d.date <= as_of]
    if not held:
        return []
    best = max((d.tier, d.date) for d in held)
    return [d for d in held if (d.tier, d.date) == best]


def solve(question: Question, documents: Sequence[Document] | None = None) -> str:
    """The right answer from the documents at hand; ``none`` where they hold none or nothing decides.

    Args:
        documents: Default: everything that there is.
    """
    at_hand = question.documents if documents is None else documents
    if question.kind is Kind.COUNT:
        relation = question.relations[0]
        subjects = {d.subject for d in at_hand if d.relation == relation and d.value == question.start}
        return NUMBERS[len(subjects)] if subjects else ABSTAIN
    if question.kind is Kind.MORE:
        amounts = [
            _value(believed(about(at_hand, name, question.relations[0]))) for name in (question.start, question.other)
        ]
        if None in amounts or amounts[0] == amounts[1]:
            return ABSTAIN
        return question.start if NUMBERS.index(str(amounts[0])) > NUMBERS.index(str(amounts[1])) else question.other
    subject = question.start
    for hop, relation in enumerate(question.relations):
        value = _value(believed(about(at_hand, subject, relation), as_of_hop(question, hop)))
        if value is None:
            return ABSTAIN
        subject = value
    return subject


def as_of_hop(question: Question, hop: int) -> int | None:
    """The year that counts at a hop: only the last fact of a path has versions."""
    return question.as_of if hop == len(question.relations) - 1 else None


def steps(question: Question) -> int:
    """Searches that the question needs when every one of them finds what there is, without aliases."""
    return {Kind.PATH: len(question.relations), Kind.COUNT: 1, Kind.MORE: 2}[question.kind]


def evidence(question: Question) -> frozenset[int]:
    """Indices of the documents that the answer rests on: those that state what is true, hop by hop.

    Of a question that has no answer nothing is evidence.
    """
    if not question.answerable:
        return frozenset()
    if question.kind is not Kind.PATH:
        return frozenset(i for i, d in enumerate(question.documents) if d.gold)
    last = len(question.relations) - 1
    names, relation = names_of(question.path[last], question.documents), question.relations[last]
    return frozenset(
        i
        for i, d in enumerate(question.documents)
        if (d.gold and d.hop < last) or (d.value == question.answer and d.subject in names and d.relation == relation)
    )


def _value(documents: Sequence[Document]) -> str | None:
    values = {d.value for d in documents}
    return values.pop() if len(values) == 1 else None
