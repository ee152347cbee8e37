"""A study file → a checked study: its design, its plan, and its trainable's word on every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maineffect.errors import Problem, SpecError
from maineffect.journey.plan.place import Checked

if TYPE_CHECKING:
    from maineffect.contracts import Trainable
    from maineffect.design.model.model import Design
    from maineffect.spec.study import StudySpec

__all__ = ["check", "said_of"]


def check(path: Path, *, plugins: bool = True) -> Checked:
    """Validate a study file down to its trainable's settings.

    Args:
        path: The study file.
        plugins: Whether the trainable must be importable (a study that is only designed need not have one).

    Raises:
        SpecError: Everything that is wrong in the file, at once.
        DesignError: No such design, or it cannot estimate a registered hypothesis.
        PluginError: The trainable cannot be imported.
    """
    from maineffect.design.build import build_design
    from maineffect.design.model.estimable import check_estimable, confounded_claims
    from maineffect.design.phases import check_new_phase
    from maineffect.design.propose import resolve
    from maineffect.design.tuned_groups import check_groups
    from maineffect.journey.plan.team import check_team
    from maineffect.journey.plan.tuned import check_cost, with_note
    from maineffect.plugins import hidden_beside, load_trainable
    from maineffect.register.plan import plan_document, plan_hash
    from maineffect.spec.load import load_study
    from maineffect.spec.standards import standards

    study, alternatives = resolve(load_study(path))
    design = with_note(study, replace(build_design(study), alternatives=alternatives))
    check_estimable(design, study)
    check_new_phase(study, design)
    few = check_groups(study, design)
    hidden: list[Problem] = []
    lacks: tuple[Problem, ...] = ()
    unchecked: list[Problem] = []
    if plugins and study.trainable:
        trainable = load_trainable(study.trainable, path.parent)
        unchecked = _unchecked(path, study, trainable)
        study, lacks = _check_trainable(path, study, design, trainable)
        hidden = hidden_beside(study.trainable or "", path.parent)
    plan = plan_document(study, design)
    digest = plan_hash(plan)
    team = check_team(path, study, design, registered=study.standards is not None and _is_registered(path, digest))
    return Checked(
        path=path,
        study=study,
        design=design,
        plan=plan,
        plan_hash=digest,
        warnings=(
            *hidden,
            *unchecked,
            *lacks,
            *standards(study),
            *confounded_claims(design, study),
            *few,
            *check_cost(study, design),
            *_beyond_sizes(study, design),
            *team,
        ),
        lacks=lacks,
    )


def _beyond_sizes(study: StudySpec, design: Design) -> list[Problem]:
    """What is to be known of effects against size; only then is the analysis imported, which takes a second."""
    if study.scaling is None:
        return []
    from maineffect.analyse.simulation.planned_sizes import scaling_warnings

    return scaling_warnings(study, design)


def _is_registered(path: Path, digest: str) -> bool:
    """Whether this very plan is registered beside the study file; an edited registration is none."""
    from maineffect.errors import PlanChangedError
    from maineffect.register.freeze import is_registered

    try:
        return is_registered(path, digest)
    except PlanChangedError:
        return False


def _check_trainable(
    path: Path, study: StudySpec, design: Design, trainable: Trainable
) -> tuple[StudySpec, tuple[Problem, ...]]:
    """Every cell's settings must be valid, every response known, and what is reserved used.

    Returns:
        The study with what its settings name pinned, and what this machine lacks for its runs.
    """
    from maineffect.plugins import check_responses, check_settings
    from maineffect.spec.binding import at_nuisance, bound_settings
    from maineffect.spec.load import locate_settings

    problems = list(check_responses(trainable, tuple(study.responses), study.settings))
    drives = {name: factor.setting for name, factor in study.factors.items()}
    cells = [bound_settings(study, cell.levels) for cell in design.cells]
    for settings in cells:
        for at in ("default", "low", "high") if study.tuning is not None else ("",):
            problems += check_settings(trainable, at_nuisance(study, settings, at), drives)
    resources = study.resources.model_dump()
    if not problems:
        problems = said_of(trainable, "check_resources", cells, resources)
    if problems:
        raise SpecError(locate_settings(path, study, problems))
    lacks = locate_settings(path, study, said_of(trainable, "lacks", cells))
    pin = getattr(trainable, "pin", None)
    pinned = study if pin is None else study.model_copy(update={"settings": pin(study.settings)})
    return pinned, tuple(lacks)


_TRUTH = {"on", "off", "yes", "no"}


def _unchecked(path: Path, study: StudySpec, trainable: Trainable) -> list[Problem]:
    """What nothing can check of a trainable that says neither what it reads nor what it returns."""
    if getattr(trainable, "settings_model", None) is not None:
        return []
    settings = ", ".join(factor.setting for factor in study.factors.values())
    returns = "" if getattr(trainable, "response_names", None) else f" or returns {', '.join(study.responses)}"
    problems = [
        Problem(
            f"{study.trainable} states no settings_model: whether it reads {settings}{returns} cannot be checked here",
            "trainable",
            hint=f"see it: maineffect try {path.name}; or give it one (docs/trainables.md)",
        )
    ]
    for name, factor in study.factors.items():
        words = [level for level in factor.levels if isinstance(level, str) and level.casefold() in _TRUTH]
        if words:
            said = f"{' and '.join(map(repr, words))} {'is a word' if len(words) == 1 else 'are words'} in a study file"
            problems.append(Problem(said, f"factors.{name}.levels", hint="write true and false for truth values"))
    return problems


def said_of(trainable: Trainable, asked: str, cells: Sequence[Mapping[str, Any]], *more: Any) -> list[Problem]:
    """What an optional function of the trainable says of the cells, each thing once.

    Args:
        trainable: It may have the function as an attribute.
        asked: Name of the function.
        cells: Settings of each cell, the function's first argument.
        more: Its further ones.
    """
    function = getattr(trainable, asked, None)
    if function is None:
        return []
    return list(dict.fromkeys(problem for settings in cells for problem in function(settings, *more)))
