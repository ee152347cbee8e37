"""A study that is written in Python → a study file, and a function → the name under which a sweep finds it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from maineffect.errors import UsageError

__all__ = ["folder_of", "named", "write_study"]

_HEADER = "# Written by maineffect from a study in Python, and written again whenever that changes.\n"


def named(trainable: str | Callable[..., Any]) -> str:
    """``module:function``, by which every process of a sweep imports the trainable.

    Raises:
        UsageError: A function that no other process can import: defined in a notebook's cell, inside another function,
            or without a name.
    """
    if isinstance(trainable, str):
        return trainable
    name = getattr(trainable, "__qualname__", "")
    module = getattr(trainable, "__module__", "")
    if not name or not name.replace(".", "").isidentifier():
        raise UsageError(
            f"{trainable!r} has no name that another process could import", "define it at the top of a module"
        )
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        if file is None:
            raise UsageError(
                f"{name} is defined in a notebook or an interactive session, where no other process can import it",
                "write it into a file beside the notebook (%%writefile train.py), and import it from there",
            )
        module = Path(file).stem
    return f"{module}:{name}"


def folder_of(trainable: str | Callable[..., Any] | None) -> Path:
    """The folder of a function's own file; the current one where it comes from a package that is installed."""
    if trainable is None or isinstance(trainable, str):
        return Path()
    folder = Path(inspect.getfile(trainable)).resolve().parent
    installed = any(part in {"site-packages", "dist-packages"} for part in folder.parts)
    return Path() if installed or "." in getattr(trainable, "__module__", "") else folder


def write_study(document: Mapping[str, Any], folder: Path) -> Path:
    """Write ``<name>.yaml``, unless it says this already.

    Raises:
        UsageError: There is a file of that name which somebody else wrote, or the study has no name.
    """
    import yaml

    name = document.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        raise UsageError(f"{name!r} is no name for a study", "give it a name such as evidence-regimes")
    path = folder / f"{name}.yaml"
    text = _HEADER + yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)
    if path.exists():
        there = path.read_text(encoding="utf-8")
        if there == text:
            return path
        if not there.startswith(_HEADER):
            raise UsageError(f"{path} is there already, and somebody else wrote it", "name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
