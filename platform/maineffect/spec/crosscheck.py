"""What pydantic cannot see: names that refer to other parts of the study.

Problems carry their path with slashes (factor names may contain dots); the loader finds file and line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from maineffect.contracts import Level
from maineffect.errors import Problem
from maineffect.spec.factors import Factor
from maineffect.spec.responses import Direction
from maineffect.spec.study import StudySpec

__all__ = ["cross_check", "same_level"]


def same_level(a: object, b: object) -> bool:
    """Whether two written levels are the same: 1 and 1.0 are, 1 and true are not."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def _near(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def cross_check(study: StudySpec) -> list[Problem]:
    """Every reference that leads nowhere."""
    return [
        *_terms("analysis/terms", study.analysis.terms, study),
        *_terms("design/model", getattr(study.design, "model", None), study),
        *_hypotheses(study),
        *_hard_to_change(study),
        *_combinations(study),
        *_bindings(study),
    ]


def _term(path: str, term: str, study: StudySpec) -> Iterator[Problem]:
    names = [part.removesuffix("^2") for part in term.split(":")]
    for name in names:
        if name not in study.factors:
            yield Problem(f"term {term!r} names no factor {name!r}", path, hint=_near(name, study.factors))
    if len(set(names)) != len(names):
        yield Problem(f"term {term!r} repeats a factor", path, hint="write a quadratic as `A^2`")
    for part in term.split(":"):
        factor = study.factors.get(part.removesuffix("^2"))
        if part.endswith("^2") and factor is not None and (not factor.is_numeric or len(factor.levels) < 3):
            yield Problem(f"{part!r} needs a numeric factor with three levels or more", path, hint="add a middle level")


def _terms(path: str, terms: object, study: StudySpec) -> Iterator[Problem]:
    if isinstance(terms, tuple):
        for i, term in enumerate(terms):
            yield from _term(f"{path}/{i}", term, study)


def _hypotheses(study: StudySpec) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, hypothesis in enumerate(study.hypotheses):
        path = f"hypotheses/{i}"
        yield from _term(f"{path}/term", hypothesis.term, study)
        response = study.responses.get(hypothesis.response)
        if response is None:
            hint = _near(hypothesis.response, study.responses)
            yield Problem(f"no response {hypothesis.response!r}", f"{path}/response", hint=hint)
        needs_margin = hypothesis.direction is Direction.NEGLIGIBLE or hypothesis.beyond == "smallest_effect"
        margin = hypothesis.smallest_effect or (response.smallest_effect if response else None)
        if needs_margin and response is not None and margin is None:
            message = f"{hypothesis.id}: the claim needs a smallest effect of interest"
            yield Problem(message, path, hint=f"set responses.{hypothesis.response}.smallest_effect")
        if hypothesis.id in seen:
            yield Problem(f"hypothesis id {hypothesis.id!r} is used twice", f"{path}/id", hint="give each its own id")
        seen.add(hypothesis.id)


def _hard_to_change(study: StudySpec) -> Iterator[Problem]:
    for i, name in enumerate(getattr(study.design, "hard_to_change", ())):
        if name not in study.factors:
            yield Problem(f"no factor {name!r}", f"design/hard_to_change/{i}", hint=_near(name, study.factors))


def _levels(path: str, entry: Mapping[str, Level], study: StudySpec, *, whole: bool) -> Iterator[Problem]:
    for name, level in entry.items():
        factor = study.factors.get(name)
        if factor is None:
            yield Problem(f"no factor {name!r}", path, hint=_near(name, study.factors))
        elif not _has_level(factor, level):
            levels = ", ".join(map(repr, factor.levels))
            yield Problem(f"{name} has no level {level!r}", f"{path}/{name}", hint=f"levels: {levels}")
    missing = [name for name in study.factors if name not in entry] if whole else []
    if missing:
        yield Problem(f"a cell needs a level of every factor; missing: {', '.join(missing)}", path)


def _has_level(factor: Factor, level: Level) -> bool:
    if any(same_level(level, known) for known in factor.levels):
        return True
    numbers = [v for v in factor.levels if isinstance(v, int | float)]
    inside = isinstance(level, int | float) and not isinstance(level, bool) and factor.is_numeric
    return inside and min(numbers) <= float(level) <= max(numbers)


def _combinations(study: StudySpec) -> Iterator[Problem]:
    design = study.design
    for field, whole in (("forbid", False), ("fixed", True), ("cells", True)):
        for i, entry in enumerate(getattr(design, field, ())):
            yield from _levels(f"design/{field}/{i}", entry, study, whole=whole)
    baseline = getattr(design, "baseline", None)
    if baseline is not None:
        yield from _levels("design/baseline", baseline, study, whole=True)


def _bindings(study: StudySpec) -> Iterator[Problem]:
    """Two factors must not drive one setting, and a driven setting must not be fixed as well."""
    owners: dict[str, str] = {}
    for name, factor in study.factors.items():
        path = f"factors/{name}/binds"
        if factor.setting in owners:
            message = f"{name!r} and {owners[factor.setting]!r} both drive {factor.setting!r}"
            yield Problem(message, path, hint="bind each factor to a setting of its own")
        owners.setdefault(factor.setting, name)
        node: object = study.settings
        parts = factor.setting.split(".")
        for depth, part in enumerate(parts):
            if not isinstance(node, dict) or part not in node:
                break
            node = node[part]
            if depth == len(parts) - 1:
                message = f"{factor.setting!r} is fixed in settings and varied by factor {name!r}"
                yield Problem(message, path, hint="remove it from settings")
            elif not isinstance(node, dict):
                yield Problem(f"{factor.setting!r} passes through {part!r}, which is not a section", path)
