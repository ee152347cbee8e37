"""Study file → StudySpec: every problem at once, each with file, line, offending value and the way out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from maineffect.errors import Problem, SpecError
from maineffect.spec.crosscheck import Parts, cross_check, parts_of
from maineffect.spec.factors import Factor
from maineffect.spec.library import resolve_factors
from maineffect.spec.names import name_findings
from maineffect.spec.problems import Finding
from maineffect.spec.questions.scaling import Scaling
from maineffect.spec.requests import DesignRequest, FollowUp
from maineffect.spec.responses import Hypothesis, Response
from maineffect.spec.study import AnalysisPlan, StudySpec
from maineffect.spec.translate import translate
from maineffect.spec.yaml_lines import Sources, read_yaml

__all__ = ["load_study", "locate_settings"]

T = TypeVar("T")


def load_study(path: Path) -> StudySpec:
    """Read and validate a study file.

    Values mean what they say: ``"3"`` is not a number, ``true`` is not 1, ``on`` is a word (see
    :mod:`maineffect.spec.yaml_lines`).

    Args:
        path: YAML file; ``use:`` paths in it are relative to its folder.

    Raises:
        SpecError: Holds every problem found, in file order.
    """
    study, problems, _ = _load(Path(path))
    if study is None or problems:
        raise SpecError(_in_order(problems, str(path)))
    return study


def locate_settings(path: Path, study: StudySpec, problems: Iterable[Problem]) -> list[Problem]:
    """Give problems with bound settings the file and line of what caused them.

    Args:
        path: The study file, unchanged since ``study`` was loaded from it.
        study: The study.
        problems: As :func:`maineffect.plugins.check_settings` returns them: paths are ``settings.world.hops``.

    Returns:
        The same problems, without repeats. One with a setting that a factor drives points at that factor's binding
        (if the trainable has no such setting) or levels.
    """
    _, _, sources = _load(Path(path))
    findings = (_blamed(problem, study) for problem in problems)
    return _in_order([sources.place(finding) for finding in findings], str(path))


def _blamed(problem: Problem, study: StudySpec) -> Finding:
    """The place in the study that caused a trainable's complaint."""
    section, _, name = problem.path.partition(".")
    if section == "responses" and name in study.responses:
        return Finding(("responses", name), problem.message, problem.hint)
    drivers = (f for f in study.factors.values() if name and f"{f.setting}.".startswith(f"{name}."))
    factor = next(drivers, None) if section == "settings" else None
    if factor is None:
        return Finding(tuple(problem.path.split(".")), problem.message, problem.hint)
    part = "binds" if "no setting" in problem.message else "levels"
    return Finding(("factors", factor.name, part), f"{problem.message} (setting {name})", problem.hint)


def _load(path: Path) -> tuple[StudySpec | None, list[Problem], Sources]:
    located = read_yaml(path)
    sources = Sources(located)
    problems = list(located.problems)
    if not isinstance(located.value, dict):
        kind = "empty" if located.value is None else f"a {_WORDS.get(type(located.value), 'single value')}"
        hint = "begin with `schema_version: 1` and `name: my-study`"
        problems = problems or [Problem(f"a study file is a mapping; this one is {kind}", "", str(path), 1, hint)]
        raise SpecError(problems)
    if "optimise" in located.value:
        message = "this file searches for a best setting: it is no whole study, and follows a finished sweep"
        found = sources.place(Finding(("optimise",), message, f"maineffect optimise SWEEP --study {path}"))
        raise SpecError([found])
    factors, lost = resolve_factors(sources, path.parent, problems)
    document = {**located.value, "responses": _responses(sources, problems)}
    if "factors" in document:
        document["factors"] = factors
    if "responses" not in located.value:
        del document["responses"]
    study, findings = _validate(document, lost)
    reported = {(problem.file, problem.path) for problem in problems}
    placed = [sources.place(finding) for finding in findings]
    problems += [problem for problem in placed if (problem.file, problem.path) not in reported]
    return study, problems, sources


_WORDS: dict[type, str] = {list: "list", str: "text"}


def _in_order(problems: Sequence[Problem], first: str) -> list[Problem]:
    """In the order of lines, the study file before its libraries."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file != first, p.file, p.line or 0))


def _responses(sources: Sources, problems: list[Problem]) -> Any:
    """The responses with each entry's key written into it as its name."""
    section = sources.study.value.get("responses")
    if not isinstance(section, dict):
        return section
    runs = sources.study.value.get("trainable") is not None
    named: dict[str, Any] = {}
    for name, body in section.items():
        findings = name_findings("response", ("responses", name), name, runs=runs)
        if isinstance(body, dict) and "name" in body:
            findings.append(Finding(("responses", name, "name"), "unknown key 'name'", "its name is its key"))
        problems += [sources.place(finding) for finding in findings]
        named[name] = {**(body or {}), "name": name} if isinstance(body, dict) or body is None else body
    return named


def _validate(document: dict[str, Any], lost: set[str]) -> tuple[StudySpec | None, list[Finding]]:
    """The study if it is valid; else what is wrong with it, references of its valid parts included."""
    # JSON in strict mode: lists become tuples and words become enums, and nothing else is converted.
    try:
        study = StudySpec.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        findings = translate(error.errors(), document)
        told = {("factors", name) for name in lost}
        return None, [f for f in findings if f.path not in told] + cross_check(_parts(document))
    return study, cross_check(parts_of(study))


def _parts(document: dict[str, Any]) -> Parts:
    """The parts that are valid by themselves."""
    settings = document.get("settings")
    hypotheses = document.get("hypotheses")
    claims = enumerate(hypotheses if isinstance(hypotheses, list) else [])
    valid = {i: _part(Hypothesis, body) for i, body in claims}
    return Parts(
        factors=_entries(Factor, document.get("factors")),
        responses=_entries(Response, document.get("responses")),
        hypotheses={i: claim for i, claim in valid.items() if claim is not None},
        design=_part(DesignRequest, document.get("design")),
        analysis=_part(AnalysisPlan, document.get("analysis", {})),
        settings=settings if isinstance(settings, dict) else {},
        follow_up=_part(FollowUp, document["follow_up"]) if document.get("follow_up") is not None else None,
        follows=document.get("follow_up") is not None,
        scaling=_part(Scaling, document["scaling"]) if document.get("scaling") is not None else None,
    )


def _entries(model: type[T], section: Any) -> dict[str, T | None] | None:
    return {name: _part(model, body) for name, body in section.items()} if isinstance(section, dict) else None


def _part(model: Any, body: Any) -> Any:
    try:
        return TypeAdapter(model).validate_json(json.dumps(body), strict=True)
    except ValidationError:
        return None
