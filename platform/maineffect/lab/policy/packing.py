"""Sequences of a batch through the model: padded to the longest, or packed into one row without padding.

Shapes: N sequences, T tokens, P tokens of all sequences without padding, S the tokens that the policy wrote.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.models import TinyTransformer

__all__ = ["packs", "written_hidden"]


def packs(policy: TinyTransformer | CausalPolicy) -> bool:
    """Whether a policy reads its batches packed."""
    return isinstance(policy, CausalPolicy) and policy.settings.batching == "packed"


def written_hidden(
    policy: TinyTransformer | CausalPolicy, tokens_NT: Tensor, lengths_N: Tensor, written_NT: Tensor
) -> Tensor:
    """Hidden states (S, D) from which the written tokens are predicted, in the order of those tokens in the batch.

    Args:
        policy: Its settings say which way.
        tokens_NT: Right-padded sequences.
        lengths_N: Tokens of each.
        written_NT: (N, T − 1), true where the next token was written by the policy.
    """
    if not isinstance(policy, CausalPolicy) or not packs(policy):
        hidden_NTD: Tensor = policy(tokens_NT[:, :-1])
        return hidden_NTD[written_NT]
    column_T = torch.arange(tokens_NT.shape[1] - 1, device=tokens_NT.device)
    # The last token of a sequence predicts nothing, so it is not read.
    real_NT = column_T[None] < lengths_N.to(tokens_NT.device)[:, None] - 1
    row_N = torch.arange(len(tokens_NT), device=tokens_NT.device)
    hidden_PD = policy.packed(
        tokens_NT[:, :-1][real_NT], column_T.expand_as(real_NT)[real_NT], row_N[:, None].expand_as(real_NT)[real_NT]
    )
    return hidden_PD[written_NT[real_NT]]
