"""The text protocol: what a policy may say, and how its words become a structured record.

Only what the policy itself wrote is ever parsed. A document that contains ``<answer>`` is text that was read, never
something that was said; its tags are escaped all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from maineffect.lab.world.vocabulary import ABSTAIN, ANSWER, CONFIDENCE, END_ANSWER, END_SEARCH, SEARCH

__all__ = ["ActionRecord", "Answer", "Search", "StopReason", "escape_tags", "parse_action"]


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
    """One action from the words that a policy wrote, or None. Never raises."""
    words = text.split()
    if len(words) < 3:
        return None
    first, *inner, last = words
    if any(word in (SEARCH, END_SEARCH, ANSWER, END_ANSWER) for word in inner):
        return None
    if first == SEARCH and last == END_SEARCH:
        return Search(tuple(inner))
    if first == ANSWER and last == END_ANSWER:
        confidence = next((CONFIDENCE[word] for word in inner[1:] if word in CONFIDENCE), 0.5)
        cited = tuple(dict.fromkeys(word for word in inner[1:] if word not in CONFIDENCE))
        return Answer(inner[0], confidence, cited)
    return None
