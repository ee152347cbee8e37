"""Item level: how precise one run's score is, and whether the next GPU-hour goes to more seeds or more items.

Evaluation items are nested in runs (or crossed with them when every run answers the same items): averaging over them
is measurement, never replication. Variance components by the method of moments of the two-way crossed layout
(Searle, Casella and McCulloch (1992), ch. 4), the design-based equivalent of a binomial mixed model at scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maineffect.errors import AnalysisError

__all__ = [
    "ItemComponents",
    "advise",
    "item_components",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ItemComponents:
    """Variances of an item score around its condition's mean, on the score's own scale.

    Attributes:
        run: Between runs of one condition (seed), blocks taken out.
        item: Between items; shared items cancel from every comparison of conditions.
        residual: Run × item (seed × item), answering noise included.
        runs: Runs.
        items: Items per run.
        flags: Components whose estimate is on the boundary 0.
        block: Between blocks (replicates), None without blocks; cancels from comparisons within blocks.
        block_item: Block × item, likewise.
    """

    run: float
    item: float
    residual: float
    runs: int
    items: int
    flags: tuple[str, ...]
    block: float | None = None
    block_item: float | None = None

    def std_error(self, runs: int, items: int) -> float:
        """Standard error of a difference of two conditions with so many runs each, on the same shared items."""
        return float(np.sqrt(2 * (self.run / runs + self.residual / (runs * items))))


def item_components(
    scores: ArrayLike, conditions: ArrayLike | None = None, *, blocks: ArrayLike | None = None
) -> ItemComponents:
    """Variance components of (runs, items) scores, every run on the same items.

    Args:
        scores: (runs, items), complete.
        conditions: Condition (cell) of each run; its mean per item is taken out. None: all runs are of one condition.
        blocks: Block (replicate) of each run; taken out too where the runs are enough, with variances of its own.

    Raises:
        AnalysisError: No condition has two runs, or there is one item.
    """
    table = np.asarray(scores, dtype=float)
    runs, items = table.shape
    _, codes = np.unique(np.zeros(runs) if conditions is None else np.asarray(conditions), return_inverse=True)
    groups = int(codes.max()) + 1
    if runs - groups < 1 or items < 2 or not np.isfinite(table).all():
        raise AnalysisError(
            "item variances need two runs of some condition, two items and complete scores",
            "replicate the runs, and score every run on the same frozen items",
        )
    per_group = np.stack([table[codes == g].mean(axis=0) for g in range(groups)])
    within = table - per_group[codes]
    between, df_run = _between_blocks(codes, blocks)
    rest = within - between @ (between.T @ within)
    run_means = rest.mean(axis=1)
    ms_run = items * float(np.sum(run_means**2)) / df_run
    ms_rest = float(np.sum((rest - run_means[:, None]) ** 2)) / (df_run * (items - 1))
    sizes = np.bincount(codes)
    centred = per_group - per_group.mean(axis=1, keepdims=True)
    ms_item = float(np.sum(sizes[:, None] * centred**2)) / (groups * (items - 1))
    raw = {"run": (ms_run - ms_rest) / items, "item": (ms_item - ms_rest) / float(sizes.mean())}
    if between.shape[1]:
        raw |= _block_variances(between, np.asarray(blocks), within, ms_run, ms_rest)
    flags = tuple(name for name, value in raw.items() if value <= 0)
    positive = {name: max(value, 0.0) for name, value in raw.items()}
    return ItemComponents(
        run=positive["run"],
        item=positive["item"],
        residual=ms_rest,
        runs=runs,
        items=items,
        flags=flags,
        block=positive.get("block"),
        block_item=positive.get("block_item"),
    )


def _between_blocks(codes: NDArray[np.intp], blocks: ArrayLike | None) -> tuple[Floats, int]:
    """Orthonormal (runs, df) of what blocks add to conditions, and the degrees of freedom that are left."""
    runs, groups = len(codes), int(codes.max()) + 1
    none = np.empty((runs, 0))
    if blocks is None:
        return none, runs - groups
    dummies = _dummies(blocks)
    cells = np.eye(groups)[codes]
    within = dummies - cells @ ((cells.T @ dummies) / cells.sum(axis=0)[:, None])
    u, s, _ = np.linalg.svd(within, full_matrices=False)
    space = u[:, s > 1e-9]
    left = runs - groups - space.shape[1]
    return (np.asarray(space), left) if left >= 1 else (none, runs - groups)


def _dummies(blocks: ArrayLike) -> Floats:
    _, codes = np.unique(np.asarray(blocks).astype(str), return_inverse=True)
    return np.asarray(np.eye(int(codes.max()) + 1)[codes])


def _block_variances(
    space: Floats, blocks: NDArray[np.generic], within: Floats, ms_run: float, ms_rest: float
) -> dict[str, float]:
    """Henderson's method 3: E(MS) = error + k·variance, k = tr(Z'PZ)/df with P the blocks' own space."""
    df, items = space.shape[1], within.shape[1]
    k = float(np.sum((space.T @ _dummies(blocks)) ** 2)) / df
    part = space.T @ within
    means = part.mean(axis=1)
    ms_block = items * float(np.sum(means**2)) / df
    ms_both = float(np.sum((part - means[:, None]) ** 2)) / (df * (items - 1))
    return {"block": (ms_block - ms_run) / (k * items), "block_item": (ms_both - ms_rest) / k}


def advise(
    components: ItemComponents, *, run_cost: float, item_cost: float, runs: int, items: int
) -> tuple[Literal["more seeds", "more items"], str]:
    """Where the next unit of cost buys more precision of a comparison of conditions.

    Args:
        components: As estimated.
        run_cost: Of training one more run.
        item_cost: Of scoring one more item on one run.
        runs: Per condition at present.
        items: Per run at present.

    Returns:
        The advice, and a sentence with the optimal number of items per run √(residual·cost_run/(run·cost_item)).
    """
    cost_of_run = run_cost + items * item_cost
    gain_runs = (components.run + components.residual / items) / runs**2 / cost_of_run
    gain_items = components.residual / (runs * items**2) / (runs * item_cost)
    best = np.inf if components.run == 0 else np.sqrt(components.residual * run_cost / (components.run * item_cost))
    advice: Literal["more seeds", "more items"] = "more seeds" if gain_runs >= gain_items else "more items"
    floor = float(np.sqrt(2 * components.run / runs))
    sentence = (
        f"{advice}: with {runs} runs the standard error of a difference stays above {floor:.4g}, "
        "however many items"
        + ("" if not np.isfinite(best) else f"; about {max(1, round(float(best)))} items per run spend a budget best")
    )
    return advice, sentence
