"""The bench of ``tests/execute``, and servers and clusters that can be killed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from maineffect.execute.cluster import embedded
from maineffect.execute.cluster.needs import Needs

_SPEC = importlib.util.spec_from_file_location(
    "bench_of_execute", Path(__file__).parents[1] / "execute" / "conftest.py"
)
_EXECUTE = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _EXECUTE  # dataclasses look their module up
_SPEC.loader.exec_module(_EXECUTE)
bench, empty_database, wait, running = _EXECUTE.bench, _EXECUTE.empty_database, _EXECUTE.wait, _EXECUTE.running


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One embedded Ray for the sweeps that run in this process, unless this session has one already."""
    import ray

    if ray.is_initialized():
        yield
        return
    close = embedded.start(Needs(), 2)
    yield
    close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A real MLflow server that can be killed and started again on the same database and port."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.folder, self.backend, self.port = folder, backend, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        words = ["server", "--workers", "1", "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--backend-store-uri", self.backend, "--artifacts-destination", str(self.folder / "artifacts")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "server.log").open("ab"),
            start_new_session=True,
        )

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the whole session: its workers too."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(bench, wait) -> Iterator[Server]:
    """An MLflow server on the bench's database."""
    made = Server(bench.home, f"sqlite:///{bench.home / 'mlflow.db'}")
    made.start()
    wait(made.answers)
    yield made
    made.kill()


class RayCluster:
    """A head and a second node as separate processes on this machine, as ``ray start`` makes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gcs, self.dashboard, self.client = free_port(), free_port(), free_port()
        self.nodes: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.gcs}"

    def start(self, *words: str, inside: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a node and wait for nothing; ``inside`` is a command that becomes the one that follows it."""
        own = ["--num-cpus=1", "--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0", "--block"]
        own += ["--object-store-memory=80000000", f"--dashboard-agent-listen-port={free_port()}"]
        ray = Path(sys.executable).with_name("ray")
        with (self.folder / "ray.log").open("ab") as log:
            node = subprocess.Popen(
                [*inside, str(ray), "start", *own, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "RAY_AUTH_MODE": "disabled",
                    # A detached driver is started as `python`, which on a cluster's node is the one that has us.
                    "PATH": f"{ray.parent}{os.pathsep}{os.environ['PATH']}",
                },
                start_new_session=True,
            )
        self.nodes.append(node)
        return node

    def head(self, cpus: int = 1) -> None:
        self.start(
            "--head",
            f"--num-cpus={cpus}",
            f"--port={self.gcs}",
            f"--temp-dir={self.folder}",
            f"--dashboard-port={self.dashboard}",
            f"--ray-client-server-port={self.client}",
        )

    def size(self) -> int:
        """Nodes that are alive, as the dashboard says."""
        try:
            url = f"http://127.0.0.1:{self.dashboard}/nodes?view=summary"
            with urllib.request.urlopen(url, timeout=2) as answer:
                summary = json.load(answer)["data"]["summary"]
        except (OSError, KeyError, ValueError):
            return 0
        return sum(node["raylet"].get("state") == "ALIVE" for node in summary)

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """SIGKILL to a node: its raylet, its workers, everything."""
        processes = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait()
        self.nodes.remove(node)

    def close(self) -> None:
        """Kill every node, and what outlives them."""
        for node in list(self.nodes):
            self.kill(node)
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word for word in process.info["cmdline"] or ()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def make_cluster() -> Iterator[Callable[..., RayCluster]]:
    """Makes clusters whose head answers; they end with the module."""
    made: list[RayCluster] = []

    def make(cpus: int = 1) -> RayCluster:
        folder = Path(f"/tmp/me-test-{os.getpid()}-{len(made)}")  # short, because of the sockets in it
        folder.mkdir(mode=0o700)
        made.append(RayCluster(folder))
        made[-1].head(cpus)
        deadline = time.monotonic() + 120
        while made[-1].size() < 1:
            assert time.monotonic() < deadline, (folder / "ray.log").read_text()[-3000:]
            time.sleep(0.5)
        return made[-1]

    before = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    yield make
    for cluster in made:
        cluster.close()
    os.environ.pop("RAY_AUTH_MODE")
    if before is not None:
        os.environ["RAY_AUTH_MODE"] = before


@pytest.fixture(scope="module")
def cluster(make_cluster) -> RayCluster:
    return make_cluster()
