"""The finished sweep that a follow-up continues: its runs count as they are, and are never run again.

They count whatever version of the trainable's code made them: the phase is a block, so that a drift between phases does
not look like an effect, and the report names the versions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maineffect.contracts import RunRequest, RunStatus
from maineffect.errors import UsageError

if TYPE_CHECKING:
    from maineffect.journey.plan.place import Checked
    from maineffect.ledger.sweep.reuse import FinishedRun

__all__ = ["earlier_results", "results_digest", "states_of_new_runs"]

_RUN = re.compile(r"^c[0-9a-f]{10}-r\d+")


def results_digest(finished: Mapping[str, FinishedRun]) -> str:
    """SHA-256 over a sweep's results, in hex: which runs are finished, and what each was committed as."""
    lines = sorted(f"{run_id} {run.commit.sha256}" for run_id, run in finished.items() if _RUN.match(run_id))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def earlier_results(checked: Checked, uri: str, requests: Sequence[RunRequest]) -> dict[str, FinishedRun]:
    """Results of the earlier phases: run id → finished run; nothing where the study counts none.

    Args:
        checked: The study.
        uri: Tracking URI.
        requests: Its runs, those of earlier phases among them.

    Raises:
        UsageError: The sweep is not in this store, or its plan or results are not those that the follow-up was written
            for; or the study would not make a finished run as it was made.
    """
    from maineffect.journey.run.submission import stored_submission_document
    from maineffect.ledger.sweep.ledger import load_sweep
    from maineffect.ledger.sweep.reuse import finished_runs

    follow_up = checked.study.follow_up
    if follow_up is None or not follow_up.runs:
        return {}
    ledger = load_sweep(uri, follow_up.sweep)
    if ledger is None:
        raise UsageError(
            f"there is no sweep {follow_up.sweep} in {uri}, whose {len(follow_up.runs)} runs this study continues",
            "name the store that has it with --tracking-uri or --home",
        )
    again = f"write the follow-up again: maineffect next {follow_up.sweep} --write {checked.path.name}"
    plan = stored_submission_document(ledger)["plan_hash"]
    if plan != follow_up.plan:
        raise UsageError(f"the plan of {follow_up.sweep} is {plan[:12]}, not {follow_up.plan[:12]}", again)
    finished = finished_runs(ledger)
    if results_digest(finished) != follow_up.results:
        raise UsageError(f"the results of {follow_up.sweep} have changed since this follow-up was written", again)
    by_id = {request.run_id: request for request in requests}
    for run in follow_up.runs:
        if run.run not in finished:
            raise UsageError(f"run {run.run} is not finished in {follow_up.sweep}", again)
        made = finished[run.run].content
        if made and made != by_id[run.run].content():
            raise UsageError(
                f"run {run.run} of {follow_up.sweep} was made with another trainable, other settings or another seed "
                "than this study has",
                f"change nothing of these in a follow-up (question, hypotheses and design are free); or {again}",
            )
    return {run.run: finished[run.run] for run in follow_up.runs}


def states_of_new_runs(checked: Checked, states: Mapping[str, RunStatus]) -> list[RunStatus]:
    """The states of the runs that no earlier phase has made."""
    follow_up = checked.study.follow_up
    made = {run.run for run in follow_up.runs} if follow_up is not None else set()
    return [state for run_id, state in states.items() if run_id not in made]
