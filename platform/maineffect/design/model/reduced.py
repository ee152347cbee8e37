"""A model matrix of many runs as its triangle R (X = QR): all that ranks, aliases and information need of it.

The runs go by in chunks, and each is reduced with what is left of those before it (a sequential TSQR; Demmel, Grigori,
Hoemmen and Langou (2012) SIAM J. Sci. Comput. 34:A206), so that memory grows with the runs only as the runs themselves
do. Columns of R have the lengths and inner products of the columns of X.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from maineffect.contracts import Level
from maineffect.design.model.terms import Coding, ModelMatrix, block_columns, model_matrix
from maineffect.spec.factors import Factor
from maineffect.spec.requests import ModelTerms

__all__ = ["PlotSums", "chunks", "reduced_model", "triangle"]

Floats = NDArray[np.float64]
_CHUNK = 2_048


def chunks(
    factors: Sequence[Factor],
    rows: Mapping[str, Sequence[Level]],
    terms: ModelTerms,
    *,
    blocks: Sequence[object] | None = None,
    coding: Coding = "effect",
    extra: Floats | None = None,
) -> Iterator[ModelMatrix]:
    """The model matrix of :func:`maineffect.design.model.terms.model_matrix`, some runs at a time.

    Args:
        factors: In the study's order.
        rows: Factor name → n levels.
        terms: ``main``, ``two_way``, ``full`` or a list.
        blocks: n block labels; sum-to-zero columns are added when there is more than one.
        coding: ``effect`` or ``orthonormal``.
        extra: (n, q) further columns, put last.
    """
    n = len(next(iter(rows.values())))
    blocked = None if blocks is None or len(set(blocks)) < 2 else block_columns(blocks)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        model = model_matrix(factors, {name: levels[part] for name, levels in rows.items()}, terms, coding=coding)
        if blocked is not None:
            model = _with_blocks(model, blocked[0][part], blocked[1])
        if extra is not None:
            model = replace(model, matrix=np.hstack([model.matrix, extra[part]]))
        yield model


def _with_blocks(model: ModelMatrix, columns: Floats, labels: Sequence[str]) -> ModelMatrix:
    """Block columns between the intercept and the terms, where :func:`model_matrix` has them."""
    count = len(labels)
    spans = {
        term: span if term == "1" else slice(span.start + count, span.stop + count)
        for term, span in model.spans.items()
    }
    return ModelMatrix(
        np.hstack([model.matrix[:, :1], columns, model.matrix[:, 1:]]),
        (*model.columns[:1], *labels, *model.columns[1:]),
        model.terms,
        {"1": spans["1"], "block": slice(1, 1 + count), **spans},
    )


def triangle(parts: Iterator[Floats]) -> Floats:
    """(min(n, p), p) R of the matrices put one below the other."""
    r = np.asarray(np.linalg.qr(next(parts), mode="r"), dtype=np.float64)
    for part in parts:
        r = np.asarray(np.linalg.qr(np.vstack([r, part]), mode="r"), dtype=np.float64)
    return r


def reduced_model(
    factors: Sequence[Factor],
    rows: Mapping[str, Sequence[Level]],
    terms: ModelTerms,
    *,
    blocks: Sequence[object] | None = None,
    coding: Coding = "effect",
    extra: Floats | None = None,
) -> ModelMatrix:
    """The model matrix with R in place of X; arguments as for :func:`chunks`."""
    models = chunks(factors, rows, terms, blocks=blocks, coding=coding, extra=extra)
    first = next(models)
    rest = (model.matrix for model in models)
    return replace(first, matrix=triangle(chain([first.matrix], rest)))


@dataclass(frozen=True)
class PlotSums:
    """Sums of a matrix over whole plots.

    Attributes:
        codes: (n,) plot of each run.
        sizes: (g,) runs in each plot.
        sums: (g, p).
    """

    codes: NDArray[np.int64]
    sizes: Floats
    sums: Floats

    @classmethod
    def of(cls, labels: Sequence[object], parts: Iterator[Floats]) -> PlotSums:
        """Sum the chunks of a matrix by the labels of its runs."""
        _, codes = np.unique(np.array([str(label) for label in labels]), return_inverse=True)
        codes, at, sums = codes.astype(np.int64), 0, None
        for part in parts:
            sums = np.zeros((codes.max() + 1, part.shape[1])) if sums is None else sums
            np.add.at(sums, codes[at : at + len(part)], part)
            at += len(part)
        assert sums is not None
        return cls(codes, np.bincount(codes).astype(float), sums)

    @property
    def means(self) -> Floats:
        """(g, p) means of the plots."""
        return self.sums / self.sizes[:, None]
