"""Everything that a resumed run needs to equal the uninterrupted one bit for bit on a CPU.

Randomness is a function of (seed, step), so no random state is among it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from maineffect.contracts import RunContext
from maineffect.lab.sampling.sampler import Policy, load_weights, trained_weights
from maineffect.lab.sampling.staleness import LaggingPolicy
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.diagnostics import CollapseDetector

__all__ = ["TrainingState"]

_FILE = "state.pt"


@dataclass(frozen=True)
class TrainingState:
    """The parts of a training that change from step to step."""

    model: Policy
    optimizer: Adam
    lagging: LaggingPolicy
    detector: CollapseDetector

    def save(self, step: int, context: RunContext) -> None:
        """Publish a checkpoint after ``step`` updates."""
        state = {
            "model": trained_weights(self.model),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.lagging.state(),
            "detector": self.detector.state(),
        }
        write: Callable[[Path], None] = lambda folder: torch.save(state, folder / _FILE)  # noqa: E731
        context.save_checkpoint(step, write)

    def resume(self, context: RunContext) -> int:
        """Load the latest checkpoint, if any; the number of updates already done."""
        latest = context.latest_checkpoint()
        if latest is None:
            return 0
        step, folder = latest
        state = torch.load(Path(folder) / _FILE, weights_only=True, map_location="cpu")
        load_weights(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.lagging.restore(state["sampler"])
        self.detector.restore(state["detector"])
        return step
