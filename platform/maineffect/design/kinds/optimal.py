"""Optimal designs: the most information from so many runs, beside the bound that no design exceeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.design.model.treatments import Treatments
from maineffect.design.search.bound import average_variance_bound, log_determinant_bound, split_plot_bound
from maineffect.design.search.candidates import Candidates, candidates
from maineffect.design.search.efficiency import between_columns
from maineffect.design.search.exchange import Found, Layout, exchange
from maineffect.errors import DesignError
from maineffect.seeds import generator
from maineffect.spec.factors import Factor
from maineffect.spec.requests import OptimalRequest
from maineffect.spec.study import StudySpec

__all__ = ["optimal", "plot_sizes"]

Floats = NDArray[np.float64]

_BATCH = 100
_BATCHES = 5
_AGREED = 3
_WORK = 6e9


def optimal(study: StudySpec) -> Treatments:
    """The D- or I-optimal design that a study asks for.

    Raises:
        DesignError: Too few runs or whole plots for the model, or a model that no allowed cells support.
    """
    request = study.design
    assert isinstance(request, OptimalRequest)
    factors = tuple(study.factors.values())
    terms = expand_terms(factors, request.model if request.model is not None else study.analysis.terms)
    cells = candidates(factors, terms, forbid=request.forbid, grid=request.grid)
    _require_estimable(factors, cells, terms)
    problem = _Problem(study, request, terms, cells)
    problem.require_size()
    if not request.hard_to_change:
        return problem.solve(None)
    counts = (request.whole_plots,) if request.whole_plots is not None else problem.plot_counts()
    solved = [problem.solve(count) for count in counts]
    costs = [request.runs * (request.run_cost or 1.0) + count * request.setup_cost for count in counts]
    rates = [(solution.information or 0.0) / cost for solution, cost in zip(solved, costs, strict=True)]
    best = solved[rates.index(max(rates))]
    if len(solved) < 2:
        return best
    table = ", ".join(f"{count} → {rate:.3f}" for count, rate in zip(counts, rates, strict=True))
    return replace(best, notes=(*best.notes, f"information per GPU-hour by number of whole plots: {table}"))


def plot_sizes(runs: int, plots: int) -> list[int]:
    """Runs cut into whole plots as evenly as possible, the larger first."""
    return [runs // plots + (i < runs % plots) for i in range(plots)]


def _require_estimable(factors: Sequence[Factor], cells: Candidates, terms: Sequence[str]) -> None:
    rows = cells.features[cells.allowed]
    rank = int(np.linalg.matrix_rank(rows))
    if rank == rows.shape[1]:
        return
    spans = model_matrix(factors, {f.name: [f.levels[0]] for f in factors}, tuple(terms)).spans
    kept, lost = rows[:, :1], []
    for term in terms:
        trial = np.hstack([kept, rows[:, spans[term]]])
        if np.linalg.matrix_rank(trial) < trial.shape[1]:
            lost.append(term)
        else:
            kept = trial
    raise DesignError(
        f"no set of allowed cells can estimate {', '.join(lost)}",
        "leave them out of design.model, forbid less, or give a quadratic term a middle level (design.grid: 3)",
    )


class _Problem:
    """One request, ready to be solved for a number of whole plots."""

    def __init__(self, study: StudySpec, request: OptimalRequest, terms: Sequence[str], cells: Candidates) -> None:
        self.study, self.request, self.cells = study, request, cells
        self.factors = factors = tuple(study.factors.values())
        self.terms = tuple(terms)
        self.hard = tuple(i for i, factor in enumerate(factors) if factor.name in request.hard_to_change)
        self.region = cells.features[cells.allowed]
        self.p = cells.features.shape[1]
        self.kept = self._fixed_rows()
        self.free = request.runs - len(request.fixed)
        self.between = between_columns(factors, self.terms, request.hard_to_change)

    def _fixed_rows(self) -> Floats:
        fixed = self.request.fixed
        if not fixed:
            return np.empty((0, self.p))
        rows = {factor.name: [entry[factor.name] for entry in fixed] for factor in self.factors}
        return model_matrix(self.factors, rows, self.terms, coding="orthonormal").matrix

    def require_size(self) -> None:
        """Refuse what no design can satisfy, naming the smallest that can."""
        request = self.request
        blocks = request.blocks - 1
        needed = self.p + blocks
        if request.runs < needed:
            raise DesignError(
                f"{request.runs} runs cannot estimate {needed} parameters ({self.p} of the model"
                + (f", {blocks} of blocks)" if blocks else ")"),
                f"use runs: {needed} at least, or a smaller design.model",
            )
        if self.free < 1:
            raise DesignError(
                f"the {len(request.fixed)} fixed runs leave none of {request.runs} to choose",
                f"use runs: {len(request.fixed) + 1} or more, or kind: list",
            )
        if self.hard and (request.fixed or request.blocks > 1):
            raise DesignError(
                "hard-to-change factors are not combined with fixed runs or blocks within a replicate here",
                "use replicates as blocks, and leave `fixed` out",
            )
        fewest = sum(self.between)
        if request.whole_plots is not None and not self.hard:
            raise DesignError("whole plots without a hard-to-change factor", "name it in design.hard_to_change")
        if request.whole_plots is not None and not fewest <= request.whole_plots <= request.runs:
            raise DesignError(
                f"{request.whole_plots} whole plots in {request.runs} runs: the model needs {fewest} of them at least",
                f"use whole_plots: {fewest + 1}, one more than the between-plot parameters, to have an error term",
            )

    def plot_counts(self) -> tuple[int, ...]:
        """Numbers of whole plots worth comparing: an error term between them, and equal sizes where possible."""
        runs, fewest = self.request.runs, sum(self.between) + 1
        sensible = range(fewest, runs // 2 + 1)
        even = tuple(count for count in sensible if runs % count == 0)
        if self.request.setup_cost == 0:
            # Without a setup cost more whole plots are always better: take the fewest that leave an error term.
            return even[:1] or (min(fewest, runs),)
        return even or (min(fewest, runs),)

    def solve(self, plots: int | None) -> Treatments:
        """Search, then say how good the result is."""
        request = self.request
        layout, labels = self._layout(plots)
        weight = np.zeros((self.p + layout.extra.shape[1],) * 2)
        weight[: self.p, : self.p] = self.region.T @ self.region / len(self.region)
        best, starts = self._search(layout, weight)
        chosen = self._least_aliased(best)
        rows = [*request.fixed, *(self.cells.cell(int(index)) for index in chosen)]
        if not np.isfinite(best.value):
            raise DesignError(
                f"no regular design with {request.runs} runs was found in {starts} random starts",
                "allow more runs, fewer terms or more design.starts",
            )
        log_bound = self._bound(plots)
        notes = [f"best of {starts} random starts; {best.reached} reached it"]
        average = average_bound = None
        if request.criterion == "I":
            average = -best.value
            if plots is None and request.blocks == 1:
                fixed = self.kept.T @ self.kept if len(self.kept) else None
                average_bound = average_variance_bound(self.region, weight, self.free, fixed)
        information = np.exp(best.value / self.p) if request.criterion == "D" else 1 / -best.value
        return Treatments(
            tuple(rows),
            blocks=labels,
            whole_plots=None if plots is None else tuple(int(plot) + 1 for plot in layout.plots),
            d_bound=float(100 * np.exp(log_bound / self.p) / request.runs),
            notes=tuple(notes),
            model=self.terms,
            hard_to_change=request.hard_to_change,
            variance_ratio=request.variance_ratio,
            average_variance=average,
            average_variance_bound=average_bound,
            information=float(information),
        )

    def _layout(self, plots: int | None) -> tuple[Layout, tuple[int, ...] | None]:
        request = self.request
        kept_information = self.kept.T @ self.kept if len(self.kept) else None
        if plots is not None:
            sizes = plot_sizes(request.runs, plots)
            labels = np.repeat(np.arange(plots), sizes)
            return Layout(request.runs, labels, self.hard, request.variance_ratio), None
        alone = np.arange(self.free)
        if request.blocks == 1:
            return Layout(self.free, alone, fixed=kept_information), None
        blocks = self._blocks()
        contrasts = np.vstack([np.eye(request.blocks - 1), -np.ones((1, request.blocks - 1))])[blocks - 1]
        if len(self.kept):
            whole = np.hstack([self.kept, contrasts[: len(self.kept)]])
            kept_information = whole.T @ whole
        layout = Layout(self.free, alone, extra=contrasts[len(self.kept) :], fixed=kept_information)
        return layout, tuple(int(block) for block in blocks)

    def _blocks(self) -> NDArray[np.intp]:
        """Block of every run: fixed runs are the first block, or the first blocks are evenly sized."""
        kept, count = len(self.kept), self.request.blocks
        if not kept:
            return np.repeat(np.arange(count), plot_sizes(self.request.runs, count)).astype(np.intp) + 1
        if self.free < count - 1:
            raise DesignError(
                f"{self.free} new runs cannot fill {count - 1} blocks beside the fixed one",
                f"use runs: {kept + count - 1} or more",
            )
        rest = np.repeat(np.arange(2, count + 1), plot_sizes(self.free, count - 1))
        return np.concatenate([np.ones(kept, dtype=np.intp), rest])

    def _search(self, layout: Layout, weight: Floats) -> tuple[Found, int]:
        """Batches of random starts until the best is met three times: the search has then settled."""
        asked = self.request.starts
        moves = int(self.cells.counts.sum())
        per_start = 10 * layout.runs * moves * weight.shape[0] ** 2
        batch = asked or int(max(10, min(_BATCH, _WORK / per_start)))
        batches = 1 if asked else max(1, min(_BATCHES, int(_WORK / (per_start * batch))))
        best: Found | None = None
        for i in range(batches):
            rng = generator(self.study.seed, "optimal", len(set(layout.plots.tolist())), i)
            batch_best = exchange(
                self.cells, layout, starts=batch, rng=rng, criterion=self.request.criterion, weight=weight
            )
            best = batch_best if best is None else best.merged(batch_best)
            if best.reached >= _AGREED:
                return best, batch * (i + 1)
        assert best is not None
        return best, batch * batches

    def _least_aliased(self, best: Found) -> NDArray[np.intp]:
        """Of equally good designs the one that two-factor interactions left out of the model bias least.

        The sum of squares of the alias matrix, as in Jones and Nachtsheim (2011), Technometrics 53:62–71.
        """
        left = [term for term in expand_terms(self.factors, "two_way") if term not in self.terms]
        if not left or len(best.equals) == 1:
            return best.index
        levels = [self.cells.cell(index) for index in range(len(self.cells.allowed))]
        rows = {factor.name: [level[factor.name] for level in levels] for factor in self.factors}
        omitted = model_matrix(self.factors, rows, tuple(left), intercept=False, coding="orthonormal").matrix
        fitted = self.cells.features[best.equals]
        bias = np.linalg.pinv(fitted) @ omitted[best.equals]
        return np.asarray(best.equals[int(np.argmin(np.round(np.sum(bias**2, axis=(1, 2)), 9)))])

    def _bound(self, plots: int | None) -> float:
        if plots is not None:
            sizes = plot_sizes(self.request.runs, plots)
            return split_plot_bound(self.region, self.between, sizes, self.request.variance_ratio)
        fixed = self.kept.T @ self.kept if len(self.kept) else None
        return log_determinant_bound(self.region, self.free, fixed)
