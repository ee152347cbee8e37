"""Scripted policies: the naive demonstrator that is cloned, the oracle, and the shortcuts that must not pay.

None sees what the protocol does not show, but for the oracle,
which knows which source is of which tier (as a trained policy can) and what the words of a question mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

import numpy as np

from maineffect.lab.grammar.actions import in_form
from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.facts import Kind
from maineffect.lab.world.reading import (
    GIVE_UP,
    Choice,
    Found,
    abstain,
    answer,
    follow,
    search,
    shown,
    spent,
)
from maineffect.lab.world.solver import believed, names_of
from maineffect.lab.world.vocabulary import ABSTAIN, ANSWER, ENTITIES

__all__ = ["FIXED_RULES", "SCRIPTED", "SHORTCUTS", "Naive", "Policy", "oracle", "play"]

Policy = Callable[[SearchEpisode], str]


def oracle(episode: SearchEpisode) -> str:
    """Follows the path by the best source and the right date, searches once more after a miss, declines ties."""

    def best(about: Sequence[Found], as_of: int | None) -> Choice:
        kept = believed([d for _, d in about], as_of)
        if not kept:
            return None
        if len({d.value for d in kept}) > 1:
            return GIVE_UP
        return next((n, d) for n, d in about if d in kept)

    return follow(episode, best)


class Naive:
    """The demonstrator: follows the path, ignores sources and dates, is sloppy, rarely retries and rarely abstains."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._known: list[str] = []
        self._alias: dict[str, str] = {}

    def __call__(self, episode: SearchEpisode) -> str:
        """Take the next action."""
        asked, record, rng = episode.question, episode.record, self._rng
        if asked.kind is not Kind.PATH:
            return follow(episode, lambda about, _: about[int(rng.integers(len(about)))])
        self._known = self._known or [asked.start]
        extra = len(self._alias)
        if len(record.searches) < len(self._known) + extra and not record.invalid:
            return self._search(asked.relations)
        name = self._new_name(episode)
        if name and not spent(episode):
            return self._search(asked.relations)
        chosen = self._choose(episode)
        done = bool(record.invalid)
        if chosen is None:
            retry = not done and rng.random() < 0.6
            return search(*record.searches[-1][:2]) if retry else abstain()
        cited, value = chosen
        self._known.append(value)
        if len(self._known) > len(asked.relations) or done:
            return answer(value, _confidence(rng), cited)
        return self._search(asked.relations)

    def _search(self, relations: Sequence[str]) -> str:
        subject = self._known[-1]
        return search(self._alias.get(subject, subject), relations[len(self._known) - 1])

    def _new_name(self, episode: SearchEpisode) -> str | None:
        """An alias of the asked subject that the latest search brought to light."""
        subject = self._known[-1]
        if subject in self._alias:
            return None
        other = names_of(subject, [d for _, d in shown(episode)])[1:]
        if other:
            self._alias[subject] = other[0]
        return other[0] if other else None

    def _choose(self, episode: SearchEpisode) -> tuple[str, str] | None:
        """A document of the latest search, or a guess; None to try again or give up."""
        asked, rng = episode.question, self._rng
        hop = min(len(self._known), len(asked.relations)) - 1
        latest = episode.record.results[-1] if episode.record.results else ()
        last = [(name, asked.documents[episode.shown[name]]) for name in latest]
        names = (self._known[-1], self._alias.get(self._known[-1]))
        about = [(n, d) for n, d in last if d.subject in names and d.relation == asked.relations[hop]]
        draw = rng.random()
        if about and draw > 0.12:
            name, document = about[int(rng.integers(len(about)))]
        elif draw < 0.02 or (not about and draw < 0.3) or not last:
            return None
        else:
            name, document = last[int(rng.integers(len(last)))]
        return name, document.value


def _confidence(rng: np.random.Generator) -> str:
    return ("unsure", "likely", "sure")[int(rng.integers(3))]


def majority(episode: SearchEpisode) -> str:
    """Takes the value that most documents about the subject state; ties go to the first."""

    def most(about: Sequence[Found], _: int | None) -> Found:
        votes = Counter(document.value for _, document in about)
        return max(about, key=lambda item: votes[item[1].value])

    return follow(episode, most)


def newest(episode: SearchEpisode) -> str:
    """Takes the newest document about the subject, whoever wrote it and whatever year is asked about."""
    return follow(episode, lambda about, _: max(about, key=lambda item: item[1].date))


def first_seen(episode: SearchEpisode) -> str:
    """Follows the path and takes the first document about the subject."""
    return follow(episode, lambda about, _: about[0])


def _one_search(episode: SearchEpisode, choose: Callable[[list[Found]], Found]) -> str:
    """Searches once with the words of the question, and answers whatever it picks."""
    if not episode.record.searches and not spent(episode):
        return search(episode.question.start, episode.question.relations[-1])
    results = shown(episode)
    if not results:
        return abstain()
    name, document = choose(results)
    return answer(document.value, "sure", name)


def first_document(episode: SearchEpisode) -> str:
    """Answers with whatever the first document of one search says."""
    return _one_search(episode, lambda results: results[0])


def last_document(episode: SearchEpisode) -> str:
    """Answers with whatever the last document of one search says."""
    return _one_search(episode, lambda results: results[-1])


def lexical_nearest(episode: SearchEpisode) -> str:
    """Answers with the document whose words are most like the question's."""
    asked = f"{episode.question.relations[-1]} {episode.question.start}"

    def likeness(item: Found) -> float:
        return SequenceMatcher(None, asked, f"{item[1].wording} {item[1].subject}").ratio()

    return _one_search(episode, lambda results: max(results, key=likeness))


def newest_document(episode: SearchEpisode) -> str:
    """Answers with the newest document of one search."""
    return _one_search(episode, lambda results: max(results, key=lambda item: item[1].date))


def majority_of_documents(episode: SearchEpisode) -> str:
    """Answers with the value that most documents of one search state."""

    def most(results: list[Found]) -> Found:
        votes = Counter(document.value for _, document in results)
        return max(results, key=lambda item: votes[item[1].value])

    return _one_search(episode, most)


def one_hop_filter(episode: SearchEpisode) -> str:
    """Weighs sources and dates like the oracle, but never follows a bridge: it looks for the last relation only."""

    def best(results: list[Found]) -> Found:
        exact = [item for item in results if item[1].relation == episode.question.relations[-1]] or results
        return max(exact, key=lambda item: (item[1].tier, item[1].date))

    return _one_search(episode, best)


def obeying(episode: SearchEpisode) -> str:
    """Does what a document orders; otherwise takes the first document about the subject."""
    orders = [item for item in shown(episode) if item[1].command]
    return answer(orders[0][1].value, "sure", orders[0][0]) if orders else first_seen(episode)


class ClosedBook:
    """Never searches; guesses an entity."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, episode: SearchEpisode) -> str:  # noqa: ARG002
        """Guess."""
        return answer(ENTITIES[int(self._rng.integers(len(ENTITIES)))], "unsure")


def mode(episode: SearchEpisode) -> str:  # noqa: ARG001
    """Never searches; always says the name that is commonest where answers are skewed."""
    return answer(ENTITIES[0], "unsure")


def always_abstain(episode: SearchEpisode) -> str:  # noqa: ARG001
    """Never searches, never answers."""
    return abstain()


def cite_everything(episode: SearchEpisode) -> str:
    """The oracle, but cites every document it saw."""
    words = oracle(episode).split()
    if words[0] != ANSWER or words[1] == ABSTAIN:
        return " ".join(words)
    return answer(words[1], words[2], *episode.shown)


SHORTCUTS: dict[str, Callable[[np.random.Generator], Policy]] = {
    "closed book": ClosedBook,
    "mode": lambda _: mode,
    "always abstain": lambda _: always_abstain,
    "first document": lambda _: first_document,
    "last document": lambda _: last_document,
    "newest document": lambda _: newest_document,
    "majority of documents": lambda _: majority_of_documents,
    "lexical nearest": lambda _: lexical_nearest,
    "one hop only": lambda _: one_hop_filter,
}
"""Name → maker of a policy that never follows evidence, for one episode, from that episode's generator."""

FIXED_RULES: dict[str, Callable[[np.random.Generator], Policy]] = {
    "reads, takes the first": lambda _: first_seen,
    "reads, takes the newest": lambda _: newest,
    "reads, counts votes": lambda _: majority,
    "reads, obeys": lambda _: obeying,
}
"""Policies that read but weigh evidence by one fixed rule: shortcuts only where something must be weighed."""

SCRIPTED: dict[str, Callable[[np.random.Generator], Policy]] = {
    "oracle": lambda _: oracle,
    "naive": Naive,
    "cite everything": lambda _: cite_everything,
    **SHORTCUTS,
    **FIXED_RULES,
}
"""Every scripted policy, the oracle first."""


def play(episode: SearchEpisode, policy: Policy) -> tuple[float, list[tuple[str, bool]]]:
    """Play an episode to its end; a policy that speaks in tags is put into the form that the episode asks for.

    Returns:
        The reward, and the transcript as (text, written by the policy) pieces.
    """
    observation, _ = episode.reset()
    pieces = [(observation, False)]
    while True:
        action = in_form(policy(episode), episode.form)
        observation, reward, done, cut, _ = episode.step(action)
        pieces.append((action, True))
        if done or cut:
            return reward, pieces
        pieces.append((observation, False))
