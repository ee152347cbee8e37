"""The training loop: rollouts, updates, metrics, checkpoints. Randomness is a function of the step."""

from __future__ import annotations

import copy
import time

import torch

from maineffect.contracts import RunContext
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.torch_sampler import rollout
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.checkpoint import TrainingState
from maineffect.lab.train.curriculum import settings_at
from maineffect.lab.train.diagnostics import CollapseDetector, step_metrics
from maineffect.lab.train.grpo import update
from maineffect.lab.train.staleness import Sampler
from maineffect.lab.world.episode import Episodes, SearchEpisode
from maineffect.seeds import derive_seed

__all__ = ["train"]

_WARM_UP = 5
"""Updates over which the learning rate rises to its value."""


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
    state = TrainingState(model, optimizer, Sampler(model, plan.staleness), CollapseDetector(plan.collapse_patience))
    for step in range(state.resume(context), plan.steps):
        context.check_cancelled()
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * min(1.0, (step + 1) / _WARM_UP)
        batch = _questions(settings, context, step)
        noise = torch.Generator().manual_seed(derive_seed(context.seed("sampling"), step))
        transcripts = rollout(state.sampler.policy(), batch, noise)
        version = step - state.sampler.lag
        metrics = step_metrics(update(model, initial, optimizer, transcripts, plan), transcripts, batch)
        state.sampler.remember()
        metrics["weight_version"] = float(version)
        metrics["tokens_per_second"] = metrics["tokens"] / (time.perf_counter() - started)
        context.log(step, metrics)
        state.detector.check(step, metrics)
        context.progress(step + 1, plan.steps)
        if (step + 1) % plan.checkpoint_every == 0 and step + 1 < plan.steps:
            state.save(step + 1, context)
    return model


def _questions(settings: LabSettings, context: RunContext, step: int) -> list[SearchEpisode]:
    """A step's episodes: groups of rollouts on fresh questions."""
    plan = settings.train
    episodes = Episodes(settings_at(settings, step), context.seed("world"))
    first = step * plan.prompts
    return [episode for i in range(first, first + plan.prompts) for episode in episodes.group(i, plan.group_size)]
