"""One batch of rollouts → one or more clipped, token-level GRPO updates.

Shapes: N rollouts of a batch, P questions, T tokens, S the tokens that the policy wrote in the rollouts at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maineffect.lab.policy.packing import packs, written_hidden
from maineffect.lab.policy.sampler import Policy
from maineffect.lab.policy.torch_sampler import Transcripts
from maineffect.lab.settings import TrainSettings
from maineffect.lab.train.advantages import group_advantages
from maineffect.lab.train.passes import passes

__all__ = ["Update", "importance_weights", "token_weights", "update"]

_MEASURED = 4
"""Where nothing is learned from the warm start's probabilities, one in so many rollouts of a pass measures the KL."""


@dataclass(frozen=True)
class Update:
    """What an update was like. Averages are over written tokens of rollouts that taught something.

    Attributes:
        kl: k3 estimate of KL(policy ‖ warm start); on a quarter of the rollouts where nothing is learned from it.
        clipped_low: Share of tokens whose ratio to the weights before this batch is under the lower clip.
        ratio: Mean of that ratio.
        mismatch_mean: Mean |Δ log-probability| between trainer and sampler before the update.
        importance_cut: Share of tokens whose sampler–trainer weight was capped or dropped.
        masked: Share of rollouts left out because they were truncated.
        positive_logp: Mean log-probability of rollouts with positive advantage; its fall warns of collapse
            (LLDS, arXiv 2512.04220).
        zero_std_groups: Share of questions whose rollouts all had the same reward.
        trained_tokens: Tokens of forward and backward passes, padding left out.
    """

    loss: float = 0.0
    entropy: float = 0.0
    kl: float = 0.0
    clipped_low: float = 0.0
    clipped_high: float = 0.0
    ratio: float = 1.0
    grad_norm: float = 0.0
    mismatch_mean: float = 0.0
    mismatch_max: float = 0.0
    importance_cut: float = 0.0
    masked: float = 0.0
    positive_logp: float = 0.0
    zero_std_groups: float = 0.0
    trained_tokens: float = 0.0


@dataclass
class _Batch:
    """Rollouts in the form in which they are learned from; rows without advantage or end are in no minibatch."""

    tokens_NT: Tensor
    written_NT: Tensor
    sampled_NT: Tensor
    lengths_N: Tensor
    advantage_N: Tensor
    kept_N: Tensor
    proximal_NT: Tensor | None = None


@dataclass
class _Seen:
    """Per-token numbers of every pass, for the metrics."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)
    kl: list[Tensor] = field(default_factory=list)
    processed: int = 0


def update(
    model: Policy,
    initial: Policy,
    optimizer: torch.optim.Optimizer,
    transcripts: Transcripts,
    settings: TrainSettings,
) -> Update:
    """Learn from one batch: one on-policy step by default, ``epochs × minibatches`` steps as in PPO.

    The objective is PPO's clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7) per written token with
    asymmetric clips (DAPO, arXiv 2503.14476, eq. 8), weighted by sampler–trainer importance weights, minus kl × the k3
    estimator of KL(policy ‖ warm start) (Schulman 2020, "Approximating KL divergence") and likelihood_guard × the fall
    of well-rewarded tokens below the warm start (after LLDS, arXiv 2512.04220, which compares with the last policy:
    with one on-policy step per batch that difference is always 0). Truncated rollouts are masked.

    Args:
        transcripts: prompts × group_size rollouts, groups together.
    """
    rewards_PG = transcripts.rewards_B.view(-1, settings.group_size)
    advantage_N = group_advantages(rewards_PG, settings.advantage).reshape(-1)
    batch = _Batch(
        tokens_NT=transcripts.tokens_BT,
        written_NT=transcripts.written_BT,
        sampled_NT=transcripts.logp_BT,
        lengths_N=transcripts.lengths_B,
        advantage_N=advantage_N,
        kept_N=(advantage_N.abs() > 1e-9) & ~transcripts.truncated_B,
    )
    if settings.epochs * settings.minibatches > 1 and bool(batch.kept_N.any()):
        batch.proximal_NT = _log_probabilities(model, batch, settings)
    seen = _Seen()
    for _ in range(settings.epochs):
        for rows, count in _minibatches(batch, settings):
            optimizer.zero_grad()
            scale = _scale(batch, rows, count, settings)
            seen.processed += int(batch.lengths_N[rows].sum())
            losses = [
                _backward(model, initial, batch, part, scale, settings, seen)
                for part in passes(rows, batch.lengths_N, settings, packed=packs(model))
            ]
            seen.losses.append(sum(losses))
            seen.norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)))
            optimizer.step()
    zero_std = float((rewards_PG.std(dim=1) < 1e-9).float().mean())
    return _summary(seen, zero_std, float(transcripts.truncated_B.float().mean()), settings)


def importance_weights(gap_S: Tensor, settings: TrainSettings) -> Tensor:
    """Weights that correct for a sampler whose log-probabilities differ from the trainer's.

    ``truncate`` caps the ratio (truncated importance sampling: Ionides 2008, J. Comput. Graph. Stat. 17:295–311);
    ``mask`` drops tokens whose ratio is outside [1/cap, cap]; ``none`` ignores the difference.

    Args:
        gap_S: Trainer's minus sampler's log-probability per token.
    """
    ratio_S = gap_S.exp()
    if settings.importance == "truncate":
        return ratio_S.clamp(max=settings.importance_cap)
    if settings.importance == "mask":
        inside = (ratio_S <= settings.importance_cap) & (ratio_S >= 1 / settings.importance_cap)
        return torch.where(inside, ratio_S, 0.0)
    return torch.ones_like(ratio_S)


def token_weights(written_NT: Tensor, settings: TrainSettings) -> Tensor:
    """Weight (N, T) of each written token: 1, or one over its rollout's tokens for ``length: sequence``."""
    weight_NT = written_NT.float()
    if settings.length == "sequence":
        return weight_NT / weight_NT.sum(dim=1, keepdim=True).clamp(min=1)
    return weight_NT


def _scale(batch: _Batch, rows: Tensor, count: int, settings: TrainSettings) -> float:
    """Divisor of the summed objective of a minibatch with ``count`` rollouts, of which ``rows`` teach.

    constant: Dr. GRPO (arXiv 2503.20783, sec. 3.2); token: DAPO (eq. 8); sequence: GRPO (arXiv 2402.03300, eq. 3).
    """
    if settings.length == "token":
        return float(batch.written_NT[rows].sum())
    return count * settings.length_divisor if settings.length == "constant" else float(count)


def _minibatches(batch: _Batch, settings: TrainSettings) -> Iterator[tuple[Tensor, int]]:
    """Rows that teach and the number of rollouts, per minibatch of whole questions."""
    questions = len(batch.kept_N) // settings.group_size
    of_row_N = torch.arange(len(batch.kept_N)) // settings.group_size
    parts = min(settings.minibatches, questions)
    for part in range(parts):
        own_N = of_row_N * parts // questions == part
        rows = torch.nonzero(own_N & batch.kept_N)[:, 0]
        if len(rows):
            yield rows, int(own_N.sum())


def _backward(
    model: Policy,
    initial: Policy,
    batch: _Batch,
    rows: Tensor,
    scale: float,
    settings: TrainSettings,
    seen: _Seen,
) -> float:
    """Add the gradient of some rollouts; their part of the loss."""
    length = int(batch.lengths_N[rows].max())
    device = next(model.parameters()).device
    tokens_NT = batch.tokens_NT[rows, :length].to(device)
    written_NT = batch.written_NT[rows, 1:length].to(device)
    sampled_S = batch.sampled_NT[rows, 1:length].to(device)[written_NT]
    advantage_S = batch.advantage_N[rows].to(device)[:, None].expand(-1, length - 1)[written_NT]
    weight_S = token_weights(written_NT, settings)[written_NT]
    lengths_N = batch.lengths_N[rows]
    logp_SV = torch.log_softmax(model.logits(written_hidden(model, tokens_NT, lengths_N, written_NT)), -1)
    target_S = tokens_NT[:, 1:][written_NT][:, None]
    logp_S = logp_SV.gather(1, target_S)[:, 0]
    with torch.no_grad():
        # In a single step the weights before the batch are the present ones, so no second pass is needed.
        proximal_NT = batch.proximal_NT
        proximal_S = logp_S.detach() if proximal_NT is None else proximal_NT[rows, : length - 1].to(device)[written_NT]
        importance_S = importance_weights(proximal_S - sampled_S, settings)
    ratio_S = (logp_S - proximal_S).exp()
    clipped_S = ratio_S.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    surrogate_S = weight_S * importance_S * torch.minimum(ratio_S * advantage_S, clipped_S * advantage_S)
    objective = surrogate_S.sum()
    if settings.kl or settings.likelihood_guard:
        fell_S = _frozen_logp(initial, tokens_NT, written_NT, lengths_N) - logp_S
        k3_S = fell_S.exp() - 1 - fell_S
        # One-sided: only what the policy should learn must not become less likely than it was before any reward.
        fall_S = torch.where(advantage_S > 0, torch.relu(fell_S), 0.0)
        objective = objective - settings.kl * (weight_S * k3_S).sum()
        objective = objective - settings.likelihood_guard * (weight_S * fall_S).sum()
    else:
        some = slice(None, None, _MEASURED)
        seen_S = (torch.arange(len(rows), device=device) % _MEASURED == 0)[:, None].expand_as(written_NT)[written_NT]
        fell_S = _frozen_logp(initial, tokens_NT[some], written_NT[some], lengths_N[some]) - logp_S.detach()[seen_S]
        k3_S = fell_S.exp() - 1 - fell_S
    loss = -objective / scale
    torch.autograd.backward(loss)
    with torch.no_grad():
        entropy_S = -(logp_SV.exp() * logp_SV).sum(-1)
        seen.tokens.append(torch.stack([entropy_S, ratio_S, proximal_S - sampled_S, advantage_S, logp_S]).detach())
        seen.kl.append(k3_S.detach())
    return loss.item()


@torch.no_grad()
def _frozen_logp(policy: Policy, tokens_NT: Tensor, written_NT: Tensor, lengths_N: Tensor) -> Tensor:
    """Log-probabilities (S,) of the written tokens under a policy that is not learning from them here."""
    logp_SV = torch.log_softmax(policy.logits(written_hidden(policy, tokens_NT, lengths_N, written_NT)), -1)
    return logp_SV.gather(1, tokens_NT[:, 1:][written_NT][:, None])[:, 0]


@torch.no_grad()
def _log_probabilities(model: Policy, batch: _Batch, settings: TrainSettings) -> Tensor:
    """Log-probabilities (N, T − 1) of the written tokens of rows that teach, under the present weights; 0 elsewhere."""
    out_NT = torch.zeros(batch.tokens_NT[:, 1:].shape)
    device = next(model.parameters()).device
    for rows in passes(torch.nonzero(batch.kept_N)[:, 0], batch.lengths_N, settings, packed=packs(model)):
        length = int(batch.lengths_N[rows].max())
        tokens_NT, written_NT = batch.tokens_NT[rows, :length].to(device), batch.written_NT[rows, 1:length].to(device)
        part_NT = torch.zeros(written_NT.shape, device=device)
        part_NT[written_NT] = _frozen_logp(model, tokens_NT, written_NT, batch.lengths_N[rows])
        out_NT[rows, : length - 1] = part_NT.cpu()
    return out_NT


def _summary(seen: _Seen, zero_std: float, truncated: float, settings: TrainSettings) -> Update:
    if not seen.tokens:
        return Update(masked=truncated, zero_std_groups=zero_std)
    entropy_S, ratio_S, gap_S, advantage_S, logp_S = torch.cat(seen.tokens, 1)
    positive_S = advantage_S > 0
    cap = settings.importance_cap
    low = 1 / cap if settings.importance == "mask" else 0.0
    cut_S = (gap_S.exp() > cap) | (gap_S.exp() < low)
    return Update(
        loss=sum(seen.losses) / len(seen.losses),
        entropy=entropy_S.mean().item(),
        kl=torch.cat(seen.kl).mean().item(),
        clipped_low=(ratio_S < 1 - settings.clip_low).float().mean().item(),
        clipped_high=(ratio_S > 1 + settings.clip_high).float().mean().item(),
        ratio=ratio_S.mean().item(),
        grad_norm=max(seen.norms),
        mismatch_mean=gap_S.abs().mean().item(),
        mismatch_max=gap_S.abs().max().item(),
        importance_cut=0.0 if settings.importance == "none" else cut_S.float().mean().item(),
        masked=truncated,
        positive_logp=logp_S[positive_S].mean().item() if bool(positive_S.any()) else 0.0,
        zero_std_groups=zero_std,
        trained_tokens=float(seen.processed),
    )
