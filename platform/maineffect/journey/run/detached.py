"""Submissions whose driver runs on the cluster, as a Ray Job: the client may go home.

The client checks the study, registers its plan and opens the sweep, so that whatever is wrong is said at once and here;
what it sends is the study's folder and one command. From then on the ledger is all that anybody needs: ``status``,
``logs`` and ``cancel`` ask it, from any machine. It also names the job, for whoever asks what the driver itself said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import MaineffectError, UsageError
from maineffect.journey.plan.place import Checked, Place
from maineffect.journey.plan.requests import chosen_runs, packages_of, plan_requests
from maineffect.journey.run.prepared import require_tuning
from maineffect.journey.run.stopping import settle_stop
from maineffect.journey.run.submission import stored_submission
from maineffect.journey.run.submit import settle_submission

if TYPE_CHECKING:
    from maineffect.ledger.sweep.ledger import MlflowLedger

__all__ = ["driver_logs", "driver_state", "resubmit_detached", "submit_detached"]


def submit_detached(
    path: Path,
    place: Place,
    *,
    register_again: bool = False,
    reuse: bool | None = None,
    go_on: bool = False,
    accept_unequal: bool = False,
    on_notice: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Start a driver of the study on the cluster, or find the one that runs.

    Args:
        path: The study file; its folder is sent along.
        place: ``address`` is the cluster's dashboard, ``home`` a folder that every node sees.
        register_again: Whether a changed plan is registered again.
        reuse: Whether results of another version of the trainable's code count.
        go_on: Whether the sweep goes on after an interim look that stopped it.
        accept_unequal: Whether tuned groups choose without trials that have failed.
        on_notice: Called with what should be known before anything runs.

    Returns:
        The sweep, the job and whether this call started it.

    Raises:
        UsageError: No dashboard's address, or the store's address holds a password.
        MaineffectError: The cluster does not take the job, or whatever ``submit`` raises before anything runs.
    """
    _require_dashboard(place)
    settled = settle_submission(
        path,
        place,
        register_again=register_again,
        reuse=reuse,
        go_on=go_on,
        accept_unequal=accept_unequal,
        on_notice=on_notice,
    )
    words = ["submit", path.name, *(["--accept-unequal"] if accept_unequal else [])]
    return _launch(settled.checked, settled.ledger, place, words, path.resolve().parent, reuse)


def resubmit_detached(
    reference: str,
    place: Place,
    *,
    runs: Sequence[str] = (),
    cells: Sequence[str] = (),
    reuse: bool | None = None,
    go_on: bool = False,
    keep_result: bool = False,
    accept_unequal: bool = False,
) -> dict[str, Any]:
    """Start a driver on the cluster that runs the failed and missing runs again.

    Raises:
        UsageError: No such sweep, run or cell; its study's folder is not on this machine; or as ``submit_detached``.
        MaineffectError: The cluster does not take the job.
    """
    _require_dashboard(place)
    checked, ledger = stored_submission(reference, place)
    require_tuning(checked, asked=accept_unequal)
    settle_stop(checked.design, ledger, go_on=go_on, chosen=chosen_runs(checked.design, runs, cells))
    folder = checked.path.parent
    if not folder.is_dir():
        raise UsageError(f"the study's folder {folder} is not on this machine", "resubmit from the machine that has it")
    words = ["resubmit", ledger.sweep_id]
    words += [word for run in runs for word in ("--run", run)] + [word for cell in cells for word in ("--cell", cell)]
    words += ["--keep-result"] if keep_result else []
    words += ["--accept-unequal"] if accept_unequal else []
    return _launch(checked, ledger, place, words, folder, reuse)


def _require_dashboard(place: Place) -> None:
    from maineffect.ledger.store.texts import redact

    if not (place.address or "").startswith(("http://", "https://")):
        raise UsageError(
            "--detach needs the address of the cluster's dashboard", "add --address http://<head of the cluster>:8265"
        )
    if redact(place.uri()) != place.uri():
        # A job's command can be read by everybody who sees the dashboard.
        raise UsageError(
            "the store's address holds a password, and a job's command can be read on the dashboard",
            "leave user and password out of --tracking-uri, and set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD on the cluster's nodes",
        )


def _launch(
    checked: Checked, ledger: MlflowLedger, place: Place, words: Sequence[str], folder: Path, reuse: bool | None
) -> dict[str, Any]:
    from maineffect.execute.cluster.jobs import submit_job
    from maineffect.execute.cluster.runtime_env import RuntimeEnv
    from maineffect.ledger.store.texts import redact
    from maineffect.ledger.sweep.jobs import JobNote, note_job

    command = ["python", "-m", "maineffect", *words, "--address", "auto"]
    command += ["--home", str(place.home), "--tracking-uri", place.uri()]
    command += ["--workers", str(place.workers)] if place.workers is not None else []
    command += ["--takeover"] if place.takeover else []
    command += [] if reuse is None else ["--reuse-results" if reuse else "--no-reuse-results"]
    assert place.address is not None
    runtime_env = RuntimeEnv.of(plan_requests(checked, ledger.sweep_id)[0], folder, packages_of(checked, place))
    job = submit_job(place.address, ledger.sweep_id, command, runtime_env)
    note_job(ledger, JobNote(job.job_id, redact(place.address)))
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        "job": job.job_id,
        "address": place.address,
        "created": job.created,
    }


def driver_state(note: dict[str, Any]) -> dict[str, Any]:
    """A driver's job as its cluster sees it.

    Args:
        note: ``job`` and ``address``, as ``status`` has them.

    Returns:
        The same with ``status`` (Ray's word; None where it could not be asked), ``active`` and ``message``.
    """
    from maineffect.execute.cluster.jobs import ENDED, job_named

    try:
        job = job_named(note["address"], note["job"])
    except MaineffectError as error:
        return {**note, "status": None, "active": False, "message": f"{error.message}; {error.hint}"}
    if job is None:
        return {**note, "status": None, "active": False, "message": "the cluster does not know it any more"}
    return {**note, "status": job.status, "active": job.status not in ENDED, "message": job.message}


def driver_logs(reference: str, place: Place) -> dict[str, Any]:
    """What the latest driver of a sweep on a cluster printed.

    Args:
        reference: The sweep.
        place: Where the sweep is kept; ``address`` where the dashboard is not where it was when it was submitted.

    Raises:
        UsageError: No such sweep, or it was never detached.
        MaineffectError: The cluster does not answer, or does not know the job.
    """
    from maineffect.execute.cluster.jobs import job_logs, job_of
    from maineffect.ledger.sweep.jobs import latest_job
    from maineffect.ledger.sweep.ledger import find_sweep

    ledger = find_sweep(place.uri(), reference)
    note = latest_job(ledger)
    address = place.address or (note.address if note is not None else None)
    if address is None:
        raise UsageError(
            f"no driver of {ledger.sweep_id} was sent to a cluster",
            "maineffect submit STUDY --detach sends one; what a driver on a machine of your own says is on its screen",
        )
    output, job = job_logs(address, ledger.sweep_id), job_of(address, ledger.sweep_id)
    assert job is not None
    return {
        "schema_version": 1,
        "sweep": ledger.sweep_id,
        **driver_state({"job": job.job_id, "address": address}),
        "output": output,
    }
