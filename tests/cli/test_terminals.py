"""What is shown on a terminal that knows few characters, and what ``check`` says comes next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STUDY = """\
schema_version: 1
name: etude
question: Does it hold — really?
factors: {a: {levels: [0, 1]}, b: {levels: [0, 1]}}
design: {kind: full, replicates: 2}
responses: {y: {goal: maximize}}
"""


def _run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "maineffect", *words],
        cwd=folder,
        env={**os.environ, "MAINEFFECT_HOME": str(folder / "home"), **environment},
        capture_output=True,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_few_characters_are_enough(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    done = _run(tmp_path, "design", "study.yaml", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout.decode(encoding)


def test_check_says_what_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    assert b"next: maineffect register" in _run(tmp_path, "check", "study.yaml").stderr
    assert _run(tmp_path, "register", "study.yaml").returncode == 0
    assert b"next: maineffect submit" in _run(tmp_path, "check", "study.yaml").stderr
    path.write_text(STUDY.replace("replicates: 2", "replicates: 3"), encoding="utf-8")
    assert b"next: maineffect register" in _run(tmp_path, "check", "study.yaml").stderr
