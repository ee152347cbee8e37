"""What a generator hands to the builder: one replicate's rows in standard order, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from maineffect.contracts import Level

__all__ = ["Treatments"]


@dataclass(frozen=True)
class Treatments:
    """One replicate of a design.

    Attributes:
        rows: Levels of every run, in standard order.
        blocks: Block of every row, if the design has blocks within a replicate.
        whole_plots: Whole plot of every row, if factors are hard to change.
        centre_points: Rows at the end that are centre runs.
        model: Terms that the design was made for, if not those of the analysis.
        average_variance: Average prediction variance over the allowed cells in units of σ² (I-optimal designs).
        average_variance_bound: What no design of this size goes below, if certified.
        information: |M|^(1/p), or 1/average variance for criterion I, if the design was optimised.
    """

    rows: tuple[Mapping[str, Level], ...]
    blocks: tuple[int, ...] | None = None
    whole_plots: tuple[int, ...] | None = None
    resolution: int | None = None
    word_length_pattern: Mapping[int, int] | None = None
    generators: tuple[str, ...] | None = None
    d_bound: float | None = None
    notes: tuple[str, ...] = ()
    model: tuple[str, ...] | None = None
    hard_to_change: tuple[str, ...] = ()
    variance_ratio: float = 1.0
    centre_points: int = 0
    average_variance: float | None = None
    average_variance_bound: float | None = None
    information: float | None = None
