"""Where a number came from: code, versions, machine, environment."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
from functools import lru_cache
from pathlib import Path

from maineffect.ledger.store.texts import redact

__all__ = ["attempt_facts", "environment_hash", "sweep_facts"]

_LIBRARIES = ("maineffect", "ray", "torch", "mlflow", "numpy", "pandas", "scipy", "vllm", "transformers")


@lru_cache(maxsize=4)
def sweep_facts(folder: Path | None = None) -> dict[str, str]:
    """Tags of a sweep: git commit and state of ``folder``, versions, a hash of all installed packages, the machine."""
    facts = {**machine_facts(), "me.env.hash": environment_hash(), "mlflow.user": _user()}
    for name in _LIBRARIES:
        if (version := _version(name)) is not None:
            facts[f"me.version.{name}"] = version
    commit = _run(["git", "rev-parse", "HEAD"], folder)
    if commit:
        facts["mlflow.source.git.commit"] = commit
        facts["me.git.dirty"] = (
            "yes" if _run(["git", "status", "--porcelain", "--untracked-files=no"], folder) else "no"
        )
        remote = _run(["git", "remote", "get-url", "origin"], folder)
        # A folder of this machine tells nobody else where the code is.
        if remote and (":" in remote and not remote.startswith("file:")):
            facts["mlflow.source.git.repoURL"] = redact(remote)
    return facts


@lru_cache(maxsize=4)
def attempt_facts(code_version: str) -> dict[str, str]:
    """Tags of an attempt: what may differ from run to run. Starts no process, so that a run starts at once."""
    facts = {
        "me.host": socket.gethostname(),
        "me.pid": str(os.getpid()),
        "me.python": platform.python_version(),
        "mlflow.user": _user(),
    }
    if code_version:
        facts["me.code"] = code_version
    if devices := os.environ.get("CUDA_VISIBLE_DEVICES"):
        facts["me.cuda_visible_devices"] = devices
    return facts


def machine_facts() -> dict[str, str]:
    """The machine in a few words."""
    facts = {
        "me.host": socket.gethostname(),
        "me.python": platform.python_version(),
        "me.machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "me.cpus": str(os.cpu_count()),
    }
    with contextlib.suppress(ValueError, OSError):
        facts["me.memory_gb"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f}"
    if shutil.which("nvidia-smi"):
        facts["me.gpus"] = (
            _run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"], None) or "none"
        )
    return facts


def environment_hash() -> str:
    """SHA-256 of every installed distribution and its version: equal environments, equal hashes."""
    installed = {
        f"{dist.name.lower().replace('_', '-')}=={dist.version}" for dist in importlib.metadata.distributions()
    }
    return hashlib.sha256("\n".join(sorted(installed)).encode()).hexdigest()[:16]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _run(words: list[str], folder: Path | None) -> str:
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
