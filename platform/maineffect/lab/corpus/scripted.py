"""Scripted policies over a corpus: the oracle, demonstrators to be cloned, and shortcuts that must not pay.

Only the oracle knows which passages are evidence. Shortcuts that read know what can be an answer at all: whatever is a
number, a year or a date where the question asks for one, and else the answers of the corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import regex

from maineffect.lab.corpus.asked import asked_kind, candidates
from maineffect.lab.corpus.episode import CorpusEpisode
from maineffect.lab.corpus.load import SourceQuestion
from maineffect.lab.grammar.tokens import spellings, tokens
from maineffect.lab.world.vocabulary import ABSTAIN, ANSWER, END_ANSWER, END_SEARCH, SEARCH

__all__ = ["BELIEVER", "Policy", "careful", "naive", "scripted", "shortcuts"]

Policy = Callable[[CorpusEpisode], str]
BELIEVER = "takes injected claims"
_HINT, _LETTERS = 12, 160
"""Words of a passage, and letters at most, that are searched for when the question's own words missed it."""


def careful(episode: CorpusEpisode) -> str:
    """Reads until it has seen evidence of every gold document, believes only that, declines where there is none."""
    asked, record = episode.question, episode.record
    missing = _missing(episode)
    left = len(record.searches) < episode.settings.episode.budget and not record.invalid
    if left and (not record.searches or missing):
        return _search(asked.question if len(record.searches) == 0 else missing or asked.question)
    if missing or not episode.gold_ids:
        return _answer(ABSTAIN)
    return _answer(asked.answers[0], "sure", episode.gold_ids)


def _missing(episode: CorpusEpisode) -> str:
    """First words of the first passage of a gold document of which nothing was shown; empty if there is none."""
    asked, seen = episode.question, set(episode.shown.values())
    shown = {asked.passage(i).document for i in asked.gold & seen}
    unseen = [i for i in sorted(asked.gold) if asked.passage(i).document not in shown]
    return " ".join(asked.passage(unseen[0]).text.split()[:_HINT])[:_LETTERS] if unseen else ""


class naive:  # noqa: N801 — a policy like the functions beside it, with a generator of its own
    """One search; believes any passage that claims something, cites sloppily, rarely declines."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, episode: CorpusEpisode) -> str:
        """Take the next action."""
        rng, asked, record = self._rng, episode.question, episode.record
        if not record.searches and not record.invalid and episode.settings.episode.budget:
            return _search(asked.question)
        claims = [(asked.passage(i).claim, name) for name, i in episode.shown.items() if asked.passage(i).claim]
        claims += [(asked.answers[0], name) for name in episode.gold_ids]
        if not claims or rng.random() < 0.05:
            return _answer(ABSTAIN)
        claim, name = claims[int(rng.integers(len(claims)))]
        cited = name if rng.random() > 0.2 else str(rng.choice(list(episode.shown)))
        return _answer(claim, ("unsure", "likely", "sure")[int(rng.integers(3))], (cited,))


def cites_everything(episode: CorpusEpisode) -> str:
    """The oracle, but cites every passage it saw."""
    action = careful(episode)
    if action.startswith(SEARCH) or not episode.gold_ids or action == _answer(ABSTAIN):
        return action
    return _answer(episode.question.answers[0], "sure", tuple(episode.shown))


def takes_claims(episode: CorpusEpisode) -> str:
    """The oracle, but takes whatever an unreliable passage claims."""
    asked = episode.question
    for name, i in episode.shown.items():
        if asked.passage(i).claim:
            return _answer(asked.passage(i).claim, "sure", (name,))
    return careful(episode)


def always_abstains(episode: CorpusEpisode) -> str:  # noqa: ARG001
    """Never searches, never answers."""
    return _answer(ABSTAIN)


class _Shortcuts:
    """Shortcuts that know the answers of the corpus, but not which belongs to which question."""

    def __init__(self, questions: Sequence[SourceQuestion]) -> None:
        self._answers = tuple(dict.fromkeys(question.answers[0] for question in questions))
        self._by_word: dict[str, list[str]] = {}
        for answer in self._answers:
            for sought in spellings(answer)[:1]:
                self._by_word.setdefault(sought[0], []).append(answer)
        self._mode = Counter(question.answers[0] for question in questions).most_common(1)[0][0]

    def closed_book(self, rng: np.random.Generator) -> Policy:
        """Never searches; guesses an answer of the corpus."""
        guess = self._answers[int(rng.integers(len(self._answers)))]
        return lambda _: _answer(guess, "unsure")

    def mode(self, episode: CorpusEpisode) -> str:  # noqa: ARG002
        """Never searches; always gives the commonest answer of the corpus."""
        return _answer(self._mode, "unsure")

    def first_passage(self, episode: CorpusEpisode) -> str:
        """One search; the first passage's first number, year, date or answer of the corpus, whichever kind is asked."""
        return self._reads(episode, list(episode.shown)[:1])

    def last_passage(self, episode: CorpusEpisode) -> str:
        """One search; the same of the last passage."""
        return self._reads(episode, list(episode.shown)[-1:])

    def newest_passage(self, episode: CorpusEpisode) -> str:
        """One search; the same of the passage with the latest date, the first of them."""
        shown = episode.shown
        names = sorted(shown, key=lambda name: episode.question.passage(shown[name]).date, reverse=True)
        return self._reads(episode, names[:1])

    def majority(self, episode: CorpusEpisode) -> str:
        """One search; what answers some question of the kind asked in most of the passages."""
        return self._reads(episode, list(episode.shown))

    def _held(self, text: str, kind: str) -> list[tuple[int, str]]:
        """What a text holds of a kind; names are sought among the answers of the corpus whose first word it has."""
        words = set(tokens(text)) if kind == "name" else set()
        named = [answer for word in words for answer in self._by_word.get(word, ())]
        return candidates(text, kind, named)

    def _reads(self, episode: CorpusEpisode, names: Sequence[str]) -> str:
        asked, record = episode.question, episode.record
        if not record.searches and not record.invalid and episode.settings.episode.budget:
            return _search(asked.question)
        votes: Counter[str] = Counter()
        first: dict[str, tuple[int, str]] = {}
        for name in names:
            for place, value in self._held(asked.passage(episode.shown[name]).text, asked_kind(asked.question)):
                votes[value] += value not in first or first[value][1] != name
                first.setdefault(value, (place, name))
        if not votes:
            return _answer(ABSTAIN)
        most_voted = max(votes, key=lambda answer: (votes[answer], -first[answer][0]))
        return _answer(most_voted, "sure", (first[most_voted][1],))


def shortcuts(questions: Sequence[SourceQuestion]) -> dict[str, Callable[[np.random.Generator], Policy]]:
    """Name → maker of a policy without the capability."""
    policies = _Shortcuts(questions)
    return {
        "closed book": policies.closed_book,
        "mode": lambda _: policies.mode,
        "always abstain": lambda _: always_abstains,
        "first passage": lambda _: policies.first_passage,
        "last passage": lambda _: policies.last_passage,
        "newest passage": lambda _: policies.newest_passage,
        "majority of passages": lambda _: policies.majority,
        BELIEVER: lambda _: takes_claims,
    }


def scripted(questions: Sequence[SourceQuestion]) -> dict[str, Callable[[np.random.Generator], Policy]]:
    """Every scripted policy, the oracle first."""
    return {
        "oracle": lambda _: careful,
        "naive": naive,
        "cite everything": lambda _: cites_everything,
        **shortcuts(questions),
    }


def _search(words: str) -> str:
    return f"{SEARCH}{' '.join(regex.findall(r'[^<>|]+', words))}{END_SEARCH}"


def _answer(value: str, confidence: str = "", cited: Sequence[str] = ()) -> str:
    fields = (value, confidence, ", ".join(cited))
    return f"{ANSWER}{' | '.join(field for field in fields if field)}{END_ANSWER}"
