"""Which version of a trainable's code is here, and what of it a cluster must be sent."""

from __future__ import annotations

import hashlib
import importlib
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maineffect.errors import PluginError
from maineffect.plugins import found_in, load_trainable, trainable_module

__all__ = ["CODE_VARIABLE", "OtherCodeError", "code_version", "packages_to_send", "require_code"]

CODE_VARIABLE = "MAINEFFECT_CODE"
"""Environment variable by which a cluster's processes know what a sweep was submitted with: ``<trainable>@<version>``.
"""
_UNKNOWN = "unknown"


def code_version(name: str, study_dir: Path | None = None, settings: Mapping[str, Any] | None = None) -> str:
    """Content hash of the trainable's code: of the package that holds its module, else of its module's file.

    A trainable that says by ``code_files`` which files of the study's folder it runs has these in it too.

    Returns:
        12 hex digits that depend on relative paths and contents only; ``unknown`` for a module without a source file.

    Raises:
        PluginError: The module cannot be imported.
    """
    module, attribute = trainable_module(name, study_dir)
    file = Path(getattr(module, "__file__", None) or "")
    if not file.is_file():
        return _UNKNOWN
    in_package = (file.parent / "__init__.py").is_file()
    files = sorted(_python_files(file.parent), key=lambda path: path.as_posix()) if in_package else [file]
    digest = hashlib.sha256()
    _digest(digest, files, file.parent)
    if study_dir is not None and hasattr(getattr(module, attribute, None), "code_files"):
        trainable: Any = load_trainable(name, study_dir)
        _digest(digest, sorted(trainable.code_files(settings or {})), study_dir)
    return digest.hexdigest()[:12]


def _digest(digest: Any, files: Iterable[Path], folder: Path) -> None:
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)


def _python_files(folder: Path) -> list[Path]:
    """Not what lies in hidden folders, such as an environment: it is no part of a package, and is not sent anywhere."""
    paths = folder.rglob("*.py")
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


class OtherCodeError(PluginError):
    """The trainable's code on this machine is not the code that the sweep was submitted with."""


def require_code(name: str, study_dir: Path | None, expected: str, settings: Mapping[str, Any] | None = None) -> None:
    """Refuse to run another version of the trainable's code than the one that will be recorded.

    Args:
        name: The trainable.
        study_dir: Folder of the study.
        expected: Version that the sweep was submitted with; empty or ``unknown`` where nobody knows.
        settings: The study's settings, which may say what belongs to the code.

    Raises:
        OtherCodeError: Another version is here.
        PluginError: The module cannot be imported.
    """
    if expected in ("", _UNKNOWN):
        return
    version = code_version(name, study_dir, settings)
    if version != expected:
        module, _ = trainable_module(name, study_dir)
        raise OtherCodeError(
            f"the code of {name!r} on {socket.gethostname()} is version {version} "
            f"({getattr(module, '__file__', None) or 'no file'}), "
            f"the sweep was submitted with {expected}",
            "deploy the same code there (build the image again, or submit with --send-code), "
            "or submit again from a machine that has the code you mean",
        )


def packages_to_send(name: str, study_dir: Path | None = None) -> tuple[Path, ...]:
    """What a cluster must be sent to run this machine's code: maineffect, and the trainable's package or module.

    What lies in the study's folder is not among them: it is sent with the folder.

    Raises:
        PluginError: The module cannot be imported.
    """
    named, _ = trainable_module(name, study_dir)
    packages = []
    for top in dict.fromkeys((__name__.partition(".")[0], named.__name__.partition(".")[0])):
        module = importlib.import_module(top)
        file = Path(getattr(module, "__file__", None) or "")
        if not file.is_file() or (study_dir is not None and found_in(top, study_dir.resolve(), str(file))):
            continue
        packages.append(file.parent if file.name == "__init__.py" else file)
    return tuple(packages)
