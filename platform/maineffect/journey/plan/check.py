"""A study file → a checked study: its design, its plan, and its trainable's word on every cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maineffect.errors import Problem, SpecError
from maineffect.journey.plan.place import Checked

if TYPE_CHECKING:
    from maineffect.design.model.model import Design
    from maineffect.spec.study import StudySpec

__all__ = ["check"]


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
    from maineffect.plugins import hidden_beside
    from maineffect.register.plan import plan_document, plan_hash
    from maineffect.spec.load import load_study
    from maineffect.spec.standards import standards

    study, alternatives = resolve(load_study(path))
    design = with_note(study, replace(build_design(study), alternatives=alternatives))
    check_estimable(design, study)
    check_new_phase(study, design)
    few = check_groups(study, design)
    hidden: list[Problem] = []
    if plugins and study.trainable:
        study = _check_trainable(path, study, design)
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
            *standards(study),
            *confounded_claims(design, study),
            *few,
            *check_cost(study, design),
            *team,
        ),
    )


def _is_registered(path: Path, digest: str) -> bool:
    """Whether this very plan is registered beside the study file; an edited registration is none."""
    from maineffect.errors import PlanChangedError
    from maineffect.register.freeze import is_registered

    try:
        return is_registered(path, digest)
    except PlanChangedError:
        return False


def _check_trainable(path: Path, study: StudySpec, design: Design) -> StudySpec:
    """Every cell's settings must be valid, every response known; the study with what its settings name pinned."""
    from maineffect.plugins import check_responses, check_settings, load_trainable
    from maineffect.spec.binding import at_nuisance, bound_settings
    from maineffect.spec.load import locate_settings

    trainable = load_trainable(study.trainable or "", path.parent)
    problems = list(check_responses(trainable, tuple(study.responses), study.settings))
    drives = {name: factor.setting for name, factor in study.factors.items()}
    for cell in design.cells:
        settings = bound_settings(study, cell.levels)
        for at in ("default", "low", "high") if study.tuning is not None else ("",):
            problems += check_settings(trainable, at_nuisance(study, settings, at), drives)
    if problems:
        raise SpecError(locate_settings(path, study, problems))
    pin = getattr(trainable, "pin", None)
    return study if pin is None else study.model_copy(update={"settings": pin(study.settings)})
