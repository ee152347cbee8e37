"""What the pages show, read from the ledger and from analyses: plain values, no browser."""

from __future__ import annotations

import hmac
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maineffect.analyse.record.result import AnalysisResult, Curve, ModelSummary, ResponseResult, RunRow, SweepFacts
from maineffect.journey.plan.place import Place

__all__ = [
    "TOKEN",
    "TRACKING",
    "admitted",
    "curves_so_far",
    "place_of_environment",
    "resubmit_command",
    "start_resubmit",
    "transcripts",
]

TOKEN = "MAINEFFECT_DASH_TOKEN"
"""Environment variable with the token that the pages ask for."""
TRACKING = "MAINEFFECT_TRACKING_URI"
_TRANSCRIPTS = "transcripts.jsonl"


def admitted(given: str) -> bool:
    """Whether a token opens the pages. Without one in the environment everybody on this machine may look."""
    wanted = os.environ.get(TOKEN, "")
    return not wanted or hmac.compare_digest(given.encode(), wanted.encode())


def place_of_environment() -> Place:
    """Home and store, as the command line handed them over."""
    return Place(tracking_uri=os.environ.get(TRACKING))


def curves_so_far(reference: str, place: Place, status: dict[str, Any]) -> AnalysisResult:
    """The runs and their curves in the shape that the report's charts read, before anything can be analysed."""
    from maineffect.ledger.sweep.collect import read_curves
    from maineffect.ledger.sweep.ledger import find_sweep

    ledger = find_sweep(place.uri(), reference)
    runs = [
        RunRow(run_id=r["run_id"], cell_id=r["cell_id"], levels=r["levels"], status=r["state"], seconds=r["seconds"])
        for r in status["runs"]
    ]
    curves = [
        Curve(run_id=run_id, metric=metric, steps=points["steps"], values=points["values"])
        for run_id, metrics in read_curves(ledger, place.home / "cache", underway=True).items()
        for metric, points in metrics.items()
    ]
    nothing = {"": ResponseResult(model=ModelSummary(formula=""))}
    facts = SweepFacts(sweep_id=status["sweep"])
    return AnalysisResult(
        study=status["study"], n_runs=0, n_missing=0, responses=nothing, runs=runs, curves=curves, facts=facts
    )


def transcripts(tracking_run_id: str, place: Place) -> list[dict[str, Any]]:
    """Sampled transcripts of a finished run; none where its trainable keeps none."""
    from maineffect.ledger.store.artifacts import read_text

    text = read_text(place.uri(), tracking_run_id, _TRANSCRIPTS)
    return [json.loads(line) for line in (text or "").splitlines() if line.strip()]


def resubmit_command(sweep: str, runs: Sequence[str] = ()) -> list[str]:
    """The words of the command that runs failed runs again."""
    return ["maineffect", "resubmit", sweep, *(word for run in runs for word in ("--run", run))]


def start_resubmit(sweep: str, runs: Sequence[str], place: Place) -> Path:
    """Start that command in a process of its own, which outlives the page.

    Returns:
        The file that it writes what it says to.
    """
    folder = place.home / "resubmits"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{sweep}-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}.log"
    words = [sys.executable, "-m", *resubmit_command(sweep, runs), "--home", str(place.home)]
    if place.tracking_uri is not None:
        words += ["--tracking-uri", place.tracking_uri]
    with log.open("w", encoding="utf-8") as file:
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    return log
