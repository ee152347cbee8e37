"""Planned runs in their order: randomised as the design allows, and balanced over time if asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.model.model import PlannedRun, cell_id
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.design.model.treatments import Treatments
from maineffect.seeds import derive_seed, generator
from maineffect.spec.study import StudySpec

__all__ = ["planned_runs", "time_correlation"]

Floats = NDArray[np.float64]

_ORDERS = 500
_WORK = 2_000_000


def planned_runs(study: StudySpec, treatments: Treatments) -> tuple[PlannedRun, ...]:
    """Replicates one after the other, each in its own seeded random order within its blocks.

    Those of a follow-up are counted on from the finished ones, so that each run has an id and a seed of its own.
    """
    design = study.design
    done = study.follow_up.last_replicate if study.follow_up is not None else 0
    runs: list[PlannedRun] = []
    for replicate in range(done + 1, done + design.replicates + 1):
        shared = derive_seed(study.seed, "replicate", replicate)
        seen: dict[str, int] = {}
        planned: list[PlannedRun] = []
        levels_of: dict[str, Mapping[str, Level]] = {}
        for i, levels in enumerate(treatments.rows):
            key = cell_id(levels)
            seen[key] = seen.get(key, 0) + 1
            run_id = f"{key}-r{replicate}" + (f"-{seen[key]}" if seen[key] > 1 else "")
            # A repeated cell in one replicate must not be a copy: its seed is its own.
            has_own_seed = not design.common_random_numbers or seen[key] > 1
            seed = derive_seed(study.seed, "run", run_id) if has_own_seed else shared
            block, plot = _block(study, treatments, replicate, i), _whole_plot(treatments, replicate, i)
            planned.append(
                PlannedRun(
                    run_id=run_id, cell_id=key, replicate=replicate, block=block, whole_plot=plot, seed=seed, order=0
                )
            )
            levels_of[run_id] = levels
        if design.balanced_order:
            runs += _balanced(study, planned, levels_of, replicate)
        else:
            runs += _randomised(planned, generator(study.seed, "order", replicate))
    return tuple(
        PlannedRun(
            run_id=r.run_id,
            cell_id=r.cell_id,
            replicate=r.replicate,
            block=r.block,
            whole_plot=r.whole_plot,
            seed=r.seed,
            order=order,
        )
        for order, r in enumerate(runs)
    )


def _block(study: StudySpec, treatments: Treatments, replicate: int, i: int) -> str | int | None:
    several = study.design.replicates > 1
    if treatments.blocks is not None:
        return f"{replicate}.{treatments.blocks[i]}" if several else treatments.blocks[i]
    # Runs that share nothing are no block: what seeds do to an effect belongs to the runs' noise.
    return replicate if several and study.design.common_random_numbers else None


def _whole_plot(treatments: Treatments, replicate: int, i: int) -> str | None:
    return None if treatments.whole_plots is None else f"{replicate}.{treatments.whole_plots[i]}"


def _randomised(planned: Sequence[PlannedRun], rng: np.random.Generator) -> list[PlannedRun]:
    """Random order of blocks, of whole plots within blocks, and of runs within whole plots."""
    # The order must not depend on the order in which factors were written: sort by identity first.
    ordered = sorted(planned, key=lambda run: run.run_id)
    keys = sorted({(str(run.block), str(run.whole_plot)) for run in ordered})
    names = sorted({block for block, _ in keys})
    block_rank = dict(zip(names, rng.permutation(len(names)).tolist(), strict=True))
    plot_rank = dict(zip(keys, rng.permutation(len(keys)).tolist(), strict=True))
    within = rng.permutation(len(ordered)).tolist()
    rank = {
        run.run_id: (block_rank[str(run.block)], plot_rank[(str(run.block), str(run.whole_plot))], within[i])
        for i, run in enumerate(ordered)
    }
    return sorted(ordered, key=lambda run: rank[run.run_id])


def _balanced(
    study: StudySpec, planned: Sequence[PlannedRun], levels_of: Mapping[str, Mapping[str, Level]], replicate: int
) -> list[PlannedRun]:
    """Of many random orders the one whose main effects correlate least with time.

    Rerandomisation (Morgan and Rubin 2012, Ann. Statist. 40:1263–1282): drift of a machine or a service over the sweep
    then hardly touches an effect, and the order stays a random one.
    """
    rng = generator(study.seed, "order", replicate)
    effects = _main_effects(study, [levels_of[run.run_id] for run in planned])
    position = {run.run_id: i for i, run in enumerate(planned)}
    tried = [_randomised(planned, rng) for _ in range(max(20, min(_ORDERS, _WORK // len(planned))))]
    return min(tried, key=lambda order: _drift(effects[[position[run.run_id] for run in order]]))


def time_correlation(study: StudySpec, rows: Sequence[Mapping[str, Level]]) -> float:
    """Largest absolute correlation of a main-effect column with a linear or quadratic drift over the runs."""
    return _drift(_main_effects(study, rows))


def _main_effects(study: StudySpec, rows: Sequence[Mapping[str, Level]]) -> Floats:
    factors = tuple(study.factors.values())
    columns = {name: [row[name] for row in rows] for name in study.factors}
    return _standardised(model_matrix(factors, columns, expand_terms(factors, "main"), intercept=False).matrix)


def _drift(effects: Floats) -> float:
    time = np.linspace(-1, 1, len(effects))
    drift = _standardised(np.stack([time, time**2], axis=1))
    return float(np.abs(effects.T @ drift).max() / len(effects))


def _standardised(columns: Floats) -> Floats:
    centred = columns - columns.mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0))
