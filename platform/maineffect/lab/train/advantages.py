"""Rewards → advantages, per group of rollouts of one question."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["group_advantages"]


def group_advantages(rewards_PG: Tensor, scaling: Literal["mean", "std", "batch"]) -> Tensor:
    """Advantages (P, G) of P questions × G rollouts.

    ``mean`` only centres (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783, eq. 3); ``std`` divides by the group's standard
    deviation (GRPO, Shao et al. 2024, arXiv 2402.03300, sec. 4.1.2); ``batch`` by that of the whole batch. Both
    divisions make the step size depend on the environment, so neither is the default.
    """
    centred = rewards_PG - rewards_PG.mean(dim=1, keepdim=True)
    if scaling == "std":
        return centred / (rewards_PG.std(dim=1, keepdim=True) + 1e-6)
    if scaling == "batch":
        return torch.as_tensor(centred / (centred.std() + 1e-6))
    return centred
