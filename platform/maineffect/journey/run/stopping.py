"""Stopping early, as registered: what a sweep's interim looks say of its further waves.

The driver asks after each complete wave; the look is made by the analysis on what the ledger holds, and written there
once. Whoever asks again, a driver that was killed in between or one on another machine, gets the same answer.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maineffect.contracts import RunState, RunStatus
from maineffect.errors import UsageError

if TYPE_CHECKING:
    from maineffect.analyse.record.result import Look, RunRow
    from maineffect.design.model.model import Design
    from maineffect.journey.plan.place import Checked
    from maineffect.ledger.sweep.ledger import MlflowLedger
    from maineffect.spec.study import StudySpec

__all__ = [
    "Stopped",
    "look_for",
    "looks_of",
    "needed_runs",
    "not_needed",
    "settle_stop",
    "stop_document",
    "stopped_sweep",
    "sweep_deviations",
]


def look_for(checked: Checked, ledger: MlflowLedger) -> Callable[[int], str | None] | None:
    """What the driver asks after each complete wave; None where the study asks for no stopping."""
    study, design = checked.study, checked.design
    rule = study.analysis.sequential
    if rule is None or not rule.stop or study.design.replicates < 2 or not study.hypotheses:
        return None

    def look(wave: int) -> str | None:
        from maineffect.ledger.sweep.looks import made_looks, stopped_at

        made = made_looks(ledger).get(wave) or _make(study, design, ledger, wave)
        if not made.stop or stopped_at(ledger.control.read()) is None:
            return None
        return f"stopped early, as registered: {made.said}; no further wave starts"

    return look


def _make(study: StudySpec, design: Design, ledger: MlflowLedger, wave: int) -> Any:
    """Analyse the waves so far and write what came of it, unless somebody was first."""
    from maineffect.analyse.table.covariates import with_covariates
    from maineffect.analyse.waves import look_after_wave
    from maineffect.ledger.sweep.collect import collect
    from maineffect.ledger.sweep.looks import MadeLook, record_look

    collected = collect(ledger, design, tuple(study.responses))
    table = with_covariates(study, collected.table, collected.measures)
    wave_look = look_after_wave(study, table, wave, [look for look in looks_of(ledger) if look.look < wave])
    finished = int(((table["replicate"] <= wave) & (table["status"] == "finished")).sum())
    judged = tuple(look.model_dump(mode="json") for look in wave_look.judged)
    return record_look(
        ledger,
        MadeLook(
            look=wave,
            looks=study.design.replicates,
            stop=wave_look.stop,
            said=wave_look.said,
            finished=finished,
            judged=judged,
        ),
    )


def looks_of(ledger: MlflowLedger) -> list[Look]:
    """The looks that were made, as the analysis reads them."""
    from maineffect.analyse.record.result import Look
    from maineffect.ledger.sweep.looks import made_looks

    return [Look.model_validate(document) for made in made_looks(ledger).values() for document in made.judged]


def not_needed(design: Design, states: Mapping[str, RunStatus], stopped: int | None) -> frozenset[str]:
    """Runs of waves after the look that stopped the sweep, but for those that finished or run all the same."""
    if stopped is None:
        return frozenset()
    going = (RunState.FINISHED, RunState.RUNNING)
    return frozenset(
        run.run_id
        for run in design.runs
        if run.replicate > stopped and (run.run_id not in states or states[run.run_id].state not in going)
    )


def needed_runs(
    design: Design, ledger: MlflowLedger | None, *, chosen: Sequence[str] | None = None, go_on: bool = False
) -> list[str] | None:
    """Run ids that a submission of ``chosen`` (None: of all) may start; None stands for every run."""
    from maineffect.ledger.sweep.looks import stopped_at

    stopped = stopped_at(ledger.control.read()) if ledger is not None else None
    if ledger is None or stopped is None or go_on:
        return None if chosen is None else list(chosen)
    spare = not_needed(design, ledger.state().runs, stopped)
    runs = [run.run_id for run in design.runs if run.run_id not in spare]
    return [run for run in runs if chosen is None or run in chosen]


def settle_stop(
    design: Design,
    ledger: MlflowLedger,
    *,
    go_on: bool,
    chosen: Sequence[str] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> tuple[list[str] | None, str | None]:
    """What a submission may start after a look has stopped the sweep; with ``go_on`` the stop is lifted for good.

    Returns:
        The runs that may start (``chosen`` where no look has stopped it), and why not all of them.

    Raises:
        UsageError: A chosen run is not needed any more.
    """
    from maineffect.ledger.sweep import looks

    if go_on and looks.go_on(ledger, f"{getpass.getuser()} by --continue") and on_notice is not None:
        on_notice("the sweep goes on after the look that had stopped it, to its last wave; the report will say so")
    stopped, needed = looks.stopped_at(ledger.control.read()), needed_runs(design, ledger, chosen=chosen)
    if stopped is None or needed is None:
        return needed, None
    spare = [run for run in chosen or () if run not in needed]
    reason = looks.made_looks(ledger)[stopped].said
    if spare:
        raise UsageError(f"{spare[0]} is not needed: {reason}", "--continue runs the remaining waves on purpose")
    why = f"stopped early, as registered: {reason}; --continue runs the remaining waves on purpose"
    if on_notice is not None:
        on_notice(why)
    return needed, why


def stop_document(design: Design, states: Mapping[str, RunStatus], ledger: MlflowLedger) -> dict[str, Any] | None:
    """What ``status`` says of a sweep that a look has stopped; None if none has."""
    from maineffect.ledger.sweep.looks import continued, made_looks

    stops = [made for made in made_looks(ledger).values() if made.stop]
    if not stops:
        return None
    first, who = stops[0], continued(ledger)
    spare = not_needed(design, states, None if who else first.look)
    return {
        "look": first.look,
        "looks": first.looks,
        "said": first.said,
        "continued_by": who,
        "not_needed": len(spare),
        "label": f"not needed (interim look {first.look} of {first.looks})",
        "runs": sorted(spare),
    }


@dataclass(frozen=True)
class Stopped:
    """A sweep as its analysis sees it.

    Attributes:
        design: Without the runs that a look has made unnecessary.
        made: Looks that were made.
        look: The one that stopped the sweep, if one did and nobody went on.
        said: What it said, and how many runs that saved.
        label: Status of the runs that were not needed.
    """

    design: Design
    made: Sequence[Look] = ()
    look: int | None = None
    said: str | None = None
    label: str = ""

    def rows(self, planned: Design) -> list[RunRow]:
        """The runs that were not needed."""
        from maineffect.analyse.table.rows import row_without_result

        kept = {run.run_id for run in self.design.runs}
        return [row_without_result(run, planned, self.label) for run in planned.runs if run.run_id not in kept]


def stopped_sweep(design: Design, ledger: MlflowLedger) -> Stopped:
    """Looks of a sweep, and its design without what they made unnecessary."""
    made = looks_of(ledger)
    # Most sweeps are not stopped, and reading all their runs' records takes time.
    stop = stop_document(design, ledger.state().runs, ledger) if made else None
    if stop is None or stop["continued_by"] is not None:
        return Stopped(design, made)
    spare = set(stop["runs"])
    kept = tuple(run for run in design.runs if run.run_id not in spare)
    reason = f"stopped early, as registered: {stop['said']}; {len(spare)} of {len(design.runs)} runs were not needed"
    return Stopped(replace(design, runs=kept), made, stop["look"], reason, stop["label"])


def sweep_deviations(checked: Checked, stop: Stopped, ledger: MlflowLedger) -> list[str]:
    """Where a sweep left its plan; stopping early as registered is none, going on after it is one."""
    from maineffect.ledger.sweep.looks import continued, made_looks
    from maineffect.register.deviations import deviations

    states, made, who = ledger.state().runs, made_looks(ledger), continued(ledger)
    spare = {run.run_id for run in checked.design.runs} - {run.run_id for run in stop.design.runs}
    needed_states = {run_id: status for run_id, status in states.items() if run_id not in spare}
    sentences = deviations(
        [run.run_id for run in stop.design.runs], needed_states, checked.submission.get("earlier", ())
    )
    stops = [look for look in made.values() if look.stop]
    if stops and who is not None:
        sentences.append(f"the sweep went on although {stops[0].said} had ended it (by {who})")
    for look in made.values():
        wave = [run.run_id for run in checked.design.runs if run.replicate <= look.look]
        now = sum(run in states and states[run].state is RunState.FINISHED for run in wave)
        if now != look.finished:
            sentences.append(
                f"interim look {look.look} of {look.looks} was made on {look.finished} runs; {now} of its waves are "
                "finished now: its decision and its interval stand as they were made"
            )
    return sentences
