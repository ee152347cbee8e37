"""What is logged per step, and when a run has collapsed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from maineffect.contracts import RunDiverged
from maineffect.lab.policy.torch_sampler import Transcripts
from maineffect.lab.train.grpo import Update
from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.protocol import StopReason

__all__ = ["CollapseDetector", "step_metrics"]


def step_metrics(update: Update, transcripts: Transcripts, episodes: Sequence[SearchEpisode]) -> dict[str, float]:
    """Training metrics of one step, ready to be logged."""
    count = len(episodes)
    records = [episode.record for episode in episodes]
    metrics = {
        "reward": transcripts.rewards_B.mean().item(),
        "reward_std": transcripts.rewards_B.std().item(),
        **asdict(update),
        "turns": transcripts.turns_B.float().mean().item(),
        "searches": sum(len(record.searches) for record in records) / count,
        "invalid": sum(record.invalid for record in records) / count,
        "truncated": sum(record.stop is StopReason.TRUNCATED for record in records) / count,
        "abstained": sum(record.answer is not None and record.answer.abstained for record in records) / count,
        "tokens": float(transcripts.lengths_B.sum().item()),
    }
    for name in transcripts.components[0]:
        metrics[f"reward.{name}"] = sum(parts[name] for parts in transcripts.components) / count
    return metrics


class CollapseDetector:
    """Tells a run that has collapsed from one that has a bad step.

    A step looks collapsed when a number is not finite, when nothing is answered (nearly all abstain, or nearly all
    transcripts are invalid), or when entropy is gone while reward is below where it started.

    Args:
        patience: Collapsed-looking steps in a row before the run is called diverged.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._start: float | None = None
        self._bad = 0

    def check(self, step: int, metrics: dict[str, float]) -> None:
        """Look at one step.

        Raises:
            RunDiverged: Not finite, or collapsed for ``patience`` steps.
        """
        broken = [name for name in ("reward", "loss", "grad_norm", "entropy") if not math.isfinite(metrics[name])]
        if broken:
            raise RunDiverged(f"{', '.join(broken)} not finite at step {step}")
        if self._start is None:
            self._start = metrics["reward"]
        silent = metrics["abstained"] > 0.97 or metrics["invalid"] > 0.9
        frozen = metrics["entropy"] < 1e-4 and metrics["zero_std_groups"] < 1 and metrics["reward"] < self._start
        self._bad = self._bad + 1 if silent or frozen else 0
        if self._bad >= self._patience:
            what = "nearly every episode abstains or is invalid" if silent else "entropy is gone and reward fell"
            raise RunDiverged(f"collapsed at step {step}: {what} for {self._bad} steps")
