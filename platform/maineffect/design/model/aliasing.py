"""What a design cannot tell apart, read from the emitted rows, never from how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.model.reduced import chunks, reduced_model, triangle
from maineffect.design.model.terms import expand_terms, model_matrix
from maineffect.spec.factors import Factor

__all__ = ["alias_chains", "alias_matrix", "chain_of", "estimable_terms"]

_TOLERANCE = 1e-8
_ROUGHLY = 1e-4


def _spaces(
    factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]], terms: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Orthonormal basis of each term's columns after the mean is taken out (empty where nothing is left)."""
    model = reduced_model(factors, rows, tuple(terms))
    spaces = {}
    for term in model.terms:
        columns = model.matrix[:, model.spans[term]]
        # The first row of R is what the columns have along the mean.
        u, s, _ = np.linalg.svd(columns[1:], full_matrices=False)
        scale = max(1.0, float(np.linalg.norm(columns)))
        spaces[term] = u[:, s > _TOLERANCE * scale]
    return spaces


def alias_chains(factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]]) -> tuple[tuple[str, ...], ...]:
    """Chains of main effects and two-factor interactions whose columns span the same space.

    A term whose columns are constant over the rows is a chain with the mean, written ``("1", term)``.
    """
    spaces = _spaces(factors, rows, expand_terms(factors, "two_way"))
    near = _near(spaces)
    chains: list[list[str]] = []
    led_by: dict[str, list[str]] = {}
    for term, space in spaces.items():
        if space.shape[1] == 0:
            chains.append(["1", term])
            continue
        first = next((other for other in near[term] if other in led_by and _same(space, spaces[other])), None)
        if first is not None:
            led_by[first].append(term)
        else:
            led_by[term] = [term]
            chains.append(led_by[term])
    return tuple(tuple(chain) for chain in chains if len(chain) > 1)


def _near(spaces: Mapping[str, NDArray[np.float64]]) -> dict[str, list[str]]:
    """Term → terms whose spaces may be the same, in order: those whose bases explain each other but for rounding.

    Of many terms nearly every pair differs by much, and one product of matrices tells.
    """
    near: dict[str, list[str]] = {}
    for width in {space.shape[1] for space in spaces.values()} - {0}:
        names = [term for term, space in spaces.items() if space.shape[1] == width]
        together = np.hstack([spaces[term] for term in names])
        for term in names:
            shared = np.square(together.T @ spaces[term]).reshape(len(names), -1).sum(axis=1)
            near[term] = [names[i] for i in np.flatnonzero(shared > width - _ROUGHLY)]
    return near


def chain_of(others: Sequence[str]) -> str:
    """Terms that one cannot be told from, in short: ``A×B (+3)``."""
    if not others:
        return ""
    more = f" (+{len(others) - 1})" if len(others) > 1 else ""
    return f"{others[0].replace(':', '×')}{more}"


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    if a.shape[1] != b.shape[1]:
        return False
    return bool(np.linalg.norm(a - b @ (b.T @ a)) < 1e-6)


def estimable_terms(
    factors: Sequence[Factor],
    rows: Mapping[str, Sequence[Level]],
    terms: Sequence[str],
    blocks: Sequence[object] | None = None,
) -> tuple[str, ...]:
    """The terms that stay estimable when earlier ones take precedence (main effects first)."""
    model = reduced_model(factors, rows, tuple(terms), blocks=blocks)
    kept = [model.matrix[:, model.spans["1"]]]
    if "block" in model.spans:
        kept.append(model.matrix[:, model.spans["block"]])
    result = []
    for term in model.terms:
        trial = np.hstack([*kept, model.matrix[:, model.spans[term]]])
        norms = np.linalg.norm(trial, axis=0)
        if np.all(norms > 0) and np.linalg.matrix_rank(trial / norms, tol=1e-8) == trial.shape[1]:
            kept.append(model.matrix[:, model.spans[term]])
            result.append(term)
    return tuple(result)


def alias_matrix(
    factors: Sequence[Factor], rows: Mapping[str, Sequence[Level]], terms: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Bias of each fitted column by each two-factor interaction left out: A = (X₁'X₁)⁻¹X₁'X₂.

    Box and Wilson (1951); Montgomery, Design and Analysis of Experiments (8th ed.), sec. 8.4. Zero entries are left
    out. ``terms`` must be estimable.
    """
    fitted = expand_terms(factors, tuple(terms))
    left = tuple(term for term in expand_terms(factors, "two_way") if term not in fitted)
    if not left:
        return {}
    both = zip(chunks(factors, rows, fitted), chunks(factors, rows, left), strict=True)
    r = triangle(np.hstack([model.matrix, omitted.matrix[:, 1:]]) for model, omitted in both)
    one = {name: levels[:1] for name, levels in rows.items()}
    columns, names = model_matrix(factors, one, fitted).columns, model_matrix(factors, one, left).columns[1:]
    p = len(columns)
    bias, *_ = np.linalg.lstsq(r[:, :p], r[:, p:], rcond=None)
    return {
        column: entries
        for i, column in enumerate(columns)
        if column != "1"
        and (entries := {names[j]: round(float(v), 10) for j, v in enumerate(bias[i]) if abs(v) > _TOLERANCE})
    }
