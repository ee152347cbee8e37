"""Behaviour cloning of a scripted demonstrator, cached by the content of everything that decides it."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import IO

import torch

from maineffect.contracts import RunContext
from maineffect.lab.policy.causal import load_causal
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.questions.contract import Source
from maineffect.lab.sampling.sampler import Policy, load_weights, trained_weights
from maineffect.lab.settings import LabSettings
from maineffect.lab.start import clone_file, clones
from maineffect.lab.train.cloning import clone
from maineffect.lab.train.demonstrations import room
from maineffect.seeds import derive_seed

__all__ = ["warm_start"]

_LOOK_SECONDS = 0.2


def warm_start(
    settings: LabSettings,
    seed: int,
    cache_dir: Path,
    source: Source | None = None,
    context: RunContext | None = None,
    *,
    alone: bool = False,
) -> Policy:
    """The cloned policy, from the cache if it was made before.

    Args:
        settings: Only policy, warm start and transcript length matter.
        seed: Seeds weights and demonstrations.
        cache_dir: Shared by runs on this machine; one of them trains, the others wait for it. What a run that died has
            cloned is taken up by the next.
        source: Where questions come from; left out, they are generated.
        context: Of the run: it is asked whether the sweep was cancelled.
        alone: Whether the run is there for the clone alone: its curve, progress and checkpoints are then the clone's.

    Raises:
        RunCancelled: The sweep was cancelled.
    """
    model = _untrained(settings, derive_seed(seed, "weights"), cache_dir, source)
    if not clones(settings):
        return model
    path = cache_dir / clone_file(settings, seed, source)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        _wait_for(lock, context)
        if path.exists():
            load_weights(model, torch.load(path, weights_only=True, map_location="cpu"))
            return model
        part = path.with_suffix(".part")
        clone(model, settings, seed, source, part=None if alone else part, context=context, alone=alone)
        aside = path.with_suffix(f".{os.getpid()}")
        torch.save(trained_weights(model), aside)
        aside.replace(path)
        part.unlink(missing_ok=True)
    return model


def _wait_for(lock: IO[str], context: RunContext | None) -> None:
    """Wait for the run that makes the clone, and hear meanwhile whether the sweep was cancelled."""
    waits = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits:
                sys.stderr.write("waits for the warm start, which another run of this machine is making\n")
            waits = True
            if context is not None:
                context.check_cancelled()
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _untrained(settings: LabSettings, seed: int, cache_dir: Path, source: Source | None) -> Policy:
    if settings.policy.model is None:
        return TinyTransformer(settings.policy, room(settings, source), seed)
    return load_causal(settings.policy, room(settings, source), seed, cache_dir)
