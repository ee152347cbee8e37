"""Rewards → advantages, per group of rollouts of one question."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["group_advantages"]


def group_advantages(rewards_PG: Tensor, scaling: Literal["mean", "std", "batch"]) -> Tensor:
    """Advantages (P, G) of P questions × G rollouts.

    ``mean`` only centres (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783, eq. 3); ``std`` divides by the group's standard
    deviation (GRPO, Shao et al. 2024, arXiv 2402.03300, sec. 4.1.2); ``batch`` by that of all rewards of the batch (as
    TRL's ``scale_rewards="batch"`` does). Both divisions make the step size depend on the environment, so neither is
    the default. A group of equal rewards teaches nothing: its advantages are exactly 0, whatever the rounding of its
    mean.
    """
    equal_P1 = (rewards_PG == rewards_PG[:, :1]).all(dim=1, keepdim=True)
    centred = torch.where(equal_P1, 0.0, rewards_PG - rewards_PG.mean(dim=1, keepdim=True))
    if scaling == "std":
        return centred / (rewards_PG.std(dim=1, keepdim=True) + 1e-6)
    if scaling == "batch":
        return torch.as_tensor(centred / (rewards_PG.std() + 1e-6))
    return centred
