"""What our own bookkeeping costs per run, beside Ray's floor and Ray Tune: no-op runs on one Ray, with full recording.

Rounds of all four take turns, so that the machine's other work hits them alike; the best round of each counts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maineffect.contracts import RunRequest, RunState
from maineffect.execute.cluster import embedded
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.sweep import execute_sweep
from maineffect.ledger.sweep.ledger import open_sweep, sweep_results
from maineffect.ledger.sweep.repair import driving

pytestmark = [pytest.mark.benchmark, pytest.mark.ray]

RUNS = 24
ROUNDS = 3
MOST_ABOVE_FLOOR_MS = 50.0
LEAST_TIMES_TUNE = 2.5


class Fresh:
    """Ray's floor for what we do: a fresh process per run."""

    def run(self) -> dict[str, float]:
        return {"skill": 1.0}


def fresh_actors(_folder: Path) -> None:
    import ray

    waiting, flying = list(range(RUNS)), {}
    while waiting or flying:
        while waiting and len(flying) < 2:
            waiting.pop()
            actor = ray.remote(Fresh).options(num_cpus=1, max_restarts=0).remote()
            flying[actor.run.remote()] = actor
        (done,), _ = ray.wait(list(flying))
        assert ray.get(done) == {"skill": 1.0}
        ray.kill(flying.pop(done))


def bare_tasks(_folder: Path) -> None:
    import ray

    def noop() -> dict[str, float]:
        return {"skill": 1.0}

    task = ray.remote(noop)
    assert ray.get([task.remote() for _ in range(RUNS)]) == [{"skill": 1.0}] * RUNS


def ours(folder: Path) -> None:
    """Claim, attempt, result, commit: everything that a sweep records, in MLflow on SQLite."""
    (folder / "nothing.py").write_text("def train(request, context):\n    return {'skill': 1.0}\n")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    ledger = open_sweep(uri, f"bench-{folder.name}", study_name="bench", study_text="{}", plan={"runs": {}})
    requests = [
        RunRequest("bench", ledger.sweep_id, f"r{n}", "c", 1, {"a": n}, {}, 1, 1, ("skill",), "nothing:train")
        for n in range(RUNS)
    ]
    with driving(ledger, folder / "runs"):
        started = time.perf_counter()
        execute_sweep(requests, ledger, folder, Needs(timeout=600), study_dir=folder, workers=2)
        TIMES.append(time.perf_counter() - started)
    assert len(sweep_results(ledger)) == RUNS
    assert {status.state for status in ledger.state().runs.values()} == {RunState.FINISHED}


TIMES: list[float] = []


def tune_default(folder: Path) -> None:
    """Ray Tune as it comes, with its MLflow callback on SQLite."""
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    def noop(config: dict[str, int]) -> dict[str, float]:
        return {"skill": 1.0}

    callback = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", experiment_name="bench")
    # 2.60 has one class for both libraries, and Tune wants its own.
    run = getattr(tune, "RunConfig", None) or __import__("ray.train", fromlist=["RunConfig"]).RunConfig
    tuner = tune.Tuner(
        tune.with_resources(noop, {"cpu": 1}),
        param_space={"a": tune.grid_search(list(range(RUNS)))},
        run_config=run(storage_path=str(folder / "tune"), callbacks=[callback], verbose=0),
    )
    assert len(tuner.fit()) == RUNS


def milliseconds(what: Callable[[Path], None], folder: Path) -> float:
    """Wall time per run."""
    folder.mkdir(parents=True)
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        what(folder)
    return 1000 * (TIMES.pop() if TIMES else time.perf_counter() - started) / RUNS


def warm_store(folder: Path) -> None:
    """Creating MLflow's schema takes seconds and is nobody's overhead per run."""
    open_sweep(f"sqlite:///{folder / 'mlflow.db'}", "warm", study_name="warm", study_text="{}", plan={"runs": {}})


def test_overhead_per_run(tmp_path: Path) -> None:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    close = embedded.start(Needs(), 2)
    best: dict[str, float] = {}
    try:
        for number in range(ROUNDS):
            for what in (bare_tasks, fresh_actors, ours, tune_default):
                folder = tmp_path / f"{what.__name__}{number}"
                taken = _one(what, folder)
                best[what.__name__] = min(taken, best.get(what.__name__, taken))
    finally:
        close()
    floor = best["fresh_actors"]
    print(f"\nper no-op run, {RUNS} runs, 2 at a time, best of {ROUNDS} rounds")
    for name, taken in sorted(best.items(), key=lambda item: item[1]):
        print(f"  {name:14s} {taken:8.1f} ms  {taken / floor:5.2f} x a fresh actor")
    print(f"  above the floor: {best['ours'] - floor:.1f} ms; Tune ÷ ours: {best['tune_default'] / best['ours']:.2f}")
    assert best["ours"] - floor <= MOST_ABOVE_FLOOR_MS
    assert best["tune_default"] / best["ours"] >= LEAST_TIMES_TUNE


def _one(what: Callable[[Path], None], folder: Path) -> float:
    if what in (ours, tune_default):
        inner = folder / "in"
        folder.mkdir()
        inner.mkdir()
        warm_store(inner)
        started = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            what(inner)
        return 1000 * (TIMES.pop() if TIMES else time.perf_counter() - started) / RUNS
    return milliseconds(what, folder)
