"""The generated world as a source of questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maineffect.lab.questions.contract import Exam, Player, Questions, Shortcuts
from maineffect.lab.settings import LabSettings

__all__ = ["Generated"]


class Generated:
    """The generated world: held-out questions have seeds of their own, and in English words of their own."""

    digest = ""

    def training(self, settings: LabSettings, seed: int) -> Questions:
        """Questions of a training run."""
        from maineffect.lab.world.episode import Episodes

        return Episodes(settings, seed)

    def held_out(self, settings: LabSettings, seed: int) -> Questions:
        """Questions that training never asks."""
        from maineffect.lab.world.episode import Episodes

        return Episodes(settings, seed, held_out=True)

    def demonstration(self, settings: LabSettings, seed: int, index: int, episode: Any) -> Sequence[tuple[str, bool]]:
        """An episode played by the warm start's demonstrator."""
        from maineffect.lab.questions.demonstrator import demonstrated

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
