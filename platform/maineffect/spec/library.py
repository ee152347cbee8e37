"""``use: maineffect/world#hops`` → the library's factor; keys written in the study win.

A library is a file, named from the study's folder, or one of those that come with the package: ``maineffect/NAME``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from maineffect.errors import Problem, SpecError
from maineffect.spec.names import name_findings
from maineffect.spec.problems import Finding, KeyPath, nearest, shown
from maineffect.spec.yaml_lines import Located, Sources, read_yaml

__all__ = ["packaged_libraries", "resolve_factors"]

_PACKAGED = re.compile(r"maineffect/([a-z_]+)")
_LIBRARIES = Path(__file__).parents[1] / "factor_specs"


def packaged_libraries() -> dict[str, Path]:
    """The factor libraries that come with the package, by their names in ``use: maineffect/NAME#factor``."""
    return {path.stem: path for path in sorted(_LIBRARIES.glob("*.yaml"))}


def resolve_factors(sources: Sources, folder: Path, problems: list[Problem]) -> tuple[Any, set[str]]:
    """Replace every ``use:`` by the library's entry.

    Args:
        sources: The study file; learns which values came from which library.
        folder: Folder that ``use:`` is relative to.
        problems: Receives what is wrong with names and references.

    Returns:
        The ``factors`` section with names filled in, and the names whose entry could not be found.
    """
    section = sources.study.value.get("factors")
    if not isinstance(section, dict):
        return section, set()
    libraries: dict[str, Located | Problem] = {}
    resolved: dict[str, Any] = {}
    lost: set[str] = set()
    for name, body in section.items():
        path: KeyPath = ("factors", name)
        findings = name_findings("factor", path, name, runs=sources.study.value.get("trainable") is not None)
        problems += [sources.place(finding) for finding in findings]
        entry = body
        if isinstance(body, dict):
            if "name" in body:
                finding = Finding((*path, "name"), "unknown key 'name'", "a factor's name is its key")
                problems.append(sources.place(finding))
            if "use" in body:
                entry = _use(path, body, sources, folder, libraries, problems)
        if entry is None and body is not None:
            lost.add(name)
        resolved[name] = {**entry, "name": name} if isinstance(entry, dict) else entry
    return resolved, lost


def _use(
    path: KeyPath,
    body: dict[str, Any],
    sources: Sources,
    folder: Path,
    libraries: dict[str, Located | Problem],
    problems: list[Problem],
) -> dict[str, Any] | None:
    def refuse(message: str, hint: str) -> None:
        problems.append(sources.place(Finding((*path, "use"), message, hint)))

    text = body["use"]
    file, _, wanted = text.partition("#") if isinstance(text, str) else ("", "", "")
    if not file or not wanted:
        refuse(f"{shown(text)} is not library#factor", "write maineffect/world#hops, or your-library.yaml#hops")
        return None
    if (packaged := _PACKAGED.fullmatch(file)) and packaged[1] not in packaged_libraries():
        there = ", ".join(f"maineffect/{name}" for name in packaged_libraries())
        refuse(f"no library {file} comes with the package", nearest(packaged[1], packaged_libraries()) or there)
        return None
    library = _library(file, folder, libraries, problems)
    if isinstance(library, Problem):
        beside = (
            sorted(str(sibling.name) for sibling in (folder / file).parent.glob("*.yaml")) if "\0" not in file else []
        )
        near = nearest(Path(file).name, beside)
        refuse(f"{library.message}: {library.file}", near or "the path is relative to the study file")
        return None
    entries = library.value if isinstance(library.value, dict) else {}
    entry = entries.get(wanted)
    if not isinstance(entry, dict):
        refuse(f"{file} has no factor {wanted!r}", nearest(wanted, entries) or "the library is empty")
        return None
    local = {key: value for key, value in body.items() if key != "use"}
    for key in entry:
        if key not in local:
            sources.borrowed[(*path, key)] = (library, (wanted, key))
    return {"binds": wanted, **entry, **local}


def _library(
    file: str, folder: Path, libraries: dict[str, Located | Problem], problems: list[Problem]
) -> Located | Problem:
    """Read a library once; what is wrong inside it is said once, at its own lines."""
    if file not in libraries:
        packaged = _PACKAGED.fullmatch(file)
        try:
            read = read_yaml(packaged_libraries()[packaged[1]] if packaged else folder / file)
        except SpecError as error:
            (libraries[file],) = error.problems
            if error.problems[0].line is not None:
                problems += error.problems
        else:
            libraries[file] = read
            problems += read.problems
    return libraries[file]
