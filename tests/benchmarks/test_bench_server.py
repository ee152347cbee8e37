"""A thousand runs with items behind an MLflow server: what `status` and `report` wait for. Wall time, limit asserted."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.test_bench_ledger import _request
from tests.ledger.conftest import Server

from maineffect.contracts import RunResult, RunState
from maineffect.ledger.store.connection import prepare
from maineffect.ledger.sweep.ledger import open_sweep, sweep_results

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

RUNS, ITEMS, PARTS = 1000, 40, 4
STATE_LIMIT_S = 2.0


def _seconds(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


def test_state_of_a_thousand_runs_with_items(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    prepare(uri)
    server = Server(tmp_path, uri)
    server.start()
    try:
        plan = {"runs": {_request(k).run_id: {} for k in range(RUNS)}}
        ledger = open_sweep(server.uri, "bench-1", study_name="bench", study_text="x", plan=plan)
        items = [{"item": k, "right": k % 3 == 0, "confidence": k / ITEMS, "kind": "conflict"} for k in range(ITEMS)]

        def record(part: int) -> None:
            for number in range(part, RUNS, PARTS):
                request = replace(_request(number), responses=("skill",))
                assert ledger.claim(request.run_id, 1, f"bench-{part}")
                attempt = ledger.start_attempt(request, 1, tmp_path / "runs" / request.run_id)
                assert attempt.commit(RunResult({"skill": number / 7}, {"steps": 2.0}, items), seconds=60.0)

        started = time.perf_counter()
        with ThreadPoolExecutor(PARTS) as pool:
            list(pool.map(record, range(PARTS)))
        print(f"\n{RUNS} runs of {ITEMS} items recorded over a server in {time.perf_counter() - started:.0f} s")
        state = _seconds(ledger.state)
        results = _seconds(lambda: sweep_results(ledger))
        print(f"state {state:.2f} s (limit {STATE_LIMIT_S:g}), every result {results:.2f} s")
        assert sum(status.state is RunState.FINISHED for status in ledger.state().runs.values()) == RUNS
        assert state < STATE_LIMIT_S
    finally:
        server.kill()
