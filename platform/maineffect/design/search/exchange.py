"""Coordinate exchange for D- and I-optimal designs, all random starts at once.

Meyer and Nachtsheim (1995), Technometrics 37:60–69: go through the runs, change one factor of a run when that raises
the criterion, until nothing does. For split plots Jones and Goos (2007), Applied Statistics 56:347–364: a
hard-to-change factor changes for a whole plot. Information is M = X'V⁻¹X with V = I + ηZZ' (variances in units of the
run's), so a change of one run changes M by a matrix of rank three at most, and the criterion follows from 3 × 3
matrices (Arnouts and Goos 2010, Comput. Stat. Data Anal. 54:3381–3391).

Shapes: S starts, A alternatives, n runs, k factors, p parameters, U update vectors (two, or three in whole plots).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maineffect.design.search.candidates import Candidates

__all__ = ["Found", "Layout", "exchange"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Criterion = Literal["D", "I"]

_MOST_PASSES = 60
_GAIN = 1e-9
_DIGITS = 7
_RIDGE, _SINGULAR, _SINGULAR_LOG = 1e-3, 1e-9, 25.0
_MOST_EQUALS = 50


@dataclass(frozen=True)
class Layout:
    """What surrounds the runs that are chosen.

    Attributes:
        runs: n, the runs to choose.
        plots: (n,) whole plot of each run, 0-based; every run its own when nothing is hard to change.
        hard: Indices of the hard-to-change factors.
        ratio: η, variance between whole plots over the variance of a run.
        extra: (n, b) fixed columns beside the model row of each run (blocks).
        fixed: (p, p) information of runs that exist already.
    """

    runs: int
    plots: Ints
    hard: tuple[int, ...] = ()
    ratio: float = 0.0
    extra: Floats = field(default_factory=lambda: np.empty((0, 0)))
    fixed: Floats | None = None

    def shrink(self) -> Floats:
        """(n,) c = η / (1 + mη) of each run's whole plot of m runs: V⁻¹ = I − c11' within it."""
        sizes = np.bincount(self.plots)[self.plots]
        return np.asarray(self.ratio / (1 + sizes * self.ratio))


@dataclass(frozen=True)
class Found:
    """The best of all starts.

    Attributes:
        index: (n,) cell of each run.
        value: log|M| for D, −trace(W M⁻¹) for I.
        reached: Starts that ended within 1e-6 of it.
        equals: (E, n) designs that reached it, the best itself among them, at most :data:`_MOST_EQUALS`.
    """

    index: Ints
    value: float
    reached: int
    equals: Ints

    def merged(self, other: Found) -> Found:
        """The better of two searches; equal values add up."""
        if _same_value(self.value, other.value):
            together = np.concatenate([self.equals, other.equals])[:_MOST_EQUALS]
            return replace(self, reached=self.reached + other.reached, equals=together)
        return self if self.value > other.value else other


class _Search:
    """State of all starts: cells, information and its inverse."""

    def __init__(self, cells: Candidates, layout: Layout, start: Ints, criterion: Criterion, weight: Floats) -> None:
        self.cells, self.layout, self.criterion, self.weight = cells, layout, criterion, weight
        self.index = start
        self.codes = cells.codes(start)
        self.shrink = layout.shrink()
        self.easy = [j for j in range(len(cells.counts)) if j not in layout.hard]
        self.members = [np.flatnonzero(layout.plots == plot) for plot in range(int(layout.plots.max()) + 1)]
        self.refresh()

    def features(self, index: Ints, run: int | Ints) -> Floats:
        """Model rows of cells placed at a run: the cell's own, and the run's block columns."""
        cell_features = self.cells.features[index]
        extra = self.layout.extra
        if extra.size == 0:
            return cell_features
        return np.concatenate(
            [cell_features, np.broadcast_to(extra[run], (*cell_features.shape[:-1], extra.shape[1]))], axis=-1
        )

    def rows(self) -> Floats:
        """(S, n, p) model rows of all starts."""
        return self.features(self.index, np.arange(self.layout.runs))

    def refresh(self) -> None:
        """Compute the information afresh: updates gather rounding errors."""
        self.information = information(self.rows(), self.layout, self.members)
        self.inverse = _inverse(self.information)

    def value(self) -> Floats:
        """(S,) criterion, larger is better."""
        return _criterion(self.information, self.criterion, self.weight)

    def take(self, chosen: NDArray[np.bool_]) -> None:
        """Keep some of the starts."""
        self.index, self.codes = self.index[chosen], self.codes[chosen]
        self.information, self.inverse = self.information[chosen], self.inverse[chosen]

    def alternatives(self, run: int, factors: list[int]) -> tuple[Ints, NDArray[np.bool_]]:
        """(S, A) cells that differ from a run's in one of the factors, and whether they are allowed."""
        moves = []
        for j in factors:
            count, stride, codes = int(self.cells.counts[j]), int(self.cells.strides[j]), self.codes[:, run, j]
            moves += [((codes + step) % count - codes) * stride for step in range(1, count)]
        index = self.index[:, run, None] + np.stack(moves, axis=1)
        return index, self.cells.allowed[index]

    def change_run(self, run: int) -> NDArray[np.bool_]:
        """Give every start's run its best single change; returns which starts changed."""
        index, allowed = self.alternatives(run, self.easy)
        old = self.features(self.index[:, run], run)
        new = self.features(index, run)
        vectors, mixing = self._update(run, old, new)
        projected = vectors @ self.inverse[:, None]
        gram = projected @ vectors.swapaxes(-1, -2)
        inner = np.eye(gram.shape[-1]) + mixing @ gram
        gain = self._gain(inner, mixing, projected)
        gain = rounded(np.where(allowed, gain, -np.inf))
        best = gain.argmax(axis=1)
        starts = np.flatnonzero(gain[np.arange(len(best)), best] > _GAIN)
        if len(starts):
            picks = best[starts]
            self.index[starts, run] = index[starts, picks]
            self.codes[starts, run] = self.cells.codes(self.index[starts, run])
            u, d = vectors[starts, picks], projected[starts, picks]
            self.information[starts] += u.swapaxes(-1, -2) @ mixing @ u
            middle = np.linalg.solve(inner[starts, picks], np.broadcast_to(mixing, inner[starts, picks].shape))
            self.inverse[starts] -= d.swapaxes(-1, -2) @ middle @ d
        return np.isin(np.arange(len(best)), starts)

    def _update(self, run: int, old: Floats, new: Floats) -> tuple[Floats, Floats]:
        """(S, A, U, p) vectors and (U, U) mixing C of the change of information, ΔM = Σ C[a, b]·u_a u_b'."""
        parts = [np.broadcast_to(old[:, None], new.shape), new]
        c = float(self.shrink[run])
        if c == 0:
            return np.stack(parts, axis=2), np.diag([-1.0, 1.0])
        # With δ = f' − f and s the sum over the whole plot: ΔM = f'f'' − ff' − c(sδ' + δs' + δδ').
        members = self.members[int(self.layout.plots[run])]
        total = self.features(self.index[:, members], members).sum(axis=1)
        parts.append(np.broadcast_to(total[:, None], new.shape))
        return np.stack(parts, axis=2), np.array([[-1 - c, c, c], [c, 1 - c, -c], [c, -c, 0.0]])

    def _gain(self, inner: Floats, mixing: Floats, projected: Floats) -> Floats:
        """(S, A) relative gain of each alternative."""
        determinant = np.linalg.det(inner) if inner.shape[-1] > 2 else _det2(inner)
        if self.criterion == "D":
            return np.asarray(determinant - 1)
        now = np.einsum("sij,ij->s", self.inverse, self.weight)[:, None]
        spread = projected @ self.weight @ projected.swapaxes(-1, -2)
        safe = np.where(determinant[..., None, None] > 1e-10, inner, np.eye(inner.shape[-1]))
        drop = np.einsum("saij,saji->sa", np.linalg.solve(safe, np.broadcast_to(mixing, inner.shape)), spread)
        return np.asarray(np.where(determinant > 1e-10, drop / now, -np.inf))

    def change_plot(self, plot: int) -> NDArray[np.bool_]:
        """Give every start's whole plot its best change of one hard-to-change factor."""
        members = self.members[plot]
        moved, _ = self.alternatives(int(members[0]), list(self.layout.hard))
        shift = moved - self.index[:, members[:1]]
        index = self.index[:, None, members] + shift[:, :, None]
        possible = np.asarray(self.cells.allowed[index].all(axis=2))
        c = float(self.shrink[members[0]])
        plot_information = _plot_information(self.features(self.index[:, members], members), c)
        trial = (self.information - plot_information)[:, None] + _plot_information(self.features(index, members), c)
        value = np.where(possible, _criterion(trial, self.criterion, self.weight), -np.inf)
        value = rounded(value)
        best = value.argmax(axis=1)
        rows = np.arange(len(best))
        now = rounded(self.value())
        slack = _GAIN * np.maximum(1.0, np.abs(np.where(np.isfinite(now), now, 0.0)))
        changed = np.asarray(value[rows, best] > now + slack)
        starts = np.flatnonzero(changed)
        if len(starts):
            self.index[np.ix_(starts, members)] = index[starts, best[starts]]
            self.codes[np.ix_(starts, members)] = self.cells.codes(self.index[np.ix_(starts, members)])
            self.information[starts] = trial[starts, best[starts]]
            self.inverse[starts] = _inverse(self.information[starts])
        return changed


def _inverse(matrix: Floats) -> Floats:
    """(S, p, p) inverses; a singular start is mended by a ridge, which is gone once its information is regular.

    The ridge is large, because what is computed from a nearly singular matrix has no digits in which kernels agree.
    """
    eigenvalues = np.linalg.eigvalsh(matrix)
    largest = np.maximum(eigenvalues[..., -1], 1e-300)
    ridge = np.where(eigenvalues[..., 0] < _SINGULAR * largest, _RIDGE * largest, 0.0)
    return np.asarray(np.linalg.inv(matrix + ridge[..., None, None] * np.eye(matrix.shape[-1])))


def rounded(values: Floats) -> Floats:
    """Values to seven significant digits, in which all processors agree; among equals ``argmax`` takes the first.

    Sums of products end in other last digits with another BLAS kernel. Without rounding, ties between equally good
    exchanges would be broken by these digits, and one study would have another plan on another machine.
    """
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa, _DIGITS), exponent))


def _det2(m: Floats) -> Floats:
    return np.asarray(m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0])


def _plot_information(rows: Floats, c: float) -> Floats:
    """(…, p, p) X'V⁻¹X of one whole plot from its (…, m, p) rows."""
    total = rows.sum(axis=-2)
    return np.asarray(rows.swapaxes(-1, -2) @ rows - c * total[..., :, None] * total[..., None, :])


def information(rows: Floats, layout: Layout, members: list[Ints] | None = None) -> Floats:
    """(…, p, p) information of designs from their (…, n, p) rows, existing runs included."""
    result = rows.swapaxes(-1, -2) @ rows
    if layout.ratio > 0:
        if members is None:
            members = [np.flatnonzero(layout.plots == plot) for plot in range(int(layout.plots.max()) + 1)]
        totals = np.stack([rows[..., inside, :].sum(axis=-2) for inside in members], axis=-2)
        weights = np.array([layout.shrink()[inside[0]] for inside in members])
        result = result - (totals * weights[:, None]).swapaxes(-1, -2) @ totals
    return np.asarray(result if layout.fixed is None else result + layout.fixed)


def _criterion(matrix: Floats, criterion: Criterion, weight: Floats) -> Floats:
    sign, logdet = np.linalg.slogdet(matrix)
    p = matrix.shape[-1]
    # The determinant of a singular matrix is rounding: of either sign, and e^36 below what its trace allows (AM–GM).
    most = p * np.log(np.maximum(np.trace(matrix, axis1=-2, axis2=-1), 1e-300) / p)
    regular = (sign > 0) & (logdet > most - _SINGULAR_LOG)
    if criterion == "D":
        return np.asarray(np.where(regular, logdet, -np.inf))
    safe = np.where(regular[..., None, None], matrix, np.eye(matrix.shape[-1]))
    trace = np.einsum("...ij,ij->...", np.linalg.inv(safe), weight)
    return np.asarray(np.where(regular & (trace > 0), -trace, -np.inf))


def exchange(
    cells: Candidates,
    layout: Layout,
    *,
    starts: int,
    rng: np.random.Generator,
    criterion: Criterion = "D",
    weight: Floats | None = None,
) -> Found:
    """Search for the best design from random starts.

    Args:
        starts: S.
        rng: Source of the starts; the search itself is deterministic.
        weight: (p, p) W of the I-criterion: the average of ff' over the region.
    """
    p = cells.features.shape[1] + layout.extra.shape[1]
    begin = _starts(cells, layout, starts, rng)
    search = _Search(cells, layout, begin, criterion, np.eye(p) if weight is None else weight)
    ended: list[tuple[Floats, Ints]] = []
    plots = range(len(search.members)) if layout.hard else ()
    for _ in range(_MOST_PASSES):
        changed: NDArray[np.bool_] = np.zeros(len(search.index), dtype=np.bool_)
        for plot in plots:
            changed |= search.change_plot(plot)
        for run in range(layout.runs):
            if search.easy:
                changed |= search.change_run(run)
        search.refresh()
        if not changed.all():
            ended.append((search.value()[~changed], search.index[~changed]))
            search.take(changed)
        if not changed.any():
            break
    else:
        ended.append((search.value(), search.index))
    values = np.concatenate([value for value, _ in ended])
    designs = np.concatenate([index for _, index in ended])
    best = int(rounded(values).argmax())
    equal = np.array([_same_value(float(value), float(values[best])) for value in values])
    return Found(designs[best], float(values[best]), int(equal.sum()), designs[equal][:_MOST_EQUALS])


def _same_value(a: float, b: float) -> bool:
    return a == b or abs(a - b) <= 1e-6 * max(1.0, abs(b))


def _starts(cells: Candidates, layout: Layout, starts: int, rng: np.random.Generator) -> Ints:
    """(S, n) random allowed cells; hard-to-change factors equal within whole plots."""
    allowed = np.flatnonzero(cells.allowed)
    if not layout.hard:
        return np.asarray(rng.choice(allowed, size=(starts, layout.runs)))
    hard = np.array(layout.hard)
    part = (cells.codes(allowed)[:, hard] * cells.strides[hard]).sum(axis=1)
    groups = [allowed[part == value] for value in np.unique(part)]
    index = np.empty((starts, layout.runs), dtype=np.intp)
    for plot in range(int(layout.plots.max()) + 1):
        members = np.flatnonzero(layout.plots == plot)
        picks = rng.integers(len(groups), size=starts)
        draws = rng.random((starts, len(members)))
        for start, pick in enumerate(picks):
            group = groups[pick]
            index[start, members] = group[(draws[start] * len(group)).astype(np.intp)]
    return index
