"""Two people, two homes, one store: a cluster loses a node and then its head; the other one runs what failed.

The first home is on the machine's disk; on the worker node that path is a disk of the node's own, which goes with it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

STUDY = """\
schema_version: 1
name: two-homes
question: Who runs what failed elsewhere?
trainable: gated:train
factors:
  a: {levels: [0.0, 1.0]}
  b: {levels: [1, 3]}
design: {kind: full, replicates: 2}
responses:
  skill: {goal: maximize, smallest_effect: 0.5}
hypotheses:
  - {id: H1, term: a, response: skill, direction: increase}
analysis: {terms: main}
resources: {cpus: 1, timeout: 10m, retries: 0}
seed: 7
"""

STEPS = 8
TRAINABLE = f"""\
import json, os, time
from pathlib import Path

PLACE = Path(PATH)

def train(request, context):
    run, attempt = request.run_id, int(context.run_dir.name[1:])
    found = context.latest_checkpoint()
    first = 0 if found is None else json.loads((found[1] / "state.json").read_text())
    for step in range(first, {STEPS}):
        context.check_cancelled()
        while (PLACE / f"hold-{{step}}-all").exists() or (PLACE / f"hold-{{step}}-{{run}}").exists():
            context.check_cancelled()
            time.sleep(0.05)
        if (PLACE / f"bug-{{step}}-{{run}}").exists():
            raise ValueError("a bug")
        with (PLACE / "diary").open("a") as diary:
            diary.write(f"{{run}} {{attempt}} {{step}} {{os.getpid()}}\\n")
        time.sleep(0.1)
        context.save_checkpoint(step + 1, lambda to, s=step: (to / "state.json").write_text(json.dumps(s + 1)))
    return {{"skill": 5.0 + request.levels["a"]}}
"""


@dataclass
class Desk:
    """One person's machine: a copy of the study, a home, and the command line."""

    folder: Path
    store: str
    address: str
    drivers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def prepare(self, gates: Path) -> None:
        study = self.folder / "study"
        study.mkdir(parents=True)
        (study / "study.yaml").write_text(STUDY)
        (study / "gated.py").write_text(TRAINABLE.replace("PATH", repr(str(gates))))

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "MAINEFFECT_HOME": str(self.home), "MLFLOW_TRACKING_URI": self.store}
        driver = subprocess.Popen(
            [sys.executable, "-m", "maineffect", *words],
            cwd=self.folder / "study",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.drivers.append(driver)
        return driver

    def run(self, *words: str, expect: int = 0) -> str:
        driver = self.start(*words)
        said, _ = driver.communicate(timeout=300)
        assert driver.returncode == expect, f"exit {driver.returncode}\n{said}"
        return said

    def json(self, *words: str) -> dict[str, Any]:
        said = self.run(*words, "--json")
        return json.loads(said[said.index("{") :])


@pytest.fixture
def desks(tmp_path: Path, server) -> Any:
    gates = tmp_path / "gates"
    gates.mkdir()
    made = [Desk(tmp_path / name, server.uri, "") for name in ("ann", "ben")]
    for desk in made:
        desk.prepare(gates)
    yield made, gates
    for driver in (driver for desk in made for driver in desk.drivers):
        if driver.poll() is None:
            driver.kill()
            driver.wait()


def own_disk(home: Path) -> list[str]:
    """A command in front of a node's that gives it an empty disk of its own at this path; none without the right."""
    home.mkdir(parents=True, exist_ok=True)
    mount = 'mount -t tmpfs -o size=64m,mode=700 tmpfs "$0" && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", mount, str(home)]
    allowed = shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0
    return words if allowed else []


def taken(gates: Path) -> dict[tuple[str, int], list[int]]:
    """(run, attempt) → the steps that it really took."""
    steps = defaultdict(list)
    diary = gates / "diary"
    for line in diary.read_text().splitlines() if diary.exists() else ():
        run, attempt, step, _ = line.split()
        steps[run, int(attempt)].append(int(step))
    return dict(steps)


def pids(gates: Path) -> dict[str, int]:
    """Run → the process that took its last step."""
    return {line.split()[0]: int(line.split()[3]) for line in (gates / "diary").read_text().splitlines()}


def test_what_failed_under_one_home_is_run_from_another(desks, make_cluster, wait, running) -> None:
    (ann, ben), gates = desks
    first = make_cluster(cpus=2)  # a run that is held leaves room for the others
    disk = own_disk(ann.home)
    node = first.start(f"--address={first.address}", inside=disk)
    wait(lambda: first.size() == 2)
    planned = [row["run_id"] for row in ann.json("submit", "study.yaml", "--dry-run")["would_run"]]
    broken, last = planned[-2:]
    (gates / "hold-3-all").touch()
    (gates / f"bug-2-{broken}").touch()
    (gates / f"hold-5-{last}").touch()

    # ------------------------------------------------ the worker node dies, then the head, under Ann's driver
    driver = ann.start("submit", "study.yaml", "--address", first.address)
    wait(lambda: len(taken(gates)) == 3 and all(steps == [0, 1, 2] for steps in taken(gates).values()))
    on_node = {child.pid for child in psutil.Process(node.pid).children(recursive=True)}
    (lost,) = [run for run, pid in pids(gates).items() if pid in on_node]
    first.kill(node)
    if not disk:  # without a disk of its own it wrote to the machine's
        shutil.rmtree(next((ann.home / "runs").glob(f"*/{lost}")))
    sweep = ann.json("status", "latest")["sweep"]
    wait(lambda: ann.json("status", sweep)["failure_classes"], every=1.0)
    (gates / "hold-3-all").unlink()
    wait(lambda: taken(gates).get((last, 1)) == [0, 1, 2, 3, 4])
    wait(lambda: ann.json("status", sweep)["counts"]["finished"] == 5, every=1.0)
    orphan = pids(gates)[last]
    first.kill(first.nodes[0])
    said, _ = driver.communicate(timeout=300)
    assert driver.returncode == 1, said
    gone = rf"the head of the Ray cluster at \S+:{first.gcs} has not answered for 30 s \(connection refused\)"
    assert re.search(gone, said), said
    assert "The program will terminate" not in said, "we end by our own word, and not by Ray's"
    assert "resubmit" in said
    assert f"{lost} failed (lost)" in said
    print(said)
    wait(lambda: not running(orphan), seconds=120)

    # ------------------------------------------------ Ben, with the store alone, on a new cluster
    (gates / f"hold-5-{last}").unlink()
    (gates / f"bug-2-{broken}").unlink()
    shutil.move(ann.folder / "study", ann.folder / "study, not on Ben's machine")
    before = ben.json("status", sweep)
    assert (before["counts"]["finished"], sorted(f["run_id"] for f in before["failures"])) == (
        5,
        sorted([lost, broken]),
    )
    assert before["interrupted"] == [last]
    second = make_cluster()
    second.start(f"--address={second.address}")
    wait(lambda: second.size() == 2)
    took = taken(gates)
    said = ben.run("resubmit", sweep, "--address", second.address)
    print(said)
    again = {key: steps for key, steps in taken(gates).items() if key not in took}
    assert again == {
        (lost, 2): list(range(STEPS)),
        (broken, 2): list(range(2, STEPS)),
        (last, 2): list(range(5, STEPS)),
    }, "exactly what failed, each from where it could"
    assert {key: steps for key, steps in taken(gates).items() if key in took} == took, "nothing else took a step"
    left = ann.home / "runs" / sweep
    here = socket.gethostname()
    assert f"{lost} starts from its beginning: what its attempt 1 may have saved is in {left / lost / 'a1'}" in said
    assert f"on {here}, and that folder is not there on {here}" in said
    for run, step in ((broken, 2), (last, 5)):
        saved = left / run / "a1" / "checkpoints" / f"{step:012}"
        assert f"{run} goes on from step {step}, which its attempt 1 saved in {saved}" in said
        assert f"maineffect: {run} goes on from step {step}" in ben.run("logs", run, sweep)

    # ------------------------------------------------ how it ended, whoever asks
    for desk in (ben, ann):
        shutil.rmtree(desk.folder / "study", ignore_errors=True)
        (desk.folder / "study").mkdir()
        status = desk.json("status", sweep)
        assert status["counts"]["finished"] == 8
        assert not status["failures"]
    records = {(run, attempt) for run, attempt in taken(gates)}
    assert records == {(run, 1) for run in planned} | {(lost, 2), (broken, 2), (last, 2)}
