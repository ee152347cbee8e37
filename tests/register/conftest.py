"""A study on disk that can be changed in one place and registered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maineffect.design.build import build_design
from maineffect.register.freeze import Registration, register
from maineffect.register.plan import plan_document
from maineffect.spec.load import load_study

STUDY = """\
schema_version: 1
name: frozen
factors:
  a: {levels: [1, 3]}
  b: {levels: [x, y], unit: letter}
design: {kind: full, replicates: 2}
responses:
  skill: {smallest_effect: 0.1}
  cost: {goal: minimize}
hypotheses:
  - {id: H1, term: a, response: skill}
  - {id: H2, term: b, response: cost}
settings: {train: {steps: 5, rate: 0.1}}
resources: {cpus: 1}
seed: 3
"""


class Frozen:
    """``study.yaml`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "study.yaml"
        self.file = folder / "study.registration.json"
        self.path.write_text(STUDY)
        self.hours = 0

    def change(self, old: str, new: str) -> None:
        """Change the study in one place."""
        text = self.path.read_text()
        assert text.count(old) == 1
        self.path.write_text(text.replace(old, new))

    def plan(self) -> dict[str, Any]:
        """The plan of the file as it is."""
        study = load_study(self.path)
        return plan_document(study, build_design(study))

    def register(self, *, again: bool = False) -> Registration:
        """Register the file as it is, an hour later each time."""
        study = load_study(self.path)
        self.hours += 1
        now = datetime(2026, 1, 1, self.hours, tzinfo=UTC)
        return register(study, build_design(study), self.path, again=again, now=now)


@pytest.fixture
def frozen(tmp_path: Path) -> Frozen:
    return Frozen(tmp_path)


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Plan of a study text."""

    def _plan_of(text: str) -> dict[str, Any]:
        path = tmp_path / "other.yaml"
        path.write_text(text)
        study = load_study(path)
        return plan_document(study, build_design(study))

    return _plan_of
