"""StudySpec → verified Design: generate the cells, randomise the order, check what was emitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from maineffect.contracts import Level
from maineffect.design.algebra.regular import RegularFraction
from maineffect.design.kinds.ablation import ablation
from maineffect.design.kinds.additions import block_labels, centre_rows
from maineffect.design.kinds.box_behnken import box_behnken
from maineffect.design.kinds.central_composite import central_composite
from maineffect.design.kinds.factorial import full_factorial, without_forbidden
from maineffect.design.kinds.fractional import fractional
from maineffect.design.kinds.optimal import optimal
from maineffect.design.kinds.orthogonal_arrays import orthogonal_array
from maineffect.design.kinds.screening import definitive_screening, plackett_burman
from maineffect.design.kinds.split_plot import grouped_in_whole_plots, split_plot
from maineffect.design.model.aliasing import alias_chains, alias_matrix, estimable_terms
from maineffect.design.model.cost import design_cost
from maineffect.design.model.model import Cell, Design, PlannedRun, cell_id
from maineffect.design.model.order import planned_runs, time_correlation
from maineffect.design.model.terms import expand_terms
from maineffect.design.model.treatments import Treatments
from maineffect.design.model.verify import verify
from maineffect.design.phases import with_earlier_phases
from maineffect.design.search.efficiency import d_bound, d_efficiency
from maineffect.design.tuned_groups import in_tuned_groups
from maineffect.errors import DesignError
from maineffect.spec.factors import Factor
from maineffect.spec.requests import FullRequest, ListRequest
from maineffect.spec.study import StudySpec

__all__ = ["build_design"]


def build_design(study: StudySpec) -> Design:
    """Build the design that a study asks for; of a follow-up with the finished runs before it.

    Raises:
        DesignError: No such design; the hint names what is feasible.
    """
    factors = tuple(study.factors.values())
    build = _BUILDERS.get(study.design.kind)
    if build is None:
        raise DesignError(
            f"kind: {study.design.kind} is not a design by itself",
            "resolve it first (maineffect.design.propose.resolve), as `check` does",
        )
    treatments = grouped_in_whole_plots(study, build(study))
    cells = {cell_id(levels): dict(levels) for levels in treatments.rows}
    rows = {name: [levels[name] for levels in treatments.rows] for name in study.factors}
    factorial = {name: column[: len(column) - treatments.centre_points] for name, column in rows.items()}
    asked = expand_terms(factors, treatments.model or study.analysis.terms)
    terms = estimable_terms(factors, rows, asked, treatments.blocks)
    efficiency = d_efficiency(
        factors,
        rows,
        terms,
        blocks=treatments.blocks,
        whole_plots=treatments.whole_plots,
        variance_ratio=treatments.variance_ratio,
    )
    runs = planned_runs(study, treatments)
    design = Design(
        study=study.name,
        kind=study.design.kind,
        factors=factors,
        cells=tuple(Cell(key, levels) for key, levels in cells.items()),
        runs=runs,
        terms=terms,
        resolution=treatments.resolution,
        word_length_pattern=treatments.word_length_pattern,
        generators=treatments.generators,
        aliases=alias_chains(factors, factorial),
        d_efficiency=efficiency,
        d_bound=d_bound(study, treatments, terms),
        alias_matrix=alias_matrix(factors, rows, terms),
        notes=(*treatments.notes, *_order_note(study, cells, runs)),
        hard_to_change=treatments.hard_to_change,
        variance_ratio=treatments.variance_ratio,
        average_variance=treatments.average_variance,
        average_variance_bound=treatments.average_variance_bound,
        cost=design_cost(study, treatments),
    )
    verify(study, design, treatments)
    return with_earlier_phases(study, in_tuned_groups(study, design))


def _full(study: StudySpec) -> Treatments:
    request = study.design
    assert isinstance(request, FullRequest)
    factors = tuple(study.factors.values())
    cells = without_forbidden(full_factorial(factors), request.forbid)
    blocks = None
    if request.blocks > 1:
        if any(len(factor.levels) != 2 for factor in factors) or request.forbid or request.centre_points:
            raise DesignError(
                "blocks within a full factorial need two levels everywhere, nothing forbidden and no centre points",
                "use replicates as blocks, or kind: optimal",
            )
        blocks = block_labels(RegularFraction(len(factors), tuple(1 << i for i in range(len(factors)))), request.blocks)
    centres = centre_rows(factors, request.centre_points)
    return Treatments((*cells, *centres), blocks=blocks, centre_points=len(centres))


def _listed(study: StudySpec) -> Treatments:
    assert isinstance(study.design, ListRequest)
    factors = study.factors.items()
    return Treatments(tuple({name: _level(f, cell[name]) for name, f in factors} for cell in study.design.cells))


def _level(factor: Factor, level: Level) -> Level:
    """The study's own spelling of a level (1.0 written for 1)."""
    return next(
        (
            spelling
            for spelling in factor.levels
            if spelling == level and isinstance(spelling, bool) == isinstance(level, bool)
        ),
        level,
    )


_BUILDERS: dict[str, Callable[[StudySpec], Treatments]] = {
    "full": _full,
    "fractional": fractional,
    "plackett_burman": plackett_burman,
    "definitive_screening": definitive_screening,
    "central_composite": central_composite,
    "box_behnken": box_behnken,
    "ablation": ablation,
    "list": _listed,
    "orthogonal_array": orthogonal_array,
    "optimal": optimal,
    "split_plot": split_plot,
}


def _order_note(
    study: StudySpec, cells: Mapping[str, Mapping[str, Level]], runs: Sequence[PlannedRun]
) -> tuple[str, ...]:
    if not study.design.balanced_order:
        return ()
    first = [cells[run.cell_id] for run in runs if run.replicate == 1]
    return (
        "the run order is the one of many random orders that correlates least with time "
        f"(|r| at most {time_correlation(study, first):.2f} in replicate 1, linear and quadratic drift)",
    )
