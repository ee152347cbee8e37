"""What was measured before: finished runs of other sweeps of the study, and results of another version of its code.

A run is its content (trainable, levels, settings, seeds) and the version of the trainable's code. What is finished
under both is reused, wherever it was made. Results of another code version only count when the user says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunRequest, RunState, RunStatus
from maineffect.errors import UsageError
from maineffect.journey.run.code import changed_files
from maineffect.journey.run.earlier import earlier_results
from maineffect.journey.run.registered import (
    first_start,
    post_hoc_reasons,
    registrations_of,
    registrations_of_document,
)
from maineffect.preparation import is_preparatory

if TYPE_CHECKING:
    from maineffect.journey.plan.place import Checked
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.ledger.sweep.reuse import FinishedRun
    from maineffect.register.claims import RegisteredClaims

__all__ = ["PastRuns", "look_back", "post_hoc_sentences", "provenance_sentences", "require_choice", "settle_past_runs"]


@dataclass(frozen=True)
class PastRuns:
    """What was measured before.

    Attributes:
        code: Version of the trainable's code now.
        take_over: Run id → finished run of another sweep that will be counted here.
        other_code_elsewhere: Runs that other sweeps finished, but under another code version only.
        other_code_here: Code version → runs of this sweep that were finished under it, unless it is the present one.
        open_runs: Runs that would still have to be run.
    """

    code: str
    take_over: Mapping[str, FinishedRun] = field(default_factory=dict)
    other_code_elsewhere: int = 0
    other_code_here: Mapping[str, int] = field(default_factory=dict)
    open_runs: int = 0

    def sentences(self) -> list[str]:
        """What a user should know before anything runs."""
        notices = [
            f"{count} run(s) are finished in sweep {sweep}: counted here, not run again"
            for sweep, count in sorted(Counter(f.sweep_id for f in self.take_over.values()).items())
        ]
        if self.other_code_elsewhere:
            notices.append(
                f"{self.other_code_elsewhere} run(s) are finished in other sweeps under another version of the "
                f"trainable's code (now {self.code}): run again unless you say --reuse-results"
            )
        notices += [
            f"{count} run(s) of this sweep were finished under code {code}; the trainable is now {self.code}"
            for code, count in sorted(self.other_code_here.items())
        ]
        return notices

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "code": self.code,
            "reused": [
                {
                    "run_id": run_id,
                    "from_sweep": finished_run.sweep_id,
                    "from_run": finished_run.run_id,
                    "code": finished_run.code,
                }
                for run_id, finished_run in self.take_over.items()
            ],
            "other_code": dict(self.other_code_here),
            "other_code_elsewhere": self.other_code_elsewhere,
        }


def look_back(
    uri: str,
    study: str,
    sweep_id: str,
    ledger: MlflowLedger | None,
    requests: Sequence[RunRequest],
    *,
    reuse: bool | None,
    only: Sequence[str] | None = None,
    earlier: Mapping[str, FinishedRun] | None = None,
) -> PastRuns:
    """Find what was measured before. Writes nothing.

    Args:
        uri: Tracking URI.
        study: Name of the study.
        sweep_id: The sweep that is about to run.
        ledger: Its ledger, if it has one yet.
        requests: Its runs.
        reuse: Whether results of another code version count; False takes nothing over at all; None is undecided.
        only: Runs to which this submission is restricted.
        earlier: Results of the phases that the study continues: they count whatever else is asked.
    """
    from maineffect.ledger.sweep.reuse import finished_runs, same_runs

    code = requests[0].code_version if requests else ""
    states: Mapping[str, RunStatus] = ledger.state().runs if ledger is not None else {}
    finished = finished_runs(ledger) if ledger is not None else {}
    here = {run_id: run for run_id, run in finished.items() if not is_preparatory(run_id)}
    unfinished = [
        request for request in requests if request.run_id not in here and (only is None or request.run_id in only)
    ]
    earlier = earlier or {}
    free = [request for request in unfinished if _free(states.get(request.run_id))]
    candidates_by_run = same_runs(uri, study, [r for r in free if r.run_id not in earlier], besides=sweep_id)
    chosen = {request.run_id: earlier[request.run_id] for request in free if request.run_id in earlier}
    elsewhere = 0
    for run_id, candidates in candidates_by_run.items():
        began = states[run_id].reused_from if run_id in states else None
        fit = [run for run in candidates if run.place == began] or [run for run in candidates if run.code == code]
        if reuse:
            fit = fit or candidates
        if fit and reuse is not False:
            chosen[run_id] = fit[0]
        elsewhere += not fit
    versions = Counter(
        run.code for run_id, run in here.items() if run.code and code and run.code != code and run_id not in earlier
    )
    return PastRuns(code, chosen, elsewhere, dict(versions), len(unfinished) - len(chosen))


def _free(status: RunStatus | None) -> bool:
    """Whether nobody has begun to run it here; a reuse that was interrupted is completed."""
    return status is None or status.state is RunState.PLANNED or status.reused_from is not None


def require_choice(past_runs: PastRuns, reuse: bool | None, changes: Callable[[], list[str]] = list) -> None:
    """Results of two code versions are not mixed unless the user says so.

    Raises:
        UsageError: They would be.
    """
    if reuse or not past_runs.open_runs or not past_runs.other_code_here:
        return
    finished = sum(past_runs.other_code_here.values())
    versions = ", ".join(sorted(past_runs.other_code_here))
    named = changes()
    which = f" ({', '.join(named[:5])}{', …' if len(named) > 5 else ''})" if named else ""
    raise UsageError(
        f"{finished} run(s) of this sweep were finished under code {versions}, and the trainable's code is now "
        f"{past_runs.code}{which}: one analysis would mix them",
        "--reuse-results counts them all the same (the report will say so); or go back to that code; "
        "or rename the study to run everything again",
    )


def settle_past_runs(
    checked: Checked,
    ledger: MlflowLedger,
    requests: Sequence[RunRequest],
    reuse: bool | None,
    on_notice: Callable[[str], None] | None,
    only: Sequence[str] | None = None,
) -> None:
    """Say what was measured before, take it over or refuse to mix, and note what this submission asks for.

    Raises:
        UsageError: Results of two code versions would be mixed, and nobody said so.
    """
    from maineffect.journey.run.submission import note_submission
    from maineffect.ledger.sweep.reuse import take_over

    past_runs = look_back(
        ledger.uri, checked.study.name, ledger.sweep_id, ledger, requests, reuse=reuse, only=only,
        earlier=earlier_results(checked, ledger.uri, requests),
    )  # fmt: skip
    if on_notice is not None:
        from maineffect.journey.run.submission import stored_submission_document

        def own() -> list[RegisteredClaims]:
            return registrations_of_document(stored_submission_document(ledger), checked.plan)

        states = ledger.state().runs if past_runs.take_over else {}
        for sentence in [*past_runs.sentences(), *post_hoc_sentences(checked, ledger.uri, past_runs, states, own)]:
            on_notice(sentence)
    require_choice(past_runs, reuse, lambda: changed_files(checked, ledger, list(past_runs.other_code_here)))
    if past_runs.take_over and not ledger.cancelled():
        take_over(ledger, past_runs.take_over)
    note_submission(ledger, checked.study, past_runs.code)


def post_hoc_sentences(
    checked: Checked,
    uri: str,
    past_runs: PastRuns,
    states: Mapping[str, RunStatus],
    own: Callable[[], Sequence[RegisteredClaims]],
) -> list[str]:
    """Claims that the runs about to be taken over make post hoc.

    Args:
        checked: The study.
        uri: Tracking URI.
        past_runs: What would be taken over.
        states: Run id → state, of the sweep's runs so far.
        own: Reads the registrations behind the study, without those of the sweeps that made the runs.
    """
    taken = past_runs.take_over
    if not taken:
        return []
    follow_up = checked.study.follow_up
    made = {run.run for run in follow_up.runs} if follow_up is not None else set()

    def first_of(run_ids: Iterable[str]) -> float | None:
        chosen = set(run_ids)
        runs = [taken[run_id] for run_id in chosen if run_id in taken]
        starts = [run.finished_ms / 1000 - run.commit.seconds for run in runs if run.finished_ms]
        first = first_start(state for run_id, state in states.items() if run_id in chosen)
        return min([*starts, *([] if first is None else [first])], default=None)

    reasons = post_hoc_reasons(
        checked.plan,
        own(),
        registrations_of(uri, {run.sweep_id for run in taken.values()}),
        first_run=first_of({*taken, *states}),
        first_new=first_of({*taken, *states} - made),
    )
    return [f"{name} will be judged post hoc: {reason}" for name, reason in reasons.items()]


def provenance_sentences(sweep_id: str, results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a reader must know of where a sweep's results come from.

    Args:
        sweep_id: The sweep.
        results: Run id → its result as committed.
    """
    others = Counter(str(r["sweep_id"]) for r in results.values() if r.get("sweep_id", sweep_id) != sweep_id)
    sentences = [f"{count} run(s) were reused from sweep {sweep}" for sweep, count in sorted(others.items())]
    codes = Counter(str(r["code"]) for r in results.values() if r.get("code"))
    if len(codes) > 1:
        parts = ", ".join(f"{code} ({count} runs)" for code, count in codes.most_common())
        sentences.append(f"the runs were made by {len(codes)} versions of the trainable's code: {parts}")
    return sentences
