"""A batch in several forward and backward passes: less padding, and no more tokens at once than memory holds."""

from __future__ import annotations

import torch
from torch import Tensor

from maineffect.lab.settings import TrainSettings, WarmstartSettings

__all__ = ["passes"]


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
