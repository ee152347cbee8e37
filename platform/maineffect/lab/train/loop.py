"""The training loop: rollouts, updates, metrics, checkpoints. Randomness is a function of the step."""

from __future__ import annotations

import math

import torch

from maineffect.contracts import RunContext
from maineffect.lab.questions.contract import Source
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.sampler import Policy, Sampler, open_sampler, twin
from maineffect.lab.sampling.staleness import LaggingPolicy
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.agreement import agreed_way
from maineffect.lab.train.checkpoint import TrainingState
from maineffect.lab.train.curriculum import settings_at
from maineffect.lab.train.diagnostics import CollapseDetector, step_metrics
from maineffect.lab.train.grpo import update
from maineffect.lab.train.phases import Phases
from maineffect.lab.train.rollouts import Rollouts
from maineffect.lab.train.throughput import model_flops
from maineffect.lab.world.turns import TextEpisode
from maineffect.seeds import derive_seed

__all__ = ["train"]

_WARM_UP = 5
"""Updates over which the learning rate rises to its value."""


def train(
    model: Policy,
    settings: LabSettings,
    context: RunContext,
    sampler: Sampler | None = None,
    phases: Phases | None = None,
    source: Source | None = None,
) -> Policy:
    """Train a warm-started policy by GRPO in the run's own world; resumes from the latest checkpoint.

    Every step draws its questions and its sampling noise from (seed, step), so a resumed run equals the uninterrupted
    one without any random state in the checkpoint: bit for bit with the tiny policy on a CPU.

    Args:
        sampler: Plays the rollouts; left out, one is opened for this training alone.
        phases: Adds up where the time goes.
        source: Where questions come from; left out, they are generated.

    Raises:
        RunDiverged: Not finite, or collapsed.
        RunCancelled: The sweep was cancelled.
    """
    if sampler is None:
        sampler = open_sampler(model, context)
        try:
            return train(model, settings, context, sampler, phases, source)
        finally:
            sampler.close()
    plan, whole, flops = settings.train, phases if phases is not None else Phases(), model_flops(model)
    whole.peak, whole.devices = flops.peak, flops.devices
    initial = _initial(model, settings)
    learned = [value for value in model.parameters() if value.requires_grad]
    optimizer, way = Adam(learned, plan.learning_rate), None
    lagging = LaggingPolicy(model, plan.staleness)
    state = TrainingState(model, optimizer, lagging, CollapseDetector(plan.collapse_patience))

    def draw(step: int) -> tuple[list[TextEpisode], torch.Generator]:
        noise = torch.Generator().manual_seed(derive_seed(context.seed("sampling"), step))
        return _questions(source or Generated(), settings, context, step), noise

    first = state.resume(context)
    with Rollouts(sampler, lagging, draw, ahead=plan.overlap) as rollouts:
        for step in range(first, plan.steps):
            context.check_cancelled()
            optimizer.rate = plan.learning_rate * min(1.0, (step + 1) / _WARM_UP)
            step_timer = Phases(flops.peak, flops.devices)
            played = rollouts.take(step, step_timer)
            if step + 1 < plan.steps:
                rollouts.begin(step + 1, step_timer)
            with step_timer.timed("train"):
                read = played.transcripts
                way = way or agreed_way(model, read.tokens_BT, read.lengths_B, read.written_BT)
                learnt = update(model, initial, optimizer, read, plan, way)
            lagging.remember()
            step_timer.tokens["train"] = int(learnt.trained_tokens)
            step_timer.flops["train"] = flops.train(step_timer.tokens["train"])
            step_timer.flops["rollout"] = flops.sample(step_timer.tokens["rollout"])
            metrics = step_metrics(learnt, played.transcripts, played.episodes)
            metrics |= {**step_timer.report(), "weight_version": float(played.version)}
            metrics["tokens_per_second"] = metrics["tokens"] / sum(step_timer.seconds.values())
            whole.add(step_timer)
            # What a step did not teach has no value: a gap in the curve, not a 0.
            context.log(step, {name: value for name, value in metrics.items() if not math.isnan(value)})
            state.detector.check(step, metrics)
            context.progress(step + 1, plan.steps)
            if (step + 1) % plan.checkpoint_every == 0 and step + 1 < plan.steps:
                with whole.timed("checkpoint"):
                    state.save(step + 1, context)
    return model


def _initial(model: Policy, settings: LabSettings) -> Policy | None:
    """The warm start for the KL; a model of which every weight is trained has no second copy just to measure it."""
    plan, policy = settings.train, settings.policy
    held = plan.kl > 0 or plan.likelihood_guard > 0
    return twin(model) if held or policy.model is None or policy.lora_rank else None


def _questions(source: Source, settings: LabSettings, context: RunContext, step: int) -> list[TextEpisode]:
    """A step's episodes: groups of rollouts on fresh questions."""
    plan = settings.train
    questions = source.training(settings_at(settings, step), context.seed("world"))
    first = step * plan.prompts
    return [episode for i in range(first, first + plan.prompts) for episode in questions.group(i, plan.group_size)]
