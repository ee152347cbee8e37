"""Which files of this machine's own a Python module imports: found by reading, without running anything.

And which it does not, though they lie beside it: what is installed comes first, so it may hide a file of its name.

What is installed (site-packages, the standard library) has a version of its own and is not among them; neither is
maineffect, which records its own.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Hidden", "hidden_modules", "local_modules"]

_OURS = __name__.partition(".")[0]
_LARGEST_SOURCE = 2**20


def local_modules(files: Iterable[Path], package: str = "") -> list[Path]:
    """Files of local modules and packages that some files import, directly or through each other.

    Args:
        files: Where to begin; they are not among the answers.
        package: Dotted name of the package that they are in, for relative imports.

    Returns:
        Sorted paths: of an imported package every module, since what it imports late cannot be foreseen.
    """
    begun = {path.resolve() for path in files}
    seen: dict[Path, str] = dict.fromkeys(begun, package)
    waiting = list(seen.items())
    while waiting:
        path, inside = waiting.pop()
        for name in _imported(path, inside):
            for imported, its_package in _files_of(name.partition(".")[0]):
                if imported not in seen:
                    seen[imported] = its_package
                    waiting.append((imported, its_package))
    return sorted(set(seen) - begun)


@dataclass(frozen=True)
class Hidden:
    """A module beside a study that nobody gets who imports it by its name.

    Attributes:
        file: The module's file, from the study's folder.
        name: Its name.
        by: What is imported instead.
        importer: Which file imports it, from the study's folder; empty if the study itself names it.
    """

    file: str
    name: str
    by: str
    importer: str = ""

    def __str__(self) -> str:
        whose = f"`import {self.name}` in {self.importer} takes" if self.importer else f"{self.name!r} is"
        return f"{self.file} beside the study is hidden: {whose} {self.by}"


def hidden_modules(folder: Path, module: str) -> list[Hidden]:
    """Modules of a study's folder that its trainable means, perhaps, and does not get.

    Args:
        folder: The study's folder, which is on ``sys.path`` behind what is installed.
        module: Dotted name of the trainable's module.
    """
    folder = folder.resolve()
    top = module.partition(".")[0]
    own = _beside(folder, top)
    if own is None:
        return []
    if (other := _taken_instead(own, top)) is not None:
        return [Hidden(own.relative_to(folder).as_posix(), top, other)]
    files = sorted(own.parent.rglob("*.py")) if own.name == "__init__.py" else [own]
    files += [path for path in local_modules(files, top) if path.is_relative_to(folder)]
    found = {}
    for path in files:
        for name in sorted({name.partition(".")[0] for name in _imported(path, "")}):
            beside = _beside(folder, name)
            if beside is not None and name not in found and (other := _taken_instead(beside, name)) is not None:
                places = (beside.relative_to(folder).as_posix(), path.relative_to(folder).as_posix())
                found[name] = Hidden(places[0], name, other, places[1])
    return list(found.values())


def _beside(folder: Path, top: str) -> Path | None:
    """The file of a top-level module or package of a folder."""
    candidates = (folder / top / "__init__.py", folder / f"{top}.py")
    return next((path for path in candidates if path.is_file()), None)


def _taken_instead(beside: Path, top: str) -> str | None:
    """What an import of this name takes, in words, if it is not the file beside the study."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or (spec.origin and spec.has_location and Path(spec.origin).resolve() == beside.resolve()):
        return None
    if top in sys.stdlib_module_names:
        return "Python's own"
    places = list(spec.submodule_search_locations or ()) or [spec.origin or "another module"]
    return f"the installed {places[0]}"


def _imported(path: Path, package: str) -> Iterator[str]:
    """Absolute names that a file imports, at whatever depth of its code."""
    try:
        if path.stat().st_size > _LARGEST_SOURCE:
            return
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module:
                yield node.module
            elif node.level and package:
                yield package


def _files_of(top: str) -> list[tuple[Path, str]]:
    """Files of a top-level module or package that lies on this machine by path, each with its package."""
    if top == _OURS or top in sys.stdlib_module_names:
        return []
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations:
        folders = [Path(place).resolve() for place in spec.submodule_search_locations]
        return [
            (path, top)
            for folder in folders
            if _is_local(folder)
            for path in sorted(folder.rglob("*.py"))
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ]
    file = Path(spec.origin).resolve() if spec.origin and spec.has_location else None
    return [(file, "")] if file is not None and file.suffix == ".py" and _is_local(file) else []


def _is_local(path: Path) -> bool:
    installed = {sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib", "platstdlib")}
    if any(part in ("site-packages", "dist-packages") for part in path.parts):
        return False
    return not any(path.is_relative_to(Path(place).resolve()) for place in installed)
