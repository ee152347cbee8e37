"""Which terms the runs can estimate, and what each fitted column means.

Terms are taken by order (main effects first; registered terms first within an order), so that marginality holds. A
term that cannot be told from those before it is left out *with the reason*; among terms that share one column space a
single one is fitted and names the others; terms that are mixed up in fractions with each other are all left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from maineffect.analyse.fit.empty_cells import Cells, empty_cells, named
from maineffect.analyse.record.result import NotEstimable
from maineffect.contracts import Level
from maineffect.design.model.terms import ModelMatrix, expand_terms, factor_columns, model_matrix, term_factors
from maineffect.spec.factors import Factor

__all__ = ["AnalysisModel", "build_model", "covariate_span", "term_order", "whole_model"]

Floats = NDArray[np.float64]
_TOLERANCE = 1e-8
_RANK = 1e-9
_COMBINATION = "a combination of terms before it in these runs"
_KNOWN = ("cannot be told from", "confounded with")
"""Beginnings of reasons that say all: in a fraction most combinations of many factors have no run by plan."""


def term_order(term: str) -> int:
    """Polynomial order of a term: ``A`` 1, ``A^2`` and ``A:B`` 2."""
    return sum(2 if part.endswith("^2") else 1 for part in term.split(":"))


@dataclass(frozen=True)
class AnalysisModel:
    """The model that is fitted.

    Attributes:
        factors: In the study's order.
        terms: Fitted terms, canonical order.
        matrix: (n, p), intercept first, then blocks, then terms, curvature before the terms.
        spans: Term → columns; ``:1``, ``:block`` and ``:curvature`` included.
        partial: Fitted terms of which only some contrasts are estimable (empty cells).
        not_estimable: Terms left out, with the reason.
        aliased_with: Fitted term → terms up to two-factor interactions that cannot be told from it.
        partial_alias: Largest |alias coefficient| strictly between 0 and 1, and whose.
        parts: ``A`` or ``A^2`` → (L, k) columns at the factor's levels.
        covariates: Fitted beside the terms, each centred, in the last columns.
        useless: Covariate → why it was left out.
        empty: Term that is partial or left out → its cells without a run.
    """

    factors: tuple[Factor, ...]
    terms: tuple[str, ...]
    matrix: Floats
    spans: Mapping[str, slice]
    partial: frozenset[str]
    not_estimable: tuple[NotEstimable, ...]
    aliased_with: Mapping[str, tuple[str, ...]]
    partial_alias: tuple[float, str, str] | None
    parts: Mapping[str, Floats] = field(repr=False, default_factory=dict)
    covariates: tuple[str, ...] = ()
    useless: Mapping[str, str] = field(default_factory=dict)
    empty: Mapping[str, Cells] = field(default_factory=dict)

    @property
    def has_blocks(self) -> bool:
        """Whether block effects are in the model."""
        return BLOCK in self.spans

    @cached_property
    def basis(self) -> Floats:
        """(n, r) orthonormal columns that span the matrix."""
        u, s, _ = np.linalg.svd(_scaled(self.matrix), full_matrices=False)
        return np.asarray(u[:, s > _RANK * s[0]])

    @cached_property
    def coordinates(self) -> Floats:
        """(r, p) the matrix's columns in its own basis: what columns span is decided there, whatever the runs."""
        return np.asarray(self.basis.T @ self.matrix)

    @cached_property
    def rows(self) -> dict[tuple[object, ...], Floats]:
        """Configuration → row of its prediction (:mod:`maineffect.analyse.fit.surface`), shared by the responses."""
        return {}

    @cached_property
    def spaces(self) -> dict[tuple[str, str], Floats]:
        """(term, kind of sum of squares) → (n, df) basis of its hypothesis, shared by the responses."""
        return {}


# No factor can have these names: `:` is refused in names.
INTERCEPT = ":1"
BLOCK = ":block"
CURVATURE = ":curvature"


def covariate_span(name: str) -> str:
    """Key of a covariate's column in ``spans``."""
    return f":covariate:{name}"


def _scaled(columns: Floats) -> Floats:
    norms = np.linalg.norm(columns, axis=0)
    return np.asarray(columns / np.where(norms > 0, norms, 1.0))


def _residual_space(columns: Floats, basis: Floats) -> Floats:
    """Orthonormal basis of what unit-length columns add to a space (empty when they add nothing)."""
    scaled = _scaled(columns)
    rest = scaled - basis @ (basis.T @ scaled)
    rest = rest - basis @ (basis.T @ rest)
    u, s, _ = np.linalg.svd(rest, full_matrices=False)
    return np.asarray(u[:, s > _TOLERANCE])


def _same(a: Floats, b: Floats) -> bool:
    return a.shape == b.shape and bool(np.linalg.norm(a - b @ (b.T @ a)) < 1e-6)


class _Chooser:
    """Takes terms order by order and remembers why one was left out."""

    def __init__(self, full: ModelMatrix, extra: Mapping[str, Floats]) -> None:
        self.columns = {term: full.matrix[:, full.spans[term]] for term in full.terms}
        self.base = [np.ones((len(full.matrix), 1)), *extra.values()]
        basis: Floats = np.empty((len(full.matrix), 0))
        for part in self.base:
            basis = np.hstack([basis, _residual_space(part, basis)])
        self.basis = basis
        self.extra = extra
        self.kept: list[str] = []
        self.partial: set[str] = set()
        self.reasons: dict[str, str] = {}
        self.chains: dict[str, list[str]] = {}

    def add_group(self, group: Sequence[str]) -> None:
        """Fit what can be fitted of terms of one order, given everything of lower order."""
        spaces: dict[str, Floats] = {}
        for term in group:
            space = _residual_space(self.columns[term], self.basis)
            if space.shape[1] == 0:
                self.reasons[term] = self._why_nothing_left(term)
                continue
            twin = next((other for other, other_space in spaces.items() if _same(space, other_space)), None)
            if twin is not None:
                self.reasons[term] = f"cannot be told from {twin} in these runs"
                self.chains.setdefault(twin, []).append(term)
            else:
                spaces[term] = space
        joint = self._joint_ranks(spaces)
        for term, space in spaces.items():
            if joint[term] < space.shape[1]:
                self.reasons[term] = self._why_mixed(term, space, spaces)
                continue
            self.kept.append(term)
            if space.shape[1] < self.columns[term].shape[1]:
                self.partial.add(term)
        for term in spaces:
            if term in self.kept:
                self.basis = np.hstack([self.basis, _residual_space(spaces[term], self.basis)])

    def _joint_ranks(self, spaces: Mapping[str, Floats]) -> dict[str, int]:
        """What each term adds to all the others of its group."""
        total = sum(space.shape[1] for space in spaces.values())
        stacked = np.hstack([*spaces.values()]) if spaces else np.empty((len(self.basis), 0))
        if total == 0 or np.linalg.matrix_rank(stacked, tol=1e-7) == total:
            return {term: space.shape[1] for term, space in spaces.items()}
        ranks = {}
        for term, space in spaces.items():
            others = np.hstack(
                [np.empty((len(space), 0)), *(other_space for name, other_space in spaces.items() if name != term)]
            )
            u, s, _ = np.linalg.svd(others, full_matrices=False)
            ranks[term] = _residual_space(space, u[:, s > 1e-7]).shape[1]
        return ranks

    def _why_nothing_left(self, term: str) -> str:
        columns = self.columns[term]
        if not np.any(np.ptp(columns, axis=0) > 0):
            return f"{' and '.join(term_factors(term))} did not vary in these runs"
        for name, block in self.extra.items():
            if _residual_space(columns, _orthonormal(np.hstack([self.base[0], block]))).shape[1] == 0:
                return "confounded with blocks" if name == BLOCK else "cannot be told from curvature"
        for other in self.kept:
            space = _orthonormal(np.hstack([self.base[0], self.columns[other]]))
            if _residual_space(columns, space).shape[1] == 0:
                self.chains.setdefault(other, []).append(term)
                return f"cannot be told from {other} in these runs"
        if self.basis.shape[1] >= len(columns):
            return f"the {len(columns)} runs are used up by the terms before it"
        return f"{_COMBINATION}: " + ", ".join(self._involved(columns))

    def _involved(self, columns: Floats) -> list[str]:
        names, parts = ["blocks"] * (BLOCK in self.extra), [self.extra[BLOCK]] if BLOCK in self.extra else []
        names += self.kept
        parts += [self.columns[term] for term in self.kept]
        matrix = np.hstack([self.base[0], *parts])
        coefficients, *_ = np.linalg.lstsq(matrix, columns, rcond=None)
        involved, at = [], 1
        for name, part in zip(names, parts, strict=True):
            if np.any(np.abs(coefficients[at : at + part.shape[1]]) > 1e-6):
                involved.append(name)
            at += part.shape[1]
        return involved[:4] + (["…"] if len(involved) > 4 else [])

    def _why_mixed(self, term: str, space: Floats, spaces: Mapping[str, Floats]) -> str:
        rivals = [
            other
            for other, other_space in spaces.items()
            if other != term and np.abs(space.T @ other_space).max(initial=0.0) > 1e-6
        ]
        shown = ", ".join(rivals[:4]) + (", …" if len(rivals) > 4 else "")
        return f"mixed up with {shown or 'terms of its order'} in these runs (more terms than runs can separate)"


def _orthonormal(columns: Floats) -> Floats:
    return _residual_space(columns, np.empty((len(columns), 0)))


def build_model(
    factors: Sequence[Factor],
    rows: Mapping[str, Sequence[Level]],
    terms: Sequence[str],
    *,
    blocks: Sequence[object] | None = None,
    first: Sequence[str] = (),
    covariates: Mapping[str, Floats] | None = None,
) -> AnalysisModel:
    """Choose the terms that the runs can estimate and build their model matrix.

    Args:
        factors: In the study's order.
        rows: Factor name → n levels.
        terms: Canonical terms, as asked.
        blocks: n block labels, fitted as fixed effects.
        first: Terms that go first within their order (the registered ones).
        covariates: Name → n centred values, fitted beside the terms where they add to them.
    """
    factors = tuple(factors)
    full = model_matrix(factors, rows, tuple(terms))
    extra: dict[str, Floats] = {}
    if len(set(blocks or ())) > 1:
        extra[BLOCK] = model_matrix(factors, rows, (), blocks=blocks).matrix[:, 1:]
    centre = _centre(factors, rows, full.terms)
    if centre is not None:
        extra[CURVATURE] = centre
    chooser = _Chooser(full, extra)
    for order in sorted({term_order(term) for term in full.terms}):
        group = [term for term in full.terms if term_order(term) == order]
        early = [term for term in group if term in first]
        chooser.add_group(early)
        chooser.add_group([term for term in group if term not in early])
    kept = tuple(term for term in full.terms if term in chooser.kept)
    short = [term for term in full.terms if term in chooser.partial or term in chooser.reasons]
    empty = {term: cells for term in short if (cells := empty_cells(factors, rows, term_factors(term)))}
    for term, cells in empty.items():
        if (why := chooser.reasons.get(term)) is not None and not why.startswith(_KNOWN):
            gone = f"no runs with {named(cells)}"
            chooser.reasons[term] = gone if why.startswith(_COMBINATION) else f"{why}; {gone}"
    return _beside(replace(_assemble(factors, rows, kept, chooser), empty=empty), chooser.basis, covariates or {})


def _beside(model: AnalysisModel, basis: Floats, covariates: Mapping[str, Floats]) -> AnalysisModel:
    """Covariates come last, so that they never take a term's place, and leave at least one run for error."""
    matrix, spans, useless = model.matrix, dict(model.spans), {}
    for name, values in covariates.items():
        space = _residual_space(values[:, None], basis)
        if not np.ptp(values) > 0:
            useless[name] = "it is the same in all runs"
        elif basis.shape[1] + 2 > len(values):
            useless[name] = "no degrees of freedom are left for it"
        elif space.shape[1] == 0:
            useless[name] = "it is a function of the design"
        else:
            spans[covariate_span(name)] = slice(matrix.shape[1], matrix.shape[1] + 1)
            matrix, basis = np.hstack([matrix, values[:, None]]), np.hstack([basis, space])
    kept = tuple(name for name in covariates if name not in useless)
    return replace(model, matrix=matrix, spans=spans, covariates=kept, useless=useless)


def _centre(factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]], terms: Sequence[str]) -> Floats | None:
    """Centre runs of two-level designs measure curvature, one column for all quadratic terms together."""
    if any("^2" in term for term in terms):
        return None
    outside = [
        [value not in factor.levels for value in rows[factor.name]]
        for factor in factors
        if factor.is_numeric and len(factor.levels) == 2
    ]
    if not outside:
        return None
    column = np.any(np.array(outside), axis=0).astype(float)
    return column[:, None] if 0 < column.sum() < len(column) else None


def _assemble(
    factors: tuple[Factor, ...], rows: Mapping[str, Sequence[Level]], kept: tuple[str, ...], chooser: _Chooser
) -> AnalysisModel:
    matrices = [chooser.base[0]]
    spans = {INTERCEPT: slice(0, 1)}
    at = 1
    named = [*chooser.extra.items(), *((term, chooser.columns[term]) for term in kept)]
    for name, columns in named:
        spans[name] = slice(at, at + columns.shape[1])
        matrices.append(columns)
        at += columns.shape[1]
    matrix = np.hstack(matrices)
    aliases, worst = _aliases(factors, rows, kept, matrix, spans, chooser)
    parts = _parts(factors, [*chooser.columns])
    reasons = tuple(NotEstimable(term=term, reason=reason) for term, reason in chooser.reasons.items())
    return AnalysisModel(
        factors=factors,
        terms=kept,
        matrix=matrix,
        spans=spans,
        partial=frozenset(chooser.partial),
        not_estimable=reasons,
        aliased_with=aliases,
        partial_alias=worst,
        parts=parts,
    )


def _parts(factors: Sequence[Factor], terms: Sequence[str]) -> dict[str, Floats]:
    """``A`` or ``A^2`` → (L, k) columns at the factor's levels."""
    squared = {part.removesuffix("^2") for term in terms for part in term.split(":") if part.endswith("^2")}
    parts: dict[str, Floats] = {}
    for factor in factors:
        columns, _ = factor_columns(factor, factor.levels, linear_only=factor.name in squared)
        parts[factor.name] = columns
        parts[f"{factor.name}^2"] = columns[:, :1] ** 2
    return parts


def whole_model(factors: Sequence[Factor], terms: Sequence[str]) -> AnalysisModel:
    """The model of runs that estimate every term, without their rows: for what is asked before there are any.

    Its matrix has one row, at the factors' first levels.
    """
    one = model_matrix(factors, {factor.name: [factor.levels[0]] for factor in factors}, tuple(terms))
    return AnalysisModel(
        factors=tuple(factors),
        terms=one.terms,
        matrix=one.matrix,
        spans={INTERCEPT if term == "1" else term: span for term, span in one.spans.items()},
        partial=frozenset(),
        not_estimable=(),
        aliased_with={},
        partial_alias=None,
        parts=_parts(factors, one.terms),
    )


def _aliases(
    factors: tuple[Factor, ...],
    rows: Mapping[str, Sequence[Level]],
    kept: tuple[str, ...],
    matrix: Floats,
    spans: Mapping[str, slice],
    chooser: _Chooser,
) -> tuple[dict[str, tuple[str, ...]], tuple[float, str, str] | None]:
    """Full aliases of each fitted term, and the worst partial one: A = (X'X)⁻¹X'Z (Box and Wilson, 1951)."""
    aliases: dict[str, list[str]] = {term: list(chooser.chains.get(term, ())) for term in kept}
    pairs = tuple(":".join(pair) for pair in combinations([f.name for f in factors], 2))
    candidates = [term for term in pairs if term not in kept and term not in chooser.reasons]
    worst: tuple[float, str, str] | None = None
    if kept and not chooser.partial:
        asked = [*candidates, *chooser.reasons]
        if asked:
            omitted = model_matrix(factors, rows, expand_terms(factors, tuple(asked)), intercept=False)
            bias, *_ = np.linalg.lstsq(matrix, omitted.matrix, rcond=None)
            fits = np.linalg.norm(omitted.matrix - matrix @ bias, axis=0) < 1e-6
            for other in omitted.terms:
                span = omitted.spans[other]
                sizes = {term: float(np.abs(bias[spans[term], span]).max(initial=0.0)) for term in kept}
                touched = [term for term, size in sizes.items() if size > 1e-6]
                rest = np.delete(bias[:, span], [j for t in touched for j in range(spans[t].start, spans[t].stop)], 0)
                pure = len(touched) == 1 and bool(np.all(fits[span])) and not np.any(np.abs(rest[1:]) > 1e-6)
                if pure and other not in aliases[touched[0]]:
                    aliases[touched[0]].append(other)
                elif not pure and touched:
                    top = max(touched, key=lambda term: sizes[term])
                    if worst is None or sizes[top] > worst[0] + 1e-9:
                        worst = (sizes[top], top, other)
    return {term: tuple(others) for term, others in aliases.items()}, worst
