"""A team's own standards: a YAML file that a study names, held against the study and its design at ``check``.

``standards: team.yaml`` in the study names the file. Each rule is a value, or ``{value: …, as: warning}``; a study sets
one aside under ``waivers:`` with the reason, which the report prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from maineffect.design.model.model import Design
from maineffect.errors import Problem, SpecError
from maineffect.spec.factors import StrictModel
from maineffect.spec.study import StudySpec

__all__ = ["TeamStandards", "check_team", "requires_registration", "waived"]


class Rule(StrictModel):
    """One rule with what breaking it is."""

    value: Any = Field(description="What is asked for.")
    severity: Literal["error", "warning"] = Field(default="error", alias="as", description="What breaking it is.")


class TeamStandards(StrictModel):
    """What a team asks of every study; a rule that is absent asks for nothing."""

    least_replicates: Rule | None = Field(default=None, description="Fewest replicates of every cell.")
    largest_detectable: Rule | None = Field(
        default=None,
        description="The smallest main effect that is found with 80 % power may be no larger, in standard deviations "
        "of a run.",
    )
    required_controls: Rule | None = Field(
        default=None, description="Factors, or settings that a factor must drive: a sham arm, a random reward."
    )
    required_registration: Rule | None = Field(
        default=None, description="Whether a plan must be registered before `submit`, and not by it."
    )
    least_reliability: Rule | None = Field(
        default=None, description="Every response of a hypothesis states a reliability that is at least so high."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return value if value is None or (isinstance(value, dict) and "value" in value) else {"value": value}

    @field_validator("least_replicates", "largest_detectable", "least_reliability")
    @classmethod
    def _number(cls, rule: Rule | None) -> Rule | None:
        if rule is not None and (isinstance(rule.value, bool) or not isinstance(rule.value, int | float)):
            raise ValueError(f"must be a number, not {rule.value!r}")
        return rule

    @field_validator("required_controls")
    @classmethod
    def _names(cls, rule: Rule | None) -> Rule | None:
        if rule is not None and not (isinstance(rule.value, list) and all(isinstance(v, str) for v in rule.value)):
            raise ValueError(f"must be a list of names, not {rule.value!r}")
        return rule

    @field_validator("required_registration")
    @classmethod
    def _yes_or_no(cls, rule: Rule | None) -> Rule | None:
        if rule is not None and not isinstance(rule.value, bool):
            raise ValueError(f"must be true or false, not {rule.value!r}")
        return rule


def check_team(path: Path, study: StudySpec, design: Design, *, registered: bool) -> list[Problem]:
    """Hold a study against its team's standards.

    Args:
        path: The study file: the standards' path is relative to its folder.
        study: The study.
        design: Its design.
        registered: Whether this plan is registered.

    Returns:
        Warnings: of rules that only warn, and of rules that the study waives.

    Raises:
        SpecError: A rule that must be kept is broken, a waiver names no rule or gives no reason, or the standards
            cannot be read.
    """
    if study.standards is None:
        if study.waivers:
            raise SpecError(
                [Problem("waivers without standards", "waivers", str(path), hint="name them: `standards: team.yaml`")]
            )
        return []
    rules = _read(path, study.standards)
    errors = [
        Problem(
            f"waives {name!r}, which is no rule",
            f"waivers.{name}",
            str(path),
            hint=f"rules: {', '.join(TeamStandards.model_fields)}",
        )
        for name in study.waivers
        if name not in TeamStandards.model_fields
    ]
    warnings = []
    for name, problem in _broken(rules, study, design, registered=registered):
        rule = getattr(rules, name)
        if name in study.waivers:
            warnings.append(Problem(f"{problem.message} (waived: {study.waivers[name]})", problem.path, str(path)))
        elif rule.severity == "warning":
            warnings.append(problem)
        else:
            hint = f"{problem.hint}; or set it aside with the reason: `waivers: {{{name}: why}}`"
            errors.append(Problem(f"{study.standards}: {problem.message}", problem.path, str(path), hint=hint))
    if errors:
        raise SpecError(errors)
    return warnings


def requires_registration(path: Path, study: StudySpec) -> bool:
    """Whether ``submit`` must find the plan registered already."""
    if study.standards is None or "required_registration" in study.waivers:
        return False
    rule = _read(path, study.standards).required_registration
    return rule is not None and bool(rule.value) and rule.severity == "error"


def waived(study: StudySpec) -> list[str]:
    """What a report must print of the rules that a study sets aside."""
    return [f"waives {study.standards}: {name}: {reason}" for name, reason in study.waivers.items()]


def _read(path: Path, name: str) -> TeamStandards:
    from maineffect.spec.yaml_lines import read_yaml

    file = path.parent / name
    located = read_yaml(file)
    try:
        return TeamStandards.model_validate(located.value)
    except ValidationError as error:
        rules = ", ".join(TeamStandards.model_fields)
        raise SpecError(
            [
                Problem(
                    str(one["msg"]).removeprefix("Value error, "),
                    ".".join(map(str, one["loc"])),
                    str(file),
                    located.line(tuple(one["loc"])),
                    hint=f"rules: {rules}",
                )
                for one in error.errors()
            ]
        ) from None


def _broken(
    rules: TeamStandards, study: StudySpec, design: Design, *, registered: bool
) -> Iterator[tuple[str, Problem]]:
    """Every rule that the study breaks, by name."""
    least = rules.least_replicates
    if least is not None and study.design.replicates < least.value:
        message = f"{study.design.replicates} replicate(s), and the team asks for {least.value:g} at least"
        yield "least_replicates", Problem(message, "design.replicates", hint=f"replicates: {least.value:g}")
    largest = rules.largest_detectable
    if largest is not None:
        yield from _undetectable(float(largest.value), study, design)
    if rules.required_controls is not None:
        have = {*study.factors, *(factor.setting for factor in study.factors.values())}
        for control in rules.required_controls.value:
            if control not in have:
                message = f"no factor is, or drives, {control!r}, which the team asks for as a control"
                yield "required_controls", Problem(message, "factors", hint="add it as a factor")
    asked = rules.required_registration
    if asked is not None and asked.value and not registered and asked.severity == "warning":
        message = "this plan is not registered, and the team asks for it"
        yield "required_registration", Problem(message, "hypotheses", hint="maineffect register STUDY, and commit it")
    floor = rules.least_reliability
    if floor is None:
        return
    for name in dict.fromkeys(h.response for h in study.hypotheses):
        stated = study.responses[name].reliability
        if stated is None or stated < floor.value:
            has = "states no reliability" if stated is None else f"has a reliability of {stated:g}"
            message = f"response {name!r} {has}, and the team asks for {floor.value:g} at least"
            hint = "measure it (`maineffect lab reliability`), use more items, and state responses.*.reliability"
            yield "least_reliability", Problem(message, f"responses.{name}", hint=hint)


def _undetectable(largest: float, study: StudySpec, design: Design) -> Iterator[tuple[str, Problem]]:
    from maineffect.design.power.analytic import power_document

    for row in power_document(study, design)["terms"]:
        size = row["mde_sigma"]
        if ":" not in row["term"] and (size is None or size > largest):
            why = row["reason"] or "there is no error term"
            found = f"no effect ({why})" if size is None else f"effects from {size:.2g} standard deviations of a run on"
            message = f"{row['term']}: finds {found} with 80 % power, and the team asks for {largest:g}"
            yield "largest_detectable", Problem(message, "design", hint="more replicates or runs")
            return
