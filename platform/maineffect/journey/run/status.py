"""Where a sweep stands, as documents: what would run, what ended how, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from maineffect.contracts import LedgerState, Level, RunRequest, RunState, RunStatus
from maineffect.journey.plan.tuned import unsettled_runs
from maineffect.journey.run.prepared import preparation_rows, waiting_runs
from maineffect.journey.run.stopping import stop_document
from maineffect.journey.run.unheard import Listener, Unheard, look_for_unheard

if TYPE_CHECKING:
    from maineffect.design.model.model import Design, PlannedRun
    from maineffect.execute.cluster.needs import Needs
    from maineffect.execute.drive.budget import Spending
    from maineffect.journey.plan.place import Checked
    from maineffect.journey.run.reuse import PastRuns
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = ["preview_document", "running", "status_document", "status_of"]


_SLOWEST = 5


def _state(states: Mapping[str, RunStatus], run_id: str) -> RunState:
    return states[run_id].state if run_id in states else RunState.PLANNED


def _counts(planned: Sequence[str], states: Mapping[str, RunStatus]) -> dict[str, int]:
    counts = dict.fromkeys((state.value for state in RunState), 0)
    for run_id in planned:
        counts[_state(states, run_id).value] += 1
    return counts


def preview_document(
    sweep_id: str,
    requests: Sequence[RunRequest],
    states: Mapping[str, RunStatus],
    *,
    past_runs: PastRuns,
    retry_failed: bool,
    only: Sequence[str] | None = None,
    notices: Sequence[str] = (),
) -> dict[str, Any]:
    """What a submission would do, by the ledger's present state and by what is known of earlier sweeps."""
    from maineffect.execute.drive.schedule import to_run

    chosen = to_run(requests, states, retry_failed=retry_failed, only=only)
    chosen = [(request, attempt) for request, attempt in chosen if request.run_id not in past_runs.take_over]
    counts = _counts([request.run_id for request in requests], states)
    starting = {request.run_id for request, _ in chosen}
    left = [r.run_id for r in requests if _state(states, r.run_id) is RunState.FAILED and r.run_id not in starting]
    return {
        "schema_version": 1,
        "sweep": sweep_id,
        "planned": len(requests),
        "finished": counts["finished"],
        "failed_left": len(left),
        **past_runs.document(),
        "notices": [*notices, *past_runs.sentences()],
        "would_run": [
            {
                "run_id": request.run_id,
                "cell_id": request.cell_id,
                "replicate": request.replicate,
                "attempt": attempt,
                "order": order,
                "levels": dict(request.levels),
            }
            for order, (request, attempt) in enumerate(chosen)
        ],
    }


def status_of(checked: Checked, ledger: MlflowLedger, listener: Listener | None = None) -> dict[str, Any]:
    """The document of a sweep that was found."""
    return status_document(checked.study, checked.design, checked.plan_hash, ledger, listener)


def status_document(
    study: StudySpec, design: Design, plan_hash: str, ledger: MlflowLedger, listener: Listener | None = None
) -> dict[str, Any]:
    """The document of ``status --json``.

    ``job`` is the driver on a cluster that was submitted last, if any was; ``interrupted`` names runs that are counted
    as running although the process on this machine that ran them is gone, ``silent`` those of which another machine
    gave no sign of life for a whole lease; ``next`` is the command to type next.
    """
    from maineffect.execute.drive.budget import Spending
    from maineffect.journey.plan.requests import needs_of
    from maineffect.ledger.sweep.jobs import latest_job
    from maineffect.ledger.sweep.ledger import serves_of

    state, needs = ledger.state(), needs_of(study)
    planned = [run.run_id for run in design.runs]
    statuses = [state.runs[run] for run in planned if run in state.runs]
    prepared = list(state.preparations.values())
    stop = stop_document(design, state.runs, ledger)
    spare = frozenset(stop["runs"] if stop is not None else ())
    counts = _counts([run for run in planned if run not in spare], state.runs)
    spending, undone = Spending.of(statuses + prepared), len(planned) - len(spare) - counts["finished"]
    finished = [s for s in statuses if s.state is RunState.FINISHED]
    failed = [s for s in prepared + statuses if s.state is RunState.FAILED and s.ends and s.run_id not in spare]
    untuned = unsettled_runs(study, design, ledger)
    making = sum(status.state is RunState.RUNNING for status in prepared)
    job = latest_job(ledger)
    unheard = look_for_unheard(ledger, statuses + prepared, listener)
    preparations = preparation_rows(state, serves_of(ledger) if prepared else {})
    levels = {run.run_id: dict(design.levels_of(run)) for run in design.runs}
    slowest = sorted(finished, key=lambda s: s.seconds, reverse=True)[:_SLOWEST]
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        "study": study.name,
        "plan_hash": plan_hash,
        "planned": len(planned),
        "counts": {**counts, **({"not_needed": len(spare)} if spare else {})},
        "interrupted": list(unheard.interrupted),
        "silent": unheard.silent,
        "stopped": stop,
        "preparations": preparations,
        "waiting": waiting_runs(preparations, counts["planned"] + counts["failed"], untuned),
        "cancelled": state.cancelled_by is not None,
        "job": asdict(job) if job is not None else None,
        "reused": dict(Counter(s.reused_from.partition("/")[0] for s in finished if s.reused_from)),
        "failed_at": _failed_at({run: of for run, of in levels.items() if run not in spare}, state.runs),
        "failures": [
            {
                "run_id": s.run_id,
                "levels": levels.get(s.run_id, {}),
                "class": s.ends[-1].failure.value,
                "message": s.ends[-1].message,
                "attempts": s.attempts,
            }
            for s in failed
        ],
        "failure_classes": _failure_classes(failed),
        "slowest": [{"run_id": s.run_id, "seconds": s.seconds} for s in slowest],
        "cost": {"run_seconds": spending.spent, **asdict(needs.cost(spending.spent))},
        "budget": _budget(needs, spending, undone),
        "time_limit": _time_limit(needs, spending),
        "seconds_left": _seconds_left(needs, spending, counts),
        "next": _next(ledger.sweep_id, undone, counts["running"] + making, unheard, _again(study, untuned)),
        "runs": [_run_row(run, design, state.runs.get(run.run_id), needs, spare) for run in design.runs],
    }


def _again(study: StudySpec, untuned: int) -> str:
    """The verb that runs what is missing."""
    if study.optimise is None:
        return "resubmit"
    return "optimise" if untuned else "confirm"


def _next(sweep: str, undone: int, running: int, unheard: Unheard, again: str) -> str:
    """The command to type next: wait while something runs, then run what is missing, then read."""
    if running > len(unheard.interrupted) + len(unheard.silent):
        return f"maineffect status {sweep} --watch"
    if unheard.silent:
        return f"maineffect resubmit {sweep} --takeover"
    return f"maineffect {again if undone else 'report'} {sweep}"


def _failure_classes(failed: Sequence[RunStatus]) -> list[dict[str, Any]]:
    """Classes of the last failures, most frequent first, each with what its first run said."""
    by_class: dict[str, list[RunStatus]] = {}
    for status in failed:
        by_class.setdefault(status.ends[-1].failure.value, []).append(status)
    ordered = sorted(by_class.items(), key=lambda item: -len(item[1]))
    return [
        {"class": name, "runs": len(runs), "run_id": runs[0].run_id, "message": runs[0].ends[-1].message}
        for name, runs in ordered
    ]


def _budget(needs: Needs, spending: Spending, open_runs: int) -> dict[str, Any] | None:
    """What may be spent, what is left of it, and how many of the open runs that bears; None without a budget."""
    from maineffect.execute.drive.budget import affordable, allowed_seconds

    limits = {"gpu_hours": needs.most_gpu_hours, "cpu_hours": needs.most_cpu_hours, "price": needs.most_price}
    stated = {name: limit for name, limit in limits.items() if limit is not None}
    if not stated and needs.most_wall_seconds is None:
        return None
    spent, allowed = asdict(needs.cost(spending.spent)), allowed_seconds(needs)
    limit = needs.limit(spending.finished)
    bears = open_runs if allowed is None else min(open_runs, affordable(allowed, spending, (), limit))
    return {
        "limits": stated,
        "left": {name: max(0.0, limit - spent[name]) for name, limit in stated.items()},
        "wall_seconds": needs.most_wall_seconds,
        "bears": bears,
        "undone": open_runs - bears,
    }


def _failed_at(levels: Mapping[str, Mapping[str, Level]], states: Mapping[str, RunStatus]) -> dict[str, Any] | None:
    """The levels at which failures gather, if they do more than by chance, given those of each run."""
    from maineffect.analyse.inference.where_failed import where_failed

    ended = [
        (of, state is RunState.FAILED)
        for run_id, of in levels.items()
        if (state := _state(states, run_id)) in (RunState.FINISHED, RunState.FAILED)
    ]
    place = where_failed(ended)
    return None if place is None else {**asdict(place), "sentence": place.sentence}


def _time_limit(needs: Needs, spending: Spending) -> dict[str, Any]:
    """The time limit of a run that starts now, and where it comes from."""
    from maineffect.execute.cluster.needs import LEAST_LIMIT, TIMES_MEDIAN

    seconds = needs.limit(spending.finished)
    if needs.timeout is not None:
        source = "resources.timeout of the study"
    elif seconds > LEAST_LIMIT:
        source = f"{TIMES_MEDIAN:g} times the median of the finished runs"
    else:
        source = "the default"
    return {"seconds": seconds, "from": source}


def _seconds_left(needs: Needs, spending: Spending, counts: Mapping[str, int]) -> float | None:
    """From the measured time of finished runs; as many at a time as run now, or as this machine would."""
    from maineffect.execute.cluster.room import usable_cores
    from maineffect.execute.drive.progress import seconds_left

    open_runs = counts["running"] + counts["planned"] + counts["failed"]
    slots = counts["running"] or max(1, int(usable_cores() / needs.resources().get("CPU", 1.0)))
    return seconds_left(spending.finished, (), open_runs, slots) if open_runs else None


def _run_row(
    run: PlannedRun, design: Design, status: RunStatus | None, needs: Needs, spare: Collection[str]
) -> dict[str, Any]:
    status = status or RunStatus(run.run_id)
    lost = sum(end.seconds for end in status.ends)
    run_seconds = status.seconds if status.reused_from is None else 0.0
    return {
        "run_id": run.run_id,
        "cell_id": run.cell_id,
        "replicate": run.replicate,
        "levels": dict(design.levels_of(run)),
        "state": "not-needed" if run.run_id in spare else status.state.value,
        "attempts": status.attempts,
        "seconds": status.seconds,
        "lost_seconds": lost,
        "cost": asdict(needs.cost(run_seconds + lost)),
        "reused_from": status.reused_from,
        "tracking_run_id": status.tracking_run_id,
    }


def running(design: Design, state: LedgerState) -> tuple[str, ...]:
    """Preparations and planned runs that have an open attempt."""
    names = [*state.preparations, *(run.run_id for run in design.runs)]
    return tuple(name for name in names if _state(state.all_runs, name) is RunState.RUNNING)
