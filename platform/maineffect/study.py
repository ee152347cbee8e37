"""The whole journey on one page: every verb of the command line is one function here.

    spec → design → register → execute (→ lab) → ledger → analyse → report

Stages are imported where they are used, so that ``--help`` and ``check`` stay light.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.journey.plan.check import check as check_study
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.power import PowerQuestion, planned_design, planned_power
from maineffect.journey.plan.requests import plan_requests, sweep_id_of
from maineffect.journey.plan.starters import KINDS as EXAMPLES
from maineffect.journey.plan.starters import write_starter as init
from maineffect.journey.plan.tried import try_study
from maineffect.journey.read.analyse import analyse_sweep, analyse_table, self_test
from maineffect.journey.read.logs import driver_record, logs
from maineffect.journey.read.measure import battery_of, calibrate, measured_again, shortcut_table
from maineffect.journey.read.next import propose_next
from maineffect.journey.read.report import write_comparison, write_figures, write_report
from maineffect.journey.read.sweeps import sweep_document as sweeps
from maineffect.journey.run.detached import driver_logs, driver_state, resubmit_detached, submit_detached
from maineffect.journey.run.optimise import confirm, export_search, optimise, preview_search
from maineffect.journey.run.search import check_search
from maineffect.journey.run.status import running, status_of
from maineffect.journey.run.submission import stored_submission
from maineffect.journey.run.submit import (
    drive,
    preview,
    preview_resubmit,
    settle_resubmission,
    settle_submission,
)

if TYPE_CHECKING:
    from maineffect.execute.drive.progress import SweepProgress
    from maineffect.journey.run.unheard import Listener
    from maineffect.register.freeze import Registration

__all__ = [
    "EXAMPLES",
    "Checked",
    "Place",
    "PowerQuestion",
    "analyse_sweep",
    "analyse_table",
    "battery_of",
    "calibrate",
    "cancel",
    "check",
    "confirm",
    "design",
    "driver_logs",
    "driver_record",
    "driver_state",
    "export_search",
    "init",
    "is_registered",
    "logs",
    "measured_again",
    "optimise",
    "plan_requests",
    "power",
    "preview",
    "preview_resubmit",
    "preview_search",
    "propose_next",
    "register",
    "resubmit",
    "resubmit_detached",
    "self_test",
    "shortcut_table",
    "status",
    "submit",
    "submit_detached",
    "sweep_id_of",
    "sweeps",
    "try_study",
    "write_comparison",
    "write_figures",
    "write_report",
]


# ---------------------------------------------------------------- spec → design


def check(path: Path, *, plugins: bool = True, place: Place | None = None) -> Checked:
    """Validate a study file; one that asks for a search is held against the sweep that it starts from.

    Args:
        path: The file.
        plugins: Whether the trainable must be importable (a study that is only designed need not have one).
        place: Where that sweep is kept.

    Raises:
        SpecError: Everything that is wrong in the file, at once.
        DesignError: No such design, or it cannot estimate a registered hypothesis.
        PluginError: The trainable cannot be imported.
    """
    from maineffect.journey.plan.search_file import is_optimisation

    return check_search(path, place or Place()) if is_optimisation(path) else check_study(path, plugins=plugins)


def design(path: Path) -> tuple[Checked, list[dict[str, Any]]]:
    """The design of a study and the smallest effect that each of its terms detects."""
    return planned_design(check(path, plugins=False))


def power(
    path: Path,
    place: Place | None = None,
    question: PowerQuestion | None = None,
    *,
    on_study: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Smallest detectable effects in the design's strata, power of the hypotheses, curve over replicates."""
    return planned_power(
        check(path, plugins=False),
        question or PowerQuestion(),
        lambda sweep: analyse_sweep(sweep, place or Place()),
        on_study,
    )


# ---------------------------------------------------------------- register


def is_registered(checked: Checked) -> bool:
    """Whether this very plan is registered beside the study file."""
    from maineffect.register import freeze

    return freeze.is_registered(checked.path, checked.plan_hash)


def register(path: Path, *, again: bool = False) -> Registration:
    """Freeze the plan beside the study file.

    Raises:
        PlanChangedError: Another plan is registered and ``again`` was not asked for.
    """
    from maineffect.register import freeze

    checked = check(path)
    return freeze.register(checked.study, checked.design, path, again=again, now=datetime.now(UTC))


# ---------------------------------------------------------------- execute → ledger


def submit(
    path: Path,
    place: Place,
    *,
    register_again: bool = False,
    reuse: bool | None = None,
    go_on: bool = False,
    accept_unequal: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run what is not yet done: nothing that finished runs again, what still runs is adopted.

    Args:
        path: The study file.
        place: Where it runs and is kept.
        register_again: Whether a changed plan is registered again.
        reuse: Whether results of another version of the trainable's code count; False reuses nothing of other
            sweeps; by default only what is the same in everything is reused.
        go_on: Whether the sweep goes on after an interim look that stopped it.
        accept_unequal: Whether tuned groups choose without trials that have failed.
        on_progress: Called about twice a second.
        on_notice: Called with what should be known before anything runs.

    Returns:
        The sweep's status when nothing runs any more.

    Raises:
        PlanChangedError: The plan is not the registered one.
        UsageError: Results of two code versions would be mixed, and nobody said so.
        LedgerError: The tracking store does not answer.
    """
    settled = settle_submission(
        path,
        place,
        register_again=register_again,
        reuse=reuse,
        go_on=go_on,
        accept_unequal=accept_unequal,
        on_notice=on_notice,
    )
    drive(settled, place, on_progress)
    return status_of(settled.checked, settled.ledger)


def resubmit(
    reference: str,
    place: Place,
    *,
    runs: Sequence[str] = (),
    cells: Sequence[str] = (),
    reuse: bool | None = None,
    go_on: bool = False,
    keep_result: bool = False,
    accept_unequal: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run the failed and missing runs of a sweep again, or the chosen ones among them.

    Raises:
        UsageError: No such sweep, run or cell; the run is not needed; or two code versions would be mixed unasked.
    """
    settled = settle_resubmission(
        reference,
        place,
        runs=runs,
        cells=cells,
        reuse=reuse,
        go_on=go_on,
        keep_result=keep_result,
        accept_unequal=accept_unequal,
        on_notice=on_notice,
    )
    drive(settled, place, on_progress)
    return status_of(settled.checked, settled.ledger)


# ---------------------------------------------------------------- ledger → status


def status(reference: str, place: Place, listener: Listener | None = None) -> dict[str, Any]:
    """Runs by state, failures by class, cost so far, time left; a watch keeps a listener over its looks."""
    checked, ledger = stored_submission(reference, place)
    return status_of(checked, ledger.snapshot(), listener)


def cancel(reference: str, place: Place) -> tuple[str, tuple[str, ...]]:
    """Write the cancel record: nothing new starts, running runs stop at their next step.

    Returns:
        The sweep id, and the runs that are stopping.
    """
    checked, ledger = stored_submission(reference, place)
    ledger.cancel(f"{getpass.getuser()} by `maineffect cancel`")
    return ledger.sweep_id, running(checked.design, ledger.state())
