"""Which version of a trainable's code is here, and what of it a cluster must be sent."""

from __future__ import annotations

import hashlib
import importlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maineffect.errors import PluginError
from maineffect.local_modules import local_modules
from maineffect.plugins import found_in, load_trainable, trainable_module

__all__ = [
    "CODE_VARIABLE",
    "Code",
    "OtherCodeError",
    "code_of",
    "code_version",
    "kept_code",
    "packages_to_send",
    "require_code",
]

CODE_VARIABLE = "MAINEFFECT_CODE"
"""Environment variable by which a cluster's processes know what a sweep was submitted with: ``<trainable>@<version>``.
"""
_UNKNOWN = "unknown"
_LISTED = 5


@dataclass(frozen=True)
class Code:
    """The code of a trainable as it is now, or as it was.

    Attributes:
        version: 12 hex digits that depend on relative paths and contents only; ``unknown`` without a source file.
        files: Path as people see it → digest of its content.
    """

    version: str
    files: Mapping[str, str] = field(default_factory=dict)

    def holds(self, earlier: Code) -> bool:
        """Whether every file of an earlier version is here unchanged: files that came since are not its code."""
        return bool(earlier.files) and all(self.files.get(name) == digest for name, digest in earlier.files.items())

    def differences(self, earlier: Code) -> list[str]:
        """What differs from an earlier version, in words, by file."""
        changed = [
            f"{name} {'changed' if name in self.files else 'is gone'}"
            for name, digest in sorted(earlier.files.items())
            if self.files.get(name) != digest
        ]
        return changed + [f"{name} is new" for name in sorted(set(self.files) - set(earlier.files))]

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Code | None:
        """What ``text`` wrote; None for anything else."""
        try:
            content = json.loads(text)
            return cls(str(content["version"]), dict(content["files"]))
        except (ValueError, KeyError, TypeError):
            return None


def code_version(name: str, study_dir: Path | None = None, settings: Mapping[str, Any] | None = None) -> str:
    """Version of the trainable's code as it is now: see :func:`code_of`."""
    return code_of(name, study_dir, settings).version


def code_of(name: str, study_dir: Path | None = None, settings: Mapping[str, Any] | None = None) -> Code:
    """The trainable's code: the package that holds its module, else its module's file, and what these import.

    Imported are modules beside the study and local packages elsewhere (:mod:`maineffect.local_modules`), not what is
    installed. A trainable that says by ``code_files`` which files of the study's folder it runs has these in it too.

    Raises:
        PluginError: The module cannot be imported.
    """
    module, attribute = trainable_module(name, study_dir)
    file = Path(getattr(module, "__file__", None) or "")
    if not file.is_file():
        return Code(_UNKNOWN)
    in_package = (file.parent / "__init__.py").is_file()
    files = sorted(_python_files(file.parent), key=lambda path: path.as_posix()) if in_package else [file]
    groups = [(file.parent, files)]
    if module.__name__.partition(".")[0] != __name__.partition(".")[0]:
        imported = local_modules(files, module.__package__ or "")
        groups += [(path.parent, [path]) for path in imported if path not in {own.resolve() for own in files}]
    if study_dir is not None and hasattr(getattr(module, attribute, None), "code_files"):
        trainable: Any = load_trainable(name, study_dir)
        groups.append((study_dir, sorted(trainable.code_files(settings or {}))))
    digest, by_name = hashlib.sha256(), {}
    for folder, paths in groups:
        for path in paths:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
            by_name[_shown(path, folder, study_dir)] = hashlib.sha256(content).hexdigest()[:16]
    return Code(digest.hexdigest()[:12], by_name)


def _shown(path: Path, folder: Path, study_dir: Path | None) -> str:
    """A path that means the same on another machine: below the study's folder, else below its package's."""
    if study_dir is not None and path.resolve().is_relative_to(study_dir.resolve()):
        return path.resolve().relative_to(study_dir.resolve()).as_posix()
    return f"{folder.name}/{path.relative_to(folder).as_posix()}"


def _python_files(folder: Path) -> list[Path]:
    """Not what lies in hidden folders, such as an environment: it is no part of a package, and is not sent anywhere."""
    paths = folder.rglob("*.py")
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


class OtherCodeError(PluginError):
    """The trainable's code on this machine is not the code that the sweep was submitted with."""


def require_code(
    name: str,
    study_dir: Path | None,
    expected: str,
    settings: Mapping[str, Any] | None = None,
    *,
    submitted: Code | None = None,
    driver: str = "",
) -> None:
    """Refuse to run another version of the trainable's code than the one that will be recorded.

    Args:
        name: The trainable.
        study_dir: Folder of the study.
        expected: Version that the sweep was submitted with; empty or ``unknown`` where nobody knows.
        settings: The study's settings, which may say what belongs to the code.
        submitted: The code of that version, where it is known file by file: what a run itself has written into the
            study's folder since is then not taken for code, and what differs is named.
        driver: Name of the machine that drives the sweep, if it is known: on that one nothing is to be deployed.

    Raises:
        OtherCodeError: Another version is here.
        PluginError: The module cannot be imported.
    """
    if expected in ("", _UNKNOWN):
        return
    code = code_of(name, study_dir, settings)
    if code.version == expected or (submitted is not None and code.holds(submitted)):
        return
    module, _ = trainable_module(name, study_dir)
    here = socket.gethostname()
    named = "" if submitted is None else f"; {_listed(code.differences(submitted))}"
    raise OtherCodeError(
        f"the code of {name!r} on {here} is version {code.version} "
        f"({getattr(module, '__file__', None) or 'no file'}), the sweep was submitted with {expected}{named}",
        "restore what differs, or submit again to run the code as it is"
        if driver == here
        else f"deploy the same code on {here} (build the image again, or submit with --send-code), "
        "or submit again from a machine that has the code you mean",
    )


def _listed(sentences: Sequence[str]) -> str:
    more = f" and {len(sentences) - _LISTED} more" if len(sentences) > _LISTED else ""
    return ", ".join(sentences[:_LISTED]) + more


def kept_code(home: Path, version: str) -> Path:
    """Where a home keeps what a version of a trainable's code was, file by file."""
    return home / "cache" / "code" / f"{version}.json"


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
