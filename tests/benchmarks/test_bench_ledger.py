"""What recording costs: a step, a run, and a sweep of ten thousand runs. Figures go to stdout; limits are asserted.

CPU time where this process alone works, because the machine is shared; wall time only where others are waited for.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maineffect.contracts import RunRequest, RunResult, RunState
from maineffect.design.model.model import Cell, Design, PlannedRun
from maineffect.ledger.attempt.results import digest
from maineffect.ledger.store.records import split_result
from maineffect.ledger.store.state import Commit
from maineffect.ledger.sweep.collect import collect
from maineffect.ledger.sweep.ledger import MlflowLedger, open_sweep
from maineffect.spec.factors import Factor

pytestmark = pytest.mark.benchmark

MANY = 10_000
STEP_LIMIT_MS = 0.1


def _cpu_ms(call: Callable[[], Any]) -> float:
    started = time.process_time()
    call()
    return 1000 * (time.process_time() - started)


def _thread_ms(step: Callable[[int], Any], steps: int = 1000) -> float:
    """CPU of this thread per step of a training that waits 3 ms between its steps (cold caches included)."""
    started = time.thread_time()
    for number in range(steps):
        step(number)
        time.sleep(0.003)
    return 1000 * (time.thread_time() - started) / steps


def _request(number: int) -> RunRequest:
    return RunRequest(
        study="bench",
        sweep_id="bench-1",
        run_id=f"c{number:010x}-r1",
        cell_id=f"c{number:010x}",
        replicate=1,
        levels={"a": number % 2, "b": "low"},
        settings={},
        seed=number,
        evaluation_seed=1,
        responses=("skill",),
        trainable="bench:train",
    )


@pytest.fixture
def ledger(tmp_path: Path) -> MlflowLedger:
    uri = f"sqlite:///{tmp_path}/home/mlflow.db"
    return open_sweep(uri, "bench-1", study_name="bench", study_text="x", plan={"runs": {}})


def test_a_training_step_pays_microseconds(ledger: MlflowLedger, tmp_path: Path) -> None:
    """1000 steps of 10 metrics; the background uploads in the same process are counted too."""
    ledger.claim("r", 1, "me")
    record = ledger.start_attempt(_request(0), 1, tmp_path / "a1")
    metrics = {f"metric_{k}": 1.0 / (k + 1) for k in range(10)}
    idle = _thread_ms(lambda step: None)
    paid = _thread_ms(lambda step: record.log(step, metrics)) - idle
    commit = _cpu_ms(lambda: record.commit(RunResult({"skill": 1.0}), seconds=1.0))
    print(f"\nlog of 10 metrics: {paid:.4f} ms a step; commit with upload of the rest: {commit:.0f} ms CPU")
    assert paid < STEP_LIMIT_MS


def test_recording_a_run_that_does_nothing(ledger: MlflowLedger, tmp_path: Path) -> None:
    """Claim, start, one metric, commit; in a process that has MLflow loaded."""
    parts: dict[str, list[float]] = {"claim": [], "start": [], "commit": []}
    for number in range(30):
        request = _request(number)
        parts["claim"].append(_cpu_ms(lambda: ledger.claim(request.run_id, 1, "me")))  # noqa: B023
        started = time.process_time()
        record = ledger.start_attempt(request, 1, tmp_path / request.run_id)
        parts["start"].append(1000 * (time.process_time() - started))
        record.log(0, {"loss": 1.0})
        parts["commit"].append(_cpu_ms(lambda: record.commit(RunResult({"skill": 1.0}), seconds=1.0)))  # noqa: B023
    medians = {name: sorted(values)[len(values) // 2] for name, values in parts.items()}
    print("\nfull recording of a no-op run, CPU ms: " + ", ".join(f"{k} {v:.1f}" for k, v in medians.items()))
    print(f"together {sum(medians.values()):.1f} ms")
    assert sum(medians.values()) < 100


def test_ten_thousand_runs(tmp_path: Path) -> None:
    cells = tuple(Cell(f"c{k:010x}", {"a": k, "b": "low"}) for k in range(MANY // 2))
    runs = tuple(
        PlannedRun(f"{cell.cell_id}-r{rep}", cell.cell_id, rep, rep, None, rep, rep * len(cells) + k)
        for rep in (1, 2)
        for k, cell in enumerate(cells)
    )
    factors = (Factor(name="a", levels=tuple(range(MANY // 2))), Factor(name="b", levels=("low", "high")))
    design = Design("bench", "full", factors, cells, runs, ("a",))
    uri = f"sqlite:///{tmp_path}/home/mlflow.db"
    plan = {"runs": {run.run_id: {} for run in runs}}
    ledger = open_sweep(uri, "bench-1", study_name="bench", study_text="x", plan=plan)
    _record(ledger, runs)
    state = _cpu_ms(ledger.state)
    tables = []
    table = _cpu_ms(lambda: tables.append(collect(ledger, design, ("skill", "brier")).table))
    claim = _cpu_ms(lambda: ledger.claim("other", 1, "me"))
    print(f"\n{MANY} runs: state {state:.0f}, collect {table:.0f}, one more claim {claim:.1f} ms CPU")
    assert len(tables[0]) == MANY
    assert (tables[0]["status"] == "finished").all()
    code = (
        "import sys\nfrom maineffect.ledger.sweep.ledger import find_sweep\n"
        "runs = find_sweep(sys.argv[1], 'latest').state().runs\nprint(len(runs))"
    )
    started = time.perf_counter()
    said = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, text=True, check=True)
    print(f"a fresh process that reads the state: {time.perf_counter() - started:.2f} s wall")
    assert int(said.stdout) == MANY + 1
    assert sum(status.state is RunState.FINISHED for status in ledger.state().runs.values()) == MANY
    assert state < 1500
    assert table < 5000


def _record(ledger: MlflowLedger, runs: tuple[PlannedRun, ...]) -> None:
    """The records of finished runs, as MLflow would have written them (through it, this takes minutes)."""
    rows = []
    for number, run in enumerate(runs):
        tracking = f"{number:032x}"
        content = {
            "run_id": run.run_id,
            "attempt": 1,
            "seconds": 1.0,
            "finished_ms": 1,
            "responses": {"skill": number / 7, "brier": number / 9},
            "measures": {f"measure_{k}": number / (k + 3) for k in range(20)},
        }
        text = json.dumps(content)
        rows += [
            (f"claim.{run.run_id}.a1", "host:1:0:nonce", ledger.entry.ledger_run),
            (f"start.{run.run_id}.a1", f"{tracking}:1700000000000", ledger.entry.ledger_run),
            (f"commit.{run.run_id}", Commit(1, tracking, digest(text), 1.0).value(), ledger.entry.ledger_run),
        ]
        rows += [(key, part, ledger.entry.results_run) for key, part in split_result(run.run_id, 1, text).items()]
    with sqlite3.connect(ledger.uri.removeprefix("sqlite:///")) as database:
        database.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", rows)
    database.close()
