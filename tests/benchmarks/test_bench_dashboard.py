"""The dashboard's first page with two hundred sweeps, in a real browser, on a ledger filled through its own API."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the dashboard extra is not installed")
pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(shutil.which("chromedriver") is None, reason="chromium-driver is not installed"),
]

SWEEPS, RUNS, LIMIT = 200, 16, 3.0


def fill(home: Path, folder: Path) -> None:
    """Two hundred sweeps of sixteen planned runs; a quarter of the runs failed, half are committed."""
    from maineffect.contracts import FailureClass, RunRequest, RunResult
    from maineffect.ledger.store.connection import prepare
    from maineffect.ledger.sweep.ledger import open_sweep

    uri = f"sqlite:///{home / 'mlflow.db'}"
    prepare(uri)
    for k in range(SWEEPS):
        plan = {"runs": {f"r{i}": {} for i in range(RUNS)}}
        ledger = open_sweep(uri, f"study-{k:03d}-abcdef12", study_name=f"study-{k:03d}", study_text="{}", plan=plan)
        # Every twentieth sweep's attempts go all the way; the others have the records that the page counts.
        for i in range(RUNS * 3 // 4):
            ledger.records.put(f"claim.r{i}.a1", "bench")
            if i % 3 == 0:
                ledger.end_attempt(f"r{i}", 1, FailureClass.USER_ERROR, "ValueError: planned")
        if k % 20 == 0:
            request = RunRequest(
                study=f"study-{k:03d}", trainable="known:train", sweep_id=ledger.sweep_id, run_id="r15", cell_id="c", replicate=1, seed=1, evaluation_seed=2,
                levels={"a": 0}, settings={}, responses=("y",),
            )  # fmt: skip
            assert ledger.claim("r15", 1, "bench")
            attempt = ledger.start_attempt(request, 1, folder / f"{k}")
            assert attempt.commit(RunResult({"y": float(k)}, {}), seconds=1.0)


def test_two_hundred_sweeps(browser: Any, dashboard: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    begun = time.perf_counter()
    fill(home, tmp_path / "runs")
    print(f"\n  {SWEEPS} sweeps of {RUNS} runs written in {time.perf_counter() - begun:.0f} s")
    with dashboard(home) as url:
        taken = []
        for _ in range(4):
            browser.get("about:blank")
            begun = time.perf_counter()
            browser.get(url)
            rows = "return document.querySelectorAll('.me tbody tr').length"
            while browser.execute_script(rows) < SWEEPS:
                assert time.perf_counter() - begun < 60, browser.execute_script("return document.body.innerText")[:500]
                time.sleep(0.02)
            taken.append(time.perf_counter() - begun)
        shown = browser.execute_script("return document.body.innerText")
    print(
        f"  first page: {json.dumps([round(t, 2) for t in taken])} s (the first starts everything), limit {LIMIT:.0f} s"
    )
    assert "study-199-abcdef12" in shown
    assert min(taken[1:]) < LIMIT
