"""Which files of a study's folder decide what its command does: they are its code version."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from maineffect.errors import PluginError

__all__ = ["code_files"]

_SUFFIXES = {
    *(".py", ".pyx", ".sh", ".bash", ".pl", ".r", ".jl", ".lua", ".rb", ".js", ".ts", ".rs", ".go"),
    *(".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".j2", ".jinja", ".jinja2"),
}
# Where scripts leave what they make; a run that writes there is no other code for the next one.
_OUTPUTS = {
    *("__pycache__", "build", "checkpoints", "dist", "home", "lightning_logs", "log", "logs", "mlartifacts", "mlruns"),
    *("multirun", "node_modules", "out", "output", "outputs", "results", "runs", "tensorboard", "venv", "wandb"),
}
_STUDY = re.compile(rb"^schema_version\s*:", re.MULTILINE)
_MOST_FILES = 2000
_LARGEST_SOURCE = 2**20
_MOST_BYTES = 64 * 2**20


def code_files(folder: Path, patterns: Iterable[str] = ()) -> list[Path]:
    """Source and configuration files below a folder, and those that the patterns name.

    Not among them: what is hidden, outputs by the usual names, study files (the plan has them), and source files of
    more than a megabyte unless they are named.

    Raises:
        PluginError: The folder holds more than a study should, so that every run would read all of it.
    """
    files = {path for path in _walk(folder) if _is_source(path)}
    for pattern in patterns:
        files |= {path for path in folder.glob(pattern) if path.is_file()}
        _hold(folder, files)
    _hold(folder, files)
    return sorted(files)


def _walk(folder: Path) -> Iterable[Path]:
    for where, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not name.startswith(".") and name.lower() not in _OUTPUTS)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(where, name)


def _is_source(path: Path) -> bool:
    if path.suffix.lower() not in _SUFFIXES and path.name != "Makefile":
        return False
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_SOURCE:
            return False
        return path.suffix.lower() not in (".yaml", ".yml") or _STUDY.search(path.read_bytes()) is None
    except OSError:
        return False


def _hold(folder: Path, files: set[Path]) -> None:
    size = sum(path.stat().st_size for path in files)
    if len(files) > _MOST_FILES or size > _MOST_BYTES:
        raise PluginError(
            f"{folder} holds {len(files)} files of code, {size / 2**20:.0f} MB: too much to be one study's",
            f"give the study and its script a folder of their own, below {_MOST_FILES} files and "
            f"{_MOST_BYTES // 2**20} MB",
        )
