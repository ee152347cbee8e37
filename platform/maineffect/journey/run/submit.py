"""Submissions: what is settled before anything runs, what would run, and the run of it by a driver in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import SpecError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.requests import (
    chosen_runs,
    needs_of,
    packages_of,
    plan_requests,
    require_trainable,
    sweep_id_of,
)
from maineffect.journey.plan.team import requires_registration
from maineffect.journey.plan.tuned import phase_before, tuned
from maineffect.journey.run.changed import with_resources_of_file
from maineffect.journey.run.code import keep_code, same_code
from maineffect.journey.run.earlier import earlier_results
from maineffect.journey.run.kept import record_kept_results
from maineffect.journey.run.prepared import go_without_failed, require_tuning, settle_preparations
from maineffect.journey.run.registered import registrations_at_hand
from maineffect.journey.run.reuse import look_back, post_hoc_sentences, settle_past_runs
from maineffect.journey.run.status import preview_document
from maineffect.journey.run.stopping import look_for, needed_runs, settle_stop
from maineffect.journey.run.submission import open_submission, stored_submission
from maineffect.journey.run.unheard import elsewhere_sentences, look_for_unheard
from maineffect.record import record_path, recorded_to

if TYPE_CHECKING:
    from maineffect.contracts import RunRequest
    from maineffect.execute.drive.progress import SweepProgress
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = [
    "Settled",
    "drive",
    "preview",
    "preview_resubmit",
    "settle_checked",
    "settle_resubmission",
    "settle_submission",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settled:
    """A submission about which nothing is open any more: what is left is to drive it.

    Attributes:
        checked: The study.
        ledger: Of its sweep.
        requests: Every run of the sweep, without tuned values.
        only: Runs that may start; None stands for all.
        halt: Why nothing may start, if a look has stopped the sweep.
        retry_failed: Whether runs that failed are tried again.
        accept_unequal: Whether tuned groups choose without trials that have failed.
    """

    checked: Checked
    ledger: MlflowLedger
    requests: Sequence[RunRequest]
    only: Sequence[str] | None = None
    halt: str | None = None
    retry_failed: bool = False
    accept_unequal: bool = False


def settle_submission(
    path: Path,
    place: Place,
    *,
    register_again: bool,
    reuse: bool | None,
    go_on: bool,
    accept_unequal: bool = False,
    on_notice: Callable[[str], None] | None,
) -> Settled:
    """Check and register a study, open its sweep, and settle what earlier submissions left open.

    Raises:
        PlanChangedError: The plan is not the registered one.
        SpecError: Runs are to run here, and this machine lacks what they need.
        UsageError: Results of two code versions would be mixed, and nobody said so.
        LedgerError: The tracking store does not answer.
    """
    checked = check(path)
    require_tuning(checked, asked=accept_unequal)
    settled = settle_checked(
        checked, place, register_again=register_again, reuse=reuse, go_on=go_on, on_notice=on_notice
    )
    return replace(settled, accept_unequal=accept_unequal)


def settle_checked(
    checked: Checked,
    place: Place,
    *,
    register_again: bool,
    reuse: bool | None,
    go_on: bool,
    on_notice: Callable[[str], None] | None,
) -> Settled:
    """The same of a study that was checked.

    Raises:
        PlanChangedError: The plan is not the registered one.
        UsageError: Results of two code versions would be mixed, and nobody said so.
        LedgerError: The tracking store does not answer.
    """
    from maineffect.ledger.store.connection import prepare
    from maineffect.register import freeze

    path = checked.path
    require_trainable(checked)
    if place.address is None and checked.lacks:
        raise SpecError(checked.lacks, "give the --address of a cluster that has it")
    if requires_registration(path, checked.study) and not register_again:
        freeze.require_beforehand(checked.plan_hash, path)
    for warning in checked.warnings:
        if on_notice is not None and warning.path == "trainable":  # it concerns what runs, not what is learnt
            on_notice(f"warning: {warning}")
    prepare(place.uri())
    registration = freeze.require_registered(
        checked.study, checked.design, path, again=register_again, now=datetime.now(UTC)
    )
    ledger = open_submission(checked, place, registration)
    planned = same_code(checked, ledger, plan_requests(checked, ledger.sweep_id))
    requests = tuned(checked.study, ledger, planned)
    only, halt = settle_stop(checked.design, ledger, go_on=go_on, on_notice=on_notice)
    settle_past_runs(checked, ledger, requests, reuse, on_notice, only)
    keep_code(checked, ledger, place.home, requests[0].code_version)
    settle_preparations(checked, ledger, place, requests, reuse, on_notice)
    return Settled(checked, ledger, planned, halt=halt)


def settle_resubmission(
    reference: str,
    place: Place,
    *,
    runs: Sequence[str],
    cells: Sequence[str],
    reuse: bool | None,
    go_on: bool,
    keep_result: bool = False,
    accept_unequal: bool = False,
    on_notice: Callable[[str], None] | None,
) -> Settled:
    """Find a sweep and settle which of its failed and missing runs are run again.

    Raises:
        UsageError: No such sweep, run or cell; the run is not needed; or two code versions would be mixed unasked.
    """
    checked, ledger = stored_submission(reference, place)
    require_tuning(checked, asked=accept_unequal)
    checked = with_resources_of_file(checked, on_notice)
    chosen = chosen_runs(checked.design, runs, cells)
    only, _ = settle_stop(checked.design, ledger, go_on=go_on, chosen=chosen, on_notice=on_notice)
    planned = same_code(checked, ledger, plan_requests(checked, ledger.sweep_id))
    requests = tuned(checked.study, ledger, planned)
    settle_past_runs(checked, ledger, requests, reuse, on_notice, only)
    keep_code(checked, ledger, place.home, requests[0].code_version)
    if keep_result:
        record_kept_results(ledger, place.home, chosen, on_notice)
    ledger.reopen("resubmit")
    settle_preparations(checked, ledger, place, requests, reuse, on_notice)
    return Settled(checked, ledger, planned, only, retry_failed=True, accept_unequal=accept_unequal)


def drive(settled: Settled, place: Place, on_progress: Callable[[SweepProgress], None] | None = None) -> None:
    """Run what is settled, in this process, until nothing is left to start or to wait for."""
    from maineffect.execute.drive.sweep import execute_sweep
    from maineffect.ledger.sweep.phases import LedgerPhases
    from maineffect.ledger.sweep.repair import driving

    checked, ledger = settled.checked, settled.ledger
    word = "resubmitted" if settled.retry_failed else "submitted"
    with recorded_to(record_path(place.home, ledger.sweep_id)), driving(ledger, place.home / "runs" / ledger.sweep_id):
        _log.info("%s is %s: %d runs", ledger.sweep_id, word, len(settled.requests))
        # Without the trials that failed before; and once more without those that fail now.
        if settled.accept_unequal:
            go_without_failed(checked, ledger, settled.requests)
        while True:
            execute_sweep(
                settled.requests,
                ledger,
                place.home,
                needs_of(checked.study),
                study_dir=checked.path.parent,
                packages=packages_of(checked, place),
                workers=place.workers,
                address=place.address,
                retry_failed=settled.retry_failed,
                only=settled.only,
                takeover=place.takeover,
                on_progress=on_progress,
                look=look_for(checked, ledger),
                halt=settled.halt,
                before=phase_before(checked.study, settled.requests),
                records=LedgerPhases(ledger),
            )
            if not settled.accept_unequal or not go_without_failed(checked, ledger, settled.requests):
                return


def preview(path: Path, place: Place, *, reuse: bool | None = None, go_on: bool = False) -> dict[str, Any]:
    """What ``submit`` would do: which runs, in which order, and which are done already. Writes nothing."""
    from maineffect.ledger.sweep.ledger import load_sweep

    checked = check(path)
    sweep_id = sweep_id_of(checked)
    ledger = load_sweep(place.uri(), sweep_id)
    requests = tuned(checked.study, ledger, same_code(checked, ledger, plan_requests(checked, sweep_id)))
    states = ledger.state().runs if ledger is not None else {}
    only = needed_runs(checked.design, ledger, go_on=go_on)
    past_runs = look_back(
        place.uri(), checked.study.name, sweep_id, ledger, requests, reuse=reuse, only=only,
        earlier=earlier_results(checked, place.uri(), requests),
    )  # fmt: skip
    late = post_hoc_sentences(checked, place.uri(), past_runs, states, lambda: registrations_at_hand(checked))
    return preview_document(
        sweep_id, requests, states, past_runs=past_runs, retry_failed=False, only=only, notices=late
    )


def preview_resubmit(
    reference: str,
    place: Place,
    *,
    runs: Sequence[str] = (),
    cells: Sequence[str] = (),
    reuse: bool | None = None,
    go_on: bool = False,
) -> dict[str, Any]:
    """What ``resubmit`` would do, and what it would say before. Writes nothing."""
    checked, ledger = stored_submission(reference, place)
    notices: list[str] = []
    checked = with_resources_of_file(checked, notices.append)
    only = needed_runs(checked.design, ledger, chosen=chosen_runs(checked.design, runs, cells), go_on=go_on)
    requests = tuned(checked.study, ledger, same_code(checked, ledger, plan_requests(checked, ledger.sweep_id)))
    past_runs = look_back(
        ledger.uri, checked.study.name, ledger.sweep_id, ledger, requests, reuse=reuse, only=only,
        earlier=earlier_results(checked, ledger.uri, requests),
    )  # fmt: skip
    states = ledger.state().runs
    unheard = look_for_unheard(ledger, [states[r.run_id] for r in requests if r.run_id in states])
    notices += elsewhere_sentences(unheard, takeover=place.takeover)
    return preview_document(
        ledger.sweep_id, requests, states, past_runs=past_runs, retry_failed=True, only=only, notices=notices
    )
