"""A cluster of two nodes as separate processes: drivers and nodes die, runs go on or are tried again elsewhere."""

from __future__ import annotations

import pickle
import shutil
import sys

import psutil
import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.jobs import job_logs, job_of, submit_job
from maineffect.execute.needs import Needs

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
    wait(lambda: not running(worker), seconds=30)


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


DRIVER = """
import pickle
from maineffect.execute.sweep import execute_sweep
from maineffect.ledger.repair import driving
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
    job = submit_job(dashboard, "misfits", words, study_dir=study, environment={})
    again = submit_job(dashboard, "misfits", words, study_dir=study, environment={})
    assert (job.created, again.created) == (True, False)
    assert job.job_id == again.job_id == "me-misfits-r1", "one driver of a sweep at a time"
    wait(lambda: job_of(dashboard, "misfits").status in ("SUCCEEDED", "FAILED"))
    assert "the sweep has ended" in job_logs(dashboard, "misfits")
    assert finished(bench) == {"r0", "r1", "r2"}
    assert bench.entered() == {"r0": 1, "r1": 1, "r2": 1}
