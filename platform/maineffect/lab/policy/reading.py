"""How a batch of sequences goes through a model: as prefix trees, padded to the longest, or packed into one row.

All ways give the same hidden states. What differs is how many tokens are computed: a batch of rollouts repeats system
prompt, question and first results, and a tree reads them once.

Shapes: N sequences, T tokens, P tokens or nodes that are read, S tokens that the policy wrote, U distinct places from
which they are predicted, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.models import WINDOW, TinyTransformer
from maineffect.lab.policy.prefix_tree import PrefixTrees

__all__ = ["Reading", "Way", "WrittenTokens", "read_batch"]

Way = Literal["shared", "padded", "packed"]
_MOST_LOGITS = 1 << 26
"""Logits that are computed at once: 256 MB in float32. More are computed in parts, twice: forward and backward."""


@dataclass(frozen=True)
class WrittenTokens:
    """What a model says of the tokens that a policy wrote, in their order in the batch.

    Attributes:
        logp_S: Log-probability of each.
        entropy_S: Entropy in nats of the distribution that it was drawn from; not differentiated.
    """

    logp_S: Tensor
    entropy_S: Tensor


@dataclass(frozen=True)
class Reading:
    """A batch in the form in which models read it; made once, and read by several models.

    Attributes:
        hidden: Model → hidden states (U, D) of the places from which written tokens are predicted.
        place_S: The place of each written token.
        target_S: The written tokens.
        tokens: Tokens that are computed, padding left out.
    """

    hidden: Callable[[TinyTransformer | CausalPolicy], Tensor]
    place_S: Tensor
    target_S: Tensor
    tokens: int

    def written(self, policy: TinyTransformer | CausalPolicy) -> WrittenTokens:
        """Log-probabilities and entropies under a model; the first can be differentiated."""
        hidden_UD = self.hidden(policy)
        vocabulary = policy.vocabulary
        most = max(1, _MOST_LOGITS // vocabulary)
        if len(hidden_UD) <= most:
            logp_S, entropy_U = _select(hidden_UD, policy, self.place_S, self.target_S)
            return WrittenTokens(logp_S, entropy_U[self.place_S])
        order_S = self.place_S.argsort(stable=True)
        place_S, target_S = self.place_S[order_S], self.target_S[order_S]
        logps, entropies = [], []
        for start in range(0, len(hidden_UD), most):
            here = (place_S >= start) & (place_S < start + most)
            part = (hidden_UD[start : start + most], policy, place_S[here] - start, target_S[here])
            logp_S, entropy_U = checkpoint(_select, *part, use_reentrant=False)
            logps.append(logp_S)
            entropies.append(entropy_U)
        back_S = order_S.argsort()
        return WrittenTokens(torch.cat(logps)[back_S], torch.cat(entropies)[self.place_S])


def _select(
    hidden_UD: Tensor, policy: TinyTransformer | CausalPolicy, place_S: Tensor, target_S: Tensor
) -> tuple[Tensor, Tensor]:
    logp_UV = torch.log_softmax(policy.logits(hidden_UD), -1)
    with torch.no_grad():
        entropy_U = -(logp_UV.exp() * logp_UV).sum(-1)
    return logp_UV[place_S, target_S], entropy_U


def read_batch(
    policy: TinyTransformer | CausalPolicy,
    way: Way,
    tokens_NT: Tensor,
    lengths_N: Tensor,
    written_NT: Tensor,
    tree_N: Tensor | None = None,
) -> Reading:
    """Prepare a batch for the models of a policy's kind.

    Args:
        policy: Says where the tokens go.
        way: ``shared``: prefix trees; ``padded``; ``packed``: one row in which no sequence sees another.
        tokens_NT: Right-padded sequences.
        lengths_N: Tokens of each. The last one predicts nothing, so it is not read.
        written_NT: (N, T), true where the policy wrote the token.
        tree_N: For the tiny policy, which sequences may share a tree; those of one question do.
    """
    device = next(policy.parameters()).device
    length = int(lengths_N.max())
    tokens_NT, written_NT = tokens_NT[:, :length].cpu(), written_NT[:, 1:length].cpu()
    target_S = tokens_NT[:, 1:][written_NT].to(device)
    read_N = lengths_N.cpu() - 1
    if way == "shared":
        trees = PrefixTrees.of(tokens_NT[:, :-1], read_N, tree_N)
        node_U, place_S = torch.unique(trees.node_NT[written_NT], return_inverse=True)
        blocks = isinstance(policy, CausalPolicy) and policy.by_blocks
        reader = (_block_reader if blocks else _tree_reader)(trees, node_U, device)
        return Reading(reader, place_S.to(device), target_S, trees.distinct)
    place_S = torch.arange(len(target_S), device=device)
    real_NT = torch.arange(length - 1)[None] < read_N[:, None]
    if way == "packed":
        reader = _row_reader(tokens_NT[:, :-1], real_NT, written_NT, device)
    else:
        reader = _padded_reader(tokens_NT[:, :-1].to(device), written_NT.to(device))
    return Reading(reader, place_S, target_S, int(read_N.sum()))


def _tree_reader(
    trees: PrefixTrees, node_U: Tensor, device: torch.device
) -> Callable[[TinyTransformer | CausalPolicy], Tensor]:
    tokens_KP, depth_KP = trees.tokens_KP.to(device), trees.depth_KP.to(device)
    visible_KPP, node_U = trees.visible_KPP.to(device), node_U.to(device)
    above_KPW = trees.ancestors(WINDOW).to(device)

    def hidden(policy: TinyTransformer | CausalPolicy) -> Tensor:
        if isinstance(policy, TinyTransformer):
            hidden_KPD = policy.trees(tokens_KP, depth_KP, above_KPW, visible_KPP)
        else:
            hidden_KPD = policy.masked(tokens_KP, depth_KP, visible_KPP)
        return hidden_KPD.flatten(0, 1)[node_U]

    return hidden


def _block_reader(
    trees: PrefixTrees, node_U: Tensor, device: torch.device
) -> Callable[[TinyTransformer | CausalPolicy], Tensor]:
    order_KP, end_KP = trees.tour()
    tokens_KP = trees.tokens_KP.gather(1, order_KP).to(device)
    depth_KP, end_KP = trees.depth_KP.gather(1, order_KP).to(device), end_KP.to(device)
    size = order_KP.shape[1]
    place_KP = order_KP.argsort(1) + torch.arange(len(order_KP))[:, None] * size
    place_U = place_KP.flatten()[node_U].to(device)

    def hidden(policy: TinyTransformer | CausalPolicy) -> Tensor:
        assert isinstance(policy, CausalPolicy), "the tiny policy attends to its own window of ancestors as well"
        return policy.stretches(tokens_KP, depth_KP, end_KP).flatten(0, 1)[place_U]

    return hidden


def _padded_reader(tokens_NT: Tensor, written_NT: Tensor) -> Callable[[TinyTransformer | CausalPolicy], Tensor]:
    def hidden(policy: TinyTransformer | CausalPolicy) -> Tensor:
        hidden_NTD: Tensor = policy(tokens_NT)
        return hidden_NTD[written_NT]

    return hidden


def _row_reader(
    tokens_NT: Tensor, real_NT: Tensor, written_NT: Tensor, device: torch.device
) -> Callable[[TinyTransformer | CausalPolicy], Tensor]:
    position_NT = torch.arange(tokens_NT.shape[1]).expand_as(tokens_NT)
    tokens_P, position_P = tokens_NT[real_NT].to(device), position_NT[real_NT].to(device)
    written_P, sizes = written_NT[real_NT].to(device), real_NT.sum(1).tolist()

    def hidden(policy: TinyTransformer | CausalPolicy) -> Tensor:
        assert isinstance(policy, CausalPolicy), "the settings refuse it for the tiny policy"
        return policy.packed(tokens_P, position_P, sizes)[written_P]

    return hidden
