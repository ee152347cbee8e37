"""Claims changed after the runs: the copy of a study that takes its finished runs over, and a plan registered anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.homes import ready_home

from maineffect.contracts import RunResult
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.read.analyse import analyse_sweep
from maineffect.journey.run.submission import open_submission
from maineffect.journey.run.submit import preview, settle_submission
from maineffect.ledger.store.connection import prepare
from maineffect.register import freeze

STUDY = """\
schema_version: 1
name: claimed
trainable: mine:train
factors: {a: {levels: [0, 1]}, b: {levels: [0, 1]}}
design: {kind: full, replicates: 2}
responses: {y: {smallest_effect: 0.1}}
hypotheses:
  - {id: H1, term: a, response: y, direction: increase}
  - {id: H2, term: b, response: y, direction: negligible}
analysis: {terms: main}
"""


def _finished(folder: Path) -> tuple[Place, str]:
    """A study whose eight runs have ended, registered an hour before them."""
    (folder / "mine.py").write_text("def train(request, context):\n    raise NotImplementedError\n")
    path = folder / "study.yaml"
    path.write_text(STUDY)
    place, checked = Place(home=ready_home(folder / "home")), check(path)
    prepare(place.uri())
    before = datetime.now(UTC) - timedelta(hours=1)
    registration = freeze.require_registered(checked.study, checked.design, path, again=False, now=before)
    ledger = open_submission(checked, place, registration)
    for number, request in enumerate(plan_requests(checked, ledger.sweep_id)):
        assert ledger.claim(request.run_id, 1, "me")
        record = ledger.start_attempt(request, 1, place.home / request.run_id / "a1")
        y = -1.0 * int(request.levels["a"]) + 0.01 * (number % 3)
        assert record.commit(RunResult({"y": y}), seconds=4.0)
    return place, ledger.sweep_id


def test_verdicts_on_what_was_registered_first_are_not_post_hoc(tmp_path: Path) -> None:
    place, sweep = _finished(tmp_path)
    judged = analyse_sweep(sweep, place).hypotheses
    assert [(h.label, h.post_hoc) for h in judged] == [("refuted", None), ("negligible", None)]


def test_another_direction_in_a_copy_is_post_hoc_and_said_before_the_runs_are_taken_over(tmp_path: Path) -> None:
    place, _ = _finished(tmp_path)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "mine.py").write_text((tmp_path / "mine.py").read_text())
    (copy / "study.yaml").write_text(STUDY.replace("direction: increase", "direction: decrease"))
    said = preview(copy / "study.yaml", place)["notices"]
    assert any(text.startswith("H1 will be judged post hoc: it was changed after") for text in said)
    assert not any(text.startswith("H2") for text in said), "unchanged: it inherits the time of the first registration"

    told: list[str] = []
    settled = settle_submission(
        copy / "study.yaml", place, register_again=False, reuse=None, go_on=False, on_notice=told.append
    )
    assert any(text.startswith("H1 will be judged post hoc") for text in told)
    judged = analyse_sweep(settled.ledger.sweep_id, place).hypotheses
    assert [h.label for h in judged] == ["supported, post hoc", "negligible"]
    assert "its direction was increase" in (judged[0].post_hoc or "")


def test_a_plan_registered_anew_keeps_what_it_did_not_change(tmp_path: Path) -> None:
    place, _ = _finished(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("direction: increase", "direction: decrease"))
    settled = settle_submission(path, place, register_again=True, reuse=None, go_on=False, on_notice=None)
    judged = analyse_sweep(settled.ledger.sweep_id, place).hypotheses
    assert [h.label for h in judged] == ["supported, post hoc", "negligible"]
