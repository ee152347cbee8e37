"""The training loop: rollouts, one update, metrics, checkpoints. Randomness is a function of the step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from maineffect.contracts import RunContext
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.torch_sampler import rollout
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.diagnostics import CollapseDetector, step_metrics
from maineffect.lab.train.grpo import update
from maineffect.lab.world.episode import Episodes
from maineffect.seeds import derive_seed

__all__ = ["train"]


def train(model: TinyTransformer, settings: LabSettings, context: RunContext) -> TinyTransformer:
    """Train a warm-started policy by GRPO in the run's own world; resumes from the latest checkpoint.

    Every step draws its questions and its sampling noise from (seed, step), so a resumed run equals the uninterrupted
    one bit for bit on CPU without any random state in the checkpoint.

    Raises:
        RunDiverged: Not finite, or collapsed.
        RunCancelled: The sweep was cancelled.
    """
    plan = settings.train
    initial = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    done = _resume(model, optimizer, context)
    episodes = Episodes(settings, context.seed("world"))
    detector = CollapseDetector(plan.collapse_patience)
    for step in range(done, plan.steps):
        context.check_cancelled()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * min(1.0, (step + 1) / 5)
        batch = [
            episode for p in range(plan.prompts) for episode in episodes.group(step * plan.prompts + p, plan.group_size)
        ]
        noise = torch.Generator().manual_seed(derive_seed(context.seed("sampling"), step))
        transcripts = rollout(model, batch, noise)
        metrics = step_metrics(update(model, initial, optimizer, transcripts, plan), transcripts, batch)
        context.log(step, metrics)
        detector.check(step, metrics)
        context.progress(step + 1, plan.steps)
        if (step + 1) % plan.checkpoint_every == 0 and step + 1 < plan.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            context.save_checkpoint(step + 1, _writer(state))
    return model


def _writer(state: dict[str, Any]) -> Callable[[Path], None]:
    return lambda folder: torch.save(state, folder / "state.pt")


def _resume(model: TinyTransformer, optimizer: torch.optim.Optimizer, context: RunContext) -> int:
    """Load the latest checkpoint; the number of steps already done."""
    latest = context.latest_checkpoint()
    if latest is None:
        return 0
    step, folder = latest
    state = torch.load(Path(folder) / "state.pt", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return step
