"""What a training starts from: whether a policy is cloned, from which seed, and what decides the clone. No torch."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING

from maineffect.lab.settings import LabSettings
from maineffect.seeds import derive_seed

if TYPE_CHECKING:
    from maineffect.lab.questions.contract import Source

__all__ = ["clone_file", "clones", "start_seed"]

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


def clones(settings: LabSettings) -> bool:
    """Whether a training starts from a clone of a demonstrator."""
    return settings.warmstart.steps > 0 and settings.warmstart.demonstrator != "none"


def start_seed(settings: LabSettings, base_seed: int | None, own: int) -> int:
    """Seed of what training starts from: the sweep's where a clone is made, else the run's.

    A clone is a condition that the runs of a sweep share; weights that reinforcement learning starts from as they were
    drawn are part of what differs from run to run.

    Args:
        settings: Say whether anything is cloned.
        base_seed: The sweep's (:class:`maineffect.contracts.RunRequest`); None: runs of one seed share a clone.
        own: Seed of the purpose ``init`` under the run's seed.
    """
    return own if base_seed is None or not clones(settings) else derive_seed(base_seed, "init")


def clone_file(settings: LabSettings, seed: int, source: Source | None = None) -> str:
    """Where a clone lies, as a path below the cache folder, named by everything that decides it and nothing else.

    Args:
        settings: Only policy, warm start and transcript length matter.
        seed: Of weights and demonstrations.
        source: Where questions come from; left out, they are generated.
    """
    content = {
        "version": _VERSION,
        "seed": seed,
        "policy": settings.policy.model_dump(exclude=_UNDECIDING),
        "precision": settings.policy.precision_name,
        "warmstart": settings.warmstart.model_dump(),
        "language": settings.world.language,
        "max_tokens": settings.episode.max_tokens,
        "torch": version("torch"),
    }
    if source is not None and source.digest:
        room = settings.episode.max_tokens if settings.episode.max_tokens is not None else source.longest(settings)
        content |= {"source": source.digest, "room": room, "index": settings.evaluation.index}
    return f"warmstart/{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]}.pt"
