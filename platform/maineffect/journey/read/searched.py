"""What a search did and what its confirmation says, from the ledger: the facts behind "Where is the optimum?"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from maineffect.contracts import RunStatus
from maineffect.errors import AnalysisError
from maineffect.journey.plan.searched import costs_of
from maineffect.journey.run.optimise import recommended_by, state_of

if TYPE_CHECKING:
    import pandas as pd

    from maineffect.analyse.record.searched import Paired, Searched, SearchedRun
    from maineffect.journey.plan.place import Checked
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.phases.optimise import Optimise

__all__ = ["require_confirmed", "search_facts"]


def require_confirmed(checked: Checked, ledger: MlflowLedger, runs: Mapping[str, RunStatus]) -> None:
    """Refuse to analyse a search whose confirmation has no result yet: there is nothing to judge.

    Raises:
        AnalysisError: Says what comes first.
    """
    from maineffect.contracts import RunState

    planned = {run.run_id for run in checked.design.runs}
    if checked.study.optimise is None or any(
        status.state is RunState.FINISHED for run_id, status in runs.items() if run_id in planned
    ):
        return
    raise AnalysisError(
        f"{ledger.sweep_id} is a search that is not confirmed yet: what it predicts was chosen by its own data",
        f"maineffect optimise {ledger.sweep_id} shows it; maineffect confirm {ledger.sweep_id} tests it",
    )


def search_facts(checked: Checked, ledger: MlflowLedger, table: pd.DataFrame) -> Searched | None:
    """What a search tried, recommended and confirmed; None for a study that searches nothing.

    Args:
        checked: The study.
        ledger: Of its sweep.
        table: Its registered runs: the confirmation.

    Raises:
        LedgerError: The store does not answer.
    """
    from maineffect.analyse.record.searched import Searched, SearchedRun

    asked = checked.study.optimise
    if asked is None:
        return None
    state = state_of(checked, ledger)
    names, chosen = tuple(asked.factors), state.search.choice
    known = [SearchedRun(run=run.run, known=True, values=run.values, scores=run.scores) for run in asked.known]
    trials = [
        SearchedRun(
            run=str(trial.notes["run"]),
            known=False,
            values=dict(zip(names, trial.values, strict=True)),
            scores=dict(state.scores.get(str(trial.notes["run"]), {})),
        )
        for trial in state.trials
    ]
    runs = [*known, *trials]
    return Searched(
        sweep=asked.sweep,
        sampler=asked.method,
        objectives=dict(asked.objectives),
        constraints=dict(asked.constraints),
        ranges={name: axis.range for name, axis in asked.factors.items() if axis.range is not None},
        levels={name: list(axis.levels) for name, axis in asked.factors.items() if axis.levels is not None},
        fixed=dict(asked.fixed),
        comparator=dict(asked.confirm.against),
        asked=asked.runs,
        runs=runs,
        recommended=recommended_by(state) if state.complete else None,
        chosen=None if chosen is None else {name: chosen["values"]["recommended"][name] for name in names},
        confirmed=_confirmed(checked, asked, table),
        best_run=_best_run(runs, asked),
    )


def _best_run(runs: list[SearchedRun], asked: Optimise) -> str | None:
    """The run with the best value of a single objective that kept every limit: shown to be distrusted."""
    if len(asked.objectives) > 1:
        return None
    ((name, way),) = asked.objectives.items()
    kept = [
        run
        for run in runs
        if run.scores and all(bound.violation(run.scores[limited]) <= 0 for limited, bound in asked.bounds.items())
    ]
    sign = 1.0 if way == "maximize" else -1.0
    return max(kept, key=lambda run: sign * run.scores[name]).run if kept else None


def _confirmed(checked: Checked, asked: Optimise, table: pd.DataFrame) -> list[Paired]:
    """Recommended minus comparator over pairs, for every objective and every limited number."""
    from maineffect.analyse.inference.paired import paired
    from maineffect.analyse.record.searched import Paired

    costs = table["seconds"].map(lambda s: costs_of(checked.study, float(s)))
    found = []
    for name in asked.measured:
        values = table[name] if name in table else costs.map(lambda c: c[name])  # noqa: B023
        by_arm = {
            arm: dict(zip(part["replicate"], values[part.index], strict=True)) for arm, part in table.groupby("setting")
        }
        first, second = by_arm.get("comparator", {}), by_arm.get("recommended", {})
        both = [r for r in second if r in first and np.isfinite(first[r]) and np.isfinite(second[r])]
        way = asked.objectives.get(name) or ("maximize" if asked.bounds[name].least else "minimize")
        test = paired([second[r] for r in both], [first[r] for r in both], checked.study.analysis.alpha)
        found.append(
            Paired(
                name=name, goal=way, pairs=len(both), recommended=test.first, comparator=test.second,
                difference=test.difference, std_error=test.std_error, low=test.low, high=test.high,
                p_value=test.p_value,
            )
        )  # fmt: skip
    return found
