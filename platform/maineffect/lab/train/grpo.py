"""One GRPO update: clipped, token-level, with a constant length divisor.

Shapes: N rollouts of a batch, T tokens, S the tokens that policies wrote in the kept rollouts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.torch_sampler import Transcripts
from maineffect.lab.settings import TrainSettings
from maineffect.lab.train.advantages import group_advantages

__all__ = ["Update", "update"]


@dataclass(frozen=True)
class Update:
    """What an update was like."""

    loss: float
    entropy: float
    kl: float
    clipped_low: float
    clipped_high: float
    grad_norm: float
    mismatch_mean: float
    mismatch_max: float
    masked: float
    positive_logp: float
    zero_std_groups: float


def update(
    model: TinyTransformer,
    initial: TinyTransformer,
    optimizer: torch.optim.Optimizer,
    transcripts: Transcripts,
    settings: TrainSettings,
) -> Update:
    """Take one on-policy step.

    The objective is PPO's clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7) per written token with
    asymmetric clips (DAPO), weighted by truncated sampler–trainer importance ratios, plus kl × the k3 estimator of
    KL(policy ‖ warm start) (Schulman 2020, "Approximating KL divergence"). Truncated transcripts are masked.

    Args:
        transcripts: prompts × group_size rollouts, groups together.
    """
    rewards = transcripts.rewards_B.view(-1, settings.group_size)
    advantage_N = group_advantages(rewards, settings.advantage).reshape(-1)
    whole = torch.tensor([bool(parts) for parts in transcripts.components])
    kept = (advantage_N.abs() > 1e-9) & whole
    zero_std = float((rewards.std(dim=1) < 1e-9).float().mean())
    if not bool(kept.any()):
        return Update(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, zero_std)
    length = int(transcripts.lengths_B[kept].max())
    tokens_NT, written_NT = transcripts.tokens_BT[kept, :length], transcripts.written_BT[kept, 1:length]
    old_S = transcripts.logp_BT[kept, 1:length][written_NT]
    advantage_S = advantage_N[kept][:, None].expand(-1, length - 1)[written_NT]
    logp_SV = torch.log_softmax(model.logits(model(tokens_NT[:, :-1])[written_NT]), -1)
    target_S = tokens_NT[:, 1:][written_NT][:, None]
    logp_S = logp_SV.gather(1, target_S)[:, 0]
    with torch.no_grad():
        base_S = torch.log_softmax(initial.logits(initial(tokens_NT[:, :-1])[written_NT]), -1).gather(1, target_S)[:, 0]
        # The sampler's weights are the trainer's here, so this is 1 up to rounding; with vLLM it is not.
        importance_S = (logp_S - old_S).exp().clamp(max=settings.importance_cap)
    ratio_S = (logp_S - logp_S.detach()).exp()
    clipped_S = ratio_S.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    surrogate_S = importance_S * torch.minimum(ratio_S * advantage_S, clipped_S * advantage_S)
    k3_S = (base_S - logp_S).exp() - 1 - (base_S - logp_S)
    scale = advantage_N.numel() * settings.length_divisor
    loss = -(surrogate_S.sum() - settings.kl * k3_S.sum()) / scale
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
    optimizer.step()
    return _summary(loss, logp_SV, logp_S, old_S, k3_S, advantage_S, norm, kept, zero_std, settings)


@torch.no_grad()
def _summary(
    loss: Tensor,
    logp_SV: Tensor,
    logp_S: Tensor,
    old_S: Tensor,
    k3_S: Tensor,
    advantage_S: Tensor,
    norm: Tensor,
    kept: Tensor,
    zero_std: float,
    settings: TrainSettings,
) -> Update:
    gap = (logp_S - old_S).abs()
    ratio = (logp_S - old_S).exp()
    positive = advantage_S > 0
    return Update(
        loss=loss.item(),
        entropy=-(logp_SV.exp() * logp_SV).sum(-1).mean().item(),
        kl=k3_S.mean().item(),
        clipped_low=(ratio < 1 - settings.clip_low).float().mean().item(),
        clipped_high=(ratio > 1 + settings.clip_high).float().mean().item(),
        grad_norm=float(norm),
        mismatch_mean=gap.mean().item(),
        mismatch_max=gap.max().item(),
        masked=1 - kept.float().mean().item(),
        positive_logp=logp_S[positive].mean().item() if bool(positive.any()) else 0.0,
        zero_std_groups=zero_std,
    )
