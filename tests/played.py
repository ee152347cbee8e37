"""A settled submission run to its end in this process: a driver's decisions, and its runs one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from maineffect.contracts import FailureClass, RunDiverged, RunRequest, RunResult
from maineffect.execute.attempt.one_run import WorkOrder, run_attempt
from maineffect.execute.drive.schedule import Memory, plan_next
from maineffect.execute.phases.rounds import Rounds
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.tuned import phase_before
from maineffect.journey.run.submit import Settled
from maineffect.ledger.sweep.phases import LedgerPhases

__all__ = ["play"]

Seconds = Callable[[RunRequest], float]
Measure = Callable[[RunRequest], Mapping[str, float]]


def play(
    settled: Settled, place: Place, measure: Measure | None = None, seconds: Seconds = lambda _: 4.0
) -> list[RunRequest]:
    """Run what a driver would start, until nothing is left.

    Args:
        settled: What is submitted.
        place: Where it is kept.
        measure: What a run comes to; default: the study's own trainable runs.
        seconds: What such a run takes, by its record.

    Returns:
        What was run, in its order.
    """
    ledger, folder, started = settled.ledger, settled.checked.path.parent, []
    rounds = Rounds(
        settled.requests, folder, phase_before(settled.checked.study, settled.requests), LedgerPhases(ledger)
    )
    memory: Memory | None = None
    while True:
        runs = ledger.state().all_runs
        rounds.advance(runs)
        memory = memory or Memory.of([*settled.requests, *rounds.preparations.requests], runs, settled.retry_failed, 0)
        plan = plan_next(settled.requests, runs, memory, 0.0, rounds.preparations)
        if not plan.start:
            return started
        for request, attempt in plan.start:
            asked = rounds.settled(request)
            started.append(asked)
            if measure is None:
                files = rounds.preparations.files_for(request.run_id)
                order = WorkOrder(asked, attempt, "test", ledger, place.home, folder, prepared=files)
                outcome = run_attempt(order)
                assert outcome.failure in (None, FailureClass.DIVERGED), outcome.message
                continue
            assert ledger.claim(asked.run_id, attempt, "test")
            record = ledger.start_attempt(asked, attempt, place.home / "runs" / asked.run_id / f"a{attempt}")
            try:
                record.commit(RunResult(measure(asked)), seconds=seconds(asked))
            except RunDiverged as error:
                record.fail(FailureClass.DIVERGED, str(error), seconds=seconds(asked))
