"""What is wrong with a command, its placeholders and its files, before anything runs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from maineffect.command.settings import SECRET_REFERENCE, CommandSettings
from maineffect.command.template import Slot, Template, TemplateError, parse
from maineffect.contracts import Level
from maineffect.errors import Problem

__all__ = ["PLACES", "RUN_PLACES", "problems_of", "setting_values"]

RUN_PLACES = ("seed", "base_seed", "evaluation_seed", "replicate", "run_id")
PLACES = (*RUN_PLACES, "run_dir", "results", "metrics", "checkpoint", "study_dir", "python")
"""Placeholders that every run fills, whatever the study's factors."""
_READ = {"steps"}  # read for the progress, whether or not the command is given it
_SECRET = re.compile(r"(?i)(^|_)(api_?key|key|token|secret|pass|password|passwd|passphrase|credentials?)$")
_SCRIPT_SUFFIXES = {".py", ".sh", ".bash", ".R", ".jl"}


def setting_values(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Level]:
    """Dotted name → value of every setting that is not one of the command's own: they can be placeholders."""
    values: dict[str, Level] = {}
    for name, value in settings.items():
        if not prefix and name in CommandSettings.model_fields:
            continue
        if isinstance(value, Mapping):
            values |= setting_values(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float):
            values[f"{prefix}{name}"] = value
    return values


def problems_of(settings: Mapping[str, Any], drives: Mapping[str, str], folder: Path) -> list[Problem]:
    """Everything that is wrong for one cell.

    Args:
        settings: The cell's settings, of valid types.
        drives: Factor name → dotted setting that it drives.
        folder: The study's folder.
    """
    command_settings = CommandSettings.model_validate(dict(settings))
    values = setting_values(settings)
    placeholders = {**values, **{name: values[path] for name, path in drives.items() if path in values}}
    problems = list(_collisions(drives, settings))
    templates: dict[str, Template] = {}
    texts = {"command": command_settings.command, **{f"env.{name}": str(v) for name, v in command_settings.env.items()}}
    for where, text in texts.items():
        if where != "command" and SECRET_REFERENCE.fullmatch(text):
            continue
        try:
            templates[where] = parse(text, split=where == "command")
        except TemplateError as error:
            problems.append(Problem(str(error), f"settings.{where}", hint=error.hint))
    problems += _secrets(command_settings)
    for where, template in templates.items():
        problems += _placeholders(template, where, placeholders, drives)
    if len(templates) < len([t for t in texts.values() if not SECRET_REFERENCE.fullmatch(t)]):
        return problems  # what an unreadable template would use is not known
    used = {name for template in templates.values() for name in template.names}
    problems += _unused(used, values, drives)
    problems += _missing_files(templates["command"], command_settings, folder)
    return problems


def _collisions(drives: Mapping[str, str], settings: Mapping[str, Any]) -> Iterator[Problem]:
    taken = [name for name in PLACES if name not in CommandSettings.model_fields and name in settings]
    for name in taken:
        yield Problem(f"{name!r} is a placeholder that every run fills itself", f"settings.{name}", hint="rename it")
    for name, value in settings.items():
        if name not in CommandSettings.model_fields and not isinstance(value, str | int | float | Mapping):
            hint = "give a text, a number, or true or false; longer things belong into a file that the command reads"
            yield Problem(
                f"the setting {name!r} is {value!r}, which cannot be an argument", f"settings.{name}", hint=hint
            )
    for name in drives:
        if name in PLACES and name not in taken:
            yield Problem(f"{name!r} is a placeholder that every run fills itself", f"factors.{name}", hint="rename it")


def _secrets(settings: CommandSettings) -> Iterator[Problem]:
    for name, value in settings.env.items():
        if _SECRET.search(name) and isinstance(value, str) and value and not SECRET_REFERENCE.fullmatch(value):
            yield Problem(
                f"{name} looks like a secret, and a study file is recorded with the sweep",
                f"settings.env.{name}",
                hint=f'write {name}: "${{{name}}}"; it is then taken from the environment in which the run runs',
            )


def _placeholders(
    template: Template, where: str, placeholders: Mapping[str, Level], drives: Mapping[str, str]
) -> Iterator[Problem]:
    names = [*dict.fromkeys([*drives, *placeholders, *PLACES])]
    unknown = [name for name in template.names if name not in placeholders and name not in PLACES]
    for name in unknown:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = (
            f"did you mean {{{near[0]}}}?" if near else f"known: {', '.join(f'{{{candidate}}}' for candidate in names)}"
        )
        hint += "" if re.fullmatch(r"[\w. -]+", name) else "; {{ and }} mean the braces themselves"
        yield Problem(f"nothing fills the placeholder {{{name}}}", f"settings.{where}", hint=hint)
    if unknown:
        return
    try:
        template.fill({**dict.fromkeys(PLACES, "x"), **placeholders})
    except TemplateError as error:
        path = drives.get(error.name, error.name)
        yield Problem(str(error), f"settings.{path}", hint=error.hint)


def _unused(used: set[str], values: Mapping[str, Level], drives: Mapping[str, str]) -> Iterator[Problem]:
    """A factor that nothing reads would be reported as one without effect."""
    driven = {path: name for name, path in drives.items()}
    for path in values:
        name = driven.get(path, path)
        if path in used or name in used or (path in _READ and path not in driven):
            continue
        if path in driven:
            message, hint = f"neither command nor env reads the factor {name!r}", f"write {{{name}}} where it belongs"
        else:
            near = difflib.get_close_matches(path, CommandSettings.model_fields, n=1)
            message = f"neither command nor env reads the setting {path!r}"
            hint = f"did you mean {near[0]!r}?" if near else f"write {{{path}}} where it belongs, or remove it"
        yield Problem(message, f"settings.{path}", hint=hint)


def _missing_files(template: Template, settings: CommandSettings, folder: Path) -> Iterator[Problem]:
    for number, word in enumerate(template.words):
        if len(word) != 1 or isinstance(word[0], Slot):
            continue
        path = PurePosixPath(word[0])
        if path.suffix not in _SCRIPT_SUFFIXES or path.is_absolute() or (folder / path).exists():
            continue
        if number == 0 and len(path.parts) == 1:
            continue  # a program on PATH
        near = difflib.get_close_matches(path.name, [p.name for p in folder.glob(f"*{path.suffix}")], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        yield Problem(
            f"there is no {path} in {folder}",
            "settings.command",
            hint=f"{hint}the working directory is the study's folder",
        )
        return  # what stands behind a script's name is the script's own business
    for pattern in settings.files:
        if not any(path.is_file() for path in folder.glob(pattern)):
            yield Problem(f"{pattern!r} names no file in {folder}", "settings.files", hint="patterns as conf/*.json")
