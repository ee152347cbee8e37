"""Behaviour cloning, step by step: logged, cancelled and taken up again as the training after it is."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch

from maineffect.contracts import RunContext
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.reading import Way, read_batch
from maineffect.lab.questions.contract import Source
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.sampler import Policy, load_weights, trained_weights
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.agreement import agreed_way
from maineffect.lab.train.demonstrations import demonstrations, room
from maineffect.lab.train.passes import passes_of

__all__ = ["clone"]

_SAVE_SECONDS, _TELL_SECONDS = 30.0, 10.0
_FILE = "clone.pt"


def clone(
    model: Policy,
    settings: LabSettings,
    seed: int,
    source: Source | None,
    *,
    part: Path | None = None,
    context: RunContext | None = None,
    alone: bool = False,
) -> None:
    """Teach a model the demonstrator's written tokens. Every batch is a function of (seed, step).

    Args:
        model: Untrained, or with pretrained weights.
        settings: ``warmstart`` says how much.
        seed: Of the demonstrations.
        source: Where questions come from; left out, they are generated.
        part: File for what is done so far, every half minute; if it exists, cloning goes on from there.
        context: Of the run that clones.
        alone: Whether that run is there for the clone alone: what is done so far is its checkpoint, and it has a curve.

    Raises:
        RunCancelled: The sweep was cancelled.
    """
    plan = settings.warmstart
    text, limit = None if isinstance(model, TinyTransformer) else model.text, room(settings, source)
    learned = [value for value in model.parameters() if value.requires_grad]
    optimizer = Adam(learned, plan.learning_rate)
    # Demonstrations are of a question each: only what a language model is told before it is common to them.
    way: Way | None = None if text is not None else "padded"
    saved = told = time.monotonic()
    own = context if alone else None
    for step in range(_resumed(part, own, model, optimizer), plan.steps):
        if context is not None:
            context.check_cancelled()
        optimizer.rate = plan.learning_rate * min(1.0, (step + 1) / plan.ramp) * (1 - 0.9 * step / plan.steps)
        shown = demonstrations(settings, seed, step, source or Generated(), text, limit)
        way = way or agreed_way(model, shown.tokens_BT, shown.lengths_B, shown.written_BT)
        rows = torch.arange(len(shown.lengths_B))
        parts = passes_of(way, rows, shown.tokens_BT, shown.lengths_B, plan)
        written, total = int(shown.written_BT[:, 1:].sum()), 0.0
        optimizer.zero_grad()
        for pass_ in parts:
            reading = read_batch(model, way, shown.tokens_BT[pass_], shown.lengths_B[pass_], shown.written_BT[pass_])
            loss = -reading.written(model).logp_S.sum() / written
            torch.autograd.backward(loss)
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        # Not a curve where one run of many makes the clone: a curve of that run alone is no effect of its levels.
        if own is not None:
            own.log(step, {"loss": total})
            own.progress(step + 1, plan.steps)
        if step + 1 == plan.steps or time.monotonic() - told >= _TELL_SECONDS:
            sys.stderr.write(f"warm start: step {step + 1} of {plan.steps}, loss {total:.4f} per written token\n")
            told = time.monotonic()
        if time.monotonic() - saved >= _SAVE_SECONDS:
            _save(part, own, step + 1, model, optimizer)
            saved = time.monotonic()


def _save(part: Path | None, own: RunContext | None, steps: int, model: Policy, optimizer: Adam) -> None:
    state = {"steps": steps, "model": trained_weights(model), "optimizer": optimizer.state_dict()}
    if own is not None:
        own.save_checkpoint(steps, lambda folder: torch.save(state, folder / _FILE))
    if part is not None:
        aside = part.with_suffix(".saving")
        torch.save(state, aside)
        aside.replace(part)


def _resumed(part: Path | None, own: RunContext | None, model: Policy, optimizer: Adam) -> int:
    """Steps that are done already."""
    latest = own.latest_checkpoint() if own is not None else None
    part = latest[1] / _FILE if latest is not None else part
    if part is None or not part.exists():
        return 0
    state: dict[str, Any] = torch.load(part, weights_only=True, map_location="cpu")
    load_weights(model, state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["steps"])
