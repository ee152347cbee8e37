"""What a source of questions is: questions to train on, an exam, its shortcuts, and who shows how to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.turns import TextEpisode

__all__ = ["Exam", "Player", "Questions", "Shortcuts", "Source"]

Player = Callable[[Sequence[Any]], Sequence[int]]
"""Plays fresh episodes to their ends; returns the tokens of each."""


class Questions(Protocol):
    """An endless sequence of questions: a pure function of (seed, index, levels)."""

    def episode(self, index: int) -> TextEpisode:
        """A fresh episode on the question at an index."""

    def group(self, index: int, size: int) -> Sequence[TextEpisode]:
        """``size`` fresh episodes on one question (a GRPO group)."""


@dataclass(frozen=True)
class Exam:
    """What a policy scored on the frozen items.

    Attributes:
        rows: One tidy row per item.
        responses: Response → score.
        digest: Of the items' content.
        measures: Further numbers that say what was measured.
        texts: File name → further text worth keeping.
    """

    rows: Sequence[dict[str, Any]]
    responses: Mapping[str, float]
    digest: str
    measures: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shortcuts:
    """What scripted policies did on the frozen items.

    Attributes:
        digest: Of the items' content.
        rows: Policy → one tidy row per item; the oracle is among them.
        rivals: Probe → the policies that are shortcuts on it.
    """

    digest: str
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    rivals: Mapping[str, Sequence[str]]


class Source(Protocol):
    """Questions to train on, others to evaluate on, and who shows how they are answered."""

    @property
    def digest(self) -> str:
        """Of what training asks that does not follow from settings and seeds; empty if there is nothing."""

    def training(self, settings: LabSettings, seed: int) -> Questions:
        """Questions of a training run."""

    def held_out(self, settings: LabSettings, seed: int) -> Questions:
        """Questions that training never asks."""

    def demonstration(self, settings: LabSettings, seed: int, index: int, episode: Any) -> Sequence[tuple[str, bool]]:
        """An episode played by the warm start's demonstrator, as (text, written by the policy) pieces."""

    def longest(self, settings: LabSettings) -> int | None:
        """Tokens of the longest transcript, where that does not follow from the language alone."""

    def examine(self, settings: LabSettings, evaluation_seed: int, player: Player) -> Exam:
        """Let a policy play the frozen items, the same for every run of a study."""

    def baselines(self, settings: LabSettings, evaluation_seed: int) -> list[dict[str, Any]]:
        """Scores of scripted policies on the frozen items, as records ``name, response, value, description``."""

    def shortcuts(self, settings: LabSettings, evaluation_seed: int) -> Shortcuts:
        """What scripted policies did on the frozen items, item by item."""
