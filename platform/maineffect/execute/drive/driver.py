"""The driver of a sweep: what it knows, what it starts, and how it books what ended."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from maineffect.contracts import FailureClass, LedgerState, RunLedger, RunRequest, RunState, RunStatus
from maineffect.errors import LedgerError, MaineffectError
from maineffect.execute.attempt.home import mark_home
from maineffect.execute.attempt.one_run import AttemptOutcome, WorkOrder
from maineffect.execute.cluster.connect import Cluster, connect
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.runtime_env import RuntimeEnv
from maineffect.execute.drive import settle
from maineffect.execute.drive.actors import Flight, Reports, start_worker
from maineffect.execute.drive.breaker import Breaker
from maineffect.execute.drive.budget import Spending, startable
from maineffect.execute.drive.foreign import ForeignAttempts
from maineffect.execute.drive.metrics import SweepMetrics
from maineffect.execute.drive.notices import Notices
from maineffect.execute.drive.priority import Announcement
from maineffect.execute.drive.progress import SweepProgress, moment_of
from maineffect.execute.drive.schedule import Memory, Plan, plan_next
from maineffect.execute.drive.waiting import Patience
from maineffect.execute.drive.waves import Waves
from maineffect.execute.phases.preparations import MadeBefore
from maineffect.execute.phases.rounds import Rounds

__all__ = ["Driver"]

Starts = tuple[tuple[RunRequest, int], ...]

_POLL_SECONDS = 0.5
_ASK_EVERY = 1.0
_READ_EVERY = 0.5
_GRACE_SECONDS = 30.0
_UNSTARTED_SECONDS = 3.0
_LATE_SECONDS = 15.0
_MOST_RENEWALS = 5


@dataclass
class Driver:
    """One submission. Everything in it may be lost at any moment without harm."""

    requests: Sequence[RunRequest]
    chosen: Sequence[RunRequest]
    ledger: RunLedger
    home: Path
    needs: Needs
    study_dir: Path | None
    packages: tuple[Path, ...]
    workers: int | None
    address: str | None
    retry_failed: bool
    takeover: bool
    on_progress: Callable[[SweepProgress], None] | None
    rounds: Rounds
    waves: Waves | None = None
    halt: str | None = None
    flights: dict[Any, Flight] = field(default_factory=dict)
    notices: Notices = field(default_factory=Notices)
    nothing_runs: bool = True

    def __post_init__(self) -> None:
        self._made, self._held = MadeBefore(self.rounds, self.home, self.address), 0
        self._runs: dict[str, RunStatus] = {}
        self._cancelled = False
        self._memory: Memory | None = None
        self._cluster: Cluster | None = None
        self._foreign = ForeignAttempts(self.ledger, self.home, takeover=self.takeover, limit=self.needs.timeout or inf)
        self._unsettled: list[tuple[Flight, AttemptOutcome | Exception]] = []
        self._breaker, self._refusals = Breaker(), settle.Refusals()
        self._reports, self._patience = Reports(), Patience(self.needs)
        self._halt, self._fewer, self._renewed, self._began = self.halt, 0, 0, time.monotonic()
        self._read_at, self._read_cost, self._asked_at = -1e9, 0.0, -1e9
        self._announcement, self._home_mark = Announcement(self.needs.priority), ""
        self._metrics = SweepMetrics(self.ledger.sweep_id, self.needs, self.notices.append)

    # ------------------------------------------------------------ what is known

    def refresh(self) -> None:
        """Read the ledger, at most twice a second, and never so often that reading is a tenth of the work.

        Raises:
            LedgerError: It does not answer.
        """
        now = time.monotonic()
        if now - self._read_at < max(_READ_EVERY, 10 * self._read_cost):
            return
        try:
            with self._metrics.store_read():
                state = self.ledger.state()
        except LedgerError:
            self._foreign.store_was_away()
            raise
        self._take_state(state)
        self._read_at = time.monotonic()
        self._read_cost = self._read_at - now
        for flight in self.flights.values():
            status = self._runs.get(flight.request.run_id)
            if flight.began is None and status is not None and status.state is RunState.RUNNING:
                flight.began = self._read_at  # claimed: from here on its time counts, whether it answers or not
        waiting, self._unsettled = self._unsettled, []
        for ended in waiting:
            self._settle(*ended)

    def _take_state(self, state: LedgerState) -> None:
        self._runs = state.all_runs
        self._cancelled = state.cancelled_by is not None
        if self._memory is None:
            self.rounds.advance(self._runs)
            every = (*self.chosen, *self.rounds.preparations.requests)
            self._memory = Memory.of(every, self._runs, self.retry_failed, self.needs.retries)

    # ------------------------------------------------------------ what is done

    def step(self, *, ledger_answers: bool) -> bool:
        """Start what is due, look after what others run.

        Returns:
            Whether nothing is left to start or to wait for.
        """
        if not ledger_answers or self._memory is None:
            return False
        self._memory.in_flight = {f.request.run_id for f in self.flights.values()}
        self._memory.in_flight |= {flight.request.run_id for flight, _ in self._unsettled}
        if self._cancelled:
            self._stop_all("the sweep was cancelled: nothing new starts, what runs stops at its next step")
        try:
            plan = self._plan(self._memory)
            pending = {*self._memory.in_flight, *plan.later, *plan.held, *(request.run_id for request, _ in plan.start)}
            if self.waves is not None and self._halt is None and (why := self.waves.settled(self._runs, pending)):
                self._stop_starting(why)
            self._look_after_foreign(plan)
            if self._halt is None:
                self._start(plan)
        except LedgerError:
            self._read_at = -1e9  # the next refresh says so, or it has passed
            return False
        if self._unsettled and not self.flights:
            self._refusals.raise_if_stuck()
        idle = not self.flights and not self._unsettled
        waits_for = set(plan.foreign) - set(self._foreign.silent)
        return idle and not waits_for and (self._halt is not None or not (plan.start or plan.later))

    def _plan(self, memory: Memory) -> Plan:
        """What is to be done now, and what the user should know of what runs start from."""
        if self._halt is None:
            self.rounds.advance(self._runs)
        made = self._made.ids(self._runs)
        plan = plan_next(self.chosen, self._runs, memory, time.monotonic(), self.rounds.preparations, made)
        self._held = plan.waiting
        self.notices.all_once(self._made.sentences(self._runs, plan.unprepared))
        return plan

    def _stop_all(self, why: str) -> None:
        """Nothing new starts; what runs is asked to stop, and made to after its grace."""
        self._stop_starting(why)
        now = time.monotonic()
        for flight in self.flights.values():
            flight.cancel(now)
            grace = _GRACE_SECONDS + _POLL_SECONDS if flight.began is not None else _UNSTARTED_SECONDS
            if flight.stopping is not None and now - flight.stopping > grace:
                flight.kill()

    def head_answers(self) -> bool:
        """Whether the cluster can be asked; raises what ``Cluster.head_answers`` raises."""
        return self._cluster is None or self._cluster.head_answers(self.notices.append)

    def _look_after_foreign(self, plan: Plan) -> None:
        if plan.foreign and self.address is not None and self._cluster is None:
            self._connect()
        self.nothing_runs = self.nothing_runs and not plan.foreign
        foreign = [(self.rounds.request(run_id), self._runs[run_id]) for run_id in plan.foreign]
        for flight in self._foreign.look_after(foreign, self.notices):
            self.flights[flight.result] = flight

    def _connect(self) -> Cluster:
        if self._cluster is None:
            runtime_env = RuntimeEnv.of(self.requests[0], self.study_dir, self.packages)
            self._cluster = connect(
                self.address, self.needs, workers=self.workers, runtime_env=runtime_env, say=self._say_at_once
            )
            self.notices.once("export", self._cluster.notice)
            self._metrics.connected()
            self._home_mark = mark_home(self.home)
            self._foreign.session = self._cluster.session
        return self._cluster

    def _say_at_once(self, sentence: str) -> None:
        self.notices.append(sentence)
        self.report()

    def _start(self, plan: Plan) -> None:
        """Fill the slots, as far as the budget goes."""
        if not plan.start:
            self._announcement.withdraw()
            return
        cluster = self._connect()
        slots = cluster.slots if cluster.embedded else self._announcement.slots(cluster.slots)
        free = max(1, slots - self._fewer) - len(self.flights)
        batch = plan.start[: max(0, free)]
        if batch:
            batch = self._affordable(batch, len(plan.start) + len(plan.later) + len(plan.held))
        for request, attempt in batch:
            order = WorkOrder(
                request=self.rounds.settled(request),
                attempt=attempt,
                owner="",
                ledger=self.ledger,
                home=self.home,
                study_dir=self.study_dir,
                needs=self.needs,
                home_mark=self._home_mark,
                driver=socket.gethostname(),
                prepared=self.rounds.preparations.files_for(request.run_id),
            )
            flight = start_worker(order, self.needs, time.monotonic(), self._limit())
            self.flights[flight.result] = flight
            self.nothing_runs = False

    def _limit(self, flight: Flight | None = None) -> float:
        """Time limit of this attempt; without any, of one that starts now."""
        own = flight.limit if flight is not None else None
        return own if own is not None else self.needs.limit(Spending.of(self._runs.values()).finished)

    def _affordable(self, batch: Starts, waiting: int) -> Starts:
        """As many as the budget bears; without any, and with nothing running, the sweep halts and says what is left."""
        spending, elapsed = Spending.of(self._runs.values()), time.monotonic() - self._began
        so_far = [flight.progress[2] for flight in self.flights.values()]
        count, why = startable(self.needs, spending, so_far, self._limit(), elapsed)
        batch = batch[:count]
        if not batch and not self.flights:
            self._stop_starting(f"{why}: {waiting} runs are left undone; raise it and submit again")
        return batch

    # ------------------------------------------------------------ what came of it

    def collect(self) -> None:
        """Wait a moment for what ends, book it, ask the others how far they are."""
        if not self.flights:
            time.sleep(_POLL_SECONDS)
            return
        import ray

        ended, _ = ray.wait(list(self.flights), num_returns=1, timeout=_POLL_SECONDS)
        if ended:  # and whatever else has ended meanwhile
            ended, _ = ray.wait(list(self.flights), num_returns=len(self.flights), timeout=0)
        for reference in ended:
            outcome = settle.outcome_of(reference)
            if isinstance(outcome, Exception) and not self.head_answers():
                return  # what is heard of it now may be of the head, and not of the run
            flight = self.flights.pop(reference)
            flight.kill()
            self.notices.of_place("" if isinstance(outcome, Exception) else outcome.notice)
            self._settle(flight, outcome)
        self._attend(list(self.flights.values()))

    def _attend(self, flights: list[Flight]) -> None:
        """Progress and time limits; an actor whose own watchdog is stuck is ended from here."""
        now = time.monotonic()
        if now - self._asked_at < _ASK_EVERY or not self.head_answers():
            return
        self._asked_at = now
        self._reports.take(flights, now)
        for flight in flights:
            self.notices.of_place(flight.notice)
        if self._cluster is not None and not self._cluster.embedded:
            self._cluster.measure()
        elif self._cluster is not None and not self._cluster.has_node:
            self._renew(self._cluster)
            return
        for flight in flights:
            if flight.began is not None and now - flight.began > self._limit(flight) + _LATE_SECONDS:
                flight.overdue = True
                flight.kill()
        if self._cluster is not None and (why := self._patience.look(self._cluster, flights, now, self.notices)):
            self._stop_starting(why)
            self.flights = settle.end_waiting(self.ledger, self.flights)

    def _renew(self, dead: Cluster) -> None:
        """The node of our own Ray is dead: end what is left of it; the next start brings a new one.

        Raises:
            MaineffectError: It died again and again, and no run came to its end in between.
        """
        self._renewed += 1
        if self._renewed > _MOST_RENEWALS:
            raise MaineffectError(f"Ray's node on this machine died {self._renewed} times in a row", dead.why_dead())
        self.notices.append("Ray's node on this machine died: started again")
        dead.close()  # from here on none of its processes can claim
        self._cluster = None
        lost, self.flights = list(self.flights.values()), {}
        for flight in lost:
            if settle.may_have_claimed(self.ledger, flight):
                self._settle(flight, RuntimeError("its node has died"))

    def _settle(self, flight: Flight, outcome: AttemptOutcome | Exception) -> None:
        """Book an end; with the ledger away, later."""
        try:
            if isinstance(outcome, Exception):
                session, limit = self._foreign.session, self._limit(flight)
                booked = settle.settle_death(self.ledger, self.home, flight, outcome, session, limit)
            elif not outcome.recorded:
                booked = settle.settle_unrecorded(self.ledger, self.home, flight, outcome)
            else:
                booked = outcome
            self._refusals.forget()
        except LedgerError as error:
            booked = self._refusals.settle(self.ledger, self.home, flight, outcome, error)
            if booked is None:
                self._unsettled.append((flight, outcome))
                notice = f"{flight.request.run_id} ended and is not recorded yet: {error.message}; {error.hint}"
                self.notices.once("unsettled", notice)
                return
        if booked is None or not booked.claimed:
            self._read_at = -1e9  # somebody else's: see what the ledger says
        elif booked.failure is None:
            self._book_result(booked)
        else:
            self._book_failure(flight, booked, booked.failure)

    def _book_result(self, outcome: AttemptOutcome) -> None:
        self._runs[outcome.run_id] = settle.finished_status(self._runs, outcome)
        self._breaker.count_success(outcome.run_id)
        self._renewed = 0

    def _book_failure(self, flight: Flight, outcome: AttemptOutcome, failure: FailureClass) -> None:
        assert self._memory is not None
        run_id, now = outcome.run_id, time.monotonic()
        if not outcome.recorded:
            self._memory.unrecorded[run_id] = self._memory.unrecorded.get(run_id, 0) + 1
        else:
            self._runs[run_id] = settle.failed_status(self._runs, outcome, failure)
        self._memory.ended_at[run_id, outcome.attempt if outcome.recorded else 0] = now
        if failure is FailureClass.OOM_HOST and self._cluster is not None and self._cluster.slots - self._fewer > 1:
            self._fewer += 1
            self.notices.append("a run ended for want of memory: one run less at a time from here on")
        self._memory.in_flight.discard(run_id)
        again = run_id in plan_next([flight.request], self._runs, self._memory, now).later
        tail = "; tried again soon" if again and self._halt is None else ""
        self.notices.append(f"{run_id} failed ({failure.value}): {outcome.message}{tail}")
        if failure is FailureClass.OTHER_CODE:  # a node with other code is quick to refuse run after run
            self._stop_starting(f"nothing new starts: {outcome.message}")
        elif not again and (why := self._breaker.count_failure(failure, outcome.message, run_id)):
            self._stop_starting(why)

    def _stop_starting(self, why: str) -> None:
        if self._halt is None:
            self._halt = why
            self.notices.append(why)

    def stop(self) -> None:
        """Ctrl-C: nothing new starts, running runs stop at their next step and say so in the ledger."""
        try:
            deadline = time.monotonic() + _GRACE_SECONDS + 5.0
            while self.flights and time.monotonic() < deadline:
                self._stop_all(f"stopping: {len(self.flights)} runs go to their next step")
                self.report()
                self.collect()
        except KeyboardInterrupt:
            self.notices.append("stopped at once")
        for flight in list(self.flights.values()):
            flight.kill()
            settle.end_stopped(self.ledger, flight)
        self.flights.clear()

    def close(self) -> None:
        """Leave Ray."""
        if self._cluster is not None:
            self._announcement.withdraw()
            self._cluster.close()
            self._cluster = None

    def report(self) -> None:
        """Say how far the sweep is."""
        moment = moment_of(
            self.ledger.sweep_id,
            self.requests,
            self._runs,
            {flight.request.run_id: flight.progress for flight in self.flights.values()},
            self.needs,
            slots=self._cluster.slots if self._cluster is not None else None,
            elapsed=time.monotonic() - self._began,
            notices=self.notices,
            held=self._held,
            trials=self.rounds.trials,
        )
        self.notices.clear()
        self._metrics.show(self.requests, self._runs, moment)
        if self.on_progress is not None:
            self.on_progress(moment)
