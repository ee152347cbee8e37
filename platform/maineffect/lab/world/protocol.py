"""The text protocol: what a policy may say, and how its words become a structured record.

Only what the policy itself wrote is ever parsed. A document that contains ``<answer>`` is text that was read, never
something that was said; its tags are escaped all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from maineffect.lab.world.vocabulary import ABSTAIN, ANSWER, CONFIDENCE, END_ANSWER, END_SEARCH, SEARCH

__all__ = ["ActionRecord", "Answer", "Search", "StopReason", "escape_tags", "parse_action"]


_UNSTATED = 0.5
"""Confidence of an answer that states none."""


class StopReason(StrEnum):
    """Why an episode ended."""

    ANSWERED = "answered"
    INVALID = "invalid"
    TRUNCATED = "truncated"


@dataclass(frozen=True)
class Search:
    """A search action."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """An answer action.

    Attributes:
        value: The answer; ``none`` abstains.
        confidence: Stated probability of being right.
        cited: Document ids.
    """

    value: str
    confidence: float
    cited: tuple[str, ...]

    @property
    def abstained(self) -> bool:
        """Whether it declines to answer."""
        return self.value == ABSTAIN


@dataclass
class ActionRecord:
    """What the policy did: the only thing that scores are computed from.

    Attributes:
        searches: Words of each search.
        results: Document ids that each search showed.
        invalid: Actions that were not understood or not allowed.
    """

    searches: list[tuple[str, ...]] = field(default_factory=list)
    results: list[tuple[str, ...]] = field(default_factory=list)
    answer: Answer | None = None
    invalid: int = 0
    stop: StopReason | None = None


def escape_tags(text: str) -> str:
    """Text of the world without anything that looks like a tag."""
    return text.replace("<", "‹").replace(">", "›")


def parse_action(text: str) -> Search | Answer | None:
    """One action from the words that a policy wrote, or None. Never raises.

    An answer is ``value confidence ids`` in words, or, where values may have several words, in fields:
    ``value | confidence | ids``. A confidence may be a word or a number (0.8, 80%).
    """
    text = text.strip()
    for opening, closing in ((SEARCH, END_SEARCH), (ANSWER, END_ANSWER)):
        if not (text.startswith(opening) and text.endswith(closing)):
            continue
        inner = text[len(opening) : len(text) - len(closing)]
        if any(tag in inner for tag in (SEARCH, END_SEARCH, ANSWER, END_ANSWER)) or not inner.strip():
            return None
        if opening == SEARCH:
            return Search(tuple(inner.split()))
        return _fields(inner) if "|" in inner else _words(inner.split())
    return None


def _words(inner: list[str]) -> Answer:
    confidence = next((CONFIDENCE[word] for word in inner[1:] if word in CONFIDENCE), _UNSTATED)
    cited = tuple(dict.fromkeys(word for word in inner[1:] if word not in CONFIDENCE))
    return Answer(inner[0], confidence, cited)


def _fields(inner: str) -> Answer | None:
    value, confidence, *ids = (field.strip() for field in inner.split("|"))
    if not value:
        return None
    return Answer(value, _confidence(confidence), tuple(dict.fromkeys(" ".join(ids).replace(",", " ").split())))


def _confidence(text: str) -> float:
    word = text.lower()
    if word in CONFIDENCE:
        return CONFIDENCE[word]
    try:
        number = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
    except ValueError:
        return _UNSTATED
    return number if 0 <= number <= 1 else _UNSTATED
