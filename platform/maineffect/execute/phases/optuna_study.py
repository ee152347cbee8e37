"""Optuna's only home: a study rebuilt from trials, what its sampler asks for next, its export for Optuna's own tools.

Nothing is kept by Optuna. A study is rebuilt in memory from the trials, in their order, with a sampler that is seeded
for each batch, so any process that knows the trials asks for the same values.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from maineffect.contracts import Level

if TYPE_CHECKING:
    import optuna

__all__ = ["Coordinate", "Seen", "ask", "export", "with_scores"]

_SEEDS = 2**31


@dataclass(frozen=True)
class Coordinate:
    """One thing that is chosen.

    Attributes:
        name: Of the factor or setting.
        low: Smallest value.
        high: Largest value.
        log: Whether values are spread on a logarithmic scale.
        integer: Whether only whole numbers are taken.
        choices: Categories; empty for a number.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    integer: bool = False
    choices: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A trial that has ended.

    Attributes:
        values: Of each coordinate.
        scores: Of each objective, as measured; empty where the training diverged.
        violations: How far each limit was missed; at most 0 where it was kept.
        notes: For whoever opens an export: which run it was.
    """

    values: tuple[Level, ...]
    scores: tuple[float, ...]
    violations: tuple[float, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


def with_scores(seen: Sequence[Seen], maximise: Sequence[bool], limits: int) -> list[Seen]:
    """Trials with a score for those that diverged: the worst of the others less one standard deviation.

    A failure that is left out would be asked for again.
    """
    known = [one for one in seen if one.scores]
    worst = []
    for j, better in enumerate(maximise):
        column = np.array([one.scores[j] for one in known], dtype=float)
        sign = 1.0 if better else -1.0
        spread = float(np.std(column, ddof=1)) if len(column) > 1 else 1.0
        worst.append(sign * (min((sign * column).tolist(), default=0.0) - spread))
    missed = tuple(max((one.violations[j] for one in known), default=1.0) for j in range(limits))
    return [
        one if one.scores else Seen(one.values, tuple(worst), tuple(max(m, 1e-6) for m in missed), one.notes)
        for one in seen
    ]


def ask(
    space: Sequence[Coordinate],
    seen: Sequence[Seen],
    count: int,
    *,
    maximise: Sequence[bool],
    limits: Sequence[str] = (),
    sampler: str,
    seed: int,
) -> list[tuple[Level, ...]]:
    """Values that a sampler asks for next, given everything that has ended.

    Args:
        space: What is chosen.
        seen: Ended trials, in their order.
        count: How many are wanted; each is asked for in the knowledge of the ones before it in the batch.
        maximise: Which way each objective is better.
        limits: Names of the numbers that have limits.
        sampler: ``tpe`` or ``gp``; neither draws at random once there is a trial.
        seed: Of this batch.
    """
    import optuna

    with _quiet():
        made: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(seed=seed % _SEEDS, n_startup_trials=1, multivariate=True, constant_liar=True)
            if sampler == "tpe"
            else optuna.samplers.GPSampler(seed=seed % _SEEDS, n_startup_trials=1, deterministic_objective=False)
        )
        study = optuna.create_study(directions=_directions(maximise), sampler=made)
        study.add_trials(_frozen(space, with_scores(seen, maximise, len(limits)), limits))
        asked = [study.ask(_distributions(space)) for _ in range(count)]
    return [tuple(_short(one.params[c.name]) for c in space) for one in asked]


def export(
    path: Path,
    name: str,
    space: Sequence[Coordinate],
    seen: Sequence[Seen],
    *,
    maximise: Sequence[bool],
    objectives: Sequence[str],
    limits: Sequence[str] = (),
) -> int:
    """Write trials to an SQLite storage that Optuna's visualisations and ``optuna-dashboard`` open.

    Args:
        path: Of the database; it must not exist.
        name: Of the study in it.
        space: What was chosen.
        seen: Trials, in their order; those that diverged get the score that the sampler was told.
        maximise: Which way each objective is better.
        objectives: Their names.
        limits: Names of the numbers that have limits.

    Returns:
        How many trials were written.
    """
    import optuna

    with _quiet():
        study = optuna.create_study(
            storage=f"sqlite:///{path.absolute()}", study_name=name, directions=_directions(maximise)
        )
        study.set_metric_names(list(objectives))
        study.add_trials(_frozen(space, with_scores(seen, maximise, len(limits)), limits))
    return len(seen)


class _quiet:  # noqa: N801 — reads as a word of a with statement
    """Optuna says what is experimental, and each trial that it is given: neither is for the user."""

    def __enter__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        self._warnings.__exit__(None, None, None)


def _directions(maximise: Sequence[bool]) -> list[Literal["maximize", "minimize"]]:
    return ["maximize" if better else "minimize" for better in maximise]


def _distributions(space: Sequence[Coordinate]) -> dict[str, optuna.distributions.BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, optuna.distributions.BaseDistribution] = {}
    for one in space:
        if one.choices:
            made[one.name] = CategoricalDistribution(one.choices)
        elif one.integer:
            made[one.name] = IntDistribution(int(one.low), int(one.high), log=one.log)
        else:
            made[one.name] = FloatDistribution(one.low, one.high, log=one.log)
    return made


def _frozen(space: Sequence[Coordinate], seen: Sequence[Seen], limits: Sequence[str]) -> list[optuna.trial.FrozenTrial]:
    import optuna

    distributions = _distributions(space)
    return [
        optuna.trial.create_trial(
            params={one.name: value for one, value in zip(space, trial.values, strict=True)},
            distributions=distributions,
            values=list(trial.scores),
            constraints=dict(zip(limits, trial.violations, strict=True)) if limits else None,
            user_attrs=dict(trial.notes),
        )
        for trial in seen
    ]


def _short(value: Any) -> Level:
    """12 digits, so that it is the same in JSON; categories and whole numbers as they are."""
    return float(f"{value:.12g}") if isinstance(value, float) else value
