"""Resources may change between a submission and a resubmission: the study file's are used, and it is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.homes import ready_home

from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.requests import needs_of
from maineffect.journey.run.submission import open_submission, stored_submission
from maineffect.journey.run.submit import preview_resubmit, settle_resubmission
from maineffect.ledger.store.connection import prepare
from maineffect.register import freeze

STUDY = """\
schema_version: 1
name: changed
trainable: mine:train
factors: {a: {levels: [0, 1]}}
design: {kind: full}
responses: {y: {}}
resources: {timeout: 10m, cpus: 1}
"""


def test_resubmit_uses_the_resources_of_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def train(request, context):\n    raise NotImplementedError\n")
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    place, checked = Place(home=ready_home(tmp_path / "home")), check(path)
    prepare(place.uri())
    registration = freeze.require_registered(checked.study, checked.design, path, again=False, now=datetime.now(UTC))
    sweep = open_submission(checked, place, registration).sweep_id
    options = {"runs": (), "cells": (), "reuse": None, "go_on": False}

    said: list[str] = []
    settled = settle_resubmission(sweep, place, **options, on_notice=said.append)
    assert (needs_of(settled.checked.study).timeout, said) == (600, [])

    path.write_text(STUDY.replace("10m", "2h"))
    told = ["mine.yaml was changed since: resources.timeout: 2h (was 10m); these hold from here on"]
    assert preview_resubmit(sweep, place)["notices"] == told, "a dry run says what the real one does"
    assert needs_of(stored_submission(sweep, place)[0].study).timeout == 600, "and changes nothing"
    settled = settle_resubmission(sweep, place, **options, on_notice=said.append)
    assert needs_of(settled.checked.study).timeout == 7200
    assert said == told
    assert needs_of(stored_submission(sweep, place)[0].study).timeout == 7200, "status says so too"

    path.write_text(STUDY.replace("levels: [0, 1]", "levels: [0, 2]"))
    settled = settle_resubmission(sweep, place, **options, on_notice=said.append)
    assert needs_of(settled.checked.study).timeout == 7200, "another study is none of this sweep's business"
    assert len(said) == 1
