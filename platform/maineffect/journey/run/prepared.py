"""What runs start from: reused where another sweep of the study has made it, and how far it is."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from maineffect.contracts import LedgerState, RunRequest, RunState
from maineffect.errors import UsageError
from maineffect.journey.plan.tuned import tuning_plan
from maineffect.preparation import is_trial, what_of

if TYPE_CHECKING:
    from maineffect.journey.plan.place import Checked, Place
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["go_without_failed", "preparation_rows", "require_tuning", "settle_preparations", "waiting_runs"]


def settle_preparations(
    checked: Checked,
    ledger: MlflowLedger,
    place: Place,
    requests: Sequence[RunRequest],
    reuse: bool | None,
    on_notice: Callable[[str], None] | None,
) -> None:
    """Take over what another sweep of the study has made that the runs of this one start from.

    Args:
        checked: The study.
        ledger: Of the sweep.
        place: Where it runs; what lies in the home's cache needs no taking over.
        requests: Its runs.
        reuse: Whether what another version of the code made counts; False takes nothing over.
        on_notice: Told what is taken over.

    Raises:
        PluginError: The trainable does not say properly what its runs start from.
    """
    from maineffect.execute.phases.preparations import in_cache, plan_preparations
    from maineffect.ledger.sweep.reuse import same_runs, take_over

    planned = plan_preparations(requests, checked.path.parent)
    state = ledger.state()
    wanted = [
        request
        for request in planned.requests
        if request.run_id not in state.preparations and not in_cache(request, place.home)
    ]
    if reuse is False or not wanted or state.cancelled_by is not None:
        return
    code = wanted[0].code_version
    chosen = {}
    for run_id, candidates in same_runs(ledger.uri, checked.study.name, wanted, besides=ledger.sweep_id).items():
        fit = [run for run in candidates if reuse or run.code == code]
        if fit:
            chosen[run_id] = fit[0]
    if chosen:
        take_over(ledger, chosen)
    if on_notice is not None:
        for run_id, made in chosen.items():
            on_notice(f"{what_of(run_id)}: made by sweep {made.sweep_id}, and not made again")


def preparation_rows(state: LedgerState, serves: dict[str, int]) -> list[dict[str, Any]]:
    """The preparations of a sweep that have begun, for ``status``.

    Args:
        state: Of the sweep.
        serves: Preparation → how many runs start from it.
    """
    return [
        {
            "run_id": run_id,
            "what": what_of(run_id),
            "state": status.state.value,
            "serves": serves.get(run_id, 0),
            "attempts": status.attempts,
            "seconds": status.seconds,
            "lost_seconds": sum(end.seconds for end in status.ends),
            "message": status.ends[-1].message if status.state is RunState.FAILED and status.ends else None,
            "class": status.ends[-1].failure.value if status.state is RunState.FAILED and status.ends else None,
            "reused_from": status.reused_from,
        }
        for run_id, status in state.preparations.items()
    ]


def waiting_runs(rows: Sequence[dict[str, Any]], unbegun: int, untuned: int = 0) -> int:
    """How many runs wait for preparations that are not finished.

    Args:
        rows: See :func:`preparation_rows`.
        unbegun: Runs of the sweep that neither run nor are finished.
        untuned: Runs for which the trials have not chosen yet; trials are not counted beside them.
    """
    open_rows = [row for row in rows if row["state"] != RunState.FINISHED.value and not is_trial(row["run_id"])]
    served: list[int] = [row["serves"] for row in open_rows]
    return min(unbegun, max(sum(served), untuned))


def require_tuning(checked: Checked, *, asked: bool) -> None:
    """Refuse to accept unequal tuning of a study that tunes nothing.

    Raises:
        UsageError: It was asked for, and nothing is tuned.
    """
    if asked and checked.study.tuning is None:
        raise UsageError("--accept-unequal is about tuning, and this study tunes nothing", "leave it out")


def go_without_failed(checked: Checked, ledger: MlflowLedger, requests: Sequence[RunRequest]) -> int:
    """Let every group that has not chosen go on without the trials that have failed.

    Args:
        checked: The study.
        ledger: Of its sweep.
        requests: Its registered runs, without tuned values.

    Returns:
        How many trial runs were set aside now.

    Raises:
        LedgerError: The store does not answer.
    """
    plan = tuning_plan(checked.study, requests)
    if plan is None:
        return 0
    from maineffect.execute.phases.tuning import set_aside
    from maineffect.ledger.sweep.phases import LedgerPhases

    records = LedgerPhases(ledger)
    runs = ledger.state().preparations
    return set_aside(plan.standing(records.notes()), runs, records, f"{getpass.getuser()} by --accept-unequal")
