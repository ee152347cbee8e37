"""Ablations: a baseline and every factor changed alone. What they cannot estimate is said."""

from __future__ import annotations

from maineffect.design.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.spec.requests import AblationRequest
from maineffect.spec.study import StudySpec

__all__ = ["ablation"]


def ablation(study: StudySpec) -> Treatments:
    """The baseline (as often as asked) and one run per other level of every factor.

    Raises:
        DesignError: Too few factors.
    """
    request = study.design
    assert isinstance(request, AblationRequest)
    if len(study.factors) < 2:
        raise DesignError("an ablation needs two factors at least", "use kind: full")
    baseline = {name: request.baseline[name] for name in study.factors}
    changed = [
        {**baseline, name: level}
        for name, factor in study.factors.items()
        for level in factor.levels
        if level != baseline[name]
    ]
    rows = [baseline] * request.baseline_repeats + changed
    what = "removed from" if request.mode == "leave_one_out" else "added to"
    equal = 1 << (len(rows) - 1).bit_length()
    notes = (
        f"each factor is {what} the baseline alone: no interaction can be estimated, "
        "and each effect rests on two cells",
        f"a two-level fraction of {equal} runs (kind: fractional) uses every run for every effect",
    )
    return Treatments(tuple(rows), notes=notes, model=tuple(study.factors))
