"""A valid study to break in one place, and the factor library that it uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maineffect.errors import Problem, SpecError
from maineffect.spec.load import load_study

STUDY = """\
schema_version: 1
name: regimes
question: Which regime?
trainable: my_lab:train
factors:
  hops: {use: library.yaml#hops, levels: [1, 3]}
  noise:
    levels: [0.0, 0.5]
    binds: world.noise
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.1}
  cost:
hypotheses:
  - {id: H1, term: noise, response: skill, direction: decrease}
  - id: H2
    term: hops:noise
    response: skill
settings:
  train: {steps: 5}
seed: 3
"""

LIBRARY = """\
# Two factors.
hops:
  levels: [1, 2, 4]
  binds: world.hops
  range: [1, 4]
recall:
  levels: [0.5, 1.0]
"""


class Bench:
    """A folder with ``study.yaml`` and ``library.yaml``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "study.yaml"
        self.library = folder / "library.yaml"
        self.path.write_text(STUDY, encoding="utf-8")
        self.library.write_text(LIBRARY, encoding="utf-8")

    def replace(self, old: str, new: str) -> Bench:
        """Break the study in one place."""
        text = self.path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        self.path.write_text(text.replace(old, new), encoding="utf-8")
        return self

    def line(self, fragment: str, path: Path | None = None) -> int:
        """1-based line of the only line that holds a fragment."""
        lines = (path or self.path).read_text(encoding="utf-8").splitlines()
        (found,) = [i for i, line in enumerate(lines, 1) if fragment in line]
        return found

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with the study."""
        with pytest.raises(SpecError) as caught:
            load_study(self.path)
        assert caught.value.exit_code == 3
        return caught.value.problems

    def problem(self) -> Problem:
        """The only thing that is wrong with it."""
        problems = self.problems()
        assert len(problems) == 1, "\n".join(map(str, problems))
        return problems[0]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a file and return its path."""

    def _write(text: str | bytes) -> Path:
        path = tmp_path / "file.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write
