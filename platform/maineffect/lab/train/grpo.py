"""One batch of rollouts → one or more clipped, token-level GRPO updates.

Shapes: N rollouts of a batch, P questions, T tokens, S the tokens that the policy wrote in the rollouts at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from maineffect.lab.policy.reading import Reading, Way, read_batch
from maineffect.lab.sampling.sampler import Policy
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.settings import TrainSettings
from maineffect.lab.train.adam import Adam
from maineffect.lab.train.advantages import group_advantages
from maineffect.lab.train.passes import passes_of

__all__ = ["Update", "divergence", "importance_weights", "token_weights", "update"]

_MEASURED = 4
"""Where nothing is learned from the warm start's probabilities, one in so many rollouts of a pass measures the KL."""


_NO_ADVANTAGE = 1e-9
_NAN = float("nan")


@dataclass(frozen=True)
class Update:
    """What an update was like: averages over written tokens of rollouts that taught; NaN where none did.

    Attributes:
        kl: Estimate of KL(policy ‖ warm start), by ``train.kl_estimator``; over all rollouts where it is part of the
            loss, else on a quarter of those that taught. None where no warm start is kept to measure it from.
        clipped_low: Share of tokens whose ratio to the weights before this batch is under the lower clip.
        ratio: Mean of that ratio.
        mismatch_mean: Mean |Δ log-probability| between trainer and sampler before the update.
        importance_cut: Share of tokens whose sampler–trainer weight was capped or dropped.
        taught: Share of rollouts that taught: untruncated ones of groups whose rewards differ.
        masked: Share of rollouts left out because they were truncated.
        positive_logp: Mean log-probability of rollouts with positive advantage; its fall warns of collapse
            (LLDS, arXiv 2512.04220).
        zero_std_groups: Share of questions whose rollouts all had the same reward.
        trained_tokens: Distinct tokens of forward and backward passes: what several rollouts begin with counts once
            where it is read once.
    """

    loss: float = _NAN
    entropy: float = _NAN
    kl: float | None = _NAN
    clipped_low: float = _NAN
    clipped_high: float = _NAN
    ratio: float = _NAN
    grad_norm: float = _NAN
    mismatch_mean: float = _NAN
    mismatch_max: float = _NAN
    importance_cut: float = _NAN
    taught: float = 0.0
    masked: float = 0.0
    positive_logp: float = _NAN
    zero_std_groups: float = 0.0
    trained_tokens: float = 0.0


@dataclass
class _Batch:
    """Rollouts in the form in which they are learned from.

    Attributes:
        advantage_N: 0 for a rollout that teaches nothing, truncated ones among them.
        read_N: Rollouts that are in a minibatch: those that teach, or all where the KL is part of the loss.
    """

    tokens_NT: Tensor
    written_NT: Tensor
    sampled_NT: Tensor
    lengths_N: Tensor
    advantage_N: Tensor
    truncated_N: Tensor
    read_N: Tensor
    question_N: Tensor
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
    initial: Policy | None,
    optimizer: Adam,
    transcripts: Transcripts,
    settings: TrainSettings,
    way: Way | None = None,
) -> Update:
    """Learn from one batch: one on-policy step by default, ``epochs × minibatches`` steps as in PPO.

    The objective is PPO's clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7) per written token with
    asymmetric clips (DAPO, arXiv 2503.14476, eq. 8), weighted by sampler–trainer importance weights, minus kl × an
    estimator of KL(policy ‖ warm start) (:func:`divergence`) and likelihood_guard × the fall of well-rewarded tokens
    below the warm start (after LLDS, arXiv 2512.04220, which compares with the last policy: with one on-policy step per
    batch that difference is always 0). Truncated rollouts are masked in the surrogate. The KL is over all rollouts,
    with the surrogate's divisor, so that its weight does not depend on how many groups of an environment teach.

    Args:
        initial: The warm start; None leaves the KL unmeasured, where nothing is learned from it.
        transcripts: prompts × group_size rollouts, groups together.
        way: How sequences are read; left out, as the policy's settings say.
    """
    rewards_PG = transcripts.rewards_B.view(-1, settings.group_size)
    advantage_N = group_advantages(rewards_PG, settings.advantage).reshape(-1)
    advantage_N = torch.where(transcripts.truncated_B | (advantage_N.abs() <= _NO_ADVANTAGE), 0.0, advantage_N)
    batch = _Batch(
        tokens_NT=transcripts.tokens_BT,
        written_NT=transcripts.written_BT,
        sampled_NT=transcripts.logp_BT,
        lengths_N=transcripts.lengths_B,
        advantage_N=advantage_N,
        truncated_N=transcripts.truncated_B,
        read_N=torch.ones_like(transcripts.truncated_B) if settings.kl else advantage_N != 0,
        question_N=torch.arange(len(advantage_N)) // settings.group_size,
    )
    way = way or model.settings.batching
    if settings.epochs * settings.minibatches > 1 and bool(batch.read_N.any()):
        batch.proximal_NT = _log_probabilities(model, batch, settings, way)
    seen = _Seen()
    for _ in range(settings.epochs):
        for rows, members in _minibatches(batch, settings):
            optimizer.zero_grad()
            scale = _scale(batch, members, settings)
            losses = [
                _backward(model, initial, batch, part, scale, settings, way, seen)
                for part in _passes(model, batch, rows, settings, way)
            ]
            seen.losses.append(sum(losses))
            seen.norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)))
            optimizer.step()
    shares = {
        "taught": float((advantage_N != 0).float().mean()),
        "masked": float(transcripts.truncated_B.float().mean()),
        "zero_std_groups": float((rewards_PG == rewards_PG[:, :1]).all(dim=1).float().mean()),
    }
    learnt = _summary(seen, shares, settings)
    return learnt if initial is not None else replace(learnt, kl=None)


def divergence(fell_S: Tensor, estimator: str) -> Tensor:
    """Per-token estimates of KL(policy ‖ reference) on tokens that the policy drew.

    k1 = −r, k2 = r²/2, k3 = exp(r) − 1 − r with r = log(reference / policy) (Schulman 2020, "Approximating KL
    divergence"; k3 is DeepSeekMath's, arXiv 2402.03300, eq. 4).

    Args:
        fell_S: r of each token.
        estimator: k1, k2 or k3.
    """
    if estimator == "k1":
        return -fell_S
    if estimator == "k2":
        return fell_S**2 / 2
    return fell_S.exp() - 1 - fell_S


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


def _scale(batch: _Batch, members: Tensor, settings: TrainSettings) -> float:
    """Divisor of the summed objective of a minibatch.

    constant: Dr. GRPO (arXiv 2503.20783, sec. 3.2); token: the written tokens of all its rollouts that are not masked,
    whether they teach or not (DAPO, eq. 8, as verl and TRL count them); sequence: GRPO (arXiv 2402.03300, eq. 3).
    """
    if settings.length == "token":
        return max(1.0, float(batch.written_NT[members[~batch.truncated_N[members]]].sum()))
    count = len(members)
    return count * settings.length_divisor if settings.length == "constant" else float(count)


def _minibatches(batch: _Batch, settings: TrainSettings) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows that are read, and all rows, of each minibatch of whole questions."""
    questions = len(batch.read_N) // settings.group_size
    parts = min(settings.minibatches, questions)
    for part in range(parts):
        own_N = batch.question_N * parts // questions == part
        rows = torch.nonzero(own_N & batch.read_N)[:, 0]
        if len(rows):
            yield rows, torch.nonzero(own_N)[:, 0]


def _passes(model: Policy, batch: _Batch, rows: Tensor, settings: TrainSettings, way: Way) -> list[Tensor]:
    question_N = batch.question_N if model.settings.model is None else None
    return passes_of(way, rows, batch.tokens_NT, batch.lengths_N, settings, question_N)


def _read(model: Policy, batch: _Batch, rows: Tensor, way: Way) -> tuple[Reading, Tensor]:
    """A pass, and where its written tokens are: (rows, columns) of the batch."""
    tree_N = None
    if way == "shared" and model.settings.model is None:
        tree_N = torch.unique(batch.question_N[rows], return_inverse=True)[1]
    reading = read_batch(model, way, batch.tokens_NT[rows], batch.lengths_N[rows], batch.written_NT[rows], tree_N)
    row_S, column_S = torch.nonzero(batch.written_NT[rows, 1:], as_tuple=True)
    return reading, torch.stack([rows[row_S], column_S + 1])


def _backward(
    model: Policy,
    initial: Policy | None,
    batch: _Batch,
    rows: Tensor,
    scale: float,
    settings: TrainSettings,
    way: Way,
    seen: _Seen,
) -> float:
    """Add the gradient of some rollouts; their part of the loss."""
    reading, (row_S, column_S) = _read(model, batch, rows, way)
    seen.processed += reading.tokens
    written = reading.written(model)
    logp_S, device = written.logp_S, written.logp_S.device
    sampled_S = batch.sampled_NT[row_S, column_S].to(device)
    advantage_S = batch.advantage_N[row_S].to(device)
    weight_S = token_weights(batch.written_NT[:, 1:], settings)[row_S, column_S - 1].to(device)
    with torch.no_grad():
        # In a single step the weights before the batch are the present ones, so no second pass is needed.
        proximal_NT = batch.proximal_NT
        proximal_S = logp_S.detach() if proximal_NT is None else proximal_NT[row_S, column_S - 1].to(device)
        importance_S = importance_weights(proximal_S - sampled_S, settings)
    ratio_S = (logp_S - proximal_S).exp()
    clipped_S = ratio_S.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    surrogate_S = weight_S * importance_S * torch.minimum(ratio_S * advantage_S, clipped_S * advantage_S)
    objective = surrogate_S.sum()
    if settings.kl or settings.likelihood_guard:
        assert initial is not None, "what the policy is held to"
        with torch.no_grad():
            base_S = reading.written(initial).logp_S
        fell_S = base_S - logp_S
        kl_S = divergence(fell_S, settings.kl_estimator)
        # One-sided: only what the policy should learn must not become less likely than it was before any reward.
        fall_S = torch.where(advantage_S > 0, torch.relu(fell_S), 0.0)
        # Tokens that older weights drew stand for those that the present ones would draw.
        objective = objective - settings.kl * (weight_S * importance_S * ratio_S.detach() * kl_S).sum()
        objective = objective - settings.likelihood_guard * (weight_S * fall_S).sum()
    elif initial is None:
        kl_S = logp_S[:0]
    else:
        kl_S = _measured_kl(initial, batch, rows, way, (row_S, logp_S.detach()), settings)
    loss = -objective / scale
    torch.autograd.backward(loss)
    taught_S = advantage_S != 0
    numbers = torch.stack([written.entropy_S, ratio_S, proximal_S - sampled_S, advantage_S, logp_S])
    seen.tokens.append(numbers.detach()[:, taught_S].cpu())
    seen.kl.append(kl_S.detach())
    return loss.item()


@torch.no_grad()
def _measured_kl(
    initial: Policy,
    batch: _Batch,
    rows: Tensor,
    way: Way,
    under_policy: tuple[Tensor, Tensor],
    settings: TrainSettings,
) -> Tensor:
    """Estimates (S',) on some of the rollouts of a pass, whose written tokens' rows and log-probabilities are given."""
    some = rows[::_MEASURED]
    row_S, logp_S = under_policy
    base_S = _read(initial, batch, some, way)[0].written(initial).logp_S
    return divergence(base_S - logp_S[torch.isin(row_S, some).to(logp_S.device)], settings.kl_estimator)


@torch.no_grad()
def _log_probabilities(model: Policy, batch: _Batch, settings: TrainSettings, way: Way) -> Tensor:
    """Log-probabilities (N, T − 1) of the written tokens of rows that are read, under the present weights."""
    out_NT = torch.zeros(batch.tokens_NT[:, 1:].shape, dtype=batch.sampled_NT.dtype)
    for rows in _passes(model, batch, torch.nonzero(batch.read_N)[:, 0], settings, way):
        reading, (row_S, column_S) = _read(model, batch, rows, way)
        out_NT[row_S, column_S - 1] = reading.written(model).logp_S.cpu()
    return out_NT


def _summary(seen: _Seen, shares: dict[str, float], settings: TrainSettings) -> Update:
    kl = torch.cat(seen.kl).mean().item() if seen.kl else _NAN
    entropy_S, ratio_S, gap_S, advantage_S, logp_S = torch.cat([torch.zeros(5, 0), *seen.tokens], 1)
    if not len(logp_S):
        return Update(kl=kl, **shares, trained_tokens=float(seen.processed))
    positive_S = advantage_S > 0
    cap = settings.importance_cap
    low = 1 / cap if settings.importance == "mask" else 0.0
    cut_S = (gap_S.exp() > cap) | (gap_S.exp() < low)
    return Update(
        loss=sum(seen.losses) / len(seen.losses),
        entropy=entropy_S.mean().item(),
        kl=kl,
        clipped_low=(ratio_S < 1 - settings.clip_low).float().mean().item(),
        clipped_high=(ratio_S > 1 + settings.clip_high).float().mean().item(),
        ratio=ratio_S.mean().item(),
        grad_norm=max(seen.norms),
        mismatch_mean=gap_S.abs().mean().item(),
        mismatch_max=gap_S.abs().max().item(),
        importance_cut=0.0 if settings.importance == "none" else cut_S.float().mean().item(),
        **shares,
        positive_logp=logp_S[positive_S].mean().item() if bool(positive_S.any()) else _NAN,
        trained_tokens=float(seen.processed),
    )
