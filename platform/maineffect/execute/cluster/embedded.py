"""A Ray of this process's own: private, and gone without a trace when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from maineffect.errors import MaineffectError
from maineffect.execute.cluster import supervisor
from maineffect.execute.cluster.board import no_export
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.processes import (
    MARK,
    leftovers,
    mark_of_this_process,
    reap,
    this_process,
)
from maineffect.execute.cluster.room import require_room, usable_cores
from maineffect.execute.cluster.signals import hangup_held, heard_by_supervisor
from maineffect.execute.cluster.starting import ended_for_memory, keep_logs, reason_of, way_out
from maineffect.process_family import descendants, end_processes, mark_of

__all__ = ["ENVIRONMENT", "NAMESPACE", "NOT_SENT", "keep_ray_quiet", "last_words", "load_ray", "start"]

NAMESPACE = "maineffect"
NOT_SENT = (".maineffect", ".venv", ".git", "__pycache__", "mlruns", "*.db", "*.parquet")
"""What of a study's folder is not sent to a cluster."""
_FOLDER = "me-ray-"
_OBJECT_STORE_BYTES = 80 * 2**20
_NODE_VARIABLE = "RAY_RAYLET_PID"
_GOOD_BYE_SECONDS = 15.0
_PAUSES = (2.0, 10.0)
"""Seconds before another try to start Ray."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Accelerators are only set by what a run asks for; Ray must not blank them for runs that ask for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # One training thread per run: two threads on one core are slower than one, and change the last digits.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def start(
    needs: Needs,
    workers: int | None,
    exports: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda _sentence: None,
) -> Callable[[], None]:
    """An embedded Ray: on the loopback, with a secret and a folder of its own, watched by a supervisor.

    On a busy machine Ray's processes may miss each other's deadlines: it is tried up to three times.

    Args:
        needs: What one run needs.
        workers: Most runs at a time; default: as many as fit.
        exports: Whether and where it exports metrics, as arguments of ``ray.init``; default: it exports none.
        say: Called with what the user should know while it starts.

    Returns:
        What ends it.

    Raises:
        MaineffectError: A run can never fit here; or Ray does not start: says what Ray's own logs say, and what was
            found to be short.
        KeyboardInterrupt: It was told to stop meanwhile; nothing of it is left.
    """
    wanted = workers or max(1, int(usable_cores() / needs.cpus + 1e-9))
    reserved = needs.resources()
    # Custom resources of a run stand for nothing on this machine: it has what its runs need.
    custom = {name: wanted * reserved[name] for name in needs.custom if name in reserved}
    require_room(needs, custom)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    load_ray()
    keep_ray_quiet()
    _remove_stale_folders()
    options = {
        "num_cpus": max(1, int(wanted * reserved.get("CPU", 1.0) + 0.999)),
        "resources": custom or None,
    }
    tried = 0
    while True:
        tried += 1
        try:
            return _start_once({**options, **copy.deepcopy(dict(no_export() if exports is None else exports))})
        except _NotStartedError as error:
            if tried > len(_PAUSES):
                kept = f"Ray's logs are kept in {error.logs}" if error.logs is not None else ""
                hint = "; ".join(part for part in (way_out(_base()), kept) if part)
                raise MaineffectError(f"Ray did not start on this machine in {tried} tries: {error}", hint) from error
            if error.logs is not None:
                shutil.rmtree(error.logs, ignore_errors=True)
            say(f"Ray did not start: {error}; tried again in {_PAUSES[tried - 1]:g} s")
            time.sleep(_PAUSES[tried - 1])


class _NotStartedError(Exception):
    """One try failed.

    Args:
        reason: Why.
        logs: Copy of Ray's logs.
    """

    def __init__(self, reason: str, logs: Path | None) -> None:
        super().__init__(reason)
        self.logs = logs


def _start_once(options: Mapping[str, Any]) -> Callable[[], None]:
    """One try; whatever ends it, nothing of it stays.

    Raises:
        _NotStartedError: It does not start.
        KeyboardInterrupt: It was told to stop meanwhile.
    """
    import ray

    own_token = "RAY_AUTH_MODE" not in os.environ
    if own_token:
        # A token of this Ray's own: nobody else on the machine can send it work, and no file in the home is touched.
        _authenticate({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)})
    me = this_process()
    # Short, because the sockets in it have a path of at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{me.pid:x}-{me.started:x}-", dir=_base()))
    mark = mark_of_this_process()
    guard = _keeper(mark, folder)

    def close() -> None:
        _end_embedded(guard, folder, mark)
        if own_token:
            _authenticate({"RAY_AUTH_MODE": None, "RAY_AUTH_TOKEN": None})

    os.environ[MARK] = mark
    try:
        assert guard.stdin is not None
        with hangup_held(), heard_by_supervisor(guard.stdin.fileno()), _on_loopback():
            ray.init(
                address="local",  # a bare init would join whatever cluster a stale file names
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
                _temp_dir=str(folder),
                _node_ip_address="127.0.0.1",
                **options,
            )
    except Exception as error:
        failed = _NotStartedError(reason_of(folder, error), keep_logs(folder))
        close()
        raise failed from error
    except SystemExit:  # Ray's own answer to a SIGTERM
        close()
        raise KeyboardInterrupt("terminated") from None
    except BaseException:
        close()
        raise
    finally:
        os.environ.pop(MARK, None)
    return close


def last_words() -> str:
    """What is known of the death of this process's Ray: by its logs, and by the kernel's count of what it ended."""
    me = this_process()
    folders = _base().glob(f"{_FOLDER}{me.pid:x}-{me.started:x}-*")
    said = [reason for folder in folders if (reason := reason_of(folder))]
    ended = ended_for_memory()
    if ended:
        said.append(
            f"the kernel has ended {ended} process(es) of this machine for want of memory since this sweep began: "
            "lower --workers, or what a run needs"
        )
    elif ended == 0:
        said.append("the kernel has ended no process of this machine for want of memory since this sweep began")
    return "; ".join(said)


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray stay on 127.0.0.1, where it would take another address of this machine, for nodes that never come."""
    try:
        constants: Any = importlib.import_module("ray._private.ray_constants")
        before = constants.ENABLE_RAY_CLUSTER
    except (ImportError, AttributeError):
        yield
        return
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _base() -> Path:
    """Where the folders go; a temporary folder of one's own is often too deep for sockets."""
    return Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())


def _remove_stale_folders() -> None:
    """Folders of drivers that were killed together with their supervisor, or before a restart of the machine."""
    for folder in _base().glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError, ValueError):
            pid, started, _ = folder.name.removeprefix(_FOLDER).split("-", 2)
            owner = replace(this_process(), pid=int(pid, 16), started=int(started, 16))
            if folder.stat().st_uid == os.getuid() and owner.alive is False:
                shutil.rmtree(folder, ignore_errors=True)


def load_ray() -> None:
    """Import Ray so that a driver outlives its parent.

    Ray takes the process that ``RAY_RAYLET_PID`` names for a driver's node, and its parent without it. A driver whose
    shell was closed (``submit &``) would exit without a word as soon as its node dies. Ray reads the variable when it
    is loaded; what it starts must not see it.
    """
    if "ray._raylet" in sys.modules or _NODE_VARIABLE in os.environ:
        return
    os.environ[_NODE_VARIABLE] = str(os.getpid())
    try:
        inner: Any = importlib.import_module("ray._raylet")
        inner.Config.initialize("")
    finally:
        del os.environ[_NODE_VARIABLE]


def keep_ray_quiet() -> None:
    """What dies is named by the sweep, once and in words; Ray would print paragraphs on standard output."""
    with contextlib.suppress(ImportError, AttributeError):
        inner: Any = importlib.import_module("ray._private.worker")
        inner.print_to_stdstream = lambda *_args, **_kwargs: None


def _authenticate(settings: Mapping[str, str | None]) -> None:
    """Set Ray's mode and token for this process, which may have read them already."""
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    with contextlib.suppress(ImportError, AttributeError):
        inner: Any = importlib.import_module("ray._raylet")
        inner.Config.initialize("")
        inner.AuthenticationTokenLoader.instance().reset_cache()


def _keeper(mark: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            str(supervisor.__file__),
            str(os.getpid()),
            str(this_process().started),
            f"{MARK}={mark}",
            str(folder),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != MARK},
        start_new_session=True,
    )


def _family(mark: str) -> set[psutil.Process]:
    """Ray's processes, and all that they started."""
    marked = [child for child in descendants(psutil.Process()) if mark_of(child.pid, MARK) == mark]
    return {process for child in marked for process in (child, *descendants(child))}


def _end_embedded(guard: subprocess.Popen[bytes], folder: Path, mark: str) -> None:
    """Shut down, end what stays, and let the supervisor go."""
    import ray

    family = _family(mark)
    ray.shutdown()
    end_processes(process for process in {*family, *leftovers(of=mark)} if process.is_running())
    reap()
    with contextlib.suppress(OSError):
        assert guard.stdin is not None
        guard.stdin.write(supervisor.GOOD_BYE)
        guard.stdin.close()
    try:
        guard.wait(_GOOD_BYE_SECONDS)
    except subprocess.TimeoutExpired:  # it was stopped, perhaps; what it would do is done
        guard.kill()
        guard.wait()
    shutil.rmtree(folder, ignore_errors=True)
