"""A cluster of two nodes as separate processes: drivers and nodes die, runs go on or are tried again elsewhere."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import signal
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import maineffect
from maineffect.code_version import code_version
from maineffect.contracts import FailureClass, RunState
from maineffect.execute.cluster.jobs import job_logs, job_of, submit_job
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.runtime_env import RuntimeEnv

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def finished(bench) -> set[str]:
    return {run_id for run_id, s in bench.ledger.state().runs.items() if s.state is RunState.FINISHED}


def test_runs_survive_their_driver_and_the_next_one_adopts_them(bench, cluster, wait, running) -> None:
    requests = bench.requests(3, way="steps 60 0.2", ways={"r1": "fine", "r2": "fine"})
    first = bench.start(requests, address=cluster.address, workers=1)
    wait(lambda: len(bench.steps()) >= 3)
    first.kill()
    first.wait()
    (worker,) = [int(words[2]) for words in bench.lines() if words[0] == "r0"]
    taken = len(bench.steps())
    wait(lambda: len(bench.steps()) > taken + 5)
    assert running(worker), "the run goes on without a driver"

    second = bench.start(requests, address=cluster.address, workers=1)
    assert second.wait(timeout=180) == 0, bench.log_of(second)
    assert finished(bench) == {"r0", "r1", "r2"}
    assert bench.entered() == {"r0": 1, "r1": 1, "r2": 1}, "adopted, not repeated"
    wait(lambda: not running(worker))


def test_a_run_of_a_lost_node_is_tried_again_on_another(bench, cluster, wait) -> None:
    node = cluster.start(f"--address={cluster.address}")
    wait(lambda: cluster.size() == 2)
    requests = bench.requests(2, way="steps 60 0.2")
    driver = bench.start(requests, Needs(timeout=240, retries=2), address=cluster.address)
    wait(lambda: {run for run, _ in bench.steps()} == {"r0", "r1"})
    victims = {child.pid for child in psutil.Process(node.pid).children(recursive=True)}
    (lost,) = {
        words[0] for words in bench.lines() if len(words) == 3 and words[2].isdigit() and int(words[2]) in victims
    }
    cluster.kill(node)
    assert driver.wait(timeout=240) == 0, bench.log_of(driver)
    runs = bench.ledger.state().runs
    assert finished(bench) == {"r0", "r1"}
    assert [end.failure for end in runs[lost].ends] == [FailureClass.LOST]
    assert sum(count - 1 for count in bench.steps().values()) <= 1, "it went on from its checkpoint"


SENT = """
import os
import maineffect

def train(request, context):
    with open(request.settings["diary"], "a") as file:
        file.write(f"{request.run_id} {os.environ['MAINEFFECT_CODE']} {__file__} WORD {maineffect.__file__}\\n")
    return {"skill": 1.0}
"""


def test_code_that_a_cluster_does_not_have_is_sent_along_by_content(bench, cluster) -> None:
    package = bench.folder / "elsewhere" / "sentalong"
    package.mkdir(parents=True)
    (package / "part.py").touch()
    (package / "__init__.py").write_text(SENT)
    first = code_version("sentalong:train", package.parent)
    requests = [replace(r, trainable="sentalong:train", code_version=first) for r in bench.requests(3)]

    def run(chosen: list, **options: object) -> str:
        driver = bench.start(chosen, Needs(timeout=60, retries=0), address=cluster.address, **options)
        assert driver.wait(timeout=120) == 0, bench.log_of(driver)
        return bench.log_of(driver)

    assert "no module 'sentalong'" in run(requests[:1])
    assert bench.failures() == {"r0": FailureClass.USER_ERROR}

    run(requests[1:2], packages=(package,))
    assert finished(bench) == {"r1"}

    (package / "__init__.py").write_text(SENT.replace("WORD", "changed"))
    second = code_version("sentalong:train", package.parent)
    said = run(requests[2:], packages=(package,))
    assert f"is version {second}" in said
    assert f"submitted with {first}" in said
    assert bench.failures()["r2"] is FailureClass.OTHER_CODE
    run([replace(requests[2], code_version=second)], packages=(package, Path(maineffect.__file__).parent))
    assert finished(bench) == {"r1", "r2"}
    (old, new) = bench.lines()
    assert (old[:2], old[3]) == (["r1", f"sentalong:train@{first}"], "WORD")
    assert (new[:2], new[3]) == (["r2", f"sentalong:train@{second}"], "changed")
    assert not Path(new[2]).is_relative_to(bench.folder), "it ran what Ray had brought"
    assert old[4] == maineffect.__file__
    assert new[4] != maineffect.__file__, "what is sent comes before what is installed"


def test_a_home_that_is_another_folder_on_the_node_is_said(bench, cluster) -> None:
    """One path and two folders: what a node without the shared file system has, made by a path that is each process's own."""
    requests = bench.requests(3, way="steps 3 0.1")
    apart = {"XDG_RUNTIME_DIR": str(bench.folder)}  # nor do they share the driver's desk
    driver = bench.start(requests, address=cluster.address, home=Path("/proc/self/cwd/away"), environment=apart)
    assert driver.wait(timeout=120) == 0, bench.log_of(driver)
    assert finished(bench) == {"r0", "r1", "r2"}, bench.log_of(driver)
    assert bench.log_of(driver).count("is not the driver's folder") == 1
    assert (bench.folder / "away" / "home.id").is_file()


DRIVER = """
import pickle
from maineffect.execute.drive.sweep import execute_sweep
from maineffect.ledger.sweep.repair import driving
requests, ledger, home, needs = pickle.load(open("order.pickle", "rb"))
with driving(ledger, home / "runs" / ledger.sweep_id):
    execute_sweep(requests, ledger, home, needs, address="auto", study_dir=home / "not on this node")
print("the sweep has ended")
"""


def test_a_detached_driver_runs_on_the_cluster(bench, cluster, wait, tmp_path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    shutil.copy(bench.folder / "misfits.py", study / "misfits.py")
    requests = bench.requests(3, way="steps 5 0.1")
    order = (requests, bench.ledger, bench.home, Needs(timeout=120))
    (study / "order.pickle").write_bytes(pickle.dumps(order))
    (study / "drive.py").write_text(DRIVER)
    dashboard = f"http://127.0.0.1:{cluster.dashboard}"
    words = [sys.executable, "drive.py"]
    job, again = (submit_job(dashboard, "misfits", words, RuntimeEnv(study)) for _ in range(2))
    assert (job.created, again.created) == (True, False)
    assert job.job_id == again.job_id == "me-misfits-r1", "one driver of a sweep at a time"
    wait(lambda: job_of(dashboard, "misfits").status in ("SUCCEEDED", "FAILED"))
    assert "the sweep has ended" in job_logs(dashboard, "misfits")
    assert finished(bench) == {"r0", "r1", "r2"}
    assert bench.entered() == {"r0": 1, "r1": 1, "r2": 1}


@pytest.mark.parametrize("through", ["the node", "Ray's client"])
def test_a_driver_exports_metrics_at_the_nodes_of_the_cluster(bench, cluster, wait, through) -> None:
    address = cluster.address if through == "the node" else f"ray://127.0.0.1:{cluster.client}"
    requests = bench.requests(2, way="steps 120 0.2")
    driver = bench.start(requests, address=address, workers=1)

    def exported() -> bool:
        return any("ray_maineffect_runs{" in line and 'state="running"' in line for line in scraped(cluster.folder))

    wait(exported)
    wait(lambda: any("ray_maineffect_run_steps{" in line and 'run="r' in line for line in scraped(cluster.folder)))
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=240) == 130, bench.log_of(driver)
    assert "exports no metrics" not in bench.log_of(driver)
    wait(lambda: not exported())  # what has ended is not told for ever


def scraped(folder: Path) -> list[str]:
    """Lines that every target of a cluster exports, as its head lists them for Prometheus."""
    found: list[str] = []
    for targets in json.loads((folder / "prom_metrics_service_discovery.json").read_text()):
        for target in targets["targets"]:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{target}/metrics", timeout=5) as answer:
                found += answer.read().decode().splitlines()
    return found
