"""What is logged per step, and when a run has collapsed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import pstdev
from typing import Any

from maineffect.contracts import RunDiverged
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.train.grpo import Update
from maineffect.lab.world.protocol import StopReason
from maineffect.lab.world.turns import TextEpisode

_FINITE = ("reward", "loss", "grad_norm", "entropy", "kl")
_SILENT, _INVALID, _FROZEN, _DISPLACED = 0.97, 0.9, 1e-4, 2.0

__all__ = ["CollapseDetector", "step_metrics"]


def step_metrics(update: Update, transcripts: Transcripts, episodes: Sequence[TextEpisode]) -> dict[str, float]:
    """Training metrics of one step, ready to be logged; what was not measured is left out."""
    count = len(episodes)
    records = [episode.record for episode in episodes]
    metrics = {
        "reward": transcripts.rewards_B.mean().item(),
        "reward_std": transcripts.rewards_B.std().item(),
        **{name: value for name, value in asdict(update).items() if value is not None},
        "turns": transcripts.turns_B.float().mean().item(),
        "searches": sum(len(record.searches) for record in records) / count,
        "invalid": sum(record.invalid for record in records) / count,
        "truncated": sum(record.stop is StopReason.TRUNCATED for record in records) / count,
        "abstained": sum(record.answer is not None and record.answer.abstained for record in records) / count,
        "unanswerable": sum(not episode.question.answerable for episode in episodes) / count,
        "tokens": float(transcripts.lengths_B.sum().item()),
    }
    for name in transcripts.components[0]:
        values = [parts[name] for parts in transcripts.components]
        metrics[f"reward.{name}"] = sum(values) / count
        metrics[f"reward_std.{name}"] = pstdev(values)
    return metrics


class CollapseDetector:
    """Tells a run that has collapsed from one that has a bad step.

    A step looks collapsed in one of these ways, of which the first that holds is named:

    * *abstains*: nearly every episode abstains although most questions have an answer;
    * *invalid*: nearly every transcript holds an action that is not understood;
    * *frozen*: entropy is gone while reward is below where it started;
    * *displaced*: rollouts with positive advantage have lost two nats of log-probability per token since the start
      while reward fell: what the policy should learn it has unlearned (LLDS, arXiv 2512.04220).

    A number that is not finite ends the run at once. What a run is compared with is its first step that taught.

    Args:
        patience: Collapsed-looking steps in a row before the run is called diverged.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._start: dict[str, float] | None = None
        self._bad = 0

    def check(self, step: int, metrics: Mapping[str, float]) -> None:
        """Look at one step.

        Raises:
            RunDiverged: Not finite, or collapsed for ``patience`` steps.
        """
        # NaN is what an update says of a step that taught nothing.
        looked = _FINITE if metrics["taught"] else ("reward",)
        broken = [name for name in looked if name in metrics and not math.isfinite(metrics[name])]
        if math.isinf(metrics["positive_logp"]):  # it may be that every good rollout was truncated
            broken.append("positive_logp")
        if broken:
            raise RunDiverged(f"{', '.join(broken)} not finite at step {step}")
        if self._start is None and not math.isnan(metrics["positive_logp"]):
            self._start = {name: metrics[name] for name in ("reward", "positive_logp")}
        what = self._collapse(metrics, self._start or metrics)
        self._bad = self._bad + 1 if what else 0
        if self._bad >= self._patience:
            raise RunDiverged(f"collapsed at step {step}: {what} for {self._bad} steps")

    @staticmethod
    def _collapse(now: Mapping[str, float], start: Mapping[str, float]) -> str:
        fell = now["reward"] < start["reward"]
        if now["abstained"] > _SILENT and now["unanswerable"] < now["abstained"] - 0.1:
            return "abstains: nearly every episode declines to answer"
        if now["invalid"] > _INVALID:
            return "invalid: nearly every episode holds an action that is not understood"
        if now["entropy"] < _FROZEN and now["zero_std_groups"] < 1 and fell:
            return "frozen: entropy is gone and reward fell"
        if now["positive_logp"] < start["positive_logp"] - _DISPLACED and fell:
            return "displaced: good rollouts became unlikely and reward fell"
        return ""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"start": self._start, "bad": self._bad}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load a checkpoint's state."""
        self._start, self._bad = state["start"], state["bad"]
