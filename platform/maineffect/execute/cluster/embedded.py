"""A Ray of this process's own: private, and gone without a trace when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
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
from maineffect.process_family import descendants, end_processes, mark_of

__all__ = ["ENVIRONMENT", "NAMESPACE", "NOT_SENT", "keep_ray_quiet", "start"]

NAMESPACE = "maineffect"
NOT_SENT = (".maineffect", ".venv", ".git", "__pycache__", "mlruns", "*.db", "*.parquet")
"""What of a study's folder is not sent to a cluster."""
_FOLDER = "me-ray-"
_OBJECT_STORE_BYTES = 80 * 2**20
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


def start(needs: Needs, workers: int | None, exports: Mapping[str, Any] | None = None) -> Callable[[], None]:
    """An embedded Ray: on the loopback, with a secret and a folder of its own, watched by a supervisor.

    Args:
        needs: What one run needs.
        workers: Most runs at a time; default: as many as fit.
        exports: Whether and where it exports metrics, as arguments of ``ray.init``; default: it exports none.

    Returns:
        What ends it.

    Raises:
        MaineffectError: It does not start.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    keep_ray_quiet()
    own_token = "RAY_AUTH_MODE" not in os.environ
    if own_token:
        # A token of this Ray's own: nobody else on the machine can send it work, and no file in the home is touched.
        _authenticate({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)})
    # Short, because the sockets in it have a path of at most 107 characters.
    _remove_stale_folders()
    me = this_process()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{me.pid:x}-{me.started:x}-", dir=_base()))
    mark = mark_of_this_process()
    guard = _keeper(mark, folder)
    wanted = workers or max(1, int((os.cpu_count() or 1) // needs.cpus))
    reserved = needs.resources().get("CPU", 1.0)
    os.environ[MARK] = mark
    try:
        ray.init(
            address="local",  # a bare init would join whatever cluster a stale file names
            num_cpus=max(1, int(wanted * reserved + 0.999)),
            resources=(needs.custom and {name: wanted * amount for name, amount in needs.custom.items()}) or None,
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            _temp_dir=str(folder),
            _node_ip_address="127.0.0.1",
            **(no_export() if exports is None else exports),
        )
    except Exception as error:
        _end_embedded(guard, folder, mark)
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MaineffectError(
            f"Ray does not start on this machine: {first}", "check free memory, and free disk in the temporary folder"
        ) from error
    finally:
        os.environ.pop(MARK, None)

    def close() -> None:
        _end_embedded(guard, folder, mark)
        if own_token:
            _authenticate({"RAY_AUTH_MODE": None, "RAY_AUTH_TOKEN": None})

    return close


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
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != MARK},
        start_new_session=True,
    )


def _end_embedded(guard: subprocess.Popen[bytes], folder: Path, mark: str) -> None:
    """Shut down, end what stays, and let the supervisor go."""
    import ray

    marked = [child for child in descendants(psutil.Process()) if mark_of(child.pid, MARK) == mark]
    family = {process for child in marked for process in (child, *descendants(child))}
    ray.shutdown()
    end_processes(process for process in {*family, *leftovers(of=mark)} if process.is_running())
    reap()
    with contextlib.suppress(OSError):
        assert guard.stdin is not None
        guard.stdin.write(b".")
        guard.stdin.close()
    guard.wait()
    shutil.rmtree(folder, ignore_errors=True)
