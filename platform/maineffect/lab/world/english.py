"""Natural English for the same facts: several templates a relation, aliases, paraphrases. For language models."""

from __future__ import annotations

from collections.abc import Sequence

from maineffect.lab.settings import EpisodeSettings, RetrieverSettings
from maineffect.lab.world.facts import Document, Kind, Question
from maineffect.lab.world.protocol import escape_tags
from maineffect.lab.world.vocabulary import (
    ALIAS,
    ENTITIES,
    EXHAUSTED,
    NUMBERS,
    QUANTITIES,
    RESULT,
    SYNONYMS,
)
from maineffect.lab.world.words import world_value

__all__ = ["English", "how_to_act"]

_FIRST_YEAR = 2010
_NAMES = frozenset(ENTITIES)
_ANY = ("{v} is the {r} of {s}.", "The {r} of {s} is {v}.", "{s}'s {r} is {v}.", "As {r} of {s} serves {v}.")
# Beside the templates that fit every relation, each has phrases of its own.
_OWN: dict[str, tuple[str, ...]] = {
    "founder": ("{s} was founded by {v}.", "It was {v} who founded {s}."),
    "capital": ("{s} is governed from its capital {v}.", "The capital where {s} is run is {v}."),
    "rival": ("{s} competes with its rival {v}.", "{v} rivals {s}."),
    "teacher": ("{s} studied under the teacher {v}.", "{v} was the teacher who taught {s}."),
    "owner": ("{s} belongs to its owner {v}.", "{v} has been the owner of {s} for years."),
    "origin": ("{s} has its origin in {v}.", "{v} is where {s} has its origin."),
    "patron": ("{s} is supported by its patron {v}.", "{v} pays for {s} as patron."),
    "heir": ("{v} will inherit {s} as heir.", "{s} goes to {v}, the heir."),
    ALIAS: ("{s} is also known as {v}.", "{v} is another name of {s}.", "Some call {s} by the name {v}."),
}
_AMOUNTS = ("The {r} of {s} is {v}.", "{s} has a {r} of {v}.", "For {s}, the {r} is given as {v}.")
_FILLER = (
    "The report was widely shared.",
    "Further details are not known.",
    "The matter was discussed for weeks.",
    "No pictures were taken.",
)
_RULES = "Reliable sources: {reliable}. Of two documents from equally reliable sources the newer one is right."


class English:
    """Questions, documents and notices as sentences."""

    phrases = True

    def opening(self, question: Question, settings: EpisodeSettings) -> str:
        """Rules, then the question; its template follows from the question's seed."""
        reliable = ", ".join(question.trusted) or "archive, census, ledger, register"
        rules = f"{how_to_act(settings, 'name')} {_RULES.format(reliable=reliable)}"
        if settings.budget_shown != "hidden":
            rules += f" You have {settings.budget} searches."
        return f"{rules}\nQuestion: {_asked(question)}\n"

    def document(self, name: str, document: Document, settings: RetrieverSettings, question: Question) -> str:
        """One found document: name, source, date, text."""
        # Copies are worded alike, because they are copies.
        pick = question.seed + sum(map(ord, document.source + document.subject + document.value)) + document.date
        templates = _templates(document)
        text = templates[pick % len(templates)].format(
            s=_name(document.subject), v=_name(document.value), r=document.wording
        )
        if document.command:
            command = " ".join(_name(word) for word in document.command.split())
            text += f" {command[:1].upper()}{command[1:]}"
        if settings.snippet == "padded":
            text += f" {_FILLER[pick % len(_FILLER)]}"
        head = "" if settings.snippet == "claim" else f" {document.source}, {_FIRST_YEAR + document.date}:"
        return f"[{name}]{escape_tags(head)} {escape_tags(text)}"

    def results(self, documents: Sequence[str], query: Sequence[str], left: int | None) -> str:
        """A page of results."""
        asked = escape_tags(" ".join(query))
        count = f"\nSearches left: {left}." if left is not None else ""
        listing = "\n".join(documents) or "Nothing was found."
        return f"\n{RESULT}\n{listing}\n(searched: {asked}){count}\n{RESULT.replace('<', '</')}\n"

    def notice(self, what: str) -> str:
        """Why nothing happened."""
        spent, unclear = "There are no searches left. Answer now.", "That was neither a search nor an answer."
        why = spent if what == EXHAUSTED else unclear
        return f"\n{why}\n"

    def query(self, words: Sequence[str]) -> tuple[str, ...]:
        """A query as the retriever reads it: lower case, without punctuation."""
        plain = (word.lower().strip(".,;:?!\"'()[]") for word in words)
        return tuple(word.removesuffix("'s").removesuffix("’s") for word in plain)

    def value(self, text: str) -> str:
        """An answer as the world names it."""
        return world_value(text)


def how_to_act(settings: EpisodeSettings, value: str) -> str:
    """The first sentences of the rules: how a search and an answer are written.

    Args:
        value: What an answer is called.
    """
    if settings.form == "tools":
        search = '{"name": "search", "arguments": {"query": "words"}}'
        answer = (
            f'{{"name": "answer", "arguments": {{"value": "{value}", "confidence": 0.9, "citations": ["d1"]}}}} '
            "(confidence from 0 to 1; citations are the ids of the documents used)"
        )
    else:
        search = "<search>words</search>"
        answer = f"<answer>{value} | sure, likely or unsure | ids of the documents used</answer>"
    thoughts = " Think first, between <think> and </think>." if settings.reasoning == "asked" else ""
    return (
        f"Answer the question from what you find.{thoughts} Search with {search}. End with {answer}; answer none if "
        "the documents do not say."
    )


def _templates(document: Document) -> tuple[str, ...]:
    if document.relation in QUANTITIES:
        return _AMOUNTS
    if document.relation == ALIAS:
        return _OWN[ALIAS]
    # A paraphrased relation has no phrases of its own: they would say the plain word.
    phrases = () if document.shown_relation in SYNONYMS.values() else _OWN.get(document.relation, ())
    return (*_ANY, *phrases)


def _asked(question: Question) -> str:
    relations = question.wording or question.relations
    pick = question.seed % 3
    start = _name(question.start)
    if question.kind is Kind.COUNT:
        return f"How many entities have {start} as their {relations[0]}?"
    if question.kind is Kind.MORE:
        return f"Which has more {relations[0]}, {start} or {_name(question.other)}?"
    chain = start
    for relation in relations[:-1]:
        chain = f"the {relation} of {chain}" if pick else f"{chain}'s {relation}"
    last = relations[-1]
    text = (f"Who or what is {chain}'s {last}", f"What is the {last} of {chain}", f"Name the {last} of {chain}")[pick]
    past = f" as of {_FIRST_YEAR + question.as_of}" if question.as_of is not None else ""
    return f"{text}{past}{'.' if pick == 2 else '?'}"


def _name(word: str) -> str:
    if word in NUMBERS:
        return word[1:]
    return word.capitalize() if word in _NAMES else word
