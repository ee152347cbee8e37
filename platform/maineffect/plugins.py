"""Bring your own trainable: an entry point's name or ``module:object``, checked against the contract."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from maineffect.contracts import Trainable
from maineffect.errors import PluginError, Problem

__all__ = [
    "CODE_VARIABLE",
    "OtherCodeError",
    "check_responses",
    "check_settings",
    "code_version",
    "load_trainable",
    "packages_to_send",
    "require_code",
]

CODE_VARIABLE = "MAINEFFECT_CODE"
"""Environment variable by which a cluster's processes know what a sweep was submitted with: ``<trainable>@<version>``.
"""
_GROUP = "maineffect.trainables"
_OWN = {"command": "maineffect.command:run_command"}  # known also where an older installation's metadata is read
_LISTED = 20
_UNKNOWN = "unknown"
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
    module_name, attribute = _target(name)
    target: Any = _import(module_name, name, study_dir)
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            known = [item for item in dir(target) if not item.startswith("_")]
            raise PluginError(f"trainable {name!r}: {module_name} has no {part!r}", _near(part, known)) from None
    _check_callable(target, name)
    if study_dir is not None and (beside := getattr(target, "beside", None)) is not None:
        target = beside(study_dir)
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


def _target(name: str) -> tuple[str, str]:
    if ":" not in name:
        points = importlib.metadata.entry_points(group=_GROUP)
        values = {**{point.name: point.value for point in points}, **_OWN}
        if name not in values:
            hint = f"write module:object, or one of: {', '.join(values) or 'none installed'}"
            close = difflib.get_close_matches(name, values, n=1)
            raise PluginError(f"no trainable {name!r} is installed", f"did you mean {close[0]!r}?" if close else hint)
        name = values[name]
    module_name, _, attribute = name.partition(":")
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
        if module_name != missing and not module_name.startswith(f"{missing}."):
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
        raise PluginError(f"trainable {name!r}: importing {module_name} raised {what}", hint) from error


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
            if file and Path(file).is_relative_to(inside) and _found_in(key, inside, file):
                del sys.modules[key]
    _folder[:] = []
    if folder not in sys.path:
        sys.path.append(folder)
        _folder.append(folder)


def _found_in(module_name: str, folder: Path, file: str) -> bool:
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
    known = list(names)
    return [
        Problem(f"the trainable returns no response {name!r}", f"responses.{name}", hint=_near(name, known))
        for name in declared
        if name not in known
    ]


def code_version(name: str, study_dir: Path | None = None, settings: Mapping[str, Any] | None = None) -> str:
    """Content hash of the trainable's code: of the package that holds its module, else of its module's file.

    A trainable that says by ``code_files`` which files of the study's folder it runs has these in it too.

    Returns:
        12 hex digits that depend on relative paths and contents only; ``unknown`` for a module without a source file.

    Raises:
        PluginError: The module cannot be imported.
    """
    module_name, attribute = _target(name)
    module = _import(module_name, name, study_dir)
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
    found = folder.rglob("*.py")
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


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
    found = code_version(name, study_dir, settings)
    if found != expected:
        module_name, _ = _target(name)
        raise OtherCodeError(
            f"the code of {name!r} on {socket.gethostname()} is version {found} "
            f"({getattr(sys.modules[module_name], '__file__', None) or 'no file'}), "
            f"the sweep was submitted with {expected}",
            "deploy the same code there (build the image anew, or submit with --send-code), "
            "or submit again from a machine that has the code you mean",
        )


def packages_to_send(name: str, study_dir: Path | None = None) -> tuple[Path, ...]:
    """What a cluster must be sent to run this machine's code: maineffect, and the trainable's package or module.

    What lies in the study's folder is not among them: it is sent with the folder.

    Raises:
        PluginError: The module cannot be imported.
    """
    module_name, _ = _target(name)
    _import(module_name, name, study_dir)
    found = []
    for top in dict.fromkeys((__name__.partition(".")[0], module_name.partition(".")[0])):
        module = importlib.import_module(top)
        file = Path(getattr(module, "__file__", None) or "")
        if not file.is_file() or (study_dir is not None and _found_in(top, study_dir.resolve(), str(file))):
            continue
        found.append(file.parent if file.name == "__init__.py" else file)
    return tuple(found)


def _near(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names[:_LISTED])}{' …' if len(names) > _LISTED else ''}" if names else ""
