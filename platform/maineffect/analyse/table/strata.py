"""Strata of the randomisation as a table has them: blocks and whole plots of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maineffect.contracts import Level

__all__ = ["Strata", "whole_plot_factors"]


@dataclass(frozen=True)
class Strata:
    """What the randomisation was.

    Attributes:
        blocks: n labels or None.
        whole_plots: n labels or None; None also when every run is its own whole plot.
        random_blocks: Whether blocks are drawn from many; otherwise they are fixed effects of the model.
    """

    blocks: tuple[str, ...] | None = None
    whole_plots: tuple[str, ...] | None = None
    random_blocks: bool = False

    def take(self, rows: Sequence[int]) -> Strata:
        """The strata of some of the runs."""

        def pick(labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if labels is None else tuple(labels[i] for i in rows)

        return Strata(pick(self.blocks), pick(self.whole_plots), self.random_blocks)

    @property
    def split(self) -> bool:
        """Whether some whole plot has more than one run."""
        return self.whole_plots is not None and 1 < len(set(self.whole_plots)) < len(self.whole_plots)

    @property
    def mixed(self) -> bool:
        """Whether there is more than one random stratum: whole plots, or random blocks."""
        return self.split or self.scattered

    @property
    def scattered(self) -> bool:
        """Whether blocks are a random stratum of their own."""
        return self.random_blocks and self.blocks is not None and 1 < len(set(self.blocks)) < len(self.blocks)

    @property
    def fixed_blocks(self) -> tuple[str, ...] | None:
        """Blocks that the model fits as fixed effects."""
        return None if self.scattered else self.blocks


def whole_plot_factors(rows: Mapping[str, Sequence[Level]], whole_plots: Sequence[str]) -> frozenset[str]:
    """Factors that are constant within every whole plot."""
    constant = set(rows)
    for plot in set(whole_plots):
        members = [i for i, label in enumerate(whole_plots) if label == plot]
        constant -= {name for name in constant if len({str(rows[name][i]) for i in members}) > 1}
    return frozenset(constant)
