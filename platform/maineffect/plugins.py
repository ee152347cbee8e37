"""Bring your own trainable: an entry point's name or ``module:object``, checked against the contract."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from maineffect.contracts import Trainable
from maineffect.errors import PluginError, Problem
from maineffect.local_modules import hidden_modules

__all__ = [
    "check_responses",
    "check_settings",
    "found_in",
    "hidden_beside",
    "load_trainable",
    "trainable_module",
]

_GROUP = "maineffect.trainables"
_OWN = {"command": "maineffect.command:run_command"}  # known also where an older installation's metadata is read
_LISTED = 20
# The study folder that this process has put on sys.path: one at a time, so that no study imports another's files.
_folder: list[str] = []


def load_trainable(name: str, study_dir: Path | None = None) -> Trainable:
    """Import a trainable.

    Args:
        name: ``module:object``, or the name of an entry point in group ``maineffect.trainables``.
        study_dir: Folder of the study; modules beside the study file can be named. Installed modules come first, so
            that a file beside the study never shadows a library.

    Raises:
        PluginError: It cannot be found or imported, or is not callable with (request, context).
    """
    target: Any
    target, attribute = trainable_module(name, study_dir)
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            public_names = [item for item in dir(target) if not item.startswith("_")]
            hint = _hidden(name, study_dir) or _near(part, public_names)
            raise PluginError(f"trainable {name!r}: {_target(name)[0]} has no {part!r}", hint) from None
    _check_callable(target, name)
    if study_dir is not None and (in_study := getattr(target, "in_study", None)) is not None:
        target = in_study(study_dir)
    return cast(Trainable, target)


def _check_callable(target: Any, name: str) -> None:
    if inspect.isclass(target):
        raise PluginError(f"trainable {name!r} is a class", "name a function, or an instance of the class")
    if not callable(target):
        raise PluginError(
            f"trainable {name!r} is a {type(target).__name__}, not callable", "name a function, or a callable instance"
        )
    if inspect.iscoroutinefunction(target) or inspect.isgeneratorfunction(target):
        raise PluginError(f"trainable {name!r} is a coroutine or generator", "return the result from a plain function")
    try:
        inspect.signature(target).bind(None, None)
    except TypeError as error:
        raise PluginError(
            f"trainable {name!r} cannot be called as trainable(request, context): {error}",
            "see maineffect.contracts.Trainable",
        ) from None
    except ValueError:
        return  # a compiled callable without a signature: its first call will tell


def trainable_module(name: str, study_dir: Path | None = None) -> tuple[ModuleType, str]:
    """The module of a trainable, imported, and the name of the trainable in it.

    Raises:
        PluginError: There is no such module, or importing it raised.
    """
    module_name, attribute = _target(name)
    return _import(module_name, name, study_dir), attribute


def _target(name: str) -> tuple[str, str]:
    if ":" not in name:
        points = importlib.metadata.entry_points(group=_GROUP)
        values = {**{point.name: point.value for point in points}, **_OWN}
        if name not in values:
            module, dot, last = name.rpartition(".")
            hint = f"write module:object, or one of: {', '.join(values) or 'none installed'}"
            if dot:
                hint = f"write {module}:{'train' if last == 'py' else last}, as module:object"
            close = difflib.get_close_matches(name, values, n=1)
            raise PluginError(f"no trainable {name!r} is installed", f"did you mean {close[0]!r}?" if close else hint)
        name = values[name]
    module_name, _, attribute = name.partition(":")
    if module_name.endswith(".py"):
        meant = f"{module_name.removesuffix('.py').replace('/', '.')}:{attribute}"
        raise PluginError(f"{name!r} is not module:object", f"write {meant}, without .py")
    if not all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        raise PluginError(f"{name!r} is not module:object", "for example maineffect.lab:train_search_agent")
    return module_name, attribute


def _import(module_name: str, name: str, study_dir: Path | None) -> ModuleType:
    if study_dir is not None:
        _enter(str(study_dir.resolve()))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if study_dir is not None and (hidden := _hidden(name, study_dir)):
            message, hint = f"no module {missing!r}", hidden
        elif module_name != missing and not module_name.startswith(f"{missing}."):
            message, hint = (
                f"{module_name} imports {missing!r}, which is not installed",
                "install it, or run without it",
            )
        else:
            where = f"beside the study ({study_dir}), or " if study_dir is not None else ""
            message, hint = f"no module {missing!r}", f"put it {where}on PYTHONPATH, or install the package that has it"
        raise PluginError(f"trainable {name!r}: {message}", hint) from None
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        hint = (
            f"`python -c 'import {module_name}'` shows the traceback; guard scripts by `if __name__ == \"__main__\":`"
        )
        hint = _hidden(name, study_dir) or hint
        raise PluginError(f"trainable {name!r}: importing {module_name} raised {what}", hint) from error


def hidden_beside(name: str, study_dir: Path) -> list[Problem]:
    """Modules beside the study that its trainable imports by name, and that a library of the same name hides."""
    hint = "rename it if yours is meant: what is installed comes first"
    return [Problem(str(hidden), "trainable", hint=hint) for hidden in hidden_modules(study_dir, _target(name)[0])]


def _hidden(name: str, study_dir: Path | None) -> str:
    """The same in one line, for the way out of an error; empty where nothing is hidden."""
    problems = hidden_beside(name, study_dir) if study_dir is not None else []
    return "; ".join(f"{problem.message}: {problem.hint}" for problem in problems)


def _enter(folder: str) -> None:
    """Put one study's folder at the end of sys.path, and take out the one before with its modules."""
    if folder in _folder:
        return
    for old in _folder:
        if old in sys.path:
            sys.path.remove(old)
        inside = Path(old)
        for key, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            # Only what came by our own sys.path entry: an installed package may well live below the folder.
            if file and Path(file).is_relative_to(inside) and found_in(key, inside, file):
                del sys.modules[key]
    _folder[:] = []
    if folder not in sys.path:
        sys.path.append(folder)
        _folder.append(folder)


def found_in(module_name: str, folder: Path, file: str) -> bool:
    """Whether a module's file is where its dotted name leads from the folder."""
    stem = folder.joinpath(*module_name.split("."))
    return Path(file) in {stem.with_suffix(".py"), stem / "__init__.py"}


def check_settings(
    trainable: Trainable, settings: Mapping[str, Any], drives: Mapping[str, str] | None = None
) -> list[Problem]:
    """Validate bound settings by the trainable's own ``settings_model`` and ``check_run``, as far as it has them.

    Args:
        trainable: The trainable.
        settings: A cell's settings.
        drives: Factor name → dotted setting that it drives; without it ``check_run`` is not asked.

    Returns:
        Problems whose paths are ``settings.section.key``.

    Raises:
        PluginError: ``settings_model`` is not a pydantic model, or making it raised.
    """
    model = getattr(trainable, "settings_model", None)
    problems = [] if model is None else _model_problems(model, settings)
    check = getattr(trainable, "check_run", None)
    if problems or check is None or drives is None:
        return problems
    return list(check(settings, drives))


def _model_problems(model: Any, settings: Mapping[str, Any]) -> list[Problem]:
    from pydantic import BaseModel, ValidationError

    try:
        schema: Any = model if inspect.isclass(model) else model()
    except Exception as error:
        raise PluginError(f"the trainable's settings_model raised {type(error).__name__}: {error}") from error
    if not (inspect.isclass(schema) and issubclass(schema, BaseModel)):
        hint = "give a pydantic model class, or a function without arguments that returns one"
        raise PluginError(f"the trainable's settings_model is {schema!r}, not a pydantic model", hint)
    try:
        schema.model_validate(dict(settings))
    except ValidationError as error:
        return list(dict.fromkeys(_settings_problem(item, schema) for item in error.errors()))
    return []


def _settings_problem(item: Any, model: Any) -> Problem:
    path = ".".join(map(str, item["loc"]))
    where = f"settings.{path}" if path else "settings"
    if item["type"] == "extra_forbidden":
        hint = _near(str(item["loc"][-1]), _fields(model, item["loc"][:-1]))
        return Problem(f"the trainable has no setting {path!r}", where, hint=hint)
    if item["type"] == "missing":
        return Problem(f"the trainable needs the setting {path!r}", where, hint="set it in settings, or bind a factor")
    message = item["msg"].removeprefix("Value error, ")
    # What a whole section lacks is said by the message; the section itself is in the study file.
    got = "" if isinstance(item["input"], Mapping) else f", got {item['input']!r}"
    return Problem(f"{message}{got}", where)


def _fields(model: Any, path: Sequence[Any]) -> list[str]:
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        model = None if field is None else field.annotation
    return list(getattr(model, "model_fields", {}))


def check_responses(
    trainable: Trainable, declared: Sequence[str], settings: Mapping[str, Any] | None = None
) -> list[Problem]:
    """Every declared response must be one that the trainable says it returns (when it says so).

    Args:
        trainable: Its ``response_names`` may take the study's settings.
        declared: The study's responses.
        settings: The study's, apart from its factors.
    """
    names = getattr(trainable, "response_names", None)
    if names is None:
        return []
    if callable(names):
        names = names(settings) if inspect.signature(names).parameters else names()
    returned_names = list(names)
    return [
        Problem(f"the trainable returns no response {name!r}", f"responses.{name}", hint=_near(name, returned_names))
        for name in declared
        if name not in returned_names
    ]


def _near(word: str, candidates: Iterable[str]) -> str:
    names = list(candidates)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names[:_LISTED])}{' …' if len(names) > _LISTED else ''}" if names else ""
