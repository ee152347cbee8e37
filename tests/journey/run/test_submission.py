"""A sweep is read as it was submitted: its design is never searched for again, and a changed one is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.homes import ready_home

import maineffect.design.build
from maineffect.design.emit import read_design, stored_design
from maineffect.errors import DesignError, LedgerError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.requests import plan_requests
from maineffect.journey.run.submission import open_submission, stored_submission
from maineffect.ledger.store.artifacts import artifact_folder
from maineffect.ledger.store.connection import prepare
from maineffect.register import freeze

TRAINABLE = "def train(request, context):\n    raise NotImplementedError\n"
DESIGNS = {
    "full": "{kind: full, replicates: 2}",
    "fractional": "{kind: fractional, runs: 4, replicates: 2}",
    "optimal": "{kind: optimal, runs: 14, hard_to_change: [a], whole_plots: 7}",
    "definitive": "{kind: definitive_screening}",
}
STUDY = """\
schema_version: 1
name: kept
trainable: mine:train
factors:
  a: {{levels: {levels}}}
  b: {{levels: {levels}}}
  c: {{levels: {levels}}}
design: {design}
analysis: {{terms: main}}
responses:
  y: {{goal: maximize}}
"""


def _submitted(folder: Path, kind: str, design: str = "") -> tuple[Place, str, Path]:
    levels = "[0.0, 0.5, 1.0]" if kind in ("optimal", "definitive") else "[0, 1]"
    (folder / "mine.py").write_text(TRAINABLE)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(levels=levels, design=design or DESIGNS[kind]))
    place, checked = Place(home=ready_home(folder / "home")), check(path)
    prepare(place.uri())
    registration = freeze.require_registered(checked.study, checked.design, path, again=False, now=datetime.now(UTC))
    ledger = open_submission(checked, place, registration)
    folder = artifact_folder(ledger.uri, ledger.entry.sweep_run)
    assert folder is not None
    return place, ledger.sweep_id, folder


@pytest.mark.parametrize("kind", DESIGNS)
def test_the_design_is_read_and_not_built_again(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, sweep, _ = _submitted(tmp_path, kind)
    built = check(tmp_path / "study.yaml").design

    def refuse(*_: object) -> None:
        raise AssertionError("the design was built again")

    monkeypatch.setattr(maineffect.design.build, "build_design", refuse)
    checked, _ = stored_submission(sweep, place)
    assert checked.design == built
    assert [type(level) for cell in checked.design.cells for level in cell.levels.values()] == [
        type(level) for cell in built.cells for level in cell.levels.values()
    ]


def test_a_sweep_from_when_shared_seeds_went_without_saying_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TRAINABLE)
    shared = DESIGNS["full"].replace("2}", "2, common_random_numbers: true}")
    place, sweep, stored = _submitted(tmp_path, "full", shared)
    file = stored / "submission.json"
    submission = json.loads(file.read_text())
    assert submission["study"]["design"].pop("common_random_numbers") is True
    file.write_text(json.dumps(submission))
    checked, _ = stored_submission(sweep, place)
    assert checked.study.design.common_random_numbers
    requests = plan_requests(checked, sweep)
    assert {request.base_seed for request in requests} == {None}
    assert len({request.seed for request in requests}) == 2


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("plan.json", '"order": 0', '"order": 99', "not the plan that was submitted"),
        ("design.json", '"replicate":1', '"replicate":2', "not the design that was submitted"),
    ],
)
def test_what_was_changed_in_the_store_is_refused(name: str, old: str, new: str, words: str, tmp_path: Path) -> None:
    place, sweep, artifacts = _submitted(tmp_path, "full")
    text = (artifacts / name).read_text()
    assert old in text
    (artifacts / name).write_text(text.replace(old, new, 1))
    with pytest.raises(LedgerError, match=words) as refused:
        stored_submission(sweep, place)
    assert refused.value.hint


def test_what_is_gone_from_the_store_is_named(tmp_path: Path) -> None:
    place, sweep, artifacts = _submitted(tmp_path, "full")
    (artifacts / "design.json").unlink()
    with pytest.raises(LedgerError, match=r"design\.json of sweep kept-\w+ is gone"):
        stored_submission(sweep, place)


def test_a_sweep_from_before_designs_were_stored_is_still_read(tmp_path: Path) -> None:
    place, sweep, artifacts = _submitted(tmp_path, "fractional")
    submission = json.loads((artifacts / "submission.json").read_text())
    del submission["design_sha256"]
    (artifacts / "submission.json").write_text(json.dumps(submission))
    (artifacts / "design.json").unlink()
    assert stored_submission(sweep, place)[0].design == check(tmp_path / "study.yaml").design


@pytest.mark.parametrize("kind", DESIGNS)
def test_a_stored_design_is_the_design(kind: str, tmp_path: Path) -> None:
    _submitted(tmp_path, kind)
    design = check(tmp_path / "study.yaml").design
    assert read_design(stored_design(design)) == design


def test_a_text_that_is_no_design_is_refused() -> None:
    with pytest.raises(DesignError, match="cannot be read"):
        read_design('{"study": 3}')
