"""The sampler's weights, a stated number of updates behind the trainer's: asynchronous training, made exact."""

from __future__ import annotations

from collections import deque

from torch import Tensor

from maineffect.lab.sampling.sampler import Policy, load_weights, trained_weights, twin

__all__ = ["LaggingPolicy"]

Weights = dict[str, Tensor]


class LaggingPolicy:
    """Hands out the policy that samples a step.

    Args:
        model: The policy in training.
        staleness: Updates by which the sampler is behind; the first steps use the oldest weights that there are.

    Attributes:
        staleness: The same.
    """

    def __init__(self, model: Policy, staleness: int) -> None:
        self._model, self.staleness = model, staleness
        self._past: deque[Weights] = deque(maxlen=staleness + 1)
        self._behind = twin(model) if staleness else model
        self.remember()

    def remember(self) -> None:
        """Note the present weights, once per update."""
        if self.staleness:
            self._past.append({name: value.clone() for name, value in trained_weights(self._model).items()})

    def policy(self) -> Policy:
        """The policy to sample with."""
        if self.staleness:
            load_weights(self._behind, self._past[0])
        return self._behind

    @property
    def lag(self) -> int:
        """Updates by which :meth:`policy` is behind now."""
        return len(self._past) - 1 if self.staleness else 0

    def ahead(self) -> tuple[Policy, int]:
        """The policy to sample the next step with, before the present step's update; and its lag then.

        Raises:
            ValueError: Strictly on policy there is none yet.
        """
        if not self.staleness:
            raise ValueError("the next step's weights are this step's update")
        full = len(self._past) == self.staleness + 1
        load_weights(self._behind, self._past[1 if full else 0])
        return self._behind, min(len(self._past), self.staleness)

    def state(self) -> list[Weights]:
        """What a checkpoint must hold."""
        return list(self._past)

    def restore(self, state: list[Weights]) -> None:
        """Load a checkpoint's past weights."""
        self._past = deque(state, maxlen=self.staleness + 1)
