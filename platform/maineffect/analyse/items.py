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
    "adjust_by_covariate",
    "advise",
    "clustered_std_error",
    "item_components",
    "nested_std_error",
]

Floats = NDArray[np.float64]


def nested_std_error(sigma_run: float, items: int, runs: int, p: float = 0.5) -> float:
    """Standard error of a difference of two arms when each run draws its own items.

    √(2(σ²_run/R + p(1 − p)/(R·n))): more items cannot buy back missing seeds.

    Args:
        sigma_run: Standard deviation between runs, as a share.
        items: Per run.
        runs: Per arm.
        p: Accuracy.
    """
    return float(np.sqrt(2 * (sigma_run**2 / runs + p * (1 - p) / (runs * items))))


def clustered_std_error(values: ArrayLike, clusters: ArrayLike, *, correct: bool = True) -> float:
    """Standard error of a mean with clustered values: √(Σ_c (Σ_i (y − ȳ))²)/n, times √(C/(C − 1)) if corrected."""
    y = np.asarray(values, dtype=float)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(codes.max()) + 1
    if count < 2:
        raise AnalysisError("one cluster gives no standard error", "cluster by run or by item")
    sums = np.bincount(codes, weights=y - y.mean())
    factor = count / (count - 1) if correct else 1.0
    return float(np.sqrt(factor * np.sum(sums**2)) / len(y))


@dataclass(frozen=True)
class ItemComponents:
    """Variances of an item score around its condition's mean, on the score's own scale.

    Attributes:
        run: Between runs of one condition (seed).
        item: Between items; shared items cancel from every comparison of conditions.
        residual: Run × item, answering noise included.
        runs: Runs.
        items: Items per run.
        flags: Components whose estimate is on the boundary 0.
    """

    run: float
    item: float
    residual: float
    runs: int
    items: int
    flags: tuple[str, ...]

    def std_error(self, runs: int, items: int) -> float:
        """Standard error of a difference of two conditions with so many runs each, on the same shared items."""
        return float(np.sqrt(2 * (self.run / runs + self.residual / (runs * items))))


def item_components(scores: ArrayLike, conditions: ArrayLike | None = None) -> ItemComponents:
    """Variance components of (runs, items) scores, every run on the same items.

    Args:
        scores: (runs, items), complete.
        conditions: Condition (cell) of each run; its mean per item is taken out. None: all runs are of one condition.

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
    run_means = within.mean(axis=1)
    df_run = runs - groups
    ms_run = items * float(np.sum(run_means**2)) / df_run
    ms_rest = float(np.sum((within - run_means[:, None]) ** 2)) / (df_run * (items - 1))
    sizes = np.bincount(codes)
    centred = per_group - per_group.mean(axis=1, keepdims=True)
    ms_item = float(np.sum(sizes[:, None] * centred**2)) / (groups * (items - 1))
    raw = {"run": (ms_run - ms_rest) / items, "item": (ms_item - ms_rest) / float(sizes.mean())}
    flags = tuple(name for name, value in raw.items() if value <= 0)
    return ItemComponents(max(raw["run"], 0.0), max(raw["item"], 0.0), ms_rest, runs, items, flags)


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


def adjust_by_covariate(y: ArrayLike, x: ArrayLike) -> tuple[Floats, float, float]:
    """Covariate adjustment (CUPED; Deng, Xu, Kohavi and Walker (2013) WSDM): y − θ(x − x̄), θ = cov/var.

    Args:
        y: Response.
        x: Covariate that the treatment cannot touch, such as the base model's score on the same item.

    Returns:
        Adjusted values, θ, and the variance ratio 1 − ρ².
    """
    a, b = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    spread = float(np.var(b, ddof=1))
    if not spread > 0 or not np.var(a) > 0:
        raise AnalysisError("a constant covariate or response adjusts nothing", "leave the covariate out")
    theta = float(np.cov(a, b, ddof=1)[0, 1]) / spread
    adjusted = a - theta * (b - b.mean())
    return adjusted, theta, float(np.var(adjusted, ddof=1) / np.var(a, ddof=1))
