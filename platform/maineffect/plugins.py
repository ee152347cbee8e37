"""Bring your own trainable: an entry point's name or ``module:object``, checked against the contract."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from maineffect.contracts import Trainable
from maineffect.errors import PluginError, Problem

__all__ = ["check_responses", "check_settings", "code_version", "load_trainable"]

_GROUP = "maineffect.trainables"


def load_trainable(name: str, study_dir: Path | None = None) -> Trainable:
    """Import a trainable.

    Args:
        name: ``module:object``, or the name of an entry point in group ``maineffect.trainables``.
        study_dir: Folder of the study; modules beside the study file can be named.

    Raises:
        PluginError: It cannot be found or imported, or is not callable with (request, context).
    """
    module_name, attribute = _target(name)
    module = _import(module_name, name, study_dir)
    target: Any = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            known = [item for item in dir(target) if not item.startswith("_")]
            raise PluginError(f"trainable {name!r}: {module_name} has no {part!r}", _near(part, known))
        target = getattr(target, part)
    if not callable(target):
        raise PluginError(
            f"trainable {name!r} is a {type(target).__name__}, not callable", "name a function or a class instance"
        )
    try:
        inspect.signature(target).bind(None, None)
    except TypeError as error:
        raise PluginError(
            f"trainable {name!r} cannot be called as trainable(request, context): {error}",
            "see maineffect.contracts.Trainable",
        ) from None
    return cast(Trainable, target)


def _target(name: str) -> tuple[str, str]:
    if ":" not in name:
        points = importlib.metadata.entry_points(group=_GROUP)
        for point in points:
            if point.name == name:
                name = point.value
                break
        else:
            names = [point.name for point in points]
            raise PluginError(
                f"no trainable {name!r} is installed",
                f"write module:object, or one of: {', '.join(names) or 'none installed'}",
            )
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise PluginError(f"{name!r} is not module:object", "for example maineffect.lab:train_search_agent")
    return module_name, attribute


def _import(module_name: str, name: str, study_dir: Path | None) -> Any:
    if study_dir is not None:
        folder = str(study_dir.resolve())
        if folder not in sys.path:
            # At the end: a file beside the study must never shadow an installed library.
            sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        where = f" beside the study ({study_dir}) or" if study_dir is not None else ""
        raise PluginError(
            f"trainable {name!r}: no module {missing!r}",
            f"put it{where} on PYTHONPATH, or install the package that has it",
        ) from None
    except Exception as error:
        raise PluginError(
            f"trainable {name!r}: importing {module_name} raised {type(error).__name__}: {error}",
            f"run `python -c 'import {module_name}'` to see the traceback",
        ) from error


def check_settings(trainable: Trainable, settings: Mapping[str, Any]) -> list[Problem]:
    """Validate bound settings by the trainable's own ``settings_model``, if it has one."""
    model = getattr(trainable, "settings_model", None)
    if model is None:
        return []
    schema: Any = model if inspect.isclass(model) else model()
    from pydantic import ValidationError

    try:
        schema.model_validate(settings)
    except ValidationError as error:
        return [_settings_problem(item, schema) for item in error.errors()]
    return []


def _settings_problem(item: Any, model: Any) -> Problem:
    path = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        known: Iterable[str] = _fields(model, item["loc"][:-1])
        return Problem(
            f"the trainable has no setting {path!r}", f"settings.{path}", hint=_near(str(item["loc"][-1]), known)
        )
    return Problem(f"{item['msg'].removeprefix('Value error, ')}, got {item['input']!r}", f"settings.{path}")


def _fields(model: Any, path: Sequence[Any]) -> list[str]:
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", {}))


def check_responses(trainable: Trainable, declared: Sequence[str]) -> list[Problem]:
    """Every declared response must be one that the trainable says it returns (when it says so)."""
    names = getattr(trainable, "response_names", None)
    if names is None:
        return []
    known = list(names() if callable(names) else names)
    return [
        Problem(f"the trainable returns no response {name!r}", f"responses.{name}", hint=_near(name, known))
        for name in declared
        if name not in known
    ]


def code_version(name: str, study_dir: Path | None = None) -> str:
    """Content hash of the trainable's code: its package if it is one of ours, else its module's file."""
    module_name, _ = _target(name)
    module = _import(module_name, name, study_dir)
    file = Path(getattr(module, "__file__", "") or "")
    if not file.is_file():
        return "unknown"
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(file.parent)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _near(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names[:20])}"
