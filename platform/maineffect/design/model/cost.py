"""What a design costs, in GPU-hours."""

from __future__ import annotations

from maineffect.contracts import Level
from maineffect.design.model.model import DesignCost
from maineffect.design.model.treatments import Treatments
from maineffect.spec.crosscheck import same_level
from maineffect.spec.factors import Factor
from maineffect.spec.study import StudySpec

__all__ = ["design_cost", "relative_cost"]


def relative_cost(factor: Factor, level: Level) -> float:
    """Cost of a level over the first one, in even steps up to the factor's ``relative_cost`` at the last."""
    if factor.is_numeric and not isinstance(level, bool | str):
        low, high = float(factor.levels[0]), float(factor.levels[-1])
        share = (float(level) - low) / (high - low)
    else:
        index = next(i for i, factor_level in enumerate(factor.levels) if same_level(factor_level, level))
        share = index / (len(factor.levels) - 1)
    return 1 + (factor.relative_cost - 1) * share


def design_cost(study: StudySpec, treatments: Treatments) -> DesignCost | None:
    """Cost of a design; None if the study states neither ``run_cost`` nor ``setup_cost``."""
    request = study.design
    if request.run_cost is None and request.setup_cost == 0:
        return None
    hours = 0.0
    for row in treatments.rows:
        cost = request.run_cost or 1.0
        for name, factor in study.factors.items():
            cost *= relative_cost(factor, row[name])
        hours += cost
    plots = len(set(treatments.whole_plots or ()))
    replicate = hours + plots * request.setup_cost
    information = treatments.information
    return DesignCost(
        runs=len(treatments.rows) * request.replicates,
        whole_plots=plots * request.replicates,
        gpu_hours=replicate * request.replicates,
        information_per_gpu_hour=None if information is None else information / replicate,
    )
