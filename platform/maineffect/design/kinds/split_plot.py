"""Split plots: factors that are hard to change stay constant within a whole plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from maineffect.contracts import Level
from maineffect.design.kinds.factorial import full_factorial, without_forbidden
from maineffect.design.kinds.optimal import optimal
from maineffect.design.model.terms import expand_terms
from maineffect.design.model.treatments import Treatments
from maineffect.spec.requests import OptimalRequest, SplitPlotRequest
from maineffect.spec.study import StudySpec

__all__ = ["grouped_in_whole_plots", "split_plot"]


def split_plot(study: StudySpec) -> Treatments:
    """The full factorial as a split plot; with fewer runs, or whole plots that do not divide, the optimal one.

    Every combination of the hard-to-change factors makes one whole plot, or as many as ``whole_plots`` allows; each
    holds every combination of the other factors (Montgomery, Design and Analysis of Experiments, 8th ed., sec. 14.4).

    Raises:
        DesignError: See :func:`maineffect.design.kinds.optimal.optimal`.
    """
    request = study.design
    assert isinstance(request, SplitPlotRequest)
    factors = tuple(study.factors.values())
    cells = without_forbidden(full_factorial(factors), request.forbid)
    whole = dict.fromkeys(_key(cell, request.hard_to_change) for cell in cells)
    plots = request.whole_plots or len(whole)
    copies, rest = divmod(plots, len(whole))
    if rest or (request.runs is not None and request.runs != copies * len(cells)):
        return _fraction(study, request, plots, request.runs or max(len(cells), plots * (len(cells) // len(whole))))
    rows = tuple(cell for _ in range(copies) for cell in cells)
    treatments = Treatments(rows, model=None if request.model is None else expand_terms(factors, request.model))
    labels = tuple(
        copy * len(whole) + list(whole).index(_key(cell, request.hard_to_change)) + 1
        for copy in range(copies)
        for cell in cells
    )
    return _described(
        replace(
            treatments,
            whole_plots=labels,
            hard_to_change=request.hard_to_change,
            variance_ratio=request.variance_ratio,
        ),
        study,
    )


def _fraction(study: StudySpec, request: SplitPlotRequest, plots: int, runs: int) -> Treatments:
    shared = request.model_dump(exclude={"kind", "whole_plots", "runs"})
    asked = OptimalRequest(kind="optimal", whole_plots=plots, runs=runs, **shared)
    treatments = optimal(study.model_copy(update={"design": asked}))
    return replace(treatments, notes=(*treatments.notes, "a D-optimal part of the full split plot"))


def grouped_in_whole_plots(study: StudySpec, treatments: Treatments) -> Treatments:
    """Any other design, run so that its hard-to-change factors change as seldom as it allows.

    Runs of a block that agree in every hard-to-change factor are one whole plot.
    """
    hard = study.design.hard_to_change
    if not hard or treatments.whole_plots is not None:
        return treatments
    blocks = treatments.blocks or (0,) * len(treatments.rows)
    plot_numbers: dict[tuple[object, ...], int] = {}
    labels = tuple(
        plot_numbers.setdefault((block, *_key(row, hard)), len(plot_numbers) + 1)
        for block, row in zip(blocks, treatments.rows, strict=True)
    )
    grouped = replace(treatments, whole_plots=labels, hard_to_change=hard, variance_ratio=study.design.variance_ratio)
    return _described(grouped, study)


def _key(row: Mapping[str, Level], names: Sequence[str]) -> tuple[object, ...]:
    return tuple((isinstance(row[name], bool), row[name]) for name in names)


def _described(treatments: Treatments, study: StudySpec) -> Treatments:
    assert treatments.whole_plots is not None
    distinct = {_key(row, treatments.hard_to_change) for row in treatments.rows}
    plots = len(set(treatments.whole_plots))
    notes = treatments.notes
    if plots == len(distinct) and study.design.replicates == 1:
        notes = (
            *notes,
            f"{plots} whole plots, one for each combination of {', '.join(treatments.hard_to_change)}: effects between "
            "whole plots have no error term; set replicates: 2 or more whole_plots",
        )
    return replace(treatments, notes=notes)
