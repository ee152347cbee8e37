"""Fill a sweep's ledger through the real ledger API: claim, attempt, metrics, commit of every planned run.

``python fill_ledger.py STUDY HOME PROCESSES`` prints how long it took. Runs as a script, so that its processes import
nothing of pytest.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from maineffect.contracts import RunRequest, RunResult
from maineffect.ledger.sweep.ledger import MlflowLedger

CHUNK = 40


def record(work: tuple[MlflowLedger, Sequence[RunRequest], Path]) -> int:
    """Record each run as its own process would."""
    from maineffect.seeds import generator

    ledger, requests, folder = work
    for request in requests:
        assert ledger.claim(request.run_id, 1, "bench")
        attempt = ledger.start_attempt(request, 1, folder / request.run_id / "a1")
        noise = generator(request.seed, "noise", request.run_id).normal(size=3)
        x = request.levels
        attempt.log(0, {"loss": 1.0})
        attempt.log(1, {"loss": 0.5})
        responses = {"y": 3.0 * x["a"] - x["b"] * x["c"] + float(noise[0]), "z": float(noise[1])}
        assert attempt.commit(RunResult(responses, {"steps": 2.0}), seconds=60 + float(noise[2]))
    return len(requests)


def main(study: Path, home: Path, processes: int) -> None:
    """Open the sweep as ``submit`` does, then record every run."""
    from maineffect.journey.plan.place import Place
    from maineffect.journey.plan.requests import plan_requests
    from maineffect.journey.run.submission import open_submission
    from maineffect.ledger.store.connection import prepare
    from maineffect.register import freeze
    from maineffect.study import check

    place = Place(home)
    checked = check(study)
    prepare(place.uri())
    registration = freeze.require_registered(checked.study, checked.design, study, again=False, now=datetime.now(UTC))
    ledger = open_submission(checked, place, registration)
    requests = plan_requests(checked, ledger.sweep_id)
    folder = home / "runs" / ledger.sweep_id
    chunks = [(ledger, requests[k : k + CHUNK], folder) for k in range(0, len(requests), CHUNK)]
    started = time.perf_counter()
    with get_context("forkserver").Pool(processes) as pool:
        done = sum(pool.imap_unordered(record, chunks))
    taken = time.perf_counter() - started
    print(f"{done} runs recorded through the ledger by {processes} processes in {taken:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
