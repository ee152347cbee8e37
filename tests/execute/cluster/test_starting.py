"""An embedded Ray that starts: where it listens, why it did not, and that it can be stopped meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from maineffect.execute.cluster.board import PORT
from maineffect.execute.cluster.starting import reason_of, way_out

pytestmark = pytest.mark.ray

START = """
import os, sys
from maineffect.execute.cluster import embedded
from maineffect.execute.cluster.connect import connect
from maineffect.execute.cluster.needs import Needs
tell = lambda sentence: print(sentence, flush=True)
try:
    cluster = connect(None, Needs(), workers=1, say=tell)
    tell("up " + cluster.notice)
    sys.stdin.read()
    cluster.close()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def starter(tmp_path: Path):
    """A process that starts a Ray of its own and says what it is told; and what it has left when it is gone."""
    started = []

    def start(code: str = START, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def family(process: subprocess.Popen[str]) -> dict[int, str]:
    parent = psutil.Process(process.pid)
    return {child.pid: child.name() for child in [parent, *parent.children(recursive=True)]}


def listening(pids: set[int]) -> list[str]:
    """Addresses at which these processes listen, by ``ss``."""
    shown = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    own = [line.split() for line in shown.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    return [words[3].rpartition(":")[0].strip("[]").removeprefix("::ffff:") for words in own]


@pytest.mark.skipif(not Path("/usr/bin/ss").exists(), reason="needs ss (iproute2)")
def test_it_listens_on_the_loopback_alone_its_metrics_too(starter) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = starter(**{PORT: str(port)})
    assert process.stdout.readline() == "starting Ray on this machine\n"
    assert process.stdout.readline() == f"up metrics: http://127.0.0.1:{port}/metrics, from this machine only\n"
    deadline = time.monotonic() + 30
    while True:
        addresses = listening(set(family(process)))
        with socket.socket() as scraper:
            if scraper.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline, "no metrics"
        time.sleep(0.2)
    assert len(addresses) >= 6
    assert set(addresses) == {"127.0.0.1"}


@pytest.mark.live
def test_a_start_that_hangs_is_stopped_and_leaves_nothing(starter, wait, running) -> None:
    process = starter()
    assert process.stdout.readline() == "starting Ray on this machine\n"
    wait(lambda: "gcs_server" in family(process).values(), every=0.02)
    ray = family(process)
    (server,) = [pid for pid, name in ray.items() if name == "gcs_server"]
    os.kill(server, signal.SIGSTOP)  # from here on Ray waits for what never answers
    time.sleep(1.0)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ended = process.wait(timeout=240)
    # In a call that never returns no Python runs: then its supervisor ends it.
    # Ray's own client may have complained meanwhile that nothing answers.
    said = "".join(line for line in process.stdout.readlines() if "rpc_client" not in line)
    assert (ended, said) in [(130, ""), (-9, "stopped while Ray was starting; nothing had begun\n")]
    assert time.monotonic() - began < 15
    wait(lambda: not any(running(pid) for pid in ray))
    assert not [path for path in Path("/tmp").glob(f"me-ray-{process.pid:x}-*") if path.exists()]


@pytest.mark.live
def test_a_second_try_follows_a_first_that_failed_and_the_reason_is_rays_own(starter) -> None:
    once = START.replace(
        "tell = ",
        "first = [{'_system_config': {'no_such_setting': 1}}]\n"
        "plain = embedded._start_once\n"
        "embedded._start_once = lambda options: plain({**options, **(first.pop() if first else {})})\n"
        "tell = ",
    )
    process = starter(once, RAY_gcs_server_port_wait_time_s="2")
    assert process.stdout.readline() == "starting Ray on this machine\n"
    said = process.stdout.readline()
    assert "Ray did not start: gcs_server: Received unexpected config parameter no_such_setting (Timed out" in said
    assert said.endswith("; tried again in 2 s\n")
    assert process.stdout.readline() == "up \n"


CLUSTER = """
import logging, sys
import ray
context = ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
CONNECTED = """
import sys
import ray
from maineffect.errors import MaineffectError
from maineffect.execute.cluster.connect import connect
from maineffect.execute.cluster.needs import Needs
ray.init(address=sys.argv[1], namespace="a notebook", log_to_driver=False)
for address in (None, "127.0.0.1:1", sys.argv[1], "auto"):
    try:
        connect(address, Needs(), say=print).close()
        print(f"{address} is used")
    except MaineffectError as error:
        print(error.message, "->", error.hint)
"""


@pytest.mark.live
def test_a_notebook_that_is_connected_to_another_ray_is_told_so(starter) -> None:
    address = starter(CLUSTER, RAY_AUTH_MODE="disabled").stdout.readline().strip()
    done = subprocess.run(
        [sys.executable, "-c", CONNECTED, address],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=60,
    )
    refused = f"this process is connected to a Ray cluster already ({address}), and this sweep asks for "
    way_on = f"give the address {address} to use that one, or call ray.shutdown() first"
    assert [line for line in done.stdout.splitlines() if line] == [
        f"{refused}a Ray of its own -> {way_on}",
        f"{refused}the Ray at 127.0.0.1:1 -> {way_on}",
        f"{address} is used",
        "auto is used",
    ]


def test_what_is_blamed_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = tmp_path / "session_latest" / "logs"
    logs.mkdir(parents=True)
    error = RuntimeError("timed out\nwaiting")
    assert reason_of(tmp_path, error) == "timed out"
    (logs / "raylet.out").write_text(
        "[2026-01-01 00:00:00,1 I 7 7] (raylet) main.cc:1: all is well\n"
        "[2026-01-01 00:00:00,1 E 7 7] (raylet) main.cc:2: a port was taken\n"
    )
    assert reason_of(tmp_path, error) == "raylet: a port was taken (timed out)"
    (logs / "gcs_server.err").write_text(
        "[2026-01-01 00:00:00,1 C 8 8] (gcs_server) server.cc:3:  An unexpected system state has occurred. "
        "Check failed: server_ no room\n"
    )
    assert reason_of(tmp_path, error) == "gcs_server: check failed: server_ no room (timed out)"
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    assert way_out(tmp_path) == "", "nothing is short, so nothing is blamed"
    monkeypatch.setattr(os, "getloadavg", lambda: (160.0, 0.1, 0.1))
    assert way_out(tmp_path).startswith("160 processes want the ")


@pytest.mark.slow  # a minute or more
@pytest.mark.timeout(400)
def test_it_starts_beside_sixteen_busy_processes(starter) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(16)]
    try:
        process = starter()
        said = [process.stdout.readline()]
        while said[-1] and not said[-1].startswith("up"):
            said.append(process.stdout.readline())
        assert said[-1] == "up \n", "".join(said)
    finally:
        for one in busy:
            one.kill()
            one.wait()
