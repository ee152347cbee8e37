"""A batch in several forward and backward passes: less padding, and no more tokens at once than memory holds."""

from __future__ import annotations

from torch import Tensor

from maineffect.lab.settings import TrainSettings, WarmstartSettings

__all__ = ["passes"]


def passes(rows_N: Tensor, lengths_N: Tensor, settings: TrainSettings | WarmstartSettings) -> list[Tensor]:
    """Rows of each pass; a single pass keeps their order.

    Args:
        rows_N: Indices of the batch's rows.
        lengths_N: Tokens of every row of the batch.
        settings: ``slices`` of similar length at least, cut further until each fits ``token_budget``, padding included.
            A row longer than the budget is a pass of its own.
    """
    if settings.slices == 1 and settings.token_budget is None:
        return [rows_N]
    parts = list(rows_N[lengths_N[rows_N].argsort(stable=True)].chunk(settings.slices))
    if settings.token_budget is None:
        return parts
    return [cut for part in parts for cut in _within(part, lengths_N, settings.token_budget)]


def _within(rows_N: Tensor, lengths_N: Tensor, budget: int) -> list[Tensor]:
    """Consecutive parts of rows sorted by length; the last of a part is its longest."""
    cuts, start = [], 0
    for i in range(1, len(rows_N)):
        if (i + 1 - start) * int(lengths_N[rows_N[i]]) > budget:
            cuts.append(rows_N[start:i])
            start = i
    return [*cuts, rows_N[start:]]
