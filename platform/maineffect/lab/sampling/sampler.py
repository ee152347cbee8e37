"""What plays episodes with a policy's weights: one protocol, three kinds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from maineffect.contracts import RunContext
from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.sampling.causal_sampler import CausalSampler
from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.world.turns import TextEpisode

__all__ = ["Policy", "Sampler", "TinySampler", "load_weights", "open_sampler", "trained_weights", "twin"]

Policy = TinyTransformer | CausalPolicy


class Sampler(Protocol):
    """Plays episodes with weights that it was given.

    Attributes:
        version: Updates that those weights have seen.
        rows: Most episodes to hand over at once.
    """

    version: int
    rows: int

    def sync(self, policy: Any, version: int) -> None:
        """Load a policy's weights."""

    def play(self, episodes: Sequence[TextEpisode], generator: torch.Generator | None) -> Transcripts:
        """Play fresh episodes to their ends at temperature 1, or with the likeliest tokens without a generator."""

    def sleep(self) -> None:
        """Free a shared device's memory until the next :meth:`sync`."""

    def close(self) -> None:
        """Free everything."""


class TinySampler:
    """Samples the tiny policy with the weights in training themselves."""

    rows = 512

    def __init__(self, policy: TinyTransformer) -> None:
        self._policy, self.version = policy, 0

    def sync(self, policy: TinyTransformer, version: int) -> None:
        """Sample with these weights from now on."""
        self._policy, self.version = policy, version

    def play(self, episodes: Sequence[TextEpisode], generator: torch.Generator | None) -> Transcripts:
        """Play episodes to their ends."""
        return rollout(self._policy, episodes, generator)

    def sleep(self) -> None:
        """Nothing to free."""

    def close(self) -> None:
        """Nothing to end."""


def open_sampler(policy: Policy, context: RunContext | None = None) -> Sampler:
    """The sampler that a policy's settings ask for, with the policy's present weights as version 0.

    Args:
        context: The run, for an engine in a process of its own.

    Raises:
        PluginError: The engine could not be started.
    """
    if isinstance(policy, TinyTransformer):
        return TinySampler(policy)
    if policy.settings.sampler == "torch":
        return CausalSampler(policy)
    from maineffect.lab.sampling.vllm_sampler import VllmSampler

    return VllmSampler(policy, context)


def twin(policy: Policy) -> Policy:
    """A copy for reading: it is not trained, and shares what neither of the two trains."""
    return copy.deepcopy(policy).requires_grad_(False).eval()


def trained_weights(policy: Policy) -> dict[str, Tensor]:
    """What training changes, by name; tied weights once."""
    return {name: value.detach() for name, value in policy.named_parameters() if value.requires_grad}


def load_weights(policy: Policy, weights: dict[str, Tensor]) -> None:
    """Write what :func:`trained_weights` returned into a policy of the same settings.

    Raises:
        RuntimeError: Names or shapes do not fit.
    """
    parameters = dict(policy.named_parameters())
    if not weights.keys() <= parameters.keys():
        raise RuntimeError(f"weights of another model: {', '.join(sorted(weights.keys() - parameters.keys())[:3])}")
    policy.load_state_dict(weights, strict=False)
