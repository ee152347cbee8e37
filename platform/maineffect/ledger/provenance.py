"""Where a number came from: code, versions, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
from functools import lru_cache
from pathlib import Path

__all__ = ["provenance"]

_LIBRARIES = ("maineffect", "ray", "torch", "mlflow", "numpy", "pandas", "scipy", "vllm", "transformers")


@lru_cache(maxsize=4)
def provenance(folder: Path | None = None) -> dict[str, str]:
    """Facts as short strings: git commit and state, versions, host, processors."""
    facts = {"python": platform.python_version(), "host": socket.gethostname(), "machine": platform.machine()}
    facts["cpus"] = str(os.cpu_count())
    for name in _LIBRARIES:
        try:
            facts[f"version.{name}"] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    commit = _git(["rev-parse", "HEAD"], folder)
    if commit:
        facts["git.commit"] = commit
        facts["git.dirty"] = "yes" if _git(["status", "--porcelain", "--untracked-files=no"], folder) else "no"
    return facts


def _git(words: list[str], folder: Path | None) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
