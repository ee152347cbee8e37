"""What is wrong in a file that asks for a search, as far as only the sweep and the trainable know it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from maineffect.contracts import Level
from maineffect.spec.factors import Factor
from maineffect.spec.phases.optimise import COST, Axis, KnownRun, quadratic_size
from maineffect.spec.problems import Finding, nearest
from maineffect.spec.responses import Goal

if TYPE_CHECKING:
    from maineffect.design.model.model import Design
    from maineffect.journey.plan.search_file import OptimiseFile
    from maineffect.spec.study import StudySpec

__all__ = ["box_findings", "range_findings", "settings_findings", "size_findings"]

_ROOT = "optimise"
_SPARE = 4
"""Degrees of freedom that a second-order model must leave for error."""


def box_findings(asked: OptimiseFile, sweep: StudySpec, design: Design) -> list[Finding]:
    """Names, levels and numbers that the sweep does not have."""
    request = asked.optimise
    findings = [*_axes(request.factors, sweep), *_fixed(request.fixed, request.factors, sweep)]
    findings += [*_numbers(asked, sweep), *_against(request.confirm.against, request.factors, sweep)]
    if design.hard_to_change:
        message = f"the sweep ran in whole plots ({', '.join(design.hard_to_change)}), whose error a search cannot tell"
        findings.append(Finding((_ROOT, "from"), message, "start from a sweep whose factors change from run to run"))
    return findings


def _axes(axes: dict[str, Axis], sweep: StudySpec) -> Iterator[Finding]:
    for name, axis in axes.items():
        here = (_ROOT, "factors", name)
        if name not in sweep.factors:
            yield Finding(here, f"the sweep has no factor {name!r}", nearest(name, sweep.factors))
            continue
        factor = sweep.factors[name]
        levels = ", ".join(map(str, factor.levels))
        if axis.range is not None and not factor.is_numeric:
            yield Finding((*here, "range"), f"{name} has no numbers for levels", f"give levels: [{levels}]")
        elif axis.levels is not None and factor.is_numeric:
            yield Finding((*here, "levels"), f"{name} is a number", "give its range: [smallest, largest]")
        for level in axis.levels or ():
            if not factor.is_numeric and not factor.has_level(level):
                yield Finding((*here, "levels"), f"no level {level!r} of {name}", f"its levels: {levels}")
        broken = [level for level in factor.levels if axis.integer and factor.is_numeric and not _whole(level)]
        if broken:
            message = f"the sweep ran {name} = {broken[0]}, which is no whole number"
            yield Finding((*here, "integer"), message, "leave integer out")
        if axis.range is not None and factor.is_numeric and not _overlap(axis.range, factor):
            message = f"no run of the sweep has {name} between {axis.range[0]:g} and {axis.range[1]:g}"
            yield Finding(
                (*here, "range"), message, f"its levels were {levels}: a range with some of them starts there"
            )


def _whole(level: Level) -> bool:
    return float(level) == int(level)


def _overlap(limits: tuple[float, float], factor: Factor) -> bool:
    return any(limits[0] <= float(level) <= limits[1] for level in factor.levels)


def _fixed(fixed: dict[str, Level], axes: dict[str, Axis], sweep: StudySpec) -> Iterator[Finding]:
    for name, level in fixed.items():
        here = (_ROOT, "fixed", name)
        if name not in sweep.factors:
            yield Finding(here, f"the sweep has no factor {name!r}", nearest(name, sweep.factors))
            continue
        factor = sweep.factors[name]
        levels = ", ".join(map(str, factor.levels))
        if factor.is_numeric:
            number = isinstance(level, int | float) and not isinstance(level, bool)
            if not number or not float(factor.levels[0]) <= float(level) <= float(factor.levels[-1]):
                message = f"{level!r} lies outside {levels}, where the sweep's runs are: they say nothing there"
                yield Finding(here, message, "fix it between its levels, or look for it in factors")
        elif not factor.has_level(level):
            yield Finding(here, f"no level {level!r} of {name}", f"its levels: {levels}")
    for name in sweep.factors:
        if name not in axes and name not in fixed:
            message = f"{name!r}, a factor of the sweep, is neither looked for nor fixed"
            levels = ", ".join(map(str, sweep.factors[name].levels))
            yield Finding((_ROOT, "fixed"), message, f"add fixed: {{{name}: …}}; its levels: {levels}")


def _numbers(asked: OptimiseFile, sweep: StudySpec) -> Iterator[Finding]:
    """Objectives and limits that nothing measures, or that contradict what the sweep registered."""
    request, resources = asked.optimise, asked.resources or sweep.resources
    for part, names in (("objectives", request.objectives), ("constraints", request.constraints)):
        for name in names:
            here = (_ROOT, part, name)
            if name.startswith(COST):
                if name == f"{COST}gpu_hours" and not (resources.gpus or any(b.get("GPU") for b in resources.bundles)):
                    yield Finding(here, "the runs use no GPU", f"take {COST}cpu_hours: core-hours")
                if name == f"{COST}price" and not (resources.gpu_hour_price or resources.cpu_hour_price):
                    yield Finding(here, "no price is stated", "state resources.gpu_hour_price or cpu_hour_price")
            elif name not in sweep.responses:
                known = [*sweep.responses, f"{COST}gpu_hours", f"{COST}cpu_hours"]
                yield Finding(here, f"the sweep has no response {name!r}", nearest(name, known))
    for name, way in request.objectives.items():
        goal = sweep.responses[name].goal if name in sweep.responses else Goal.NONE
        if goal is not Goal.NONE and goal.value != way:
            message = f"the sweep registered {name} with goal: {goal.value}"
            yield Finding((_ROOT, "objectives", name), message, f"write {name}: {goal.value}")


def _against(against: dict[str, Level], axes: dict[str, Axis], sweep: StudySpec) -> Iterator[Finding]:
    for name, level in against.items():
        here = (_ROOT, "confirm", "against", name)
        if name not in sweep.factors or name not in axes:
            continue
        factor = sweep.factors[name]
        number = isinstance(level, int | float) and not isinstance(level, bool)
        if factor.is_numeric and not number:
            yield Finding(here, f"{level!r} is no number", f"{name} is one")
        elif not factor.is_numeric and not factor.has_level(level):
            yield Finding(here, f"no level {level!r} of {name}", f"its levels: {', '.join(map(str, factor.levels))}")


def size_findings(asked: OptimiseFile, known: Sequence[KnownRun], sweep: str) -> list[Finding]:
    """Too few runs for a model: of the sweep to begin with, or in all to recommend by."""
    request = asked.optimise
    numbers = sum(axis.range is not None for axis in request.factors.values())
    categories = tuple(len(axis.levels) for axis in request.factors.values() if axis.levels is not None)
    fewest = len(request.factors) + 2
    if len(known) < fewest:
        message = (
            f"{len(known)} finished run(s) of {sweep} lie within the box, and a model needs {fewest} to begin with"
        )
        return [Finding((_ROOT, "factors"), message, "widen the ranges to the levels of the sweep's runs")]
    needed = quadratic_size(numbers, categories) + _SPARE
    if len(known) + request.runs < needed:
        message = (
            f"{len(known)} known and {request.runs} new runs cannot fit a second-order model of "
            f"{len(request.factors)} factors with {_SPARE} degrees of freedom for error"
        )
        return [Finding((_ROOT, "runs"), message, f"runs: {needed - len(known)} at least, or fewer factors")]
    return []


def range_findings(asked: OptimiseFile, sweep: StudySpec) -> list[Finding]:
    """Ranges beyond what the sweep's factor permits."""
    findings = []
    for name, axis in asked.optimise.factors.items():
        permitted = sweep.factors[name].range
        if axis.range is None or permitted is None:
            continue
        low, high = permitted
        if axis.range[0] < low or axis.range[1] > high:
            message = f"{name} may lie between {low:g} and {high:g}, not {axis.range[0]:g} to {axis.range[1]:g}"
            findings.append(Finding((_ROOT, "factors", name, "range"), message, f"stay within [{low:g}, {high:g}]"))
    return findings


def settings_findings(study: StudySpec, trainable: Any) -> list[Finding]:
    """Settings of the box that the trainable does not take: the ends and the middle of each factor, the comparator."""
    from maineffect.plugins import check_responses, check_settings
    from maineffect.spec.binding import with_bindings

    asked = study.optimise
    assert asked is not None
    findings = [
        Finding((_ROOT, "from"), problem.message, problem.hint)
        for problem in check_responses(trainable, tuple(study.responses), study.settings)
    ]
    base = {**asked.confirm.against, **asked.fixed}

    def problems_at(values: dict[str, Level]) -> list[Any]:
        return list(check_settings(trainable, with_bindings(study.settings, asked.binds, values), asked.binds))

    against = problems_at(base)
    findings += [
        Finding((_ROOT, "confirm", "against"), f"{problem.message} (setting {problem.path})", problem.hint)
        for problem in against
    ]
    told = {(problem.path, problem.message) for problem in against}
    for name, axis in asked.factors.items():
        for value in _tried(axis):
            for problem in problems_at({**base, name: value}):
                if (problem.path, problem.message) in told:
                    continue
                told.add((problem.path, problem.message))
                whole = axis.range is not None and not axis.integer and isinstance(value, float)
                way = "integer: true takes whole numbers only; or " if whole and value != int(value) else ""
                part = "range" if axis.range is not None else "levels"
                message = f"the trainable does not take {value!r}: {problem.message} (setting {problem.path})"
                findings.append(Finding((_ROOT, "factors", name, part), message, f"{way}{problem.hint}"))
    return findings


def _tried(axis: Axis) -> list[Level]:
    """Values of a factor that stand for all: its ends, and a number between them that is nothing special."""
    if axis.range is None:
        return list(axis.levels or ())
    low, high = axis.range
    if axis.integer:
        return [int(low), round((low + high) / 2), int(high)]
    return [float(low), float(f"{low + 0.43219 * (high - low):.6g}"), float(high)]
