"""What scripted policies have in common: which document to search next, and what was read so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.facts import Document, Kind
from maineffect.lab.world.solver import as_of_hop, names_of
from maineffect.lab.world.vocabulary import ABSTAIN, ANSWER, END_ANSWER, END_SEARCH, NUMBERS, SEARCH

__all__ = ["GIVE_UP", "Choice", "Found", "Pick", "abstain", "answer", "follow", "search", "shown", "spent"]

Found = tuple[str, Document]
GIVE_UP = "give up"
Choice = Found | str | None
Pick = Callable[[Sequence[Found], int | None], Choice]
"""Chooses among the documents about a fact, given the year asked about: one of them; None to search again; or
:data:`GIVE_UP` to decline."""

_TRIES = 2


def search(*words: str) -> str:
    """A search action."""
    return " ".join([SEARCH, *words, END_SEARCH])


def answer(value: str, confidence: str, *cited: str) -> str:
    """An answer action."""
    return " ".join([ANSWER, value, confidence, *cited, END_ANSWER])


def abstain() -> str:
    """Declining."""
    return answer(ABSTAIN, "unsure")


def shown(episode: SearchEpisode) -> list[Found]:
    """Documents seen so far with their ids."""
    return [(name, episode.question.documents[i]) for name, i in episode.shown.items()]


def spent(episode: SearchEpisode) -> bool:
    """Whether no further search is allowed."""
    return len(episode.record.searches) >= episode.settings.episode.budget or episode.record.invalid > 0


def follow(episode: SearchEpisode, pick: Pick) -> str:
    """The next action of a policy that goes by the question's form and reads by a rule of its own."""
    kind = episode.question.kind
    if kind is Kind.COUNT:
        return _count(episode)
    return _compare(episode, pick) if kind is Kind.MORE else _path(episode, pick)


def _path(episode: SearchEpisode, pick: Pick) -> str:
    asked, cited = episode.question, ""
    subject = asked.start
    for hop, relation in enumerate(asked.relations):
        lookup = _look(episode, subject, relation, pick, as_of_hop(asked, hop))
        if isinstance(lookup, str):
            return lookup
        cited, subject = lookup[0], lookup[1].value
    return answer(subject, "sure", cited)


def _compare(episode: SearchEpisode, pick: Pick) -> str:
    asked, chosen = episode.question, []
    for name in (asked.start, asked.other):
        lookup = _look(episode, name, asked.relations[0], pick, None)
        if isinstance(lookup, str):
            return lookup
        chosen.append(lookup)
    # A value that is no number (an odd rule picked an odd document) counts as none.
    amounts = [NUMBERS.index(d.value) if d.value in NUMBERS else 0 for _, d in chosen]
    return answer(asked.start if amounts[0] >= amounts[1] else asked.other, "sure", chosen[0][0], chosen[1][0])


def _count(episode: SearchEpisode) -> str:
    asked = episode.question
    relation = asked.relations[0]
    about = [(n, d) for n, d in shown(episode) if d.relation == relation and d.value == asked.start]
    if not about and not spent(episode) and len(episode.record.searches) < _TRIES:
        return search(asked.start, relation)
    subjects = {d.subject for _, d in about}
    if not subjects:
        return abstain()
    return answer(NUMBERS[len(subjects)], "sure", *(name for name, _ in about))


def _look(episode: SearchEpisode, subject: str, relation: str, pick: Pick, as_of: int | None) -> Found | str:
    """The chosen document about a fact, or the action that is due before one can be chosen."""
    seen = shown(episode)
    names = names_of(subject, [d for _, d in seen])
    about = [(n, d) for n, d in seen if d.subject in names and d.relation == relation]
    chosen = pick(about, as_of) if about else None
    if isinstance(chosen, tuple):
        return chosen
    tries = [episode.record.searches.count((name, relation)) for name in names]
    # The newest name first: a link was found because the plain name led nowhere.
    name = next((n for n, tried in zip(reversed(names), reversed(tries), strict=True) if tried < _TRIES), None)
    if chosen is not None or name is None or spent(episode):
        return abstain()
    return search(name, relation)
