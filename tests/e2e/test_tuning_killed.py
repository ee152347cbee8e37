"""Drivers that die at the worst moments of a tuning leave one proposal a batch and one choice, equal to the digit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maineffect.journey.plan.place import Place
from maineffect.journey.run.submission import stored_submission
from maineffect.ledger.sweep.phases import LedgerPhases

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(3000)]

STUDY = """\
schema_version: 1
name: doomed
trainable: noisy:train
factors:
  a: {levels: [0.0, 1.0]}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
analysis: {terms: main}
tuning:
  scope: shared
  nuisance:
    rate: {binds: train.rate, range: [-1.0, 1.0], default: 0.0}
  trials: 12
  batch: 2
  sampler: tpe
  response: skill
resources: {cpus: 1, timeout: 2m, retries: 2}
seed: 7
"""

TRAINABLE = '''\
"""A trainable whose best rate is known."""
from maineffect.seeds import generator


def train(request, context):
    rate = request.settings["train"]["rate"]
    noise = generator(request.seed, "noise").normal(0.0, 0.1)
    return {"skill": 5.0 + request.levels["a"] - (rate - 0.5) ** 2 + noise}
'''

# A driver like any other, but that it dies once a proposal stands that nobody has claimed a trial of, or once the last
# trial is committed and the choice is not yet written.
DRIVER = """\
import os
import runpy
import signal

from maineffect.ledger.sweep.phases import LedgerPhases

write = LedgerPhases.note


def note(self, key, word):
    if not key.startswith("chosen."):
        write(self, key, word)
    with open(os.environ["DEATHS"], "a") as file:
        file.write(key + "\\n")
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    LedgerPhases.note = note
    runpy.run_module("maineffect", run_name="__main__")
"""
KILLS = 20


def words(home: Path) -> dict[str, str]:
    """Everything that the phase has written."""
    _, ledger = stored_submission("latest", Place(home=home))
    return LedgerPhases(ledger).notes()


def test_twenty_killed_drivers_leave_the_words_of_one_that_lived(workbench) -> None:
    """Drivers work in pairs and die between proposal and claim, and between commit and choice; two sane ones end it."""
    workbench.study.write_text(STUDY)
    (workbench.folder / "noisy.py").write_text(TRAINABLE)
    (workbench.folder / "doomed.py").write_text(DRIVER)
    deaths = workbench.folder / "deaths.txt"
    deaths.touch()

    def start(*python: str, home: str = "home") -> subprocess.Popen[bytes]:
        more = {"MAINEFFECT_HOME": str(workbench.folder / home), "DEATHS": str(deaths)}
        return subprocess.Popen(
            [sys.executable, *python, "submit", "study.yaml"],
            cwd=workbench.folder,
            env={**workbench.environment(), **more},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    for _ in range(2 * KILLS):
        pair = [start("doomed.py"), start("doomed.py")]
        assert [driver.wait(timeout=300) for driver in pair] == [-9, -9], "no doomed driver gets past its moment"
        died = deaths.read_text().split()
        if len(died) >= KILLS and died.count("chosen.all") >= KILLS // 4:
            break
    assert sum(key.startswith("propose.") for key in died) >= 6, "every batch has killed a driver"
    assert "chosen.all" not in words(workbench.folder / "home")

    two = [start("-m", "maineffect"), start("-m", "maineffect")]
    assert [driver.wait(timeout=300) for driver in two] == [0, 0]
    assert start("-m", "maineffect", home="undisturbed").wait(timeout=300) == 0
    found, alone = (words(workbench.folder / home) for home in ("home", "undisturbed"))
    assert sorted(found) == ["chosen.all", *(f"propose.all.{batch}" for batch in range(6))], "one proposal a batch"
    assert found == alone, "equal to the digit"
