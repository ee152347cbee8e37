"""A batch in several forward and backward passes: less padding, and no more tokens at once than memory holds."""

from __future__ import annotations

import torch
from torch import Tensor

from maineffect.lab.policy.prefix_tree import distinct_tokens, tree_sizes
from maineffect.lab.policy.reading import Way
from maineffect.lab.settings import TrainSettings, WarmstartSettings

__all__ = ["passes", "passes_of", "tree_passes"]


def passes(
    rows_N: Tensor, lengths_N: Tensor, settings: TrainSettings | WarmstartSettings, *, packed: bool = False
) -> list[Tensor]:
    """Rows of each pass; a single pass keeps their order.

    Args:
        rows_N: Indices of the batch's rows.
        lengths_N: Tokens of every row of the batch.
        settings: ``slices`` of similar length at least, cut further until each fits ``token_budget``, padding included.
            A row longer than the budget is a pass of its own.
        packed: There is no padding, so rows of any length go together and only the budget cuts.
    """
    slices = 1 if packed else settings.slices
    if slices == 1 and settings.token_budget is None:
        return [rows_N]
    parts = list(rows_N[lengths_N[rows_N].argsort(stable=True)].chunk(slices))
    if settings.token_budget is None:
        return parts
    fit = _filled if packed else _within
    return [cut for part in parts for cut in fit(part, lengths_N, settings.token_budget)]


def passes_of(
    way: Way,
    rows_N: Tensor,
    tokens_NT: Tensor,
    lengths_N: Tensor,
    settings: TrainSettings | WarmstartSettings,
    tree_N: Tensor | None = None,
) -> list[Tensor]:
    """Rows of each pass, for a way of reading them; arguments as of :func:`tree_passes`."""
    if way == "shared":
        return tree_passes(rows_N, tokens_NT, lengths_N, settings, tree_N)
    return passes(rows_N, lengths_N, settings, packed=way == "packed")


def tree_passes(
    rows_N: Tensor,
    tokens_NT: Tensor,
    lengths_N: Tensor,
    settings: TrainSettings | WarmstartSettings,
    tree_N: Tensor | None = None,
) -> list[Tensor]:
    """Rows of each pass, of which each reads prefix trees.

    Args:
        rows_N: Indices of the batch's rows.
        tokens_NT: Every row of the batch.
        lengths_N: Tokens of every row of the batch.
        settings: ``token_budget`` is the most nodes of a pass, padding between trees included.
        tree_N: Rows that share a tree, which then stay together; passes are ``slices`` of trees of similar size. Left
            out, a pass is one tree, as large as the budget lets it be.
    """
    if tree_N is None:
        return _grown(rows_N, tokens_NT, lengths_N, settings.token_budget)
    of_row = torch.unique(tree_N[rows_N], return_inverse=True)[1]
    sizes = tree_sizes(tokens_NT[rows_N], lengths_N[rows_N], of_row)
    trees = [rows_N[of_row == tree] for tree in range(len(sizes))]
    order = torch.tensor(sizes).argsort(stable=True)
    parts = [part.tolist() for part in order.chunk(settings.slices)]
    if settings.token_budget is not None:
        cuts = [_within(torch.tensor(part), torch.tensor(sizes), settings.token_budget) for part in parts]
        parts = [cut.tolist() for part in cuts for cut in part]
    return [torch.cat([trees[i] for i in part]) for part in parts]


def _grown(rows_N: Tensor, tokens_NT: Tensor, lengths_N: Tensor, budget: int | None) -> list[Tensor]:
    """Consecutive rows, as many as together have no more distinct tokens than the budget; one row at least."""
    parts: list[Tensor] = []
    while budget is not None and len(rows_N) > 1:
        seen = torch.tensor(distinct_tokens(tokens_NT[rows_N], lengths_N[rows_N])).cumsum(0)
        fit = max(1, int((seen <= budget).sum()))
        if fit == len(rows_N):
            break
        parts.append(rows_N[:fit])
        rows_N = rows_N[fit:]
    return [*parts, rows_N]


def _within(rows_N: Tensor, lengths_N: Tensor, budget: int) -> list[Tensor]:
    """Consecutive parts of rows sorted by length; the last of a part is its longest."""
    cuts, start = [], 0
    for i in range(1, len(rows_N)):
        if (i + 1 - start) * int(lengths_N[rows_N[i]]) > budget:
            cuts.append(rows_N[start:i])
            start = i
    return [*cuts, rows_N[start:]]


def _filled(rows_N: Tensor, lengths_N: Tensor, budget: int) -> list[Tensor]:
    """Rows in as few passes as first-fit decreasing finds (Johnson 1973: at most 11/9 of the fewest, and a few)."""
    bins: list[list[int]] = []
    room: list[int] = []
    for row in reversed(rows_N.tolist()):
        length = int(lengths_N[row])
        place = next((i for i, left in enumerate(room) if left >= length), None)
        if place is None:
            bins.append([])
            room.append(budget)
            place = len(bins) - 1
        bins[place].append(row)
        room[place] -= length
    return [torch.tensor(sorted(rows)) for rows in bins]
