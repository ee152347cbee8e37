"""A real Prometheus beside a real sweep: it has the counts that ``status`` gives, and the dashboard's queries answer."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from maineffect.execute.cluster.board import PORT
from maineffect.study import Place, status

pytestmark = pytest.mark.ray

FILES = Path(__file__).parents[2] / "dashboards"
TRAINABLE = '''\
"""One run fails, one takes its time, the others are quick."""
import json
import os
import time
from pathlib import Path


def train(request, context):
    flags = Path(os.environ["KNOWN_FLAGS"])
    plan = json.loads((flags / "plan.json").read_text())
    if request.run_id == plan["fails"]:
        raise RuntimeError("planned failure")
    step = 0
    while step < 3 or (request.run_id == plan["waits"] and not (flags / "go-on").exists()):
        context.log(step, {"reward": 0.5})
        step += 1
        time.sleep(0.05)
    return {"skill": request.seed % 100 / 10}
'''


class Prometheus:
    """A server that scrapes one port every second, with the configuration of ``dashboards/`` for the rest."""

    def __init__(self, folder: Path, binary: str, target: int) -> None:
        self.port = free_port()
        text = (FILES / "prometheus/prometheus.yml").read_text()
        text = re.sub(r"(scrape_interval|evaluation_interval): \w+", r"\1: 1s", text)
        text, found = re.subn(r"targets: \[127\.0\.0\.1:\d+\]", f"targets: [127.0.0.1:{target}]", text)
        assert found == 1
        (folder / "prometheus.yml").write_text(text)
        shutil.copy(FILES / "prometheus/rules.yml", folder)
        words = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [binary, *words, f"--web.listen-address=127.0.0.1:{self.port}"], cwd=folder, stdout=log, stderr=log
            )

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Series that an instant query finds; nothing while the server starts."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={quote(expression)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as error:
            if error.code != 503:
                pytest.fail(f"{expression}: {error.read().decode()}")
        except OSError:
            pass
        return []

    def by(self, label: str, expression: str) -> dict[str, float]:
        """Label's value → value of the series."""
        return {each["metric"].get(label, ""): float(each["value"][1]) for each in self.ask(expression)}

    def value(self, expression: str) -> float | None:
        """Value of the one series that is found."""
        found = self.ask(expression)
        return float(found[0]["value"][1]) if len(found) == 1 else None


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to others meanwhile."""
    while True:
        port = random.randrange(21000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def until(condition: Callable[[], object], seconds: float, what: Callable[[], object]) -> None:
    """Wait for an event; the time limit only bounds how long a broken test takes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


@pytest.fixture
def sweep(workbench) -> Iterator[tuple[Any, Prometheus, subprocess.Popen[bytes]]]:
    """A sweep of four runs, one at a time, that stops before its end until it is told to go on, and its Prometheus."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian's package prometheus)")
    text = workbench.study.read_text().replace("replicates: 2", "replicates: 1")
    workbench.study.write_text(text + "budget: {gpu_hours: 2, cpu_hours: 3}\n")
    (workbench.folder / "known.py").write_text(TRAINABLE)
    runs = [run["run_id"] for run in workbench.document("design", "study.yaml")["runs"]]
    workbench.plan(fails=runs[1], waits=runs[2])
    target = free_port()
    server = Prometheus(workbench.folder, binary, target)
    log = (workbench.folder / "submit.log").open("wb")
    environment = {**workbench.environment(), PORT: str(target), "RAY_metrics_report_interval_ms": "1000"}
    words = ["submit", "study.yaml", "--workers", "1"]
    submitted = subprocess.Popen(
        [sys.executable, "-m", "maineffect", *words], cwd=workbench.folder, env=environment, stdout=log, stderr=log
    )
    yield workbench, server, submitted
    if submitted.poll() is None:
        submitted.send_signal(signal.SIGINT)
        submitted.wait(timeout=240)
    server.process.terminate()
    server.process.wait(timeout=240)


@pytest.mark.live
def test_prometheus_has_the_counts_of_status_while_the_sweep_runs(sweep) -> None:
    workbench, server, submitted = sweep
    place = Place(home=workbench.folder / "home")
    states = "max by (state) (ray_maineffect_runs)"
    wanted = {"planned": 1.0, "running": 1.0, "finished": 1.0, "failed": 1.0}
    log = workbench.folder / "submit.log"
    until(lambda: server.by("state", states) == wanted, 90, lambda: (log.read_text(), server.ask("up")))
    known = status("latest", place)
    assert {state: float(count) for state, count in known["counts"].items()} == wanted
    classes = {each["class"]: float(each["runs"]) for each in known["failure_classes"]}
    assert classes == {"user-error": 1.0}
    assert server.by("class", "max by (class) (ray_maineffect_failed_runs) > 0") == classes
    assert server.by("class", "max by (class) (ray_maineffect_failed_attempts)") == classes
    assert set(server.by("sweep", "ray_maineffect_runs")) == {known["sweep"]}
    assert server.value("max(ray_maineffect_run_seconds_count)") == known["counts"]["finished"]
    assert server.value("ray_maineffect_store_answers") == 1.0

    # Prometheus is a second or two behind, and hours are spent meanwhile; budgets are what the study says.
    spent = server.value("ray_maineffect_cpu_hours_spent")
    assert spent is not None
    assert known["cost"]["cpu_hours"] <= spent < 90 / 3600
    assert server.value("ray_maineffect_cpu_hours_spent + ray_maineffect_cpu_hours_left") == pytest.approx(3.0)
    assert server.value("ray_maineffect_gpu_hours_spent + ray_maineffect_gpu_hours_left") == pytest.approx(2.0)

    # The run that waits tells its steps, by its watchdog's beat.
    waits = json.loads((workbench.flags / "plan.json").read_text())["waits"]
    until(lambda: server.by("run", "ray_maineffect_run_steps").get(waits, 0) > 20, 30, lambda: "no last step")
    until(lambda: (server.value("sum(ray_maineffect_steps_total)") or 0) > 20, 30, lambda: "no steps")

    # Every query of the dashboard answers, and finds something.
    dashboard = json.loads((FILES / "grafana/dashboards/sweeps.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = [query.replace("$sweep", ".*").replace("$__rate_interval", "20s") for query in asked]
    until(lambda: all(map(server.ask, asked)), 30, lambda: [query for query in asked if not server.ask(query)])

    (workbench.flags / "go-on").touch()
    assert submitted.wait(timeout=240) == 5, log.read_text()
    _every_saved_view_finds_its_runs(f"sqlite:///{workbench.folder / 'home/mlflow.db'}", known["study"])


def _every_saved_view_finds_its_runs(uri: str, study: str) -> None:
    """The views of MLflow's pages, asked of the store that the sweep has left."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study).experiment_id
    views = tomllib.loads((FILES / "mlflow/views.toml").read_text())["view"]
    found = {view["name"]: client.search_runs([experiment], view["filter"]) for view in views}
    assert {name.partition(",")[0]: len(runs) for name, runs in found.items()} == {
        "Sweeps of this study": 1,
        "Sweeps that are not finished": 1,
        "Runs that train now": 0,
        "Failed attempts": 1,
        "Attempts that were lost with their node or process": 0,
        "Finished runs": 3,
    }
    for view in views:
        for run in found[view["name"]]:
            assert [tag for tag in view["columns"] if tag not in run.data.tags] == [], view["name"]
