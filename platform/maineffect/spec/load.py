"""Study file → StudySpec: every problem at once, each with file, line, offending value and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from maineffect.errors import Problem, SpecError
from maineffect.spec.crosscheck import cross_check
from maineffect.spec.requests import REQUESTS
from maineffect.spec.study import StudySpec
from maineffect.spec.yaml_lines import Located, read_yaml

__all__ = ["load_study", "nearest"]

_FORBIDDEN_IN_NAMES = (":", "^", "\n", "\r", "\t")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or lists what there is."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else ""


def load_study(path: Path) -> StudySpec:
    """Read and validate a study file.

    Args:
        path: YAML file; ``use:`` paths in it are relative to its folder.

    Raises:
        SpecError: Holds every problem found.
    """
    located = read_yaml(path)
    if not isinstance(located.value, dict):
        found = "empty" if located.value is None else f"a {type(located.value).__name__}"
        raise SpecError([Problem(f"a study file is a mapping, this one is {found}", file=str(path), line=1)])
    origins: dict[tuple[str | int, ...], tuple[Located, tuple[str | int, ...]]] = {}
    problems: list[Problem] = []
    document = dict(located.value)
    document["factors"] = _resolve_factors(located, path.parent, origins, problems)
    document["responses"] = _named(document.get("responses"))
    try:
        study = StudySpec.model_validate(document)
    except ValidationError as error:
        problems += [_problem(item, document, located, origins) for item in error.errors()]
        raise SpecError(_in_order(problems)) from None
    problems += [_place(problem, located) for problem in cross_check(study)]
    if problems:
        raise SpecError(_in_order(problems))
    return study


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line or 0))


def _named(section: Any) -> Any:
    """Write each entry's key into it as its name."""
    if not isinstance(section, dict):
        return section
    return {k: {**(v or {}), "name": k} if isinstance(v, dict) or v is None else v for k, v in section.items()}


def _resolve_factors(located: Located, folder: Path, origins: dict[Any, Any], problems: list[Problem]) -> Any:
    """Replace ``use: library.yaml#name`` by the library's entry, local keys winning."""
    section = located.value.get("factors")
    if not isinstance(section, dict):
        return section
    resolved: dict[str, Any] = {}
    for name, body in section.items():
        where = ("factors", name)
        bad = [sign for sign in _FORBIDDEN_IN_NAMES if sign in name]
        if bad or name.strip() != name or not name:
            message = (
                f"{name!r} cannot be a factor's name: ':' and '^' build terms, line breaks and outer spaces confuse"
            )
            problems.append(Problem(message, "factors", located.file, located.line(where), "rename the factor"))
        entry = body
        if isinstance(body, dict) and "use" in body:
            entry = _use(name, body, located, folder, origins, problems)
        resolved[name] = {**entry, "name": name} if isinstance(entry, dict) else entry
    return resolved


def _use(
    name: str, body: dict[str, Any], located: Located, folder: Path, origins: dict[Any, Any], problems: list[Problem]
) -> dict[str, Any]:
    where = ("factors", name, "use")
    local = {key: value for key, value in body.items() if key != "use"}

    def refuse(message: str, hint: str) -> dict[str, Any]:
        problems.append(Problem(message, ".".join(where), located.file, located.line(where), hint))
        return {"levels": ["?", "??"], **local}

    text = body["use"]
    if not isinstance(text, str) or "#" not in text:
        return refuse(f"{text!r} is not library.yaml#factor", "write use: ../../factor_specs/world.yaml#hops")
    file, _, entry_name = text.partition("#")
    try:
        library = read_yaml(folder / file)
    except SpecError as error:
        return refuse(error.problems[0].message + f": {folder / file}", "the path is relative to the study file")
    entries = library.value if isinstance(library.value, dict) else {}
    entry = entries.get(entry_name)
    if not isinstance(entry, dict):
        return refuse(f"{file} has no factor {entry_name!r}", nearest(entry_name, entries))
    for key in entry:
        if key not in local:
            origins[("factors", name, key)] = (library, (entry_name, key))
    if "binds" not in entry and "binds" not in local:
        entry = {**entry, "binds": entry_name}
    return {**entry, **local}


def _problem(item: Any, document: dict[str, Any], located: Located, origins: dict[Any, Any]) -> Problem:
    """Translate one of pydantic's errors into file:line, path, value and hint."""
    path = tuple(part for part in item["loc"] if not _is_union_tag(part, item["loc"]))
    kind = item["type"]
    message, hint = item["msg"].removeprefix("Value error, "), ""
    if kind == "extra_forbidden":
        message, hint = f"unknown key {path[-1]!r}", nearest(str(path[-1]), _known_keys(path, document))
    elif kind == "missing":
        message = f"{path[-1]!r} is required"
    elif kind in {"union_tag_invalid", "union_tag_not_found"}:
        given = (document.get("design") or {}).get("kind") if isinstance(document.get("design"), dict) else None
        message, path = f"unknown design kind {given!r}", ("design", "kind")
        hint = nearest(str(given), REQUESTS)
    elif not isinstance(item["input"], dict):
        message = f"{message}, got {item['input']!r}" if repr(item["input"]) not in message else message
    source, inside = origins.get(path[:3], (located, path))
    inside = (*inside, *path[3:]) if source is not located else path
    return Problem(message, ".".join(map(str, path)), source.file, source.line(inside), hint)


_TAGS = {"tuple[str, ...]", "list", "str", "int", "float", "bool", *REQUESTS}


def _is_union_tag(part: str | int, loc: tuple[str | int, ...]) -> bool:
    """Pydantic puts union tags into paths; a user never wrote them."""
    if not isinstance(part, str):
        return False
    if part.startswith(("literal[", "tuple[", "function-", "constrained-")):
        return True
    return part in _TAGS and loc[0] in {"design", "analysis"} and loc.index(part) > 0


def _known_keys(path: tuple[str | int, ...], document: dict[str, Any]) -> list[str]:
    from maineffect.spec.factors import Factor, StrictModel
    from maineffect.spec.responses import Hypothesis, Response
    from maineffect.spec.study import AnalysisPlan, Resources

    if len(path) == 1:
        return list(StudySpec.model_fields)
    models: dict[str, type[StrictModel]] = {
        "factors": Factor,
        "responses": Response,
        "hypotheses": Hypothesis,
        "analysis": AnalysisPlan,
        "resources": Resources,
    }
    if path[0] == "design":
        kind = (document.get("design") or {}).get("kind")
        return list(REQUESTS[kind].model_fields) if kind in REQUESTS else []
    model = models.get(str(path[0]))
    keys = [] if model is None else [name for name in model.model_fields if name != "name"]
    return [*keys, "use"] if path[0] == "factors" else keys


def _place(problem: Problem, located: Located) -> Problem:
    """Give a cross-check's problem its file and line."""
    path: tuple[str | int, ...] = tuple(int(p) if p.isdigit() else p for p in problem.path.split("/"))
    return Problem(problem.message, ".".join(map(str, path)), located.file, located.line(path), problem.hint)
