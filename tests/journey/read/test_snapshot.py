"""A verb reads the ledger once, however many runs there are, and speaks of one moment."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.homes import ready_home

from maineffect.contracts import RunResult
from maineffect.journey.plan.place import Place
from maineffect.journey.run.submit import settle_submission
from maineffect.ledger.store import quick
from maineffect.ledger.store.records import Snapshot
from maineffect.study import analyse_sweep, status

STUDY = """\
schema_version: 1
name: read-once
trainable: mine:train
factors: {a: {levels: [0, 1]}, b: {levels: [0, 1]}}
design: {kind: full, replicates: 2}
responses: {y: {goal: maximize}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A finished sweep of eight runs with item scores."""
    (tmp_path / "mine.py").write_text("def train(request, context):\n    return {}\n")
    (tmp_path / "study.yaml").write_text(STUDY)
    place = Place(home=ready_home(tmp_path / "home"))
    settled = settle_submission(
        tmp_path / "study.yaml", place, register_again=False, reuse=None, go_on=False, on_notice=None
    )
    for number, request in enumerate(settled.requests):
        assert settled.ledger.claim(request.run_id, 1, "test")
        attempt = settled.ledger.start_attempt(request, 1, place.home / "runs" / request.run_id)
        items = [{"item_id": str(i), "score": float((i + number) % 3 == 0)} for i in range(6)]
        assert attempt.commit(RunResult({"y": number / 7}, items=items), seconds=1.0)
    return place


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often all records of a tracking run were read."""
    counts: Counter[str] = Counter()
    read = quick.params

    def counted(uri: str, run: str) -> dict[str, str] | None:
        counts[run] += 1
        return read(uri, run)

    monkeypatch.setattr(quick, "params", counted)
    return counts


def test_an_analysis_with_items_reads_every_record_once(place: Place, readings: Counter[str]) -> None:
    result = analyse_sweep("read-once", place, items=True)
    assert len(result.runs) == 8
    ledger_run = max(readings, key=lambda run: readings[run])
    # The registry finds the sweep, and its submission's notes are read before the snapshot is taken.
    assert readings[ledger_run] <= 2, readings


def test_status_reads_every_record_once(place: Place, readings: Counter[str]) -> None:
    assert status("read-once", place)["counts"]["finished"] == 8
    assert max(readings.values()) <= 2, readings


def test_a_snapshot_is_of_one_moment(place: Place) -> None:
    from maineffect.ledger.sweep.ledger import find_sweep

    ledger = find_sweep(place.uri(), "read-once")
    seen = ledger.snapshot()
    assert isinstance(seen.records, Snapshot)
    before = seen.state()
    ledger.cancel("a test")
    assert seen.state() == before, "what came after is not seen in here"
    assert ledger.state().cancelled_by is not None
    assert ledger.snapshot().state().cancelled_by is not None
