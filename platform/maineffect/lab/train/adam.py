"""Adam without what makes torch's own slow to start: it imports a compiler, 800 modules, into every run's process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Adam"]

_EPSILON = 1e-8


class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), as ``torch.optim.AdamW`` without weight decay.

    Args:
        parameters: What is learned.
        rate: Learning rate; may be changed between steps.
        betas: Decay of the two moments.

    Attributes:
        rate: The same.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float, betas: tuple[float, float] = (0.9, 0.95)) -> None:
        self._parameters, self.rate, self._betas = list(parameters), rate, betas
        self._steps = 0
        self._first = [torch.zeros_like(value) for value in self._parameters]
        self._second = [torch.zeros_like(value) for value in self._parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for value in self._parameters:
            value.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients; one without a gradient stays, and so do its moments."""
        self._steps += 1
        for value, first, second in zip(self._parameters, self._first, self._second, strict=True):
            if value.grad is None:
                continue
            one, two = self._betas
            first.lerp_(value.grad, 1 - one)
            second.mul_(two).addcmul_(value.grad, value.grad, value=1 - two)
            scale = (second.sqrt() / (1 - two**self._steps) ** 0.5).add_(_EPSILON)
            value.addcdiv_(first, scale, value=-self.rate / (1 - one**self._steps))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"steps": self._steps, "first": self._first, "second": self._second}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: It is of other parameters.
        """
        for mine, kept in ((self._first, state["first"]), (self._second, state["second"])):
            for value, saved in zip(mine, kept, strict=True):
                value.copy_(saved)
        self._steps = state["steps"]
