"""The time limit of a run: exact where the study sets it, else by what finished runs cost; and the time left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maineffect.cli.sweeps import status_text
from maineffect.contracts import FailureClass
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.drive.progress import seconds_left
from maineffect.journey.plan.check import check
from maineffect.journey.plan.requests import needs_of
from maineffect.journey.run.status import status_document
from maineffect.spec.study import Resources

EXPERIMENTS = Path(__file__).resolve().parents[3] / "experiments"
SHIPPED = ["00_null/study", "01_evidence_regimes/study", "01_evidence_regimes/short", "02_capability_map/study"]
STUDY = """\
schema_version: 1
name: misfits
trainable: misfits:train
factors: {a: {levels: [0, 1]}}
design: {kind: full}
responses: {skill: {}}
"""


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_study_ends_runs_that_a_busy_machine_slows(name: str) -> None:
    checked = check(EXPERIMENTS / f"{name}.yaml")
    registered = json.loads((EXPERIMENTS / f"{name}.registration.json").read_text())
    assert checked.plan_hash == registered["plan_hash"], "resources are no part of the plan"
    assert needs_of(checked.study).limit() == 1800
    assert needs_of(checked.study).limit([60.0, 70.0, 900.0]) == 1800
    assert needs_of(checked.study).limit([100.0, 300.0, 9000.0]) == 6000


def test_a_limit_that_the_study_sets_is_exact() -> None:
    assert Resources(timeout="90s").timeout_seconds == 90
    assert Needs(timeout=90.0).limit([3600.0]) == 90
    assert Resources().timeout_seconds is None
    assert Resources.model_validate(Resources().model_dump(mode="json")) == Resources(), "as a sweep keeps it"


@pytest.mark.parametrize(
    ("resources", "seconds", "said"),
    [
        ("", 1800, "time limit of a run: 0:30:00 (the default)"),
        ("resources: {timeout: 45s}", 45, "time limit of a run: 0:00:45 (resources.timeout of the study)"),
    ],
)
def test_status_says_the_limit(bench, resources: str, seconds: float, said: str) -> None:
    path = bench.folder / "study.yaml"
    path.write_text(STUDY + resources)
    checked = check(path)
    document = status_document(checked.study, checked.design, checked.plan_hash, bench.ledger)
    assert document["time_limit"]["seconds"] == seconds
    assert said in status_text(document)


def test_the_limit_holds_in_the_run(bench, ray_here) -> None:
    runs = bench.run(bench.requests(1, way="hangs"), Needs(timeout=3.0, retries=0))
    assert runs["r0"].ends[-1].failure is FailureClass.TIMEOUT
    assert runs["r0"].ends[-1].message == "outlived its time limit of 3 s"


@pytest.mark.parametrize(
    ("running", "waiting", "slots", "left"),
    [
        ([(5, 10, 50.0)], 0, 1, 50.0),  # ten seconds were usual, a hundred are seen
        ([(5, 10, 50.0)], 2, 1, 250.0),
        ([(1, 10, 50.0)], 0, 1, 0.0),  # too little is done to say
        ([(5, 10, 2.0), (5, 10, 2.0)], 4, 2, 10.0),  # and faster than usual
    ],
)
def test_the_time_left_follows_the_pace_that_is_seen(running, waiting, slots, left) -> None:
    assert seconds_left([10.0], running, waiting, slots) == pytest.approx(left)
