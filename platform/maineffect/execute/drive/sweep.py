"""A submitted sweep on Ray: one named detached actor per attempt, the ledger as the only truth.

The driver is a loop that reads the ledger, decides (:mod:`maineffect.execute.drive.schedule`), starts actors, and takes
in what they say. It may be killed at any moment: whatever it knew is in the ledger, or is asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from maineffect.contracts import RunLedger, RunRequest
from maineffect.errors import LedgerError
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.signals import raise_if_told
from maineffect.execute.drive.driver import Driver
from maineffect.execute.drive.progress import SweepProgress
from maineffect.execute.drive.waves import Look, Waves
from maineffect.execute.phases.rounds import Before, Rounds
from maineffect.preparation import PhaseRecords

__all__ = ["Needs", "execute_sweep"]

_LEDGER_PATIENCE = 300.0
_AWAY_SECONDS = 0.5


def execute_sweep(
    requests: Sequence[RunRequest],
    ledger: RunLedger,
    home: Path,
    needs: Needs,
    *,
    study_dir: Path | None = None,
    packages: tuple[Path, ...] = (),
    workers: int | None = None,
    address: str | None = None,
    retry_failed: bool = False,
    only: Collection[str] | None = None,
    takeover: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
    look: Look | None = None,
    halt: str | None = None,
    before: Before | None = None,
    records: PhaseRecords | None = None,
) -> None:
    """Run what is not yet done and return when nothing runs any more. The outcome is in the ledger.

    Args:
        requests: The sweep's runs, in run order.
        ledger: Where claims, ends and results are recorded.
        home: Folder for the runs' files, shared caches and checkpoints.
        needs: Resources, time limit, retries and budget.
        study_dir: Folder of the study file, for trainables beside it; sent along to a cluster.
        packages: Folders of packages, or modules, that are sent along to a cluster and come first there.
        workers: Most runs at a time; default: as many as fit.
        address: Ray cluster to run on; default: Ray is started on this machine.
        retry_failed: Whether runs that failed in earlier submissions are tried again.
        only: Run ids to restrict this submission to.
        takeover: Whether attempts on other machines that gave no sign of life for a whole lease are given up for lost.
        on_progress: Called about twice a second.
        look: Called after each complete wave but the last; what it returns, if anything, ends the starting of runs.
        halt: Why nothing new starts from the outset; what still runs is adopted and waited for.
        before: What is tuned or searched for before the runs.
        records: Of that.

    Raises:
        KeyboardInterrupt: After running runs were asked to stop at a checkpoint; the ledger can be taken up again.
        LedgerError: The ledger did not answer for minutes after the last run had ended.
        PluginError: The trainable does not say properly what its runs start from.
        MaineffectError: Ray does not start, does not answer, loses its head, or has no room for a run.
    """
    chosen = [request for request in requests if only is None or request.run_id in only]
    driver = Driver(
        requests=requests,
        chosen=chosen,
        ledger=ledger,
        home=home,
        needs=needs,
        study_dir=study_dir,
        packages=packages,
        workers=workers,
        address=address,
        retry_failed=retry_failed,
        takeover=takeover,
        on_progress=on_progress,
        waves=None if look is None else Waves(requests, look),
        halt=halt,
        rounds=Rounds(requests, study_dir, before, records),
    )
    try:
        _run(driver)
    except KeyboardInterrupt:
        driver.stop()
        raise
    finally:
        driver.close()


def _run(driver: Driver) -> None:
    """Read, decide, act, take in; until nothing is left to start or to wait for."""
    away_since: float | None = None
    while True:
        raise_if_told()
        try:
            driver.refresh()
            away_since = None
        except LedgerError as error:
            if driver.nothing_runs:
                raise
            if away_since is None:
                away_since = time.monotonic()
                driver.notices.append(f"{error.message}; nothing new starts, what runs goes on")
            if not driver.flights and time.monotonic() - away_since > _LEDGER_PATIENCE:
                raise
        if not driver.head_answers():
            driver.report()
            time.sleep(_AWAY_SECONDS)
            continue
        done = driver.step(ledger_answers=away_since is None)
        driver.report()
        if done:
            return
        driver.collect()
