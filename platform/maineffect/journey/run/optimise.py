"""A search as it is run: batches that Optuna asks for, a recommendation, and its confirmation on fresh seeds."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.contracts import Level
from maineffect.errors import UsageError
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.requests import plan_requests, sweep_id_of
from maineffect.journey.plan.searched import search_plan
from maineffect.journey.run.search import check_search
from maineffect.journey.run.status import status_of
from maineffect.journey.run.submission import stored_submission
from maineffect.journey.run.submit import drive, settle_checked, settle_resubmission

if TYPE_CHECKING:
    from maineffect.analyse.follow_up.recommend import Run
    from maineffect.analyse.record.searched import Recommended
    from maineffect.execute.drive.progress import SweepProgress
    from maineffect.execute.phases.optuna_study import Seen
    from maineffect.execute.phases.searching import Search, SearchPlan
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.phases.optimise import Optimise

__all__ = [
    "SearchState",
    "confirm",
    "export_search",
    "optimise",
    "preview_search",
    "recommended_by",
    "search_state",
    "state_of",
]

Progress = Callable[["SweepProgress"], None]
Notice = Callable[[str], None]


@dataclass(frozen=True)
class SearchState:
    """A search as its ledger knows it.

    Attributes:
        checked: The study.
        ledger: Of its sweep.
        plan: The search.
        search: What was proposed and chosen.
        trials: Runs of the search that have ended, in their order.
        scores: Run → every number that the search is about; nothing for runs that diverged.
        drift: Whether another version of the code made the sweep's runs.
    """

    checked: Checked
    ledger: MlflowLedger
    plan: SearchPlan
    search: Search
    trials: tuple[Seen, ...]
    scores: Mapping[str, Mapping[str, float]]
    drift: bool

    @property
    def asked(self) -> Optimise:
        """What is looked for."""
        assert self.checked.study.optimise is not None
        return self.checked.study.optimise

    @property
    def complete(self) -> bool:
        """Whether every run of the search has ended."""
        return len(self.trials) == self.plan.runs


def optimise(
    reference: str,
    place: Place,
    *,
    file: Path | None = None,
    register_again: bool = False,
    on_progress: Progress | None = None,
    on_notice: Notice | None = None,
) -> dict[str, Any]:
    """Run a search as far as its recommendation; what has ended is never run again.

    Args:
        reference: The finished sweep; or, without a file, the search that goes on.
        place: Where it runs and is kept.
        file: What is asked.
        register_again: Whether a changed plan is registered again.
        on_progress: Called about twice a second.
        on_notice: Called with what should be known before anything runs.

    Returns:
        The search as a document.

    Raises:
        UsageError: No such sweep, or it is not the one that the file names.
        SpecError: Everything that is wrong in the file.
        PlanChangedError: The file is not the registered one.
        LedgerError: The store does not answer.
    """
    if file is None:
        state = search_state(reference, place)
        if state.complete:
            return search_document(state)
        settled = settle_resubmission(reference, place, runs=(), cells=(), reuse=None, go_on=False, on_notice=on_notice)
    else:
        checked = _named(check_search(file, place), reference, file, place)
        settled = settle_checked(
            checked, place, register_again=register_again, reuse=None, go_on=False, on_notice=on_notice
        )
        state = state_of(settled.checked, settled.ledger)
        if state.complete:
            return search_document(state)
    drive(settled, place, on_progress)
    return search_document(state_of(settled.checked, settled.ledger))


def _named(checked: Checked, reference: str, file: Path, place: Place) -> Checked:
    """The search of a file, if the command line names the sweep that the file starts from, or the search itself.

    Raises:
        UsageError: It names another one.
    """
    from maineffect.ledger.sweep.ledger import find_sweep

    asked = checked.study.optimise
    assert asked is not None
    named = find_sweep(place.uri(), reference).sweep_id
    if named not in (asked.sweep, sweep_id_of(checked)):
        raise UsageError(
            f"{file} starts from {asked.sweep}, and the command names {named}",
            f"maineffect optimise {asked.sweep} --study {file}",
        )
    return checked


def preview_search(reference: str, place: Place, file: Path) -> dict[str, Any]:
    """What a search would run and cost. Writes nothing.

    Raises:
        UsageError: No such sweep, or it is not the one that the file names.
        SpecError: Everything that is wrong in the file.
    """
    checked = _named(check_search(file, place), reference, file, place)
    asked = checked.study.optimise
    assert asked is not None
    pairs = 2 * asked.confirm.replicates
    return {
        "schema_version": 1,
        "sweep": sweep_id_of(checked),
        "from": asked.sweep,
        "known": len(asked.known),
        "sampler": asked.method,
        "runs": asked.runs,
        "batches": math.ceil(asked.runs / asked.batch),
        "confirmation_runs": pairs,
        "cost": {kind: amount * (asked.runs + pairs) for kind, amount in asked.hours_per_run.items()},
        "warnings": [str(warning) for warning in checked.warnings],
    }


def search_state(reference: str, place: Place) -> SearchState:
    """A search that was begun.

    Raises:
        UsageError: There is no such sweep, or it is no search.
    """
    checked, ledger = stored_submission(reference, place)
    if checked.study.optimise is None:
        raise UsageError(
            f"{ledger.sweep_id} is no search for a best setting",
            f"begin one from it: maineffect optimise {ledger.sweep_id} --study FILE",
        )
    return state_of(checked, ledger)


def state_of(checked: Checked, ledger: MlflowLedger) -> SearchState:
    """The same of a search that is at hand.

    Raises:
        LedgerError: The store does not answer.
    """
    from maineffect.execute.phases.searching import GROUP, measured, search_trials
    from maineffect.ledger.sweep.phases import LedgerPhases
    from maineffect.ledger.sweep.reuse import finished_runs

    plan = search_plan(checked.study, plan_requests(checked, ledger.sweep_id))
    assert plan is not None
    records, runs = LedgerPhases(ledger), ledger.state().preparations
    search = plan.standing(records.notes())[GROUP]
    numbers = measured(plan, search, records)
    trials = tuple(search_trials(plan, search, runs, numbers))
    asked = checked.study.optimise
    assert asked is not None
    wanted = {run: {name: values[name] for name in asked.measured} for run, values in numbers.items()}
    codes = {run.code for run_id, run in finished_runs(ledger).items() if run_id in numbers}
    return SearchState(checked, ledger, plan, search, trials, wanted, bool(codes) and codes != set(asked.codes))


def recommended_by(state: SearchState) -> Recommended:
    """What the surrogates recommend after the runs so far.

    Raises:
        AnalysisError: Too few of them ended.
    """
    from maineffect.analyse.follow_up.recommend import Asked, recommend

    asked, study = state.asked, state.checked.study
    return recommend(
        Asked(
            axes=asked.factors,
            maximise=state.plan.maximise,
            bounds=asked.bounds,
            responses={name: study.responses[name] for name in asked.measured if name in study.responses},
            alpha=study.analysis.alpha,
            spent_df=asked.spent_df,
            drift=state.drift,
        ),
        _runs(state),
    )


def _runs(state: SearchState) -> list[Run]:
    from maineffect.analyse.follow_up.recommend import Run

    names = tuple(state.asked.factors)
    known = [Run(run.values, True, run.scores) for run in state.asked.known]
    trials = [
        Run(dict(zip(names, trial.values, strict=True)), False, state.scores.get(str(trial.notes["run"]), {}))
        for trial in state.trials
    ]
    return [*known, *trials]


def search_document(state: SearchState) -> dict[str, Any]:
    """A search for programs: its runs, its recommendation once all have ended, and what to type next."""
    asked, names = state.asked, tuple(state.asked.factors)
    sweep = state.ledger.sweep_id
    status = status_of(state.checked, state.ledger)
    best = recommended_by(state) if state.complete else None
    done = status["counts"]["finished"] == status["planned"]
    confirmed = f"maineffect report {sweep}" if done else f"maineffect confirm {sweep}"
    return {
        "schema_version": 1,
        "sweep": sweep,
        "study": state.checked.study.name,
        "from": asked.sweep,
        "sampler": asked.method,
        "objectives": dict(asked.objectives),
        "constraints": dict(asked.constraints),
        "known": len(asked.known),
        "planned": asked.runs,
        "ended": len(state.trials),
        "trials": [
            {
                "run": trial.notes["run"],
                "values": dict(zip(names, trial.values, strict=True)),
                "scores": dict(state.scores.get(str(trial.notes["run"]), {})),
            }
            for trial in state.trials
        ],
        "recommended": None if best is None else best.model_dump(mode="json", exclude={"contours"}),
        "chosen": None if state.search.choice is None else state.search.choice["values"]["recommended"],
        "failures": [row for row in status["preparations"] if row["state"] == "failed" and row["class"] != "diverged"],
        "cost": status["cost"],
        "next": confirmed if state.complete else f"maineffect optimise {sweep}",
    }


def confirm(
    reference: str,
    place: Place,
    *,
    choice: int | None = None,
    on_progress: Progress | None = None,
    on_notice: Notice | None = None,
) -> dict[str, Any]:
    """Run the recommended setting beside the comparator, on seeds, worlds and items that the search has not seen.

    Args:
        reference: The search.
        place: Where it runs and is kept.
        choice: 1-based line of the Pareto front that is confirmed instead of the compromise.
        on_progress: Called about twice a second.
        on_notice: Called with what should be known before anything runs.

    Returns:
        The sweep's status when nothing runs any more.

    Raises:
        UsageError: No such search, its runs have not ended, no such line, or another setting was chosen before.
        LedgerError: The store does not answer.
    """
    state = search_state(reference, place)
    sweep = state.ledger.sweep_id
    if not state.complete:
        raise UsageError(
            f"{len(state.trials)} of the {state.plan.runs} runs of {sweep} have ended: nothing is recommended yet",
            f"go on with it: maineffect optimise {sweep}",
        )
    choose(state, choice)
    settled = settle_resubmission(sweep, place, runs=(), cells=(), reuse=None, go_on=False, on_notice=on_notice)
    drive(settled, place, on_progress)
    return status_of(settled.checked, settled.ledger)


def choose(state: SearchState, line: int | None = None) -> dict[str, Level]:
    """Write what is confirmed, unless it is written; what stands then.

    Args:
        state: A search whose runs have all ended.
        line: 1-based line of the front; None: the recommended setting.

    Raises:
        UsageError: There is no such line, or another setting stands.
    """
    from maineffect.execute.phases.searching import GROUP
    from maineffect.ledger.sweep.phases import LedgerPhases

    asked, standing = state.asked, state.search.choice
    if standing is not None and line is None:
        return dict(standing["values"]["recommended"])
    best = recommended_by(state)
    values = best.values
    if line is not None:
        if not 1 <= line <= len(best.front):
            has = f"the front has {len(best.front)} lines" if best.front else "there is no front: one objective"
            raise UsageError(f"there is no line {line}: {has}", "leave --choice out, or count from 1")
        values = best.front[line - 1].values
    arms = {"comparator": asked.setting_values("comparator"), "recommended": {**values, **asked.fixed}}
    seen = json.dumps([[dict(run.values), dict(run.scores)] for run in _runs(state)])
    word = f"{hashlib.sha256(seen.encode()).hexdigest()[:16]}:{line or 'recommended'}:{json.dumps({'values': arms})}"
    stands = json.loads(LedgerPhases(state.ledger).note(f"chosen.{GROUP}", word).split(":", 2)[2])["values"]
    if line is not None and stands["recommended"] != arms["recommended"]:
        raise UsageError(
            f"another setting was chosen before: {stands['recommended']}",
            "leave --choice out to go on with it; a search has one confirmation",
        )
    return dict(stands["recommended"])


def export_search(reference: str, place: Place, path: Path) -> int:
    """Write a search to a storage that Optuna's visualisations and ``optuna-dashboard`` open.

    Args:
        reference: The search.
        place: Where it is kept.
        path: SQLite database to make.

    Returns:
        How many trials it holds: the sweep's runs, then the search's.

    Raises:
        UsageError: No such search, or a file that exists.
    """
    from maineffect.execute.phases.optuna_study import export

    if path.exists():
        raise UsageError(f"{path} exists", "name another file, or remove it")
    state = search_state(reference, place)
    plan = state.plan
    return export(
        path,
        state.checked.study.name,
        plan.space,
        [*plan.known, *state.trials],
        maximise=tuple(plan.maximise.values()),
        objectives=tuple(plan.maximise),
        limits=tuple(plan.limits),
    )
