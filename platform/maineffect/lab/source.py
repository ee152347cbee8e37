"""Where questions come from: the generated world, or a corpus. The one place that tells the two apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.turns import TextEpisode

__all__ = ["Exam", "Generated", "Player", "Questions", "Shortcuts", "Source", "open_source", "training_questions"]

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


class Generated:
    """The generated world: questions differ from training's because their seeds do."""

    digest = ""

    def training(self, settings: LabSettings, seed: int) -> Questions:
        """Questions of a training run."""
        from maineffect.lab.world.episode import Episodes

        return Episodes(settings, seed)

    held_out = training

    def demonstration(self, settings: LabSettings, seed: int, index: int, episode: Any) -> Sequence[tuple[str, bool]]:
        """An episode played by the warm start's demonstrator."""
        from maineffect.lab.train.demonstrations import demonstrated

        return demonstrated(settings, seed, index, episode)

    def longest(self, settings: LabSettings) -> int | None:  # noqa: ARG002
        """It follows from the language."""
        return None

    def examine(self, settings: LabSettings, evaluation_seed: int, player: Player) -> Exam:
        """The battery of paired probes."""
        from maineffect.lab.evaluate.battery import build_battery
        from maineffect.lab.evaluate.metrics import responses
        from maineffect.lab.evaluate.scoring import play_battery

        battery = build_battery(settings, evaluation_seed)
        played = play_battery(battery, player)
        return Exam(played.rows, responses(played.rows), battery.digest)

    def baselines(self, settings: LabSettings, evaluation_seed: int) -> list[dict[str, Any]]:
        """Scripted policies on the battery."""
        from maineffect.lab.evaluate.baselines import baseline_records

        return baseline_records(settings, evaluation_seed)

    def shortcuts(self, settings: LabSettings, evaluation_seed: int) -> Shortcuts:
        """Scripted policies on the battery, item by item."""
        from maineffect.lab.evaluate.baselines import played_by_scripts, rivals
        from maineffect.lab.evaluate.battery import build_battery

        battery = build_battery(settings, evaluation_seed)
        rows = {name: played.rows for name, played in played_by_scripts(battery).items()}
        return Shortcuts(battery.digest, rows, rivals())


def open_source(settings: LabSettings, folder: Path | None = None, evaluation_seed: int = 0) -> Source:
    """Where the settings say that questions come from.

    Args:
        settings: ``world.corpus`` names a corpus.
        folder: What its path is relative to: the study's folder; left out, the current one.
        evaluation_seed: Which of a corpus's questions are never trained on.

    Raises:
        CorpusError: The corpus cannot be used.
        PluginError: There is no such embedding.
    """
    if settings.world.corpus is None:
        return Generated()
    from maineffect.lab.corpus.source import open_corpus

    return open_corpus(settings, folder or Path.cwd(), evaluation_seed)


def training_questions(settings: LabSettings, seed: int) -> Questions:
    """The sequence of questions that an environment elsewhere trains on; a corpus is named from the current folder.

    Questions that a study with evaluation seed 0 would keep for evaluation are not among them:
    ``open_source(settings).held_out(settings, seed)`` has these.
    """
    return open_source(settings).training(settings, seed)
