"""The sampler's weights, a stated number of updates behind the trainer's: asynchronous training, made exact."""

from __future__ import annotations

from collections import deque

from torch import Tensor

from maineffect.lab.policy.sampler import Policy, load_weights, trained_weights, twin

__all__ = ["LaggingPolicy"]

Weights = dict[str, Tensor]


class LaggingPolicy:
    """Hands out the policy that samples a step.

    Args:
        model: The policy in training.
        staleness: Updates by which the sampler is behind; the first steps use the oldest weights that there are.
    """

    def __init__(self, model: Policy, staleness: int) -> None:
        self._model, self._staleness = model, staleness
        self._past: deque[Weights] = deque(maxlen=staleness + 1)
        self._behind = twin(model) if staleness else model
        self.remember()

    def remember(self) -> None:
        """Note the present weights, once per update."""
        if self._staleness:
            self._past.append({name: value.clone() for name, value in trained_weights(self._model).items()})

    def policy(self) -> Policy:
        """The policy to sample with."""
        if self._staleness:
            load_weights(self._behind, self._past[0])
        return self._behind

    @property
    def lag(self) -> int:
        """Updates by which :meth:`policy` is behind now."""
        return len(self._past) - 1 if self._staleness else 0

    def state(self) -> list[Weights]:
        """What a checkpoint must hold."""
        return list(self._past)

    def restore(self, state: list[Weights]) -> None:
        """Take over a checkpoint's past weights."""
        self._past = deque(state, maxlen=self._staleness + 1)
