"""What a driver shows of its sweep: the ledger's numbers, each once, and never at the sweep's cost."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from maineffect.contracts import AttemptEnd, FailureClass, RunRequest, RunState, RunStatus
from maineffect.errors import LedgerError
from maineffect.execute.cluster.board import METRICS, PORT, Board, Reading, export_options, no_export
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.metrics import SweepMetrics, gauges_of
from maineffect.execute.drive.progress import SweepProgress, moment_of


def _requests(count: int) -> list[RunRequest]:
    return [
        RunRequest("s", "s-1", f"r{n}", "c", 1, {}, {}, seed=n, evaluation_seed=1, responses=("y",), trainable="a:b")
        for n in range(count)
    ]


LOST = AttemptEnd(1, FailureClass.LOST, "gone", 900.0)
BROKEN = AttemptEnd(2, FailureClass.USER_ERROR, "ValueError", 900.0)
RUNS = {
    "r0": RunStatus("r0", RunState.FINISHED, attempts=1, committed_attempt=1, seconds=3600.0),
    "r1": RunStatus("r1", RunState.FAILED, attempts=2, ends=(LOST, BROKEN)),
    "r2": RunStatus("r2", RunState.RUNNING, attempts=2, ends=(LOST,)),
    "r3": RunStatus("r3", RunState.FINISHED, committed_attempt=1, seconds=50.0, reused_from="other/r3"),
}


def _moment(count: int, needs: Needs, running: float = 0.0) -> SweepProgress:
    watched = {"r2": (1, 2, running)}
    return moment_of("s-1", _requests(count), RUNS, watched, needs, slots=1, elapsed=1.0, notices=())


MOMENT = _moment(6, Needs())
OF_RUNS = {"maineffect_run_steps", "maineffect_steps"}


class Kept(Board):
    """A board that keeps what it is given instead of handing it to Ray."""

    def __init__(self) -> None:
        super().__init__()
        self.readings: list[Reading] = []

    def record(self, readings: Iterable[Reading]) -> None:
        self.readings += readings

    def values(self, name: str) -> list[float]:
        return [value for metric, value, _ in self.readings if metric == name]


class Broken(Board):
    """A board on which nothing can be recorded."""

    def record(self, readings: Iterable[Reading]) -> None:
        raise OSError(f"no room for {len(list(readings))} readings\nand more")


def test_the_numbers_are_those_of_the_ledger() -> None:
    needs = Needs(cpus=2, gpus=0.5, most_gpu_hours=1.0)
    shown = {
        (name, *tags.values()): value
        for name, value, tags in gauges_of(_requests(6), RUNS, _moment(6, needs, 900.0), needs)
    }
    states = {state.value: shown["maineffect_runs", state.value] for state in RunState}
    assert states == {"finished": 2, "failed": 1, "running": 1, "planned": 2}
    failed = {failure: shown["maineffect_failed_runs", failure.value] for failure in FailureClass}
    assert {failure for failure, count in failed.items() if count} == {FailureClass.USER_ERROR}
    assert shown["maineffect_failed_attempts", "lost"] == 2
    assert shown["maineffect_failed_attempts", "user-error"] == 1
    seconds = 3600 + 3 * 900 + 900  # what was taken over costs nothing again
    assert shown["maineffect_cpu_hours_spent",] == pytest.approx(2 * seconds / 3600)
    assert shown["maineffect_gpu_hours_spent",] == pytest.approx(0.5 * seconds / 3600)
    assert shown["maineffect_gpu_hours_left",] == 0.0, "never less than nothing"
    assert ("maineffect_cpu_hours_left",) not in shown, "there is no such budget"


def test_readings_have_the_declared_tags() -> None:
    needs = Needs(most_gpu_hours=9, most_cpu_hours=9)
    shown, kept = SweepMetrics("s-1", needs, pytest.fail), Kept()
    shown.connected(lambda: kept)
    with shown.store_read():
        pass
    shown.show(_requests(6), RUNS, _moment(6, needs))
    assert {name: tuple(sorted(tags)) for name, _, tags in kept.readings} == {
        name: tuple(sorted(spec.tags)) for name, spec in METRICS.items() if name not in OF_RUNS
    }
    assert {tags["sweep"] for _, _, tags in kept.readings} == {"s-1"}


def test_a_run_is_timed_once_in_each_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maineffect.execute.drive.metrics._EVERY", 0.0)
    shown, first, second = SweepMetrics("s-1", Needs(), pytest.fail), Kept(), Kept()
    shown.show(_requests(6), RUNS, MOMENT)  # before there is a Ray: nothing
    shown.connected(lambda: first)
    for _ in range(3):
        shown.show(_requests(6), RUNS, MOMENT)
    assert first.values("maineffect_run_seconds") == [3600.0]
    shown.connected(lambda: second)  # a new one, after the node had died
    shown.show(_requests(6), RUNS, MOMENT)
    assert second.values("maineffect_run_seconds") == [3600.0]


def test_the_store_is_timed_once_a_read_and_its_silence_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maineffect.execute.drive.metrics._EVERY", 0.0)
    shown, kept = SweepMetrics("s-1", Needs(), pytest.fail), Kept()
    shown.connected(lambda: kept)
    with shown.store_read():
        time.sleep(0.02)
    shown.show(_requests(6), RUNS, MOMENT)
    with pytest.raises(LedgerError), shown.store_read():
        raise LedgerError("the store is away", "wait")
    for _ in range(2):
        shown.show(_requests(6), RUNS, MOMENT)
    first, second = kept.values("maineffect_store_seconds")
    assert second < 0.02 <= first
    assert kept.values("maineffect_store_answers") == [1.0, 0.0, 0.0]


def test_it_is_shown_once_a_second_at_most() -> None:
    shown, kept = SweepMetrics("s-1", Needs(), pytest.fail), Kept()
    shown.connected(lambda: kept)
    for _ in range(50):
        shown.show(_requests(6), RUNS, MOMENT)
    assert Counter(kept.values("maineffect_store_answers")) == {1.0: 1}


def test_what_cannot_be_shown_is_said_once_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maineffect.execute.drive.metrics._EVERY", 0.0)
    said: list[str] = []
    shown = SweepMetrics("s-1", Needs(), said.append)
    shown.connected(Broken)
    for _ in range(3):
        with shown.store_read():
            pass
        shown.show(_requests(6), RUNS, MOMENT)
    assert said == ["this sweep exports no metrics from here on: OSError: no room for 23 readings"]


def test_a_board_knows_only_declared_metrics() -> None:
    with pytest.raises(KeyError):
        Board().record([("maineffect_made_up", 1.0, {})])


def test_a_port_is_opened_only_when_asked_and_a_taken_one_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PORT, raising=False)
    assert export_options() == (no_export(), "")
    export_options()[0]["_system_config"]["more"] = 1  # as Ray does
    assert "more" not in export_options()[0]["_system_config"]
    for wrong in ("auto", "70000", "-1"):
        monkeypatch.setenv(PORT, wrong)
        options, said = export_options()
        assert options == no_export()
        assert said.startswith(f"{PORT}='{wrong}' is not a port")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv(PORT, str(port))
        options, said = export_options()
        assert options == no_export()
        assert f"port {port} ({PORT}) cannot be had (address already in use)" in said
    said = f"metrics: http://127.0.0.1:{port}/metrics, from this machine only"
    assert export_options() == ({"_metrics_export_port": port}, said)
