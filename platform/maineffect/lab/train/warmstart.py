"""Behaviour cloning of a scripted demonstrator, cached by the content of everything that decides it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path

import torch

from maineffect.contracts import RunContext
from maineffect.lab.policy.causal import load_causal
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.reading import Way, read_batch
from maineffect.lab.questions.contract import Source
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.sampler import Policy, load_weights, trained_weights
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.agreement import agreed_way
from maineffect.lab.train.demonstrations import demonstrations, room
from maineffect.lab.train.passes import passes, tree_passes
from maineffect.seeds import derive_seed

__all__ = ["start_seed", "warm_start"]

_VERSION = 4
# What has no part in the clone: how it is sampled later, and where it is computed.
_UNDECIDING = {
    "device",
    "dtype",
    "max_action_tokens",
    "peak_tflops",
    "placement",
    "rollout_rows",
    "sampler",
    "sampler_memory",
    "weight_sync",
}


def start_seed(settings: LabSettings, base_seed: int | None, context: RunContext) -> int:
    """Seed of what training starts from: the sweep's where a clone is made, else the run's.

    A clone is a condition that the runs of a sweep share; weights that reinforcement learning starts from as they were
    drawn are part of what differs from run to run.

    Args:
        settings: Say whether anything is cloned.
        base_seed: The sweep's (:class:`maineffect.contracts.RunRequest`); None: each run makes its own clone.
        context: Of the run.
    """
    if base_seed is None or not _clones(settings):
        return context.seed("init")
    return derive_seed(base_seed, "init")


def _clones(settings: LabSettings) -> bool:
    return settings.warmstart.steps > 0 and settings.warmstart.demonstrator != "none"


def warm_start(settings: LabSettings, seed: int, cache_dir: Path, source: Source | None = None) -> Policy:
    """The cloned policy, from the cache if it was made before.

    Args:
        settings: Only policy, warm start and transcript length matter.
        seed: Seeds weights and demonstrations.
        cache_dir: Shared by runs on this machine; one of them trains, the others wait for it.
        source: Where questions come from; left out, they are generated.
    """
    model = _untrained(settings, derive_seed(seed, "weights"), cache_dir, source)
    if not _clones(settings):
        return model
    path = cache_dir / "warmstart" / f"{_content_key(settings, seed, source)}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            load_weights(model, torch.load(path, weights_only=True))
            return model
        _clone(model, settings, seed, source)
        aside = path.with_suffix(f".{os.getpid()}")
        torch.save(trained_weights(model), aside)
        aside.replace(path)
    return model


def _untrained(settings: LabSettings, seed: int, cache_dir: Path, source: Source | None) -> Policy:
    if settings.policy.model is None:
        return TinyTransformer(settings.policy, room(settings, source), seed)
    return load_causal(settings.policy, room(settings, source), seed, cache_dir)


def _content_key(settings: LabSettings, seed: int, source: Source | None) -> str:
    content = {
        "version": _VERSION,
        "seed": seed,
        "policy": settings.policy.model_dump(exclude=_UNDECIDING),
        "precision": settings.policy.precision_name,
        "warmstart": settings.warmstart.model_dump(),
        "language": settings.world.language,
        "max_tokens": settings.episode.max_tokens,
        "torch": torch.__version__,
    }
    if source is not None and source.digest:
        content |= {"source": source.digest, "room": room(settings, source), "index": settings.evaluation.index}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def _clone(model: Policy, settings: LabSettings, seed: int, source: Source | None) -> None:
    plan = settings.warmstart
    text, limit = None if isinstance(model, TinyTransformer) else model.text, room(settings, source)
    learned = [value for value in model.parameters() if value.requires_grad]
    optimizer = Adam(learned, plan.learning_rate)
    # Demonstrations are of a question each: only what a language model is told before it is common to them.
    way: Way | None = None if text is not None else "padded"
    for step in range(plan.steps):
        optimizer.rate = plan.learning_rate * min(1.0, (step + 1) / plan.ramp) * (1 - 0.9 * step / plan.steps)
        shown = demonstrations(settings, seed, step, source or Generated(), text, limit)
        way = way or agreed_way(model, shown.tokens_BT, shown.lengths_B, shown.written_BT)
        rows = torch.arange(len(shown.lengths_B))
        parts = (
            tree_passes(rows, shown.tokens_BT, shown.lengths_B, plan)
            if way == "shared"
            else passes(rows, shown.lengths_B, plan, packed=way == "packed")
        )
        written = int(shown.written_BT[:, 1:].sum())
        optimizer.zero_grad()
        for part in parts:
            reading = read_batch(model, way, shown.tokens_BT[part], shown.lengths_B[part], shown.written_BT[part])
            torch.autograd.backward(-reading.written(model).logp_S.sum() / written)
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
