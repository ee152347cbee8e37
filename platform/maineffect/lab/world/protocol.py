"""The text protocol: what a policy did, as a structured record. How its words are read is the grammar's
(:mod:`maineffect.lab.grammar`).

Only what the policy itself wrote is ever parsed. A document that contains ``<answer>`` is text that was read, never
something that was said; its tags are escaped all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from maineffect.lab.grammar.actions import Answer, Form, Search, parse_action
from maineffect.lab.grammar.text import escape_tags
from maineffect.lab.settings import EpisodeSettings

__all__ = ["ActionRecord", "Answer", "Search", "StopReason", "escape_tags", "form_of", "parse_action"]


class StopReason(StrEnum):
    """Why an episode ended."""

    ANSWERED = "answered"
    INVALID = "invalid"
    TRUNCATED = "truncated"


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


def form_of(episode: EpisodeSettings, *, phrases: bool) -> Form:
    """How actions are written in an episode.

    Args:
        phrases: Whether values may have several words, as they do outside the closed vocabulary.
    """
    return Form(episode.form == "tools", episode.reasoning == "refused", episode.counts == "last", phrases)
