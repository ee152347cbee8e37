"""Scripted policies: the naive demonstrator that is cloned, the oracle, and the shortcuts that must not pay.

None sees what the protocol does not show, but for the oracle,
which knows which of two contradicting sources is reliable (as a trained policy can) and when evidence is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.graph import Document
from maineffect.lab.world.vocabulary import ABSTAIN, ANSWER, END_ANSWER, END_SEARCH, ENTITIES, RELIABLE, SEARCH

__all__ = ["SCRIPTED", "Naive", "Policy", "oracle", "play"]

Policy = Callable[[SearchEpisode], str]


def _search(subject: str, relation: str) -> str:
    return f"{SEARCH} {subject} {relation} {END_SEARCH}"


def _answer(value: str, confidence: str, cited: str | None = None) -> str:
    return " ".join([ANSWER, value, confidence, *([cited] if cited else []), END_ANSWER])


def _shown(episode: SearchEpisode) -> list[tuple[str, Document]]:
    return [(name, episode.question.documents[i]) for name, i in episode.shown.items()]


def _follow(
    episode: SearchEpisode, pick: Callable[[Sequence[tuple[str, Document]]], tuple[str, Document] | None]
) -> str:
    """Follow the path hop by hop with a rule for picking among documents about the asked subject."""
    asked, record = episode.question, episode.record
    subject, cited = asked.start, None
    for relation in asked.relations:
        about = [(n, d) for n, d in _shown(episode) if d.subject == subject and d.relation == relation]
        chosen = pick(about) if about else None
        if chosen is None:
            tried = (subject, relation) in [tuple(words) for words in record.searches]
            spent = len(record.searches) >= episode.settings.episode.budget or record.invalid > 0
            if spent or (tried and record.searches.count((subject, relation)) >= 2):
                return _answer(ABSTAIN, "unsure")
            return _search(subject, relation)
        cited, subject = chosen[0], chosen[1].value
    return _answer(subject, "sure", cited)


def oracle(episode: SearchEpisode) -> str:
    """Follows the path, trusts the reliable source, searches once more after a miss, abstains when nothing is found."""

    def reliable_first(about: Sequence[tuple[str, Document]]) -> tuple[str, Document]:
        return min(about, key=lambda item: item[1].source != RELIABLE)

    return _follow(episode, reliable_first)


class Naive:
    """The demonstrator: follows the path, ignores sources, is sloppy, rarely retries and rarely abstains."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._known: list[str] = []

    def __call__(self, episode: SearchEpisode) -> str:
        """Take the next action."""
        asked, record = episode.question, episode.record
        self._known = self._known or [asked.start]
        if len(record.searches) < len(self._known) and not record.invalid:
            return _search(self._known[-1], asked.relations[len(self._known) - 1])
        chosen = self._choose(episode)
        spent = bool(record.invalid)
        if chosen is None:
            retry = not spent and self._rng.random() < 0.6
            return _search(*record.searches[-1][:2]) if retry else _answer(ABSTAIN, "unsure")
        name, value = chosen
        self._known.append(value)
        if len(self._known) > len(asked.relations) or spent:
            return _answer(value, _confidence(self._rng), name)
        return _search(value, asked.relations[len(self._known) - 1])

    def _choose(self, episode: SearchEpisode) -> tuple[str, str] | None:
        """A document of the latest search, or a guess; None to try again or give up."""
        asked, rng = episode.question, self._rng
        hop = min(len(self._known), len(asked.relations)) - 1
        latest = episode.record.results[-1] if episode.record.results else ()
        last = [(name, asked.documents[episode.shown[name]]) for name in latest]
        about = [(n, d) for n, d in last if (d.subject, d.relation) == (self._known[-1], asked.relations[hop])]
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

    def most(about: Sequence[tuple[str, Document]]) -> tuple[str, Document]:
        votes = Counter(document.value for _, document in about)
        return max(about, key=lambda item: votes[item[1].value])

    return _follow(episode, most)


def first_document(episode: SearchEpisode) -> str:
    """Answers with whatever the first document of one search says."""
    if not episode.record.searches and episode.settings.episode.budget and not episode.record.invalid:
        return _search(episode.question.start, episode.question.relations[-1])
    shown = _shown(episode)
    return _answer(shown[0][1].value, "sure", shown[0][0]) if shown else _answer(ABSTAIN, "unsure")


class ClosedBook:
    """Never searches; guesses an entity."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, episode: SearchEpisode) -> str:  # noqa: ARG002
        """Guess."""
        return _answer(ENTITIES[int(self._rng.integers(len(ENTITIES)))], "unsure")


def always_abstain(episode: SearchEpisode) -> str:  # noqa: ARG001
    """Never searches, never answers."""
    return _answer(ABSTAIN, "unsure")


def cite_everything(episode: SearchEpisode) -> str:
    """The oracle, but cites every document it saw."""
    action = oracle(episode)
    words = action.split()
    if words[0] != ANSWER or words[1] == ABSTAIN:
        return action
    return " ".join([ANSWER, words[1], words[2], *episode.shown, END_ANSWER])


SCRIPTED: dict[str, Callable[[np.random.Generator], Policy]] = {
    "oracle": lambda _: oracle,
    "naive": Naive,
    "majority": lambda _: majority,
    "first document": lambda _: first_document,
    "closed book": ClosedBook,
    "always abstain": lambda _: always_abstain,
    "cite everything": lambda _: cite_everything,
}
"""Name → maker of a policy for one episode, from that episode's generator."""


def play(episode: SearchEpisode, policy: Policy) -> tuple[float, list[tuple[str, bool]]]:
    """Play an episode to its end.

    Returns:
        The reward, and the transcript as (text, written by the policy) pieces.
    """
    observation, _ = episode.reset()
    pieces = [(observation, False)]
    while True:
        action = policy(episode)
        observation, reward, done, cut, _ = episode.step(action)
        pieces.append((action, True))
        if done or cut:
            return reward, pieces
        pieces.append((observation, False))
