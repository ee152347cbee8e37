"""What lost runs cost: terms that stopped being estimable, new aliases, whether failure depends on the factors.

A failed run is an outcome. Missingness that follows a factor biases every comparison that involves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from maineffect.analyse.fit.empty_cells import named
from maineffect.analyse.fit.model import AnalysisModel, build_model
from maineffect.contracts import Level
from maineffect.design.model.model import Design, PlannedRun
from maineffect.seeds import generator
from maineffect.spec.factors import Factor

__all__ = ["Losses", "Plan", "failure_by_factor", "lost_runs", "missing_bounds", "restoring_runs", "what_was_lost"]


@dataclass(frozen=True)
class Plan:
    """The runs that were meant: from the design, or the table's own rows when there is none.

    Attributes:
        factors: In the study's order.
        rows: Factor → level of every planned run.
        blocks: Block of every planned run, or None.
        run_ids: Of every planned run.
    """

    factors: tuple[Factor, ...]
    rows: Mapping[str, Sequence[Level]]
    blocks: Sequence[object] | None
    run_ids: Sequence[str]

    @classmethod
    def of(cls, design: Design) -> Plan:
        """The plan of a design."""
        rows = {f.name: [design.levels_of(run)[f.name] for run in design.runs] for f in design.factors}
        return cls(design.factors, rows, [run.block for run in design.runs], [run.run_id for run in design.runs])


@dataclass(frozen=True)
class Losses:
    """Effect of lost runs on a design.

    Attributes:
        lost: Planned runs without a response.
        no_longer: Term → why it cannot be estimated any more.
        newly_aliased: (term, other) pairs that the plan could tell apart.
        restore: Run ids that make every planned term estimable again, fewest first; empty if none is needed.
    """

    lost: tuple[str, ...] = ()
    no_longer: Mapping[str, str] = field(default_factory=dict)
    newly_aliased: tuple[tuple[str, str], ...] = ()
    restore: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """Warnings for a reader."""
        if not self.lost:
            return []
        warnings = [f"{len(self.lost)} planned run(s) have no value"]
        warnings += [f"{term} can no longer be estimated ({why})" for term, why in self.no_longer.items()]
        warnings += [f"{term} can no longer be told from {other}" for term, other in self.newly_aliased]
        if self.restore:
            warnings.append(f"these runs restore the design: {', '.join(self.restore)}")
        return warnings


def lost_runs(design: Design, run_ids: Sequence[str | None], cells: Sequence[str]) -> tuple[PlannedRun, ...]:
    """Planned runs that are not in the table, by run id or else by counting cells."""
    planned_ids = {run.run_id for run in design.runs}
    if any(run_id in planned_ids for run_id in run_ids):
        have = set(run_ids)
        return tuple(run for run in design.runs if run.run_id not in have)
    left = Counter(cells)
    lost = []
    for run in design.runs:
        if left[run.cell_id] > 0:
            left[run.cell_id] -= 1
        else:
            lost.append(run)
    return tuple(lost)


def what_was_lost(plan: Plan, lost: Sequence[str], model: AnalysisModel, terms: Sequence[str]) -> Losses:
    """Compare what the plan could estimate with what the runs at hand can.

    Args:
        plan: The runs that were meant.
        lost: Run ids without a value.
        model: Built from the runs at hand.
        terms: Terms asked for.
    """
    if not lost:
        return Losses()
    planned = build_model(plan.factors, plan.rows, terms, blocks=plan.blocks)
    reasons = {entry.term: entry.reason for entry in model.not_estimable}
    no_longer = {term: reasons[term] for term in planned.terms if term in reasons}
    no_longer |= {
        term: f"no runs with {named(model.empty[term])}" if term in model.empty else "some of its cells are empty"
        for term in planned.terms
        if term in model.partial - planned.partial
    }
    newly = tuple(
        (term, other)
        for term in planned.terms
        for other in model.aliased_with.get(term, ())
        if other not in planned.aliased_with[term] and other not in no_longer
    )
    restore = restoring_runs(plan, lost, planned) if no_longer or newly else ()
    return Losses(tuple(lost), no_longer, newly, restore)


def restoring_runs(plan: Plan, lost: Sequence[str], planned: AnalysisModel) -> tuple[str, ...]:
    """Lost runs to repeat first: greedily, the run that adds most rank to the planned model, until it is whole."""
    gone = set(lost)
    have = [i for i, run_id in enumerate(plan.run_ids) if run_id not in gone]
    candidates = [i for i, run_id in enumerate(plan.run_ids) if run_id in gone]
    x = planned.matrix / np.maximum(np.linalg.norm(planned.matrix, axis=0), 1e-300)
    target = np.linalg.matrix_rank(x, tol=1e-9)
    chosen: list[str] = []
    while candidates and (np.linalg.matrix_rank(x[have], tol=1e-9) if have else 0) < target:
        gains = [np.linalg.matrix_rank(x[[*have, i]], tol=1e-9) for i in candidates]
        best = candidates.pop(int(np.argmax(gains)))
        have.append(best)
        chosen.append(plan.run_ids[best])
    return tuple(chosen)


def failure_by_factor(
    factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]], failed: Sequence[bool]
) -> dict[str, float]:
    """P-value, per factor, that failure does not depend on it.

    Fisher's exact test for two levels, a seeded permutation of the χ² statistic for more; Holm is the caller's choice.
    """
    flags = np.asarray(failed, dtype=bool)
    if not 0 < flags.sum() < len(flags):
        return {}
    result = {}
    for factor in factors:
        codes = np.array([[str(level) for level in factor.levels].index(str(value)) for value in rows[factor.name]
                          if str(value) in {str(level) for level in factor.levels}])  # fmt: skip
        if len(codes) != len(flags) or len(np.unique(codes)) < 2:
            continue
        counts = np.array([[np.sum(flags & (codes == c)), np.sum(~flags & (codes == c))] for c in np.unique(codes)])
        result[factor.name] = (
            float(stats.fisher_exact(counts)[1]) if len(counts) == 2 else _permuted_chi2(codes, flags, factor.name)
        )
    return result


def _permuted_chi2(codes: np.ndarray, flags: np.ndarray, name: str) -> float:
    sizes = np.bincount(codes)
    sizes = np.where(sizes > 0, sizes, 1)
    rng = generator(0, "failure", name, len(flags))

    def statistic(flag: np.ndarray) -> float:
        return float(np.sum(np.bincount(codes[flag], minlength=len(sizes)) ** 2 / sizes))

    observed = statistic(flags) * (1 - 1e-9)
    hits = sum(statistic(rng.permutation(flags)) >= observed for _ in range(1_999))
    return (1 + hits) / 2_000


def missing_bounds(
    x: NDArray[np.float64], y: NDArray[np.float64], row: NDArray[np.float64], low: float, high: float
) -> tuple[float, float]:
    """Smallest and largest estimate of c'β that values of the lost runs between low and high could give.

    Worst-case bounds in the sense of Manski (1990) Am. Econ. Rev. 80:319: no assumption on why runs were lost.

    Args:
        x: (n, p) of all planned runs, full column rank.
        y: (n,), NaN where a run was lost.
        row: (p,) contrast.
        low: Smallest possible response.
        high: Largest possible response.
    """
    weights = np.linalg.pinv(x).T @ row
    lost = ~np.isfinite(y)
    measured_part = float(weights[~lost] @ y[~lost])
    ends = np.stack([weights[lost] * low, weights[lost] * high])
    return measured_part + float(ends.min(axis=0).sum()), measured_part + float(ends.max(axis=0).sum())
