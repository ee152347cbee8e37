"""Whether a model read in shared prefixes is the model read in padding: asked once, at a run's first batch."""

from __future__ import annotations

import torch
from torch import Tensor

from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.reading import Way, read_batch
from maineffect.lab.sampling.sampler import Policy
from maineffect.record import tell_run

__all__ = ["agreed_way"]

_MOST_ROWS = 4
_LOGP_GAP = {"float32": 1e-3, "bfloat16": 0.25}
_COSINE = {"float32": 0.99999, "bfloat16": 0.99}
"""What rounding can explain: measured gaps are a hundredth of these."""


def agreed_way(policy: Policy, tokens_NT: Tensor, lengths_N: Tensor, written_NT: Tensor) -> Way:
    """The way to read sequences in training: as the settings say, or padded where sharing would change the gradient.

    Some models carry states on, or attend to a window only, which trees do not show. The first rows of a batch are read
    both ways, and log-probabilities and gradients are compared. What was found is said in the run's log.

    Args:
        tokens_NT: Right-padded sequences of a batch.
        lengths_N: Tokens of each.
        written_NT: True where the policy wrote the token.
    """
    way = policy.settings.batching
    if way != "shared":
        return way
    window = policy.window if isinstance(policy, CausalPolicy) else None
    longest = int(lengths_N.max())
    if window is not None and window < longest:
        return _padded(f"the model attends to {window} tokens only, and sequences have up to {longest}")
    few = slice(0, _MOST_ROWS)
    batch = (tokens_NT[few], lengths_N[few], written_NT[few])
    if not bool(written_NT[few, 1:].any()):
        return way
    (shared_S, steps), (padded_S, plain) = (_gradient(policy, other, *batch) for other in ("shared", "padded"))
    precision = policy.settings.precision_name
    gap = float((shared_S - padded_S).abs().max())
    cosine = float(torch.nn.functional.cosine_similarity(steps, plain, dim=0))
    if gap <= _LOGP_GAP[precision] and (cosine >= _COSINE[precision] or not bool(plain.any())):
        return way
    return _padded(f"log-probabilities differ by up to {gap:.3g}, gradients have a cosine of {cosine:.5f}")


def _padded(why: str) -> Way:
    tell_run(f"policy.batching shared is not exact for this model, so batches are padded instead: {why}")
    return "padded"


def _gradient(
    policy: Policy, way: Way, tokens_NT: Tensor, lengths_N: Tensor, written_NT: Tensor
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the written tokens, and the gradient of their sum over what is learned."""
    learned = [value for value in policy.parameters() if value.requires_grad]
    logp_S = read_batch(policy, way, tokens_NT, lengths_N, written_NT).written(policy).logp_S
    parts = torch.autograd.grad(logp_S.sum(), learned, allow_unused=True)
    return logp_S.detach(), torch.cat([part.flatten().double() for part in parts if part is not None])
