"""The design as the other stages see it: cells, runs in order, and what it can and cannot tell apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maineffect.contracts import Level
from maineffect.spec.factors import Factor

__all__ = ["Alternative", "Cell", "Design", "DesignCost", "PlannedRun", "cell_id"]


def cell_id(levels: Mapping[str, Level]) -> str:
    """Identity of a cell: a hash of its levels, whatever their order.

    Numbers that are equal are the same level (``1`` and ``1.0``), booleans are not numbers.
    """
    canonical = {
        name: float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        for name, value in levels.items()
    }
    return "c" + hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Cell:
    """One combination of levels (a treatment)."""

    cell_id: str
    levels: Mapping[str, Level]


@dataclass(frozen=True)
class PlannedRun:
    """A cell with one replicate: one training with one seed, the experimental unit.

    Attributes:
        run_id: ``<cell_id>-r<replicate>``, with ``-<k>`` when a cell occurs more than once in a replicate.
        replicate: 1-based.
        block: Block for the analysis: one of the design's own, or the replicate where its runs share their seed; else
            None.
        whole_plot: Whole plot, unique over replicates; None without hard-to-change factors.
        seed: Seed of the run; shared within a replicate under common random numbers.
        order: 0-based position in the randomised order.
    """

    run_id: str
    cell_id: str
    replicate: int
    block: str | int | None
    whole_plot: str | int | None
    seed: int
    order: int


@dataclass(frozen=True)
class DesignCost:
    """Cost of all replicates.

    Attributes:
        runs: Number of runs.
        whole_plots: Number of set-ups; 0 without hard-to-change factors.
        gpu_hours: Runs × run cost (times the factors' relative costs) + set-ups × setup cost.
        information_per_gpu_hour: Of one replicate, if the design was optimised: |M|^(1/p), or 1/average variance for
            criterion I, per GPU-hour.
    """

    runs: int
    whole_plots: int
    gpu_hours: float
    information_per_gpu_hour: float | None


@dataclass(frozen=True)
class Alternative:
    """A design that ``kind: auto`` looked at.

    Attributes:
        label: Kind and size in words.
        request: Design request that builds it, as in a study file.
        runs: Runs in all replicates.
        gpu_hours: Their cost.
        resolution: Where it applies.
        mde: Largest of the wanted effects' smallest detectable effects, in units of sigma (of the response if
            ``sigma`` is stated); None where one of them cannot be tested.
        why: Why it was chosen or not.
    """

    label: str
    request: Mapping[str, Any]
    runs: int
    gpu_hours: float
    resolution: int | None
    mde: float | None
    why: str


@dataclass(frozen=True)
class Design:
    """A verified design.

    Attributes:
        kind: The request's kind.
        factors: In the study's order.
        cells: Distinct cells in standard order.
        runs: In run order; replicate 1 is complete before replicate 2 begins.
        terms: Terms of the model that the design was made for.
        resolution: For regular two-level fractions (None where it does not apply).
        word_length_pattern: Word length → number of words, for regular fractions.
        generators: Such as ``E = A:B:C``.
        aliases: Chains of terms up to two-factor interactions that cannot be told apart.
        d_efficiency: Percent, for the model's terms with orthonormal contrasts.
        d_bound: Certified upper bound of the D-efficiency in percent, if computed.
        alias_matrix: For non-regular designs, model term → {other term: coefficient} (non-zero ones).
        notes: What a user should know, such as what the design cannot estimate.
        hard_to_change: Whole-plot factors.
        variance_ratio: Assumed whole-plot variance over run variance.
        average_variance: Average prediction variance over the allowed cells in units of σ², for I-optimal designs.
        average_variance_bound: What no design of this size goes below, if certified.
        cost: What it costs, if the study states it.
        alternatives: What ``kind: auto`` compared, best first.
    """

    study: str
    kind: str
    factors: tuple[Factor, ...]
    cells: tuple[Cell, ...]
    runs: tuple[PlannedRun, ...]
    terms: tuple[str, ...]
    resolution: int | None = None
    word_length_pattern: Mapping[int, int] | None = None
    generators: tuple[str, ...] | None = None
    aliases: tuple[tuple[str, ...], ...] = ()
    d_efficiency: float = float("nan")
    d_bound: float | None = None
    alias_matrix: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hard_to_change: tuple[str, ...] = ()
    variance_ratio: float = 1.0
    average_variance: float | None = None
    average_variance_bound: float | None = None
    cost: DesignCost | None = None
    alternatives: tuple[Alternative, ...] = ()

    def levels_of(self, run: PlannedRun) -> Mapping[str, Level]:
        """Levels of a run's cell."""
        return self._cells_by_id[run.cell_id].levels

    @property
    def _cells_by_id(self) -> dict[str, Cell]:
        cached: dict[str, Cell] | None = self.__dict__.get("_cell_index")
        if cached is None:
            cached = {cell.cell_id: cell for cell in self.cells}
            object.__setattr__(self, "_cell_index", cached)
        return cached
