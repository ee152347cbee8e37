"""Hold the emitted rows to what is claimed of them, however they were made.

A failure here is a defect of ours, never of the user's; the design is refused, because existing tools have returned
resolution IV for V and singular "optimal" matrices without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from maineffect.design.algebra.wordlength import generalised_word_length_pattern
from maineffect.design.model.model import Design
from maineffect.design.model.reduced import reduced_model
from maineffect.design.model.treatments import Treatments
from maineffect.errors import DesignError
from maineffect.spec.crosscheck import same_level
from maineffect.spec.study import StudySpec

__all__ = ["verify"]


def verify(study: StudySpec, design: Design, treatments: Treatments) -> None:
    """Check an emitted design.

    Raises:
        DesignError: It is not what it claims to be.
    """
    for failure in (
        *_identity(design, treatments),
        *_forbidden(study, treatments),
        *_fixed(study, treatments),
        *_whole_plots(design, treatments),
        *_rank(design),
        *_words(design, treatments),
        *_bounds(design),
    ):
        raise DesignError(f"the design that was made is not what it claims: {failure}", "please report this study file")


def _identity(design: Design, treatments: Treatments) -> Iterator[str]:
    ids = [run.run_id for run in design.runs]
    if len(set(ids)) != len(ids):
        yield "two runs share an id"
    if [run.order for run in design.runs] != list(range(len(ids))):
        yield "the run order has gaps"
    counts = Counter(run.replicate for run in design.runs)
    if set(counts.values()) != {len(treatments.rows)}:
        yield "the replicates are not complete"
    if [run.replicate for run in design.runs] != sorted(run.replicate for run in design.runs):
        yield "a replicate begins before the one before it is complete"


def _forbidden(study: StudySpec, treatments: Treatments) -> Iterator[str]:
    for entry in getattr(study.design, "forbid", ()):
        if any(all(same_level(row[name], level) for name, level in entry.items()) for row in treatments.rows):
            yield f"the forbidden combination {dict(entry)} occurs"


def _fixed(study: StudySpec, treatments: Treatments) -> Iterator[str]:
    for entry in getattr(study.design, "fixed", ()):
        if not any(all(same_level(row[name], level) for name, level in entry.items()) for row in treatments.rows):
            yield f"the fixed run {dict(entry)} is gone"


def _whole_plots(design: Design, treatments: Treatments) -> Iterator[str]:
    if treatments.whole_plots is None:
        return
    for name in treatments.hard_to_change:
        seen: dict[int, object] = {}
        for plot, row in zip(treatments.whole_plots, treatments.rows, strict=True):
            if not same_level(seen.setdefault(plot, row[name]), row[name]):
                yield f"{name} changes within whole plot {plot}"
                break
    position: dict[str | int | None, list[int]] = {}
    for run in design.runs:
        position.setdefault(run.whole_plot, []).append(run.order)
    if any(max(orders) - min(orders) + 1 != len(orders) for orders in position.values()):
        yield "the runs of a whole plot are not together"


def _rank(design: Design) -> Iterator[str]:
    rows = {f.name: [design.levels_of(run)[f.name] for run in design.runs] for f in design.factors}
    matrix = reduced_model(design.factors, rows, design.terms, coding="orthonormal").matrix
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        yield f"its runs cannot estimate its {matrix.shape[1]} model parameters"


def _signs(design: Design, treatments: Treatments) -> NDArray[np.int64]:
    factorial = treatments.rows[: len(treatments.rows) - treatments.centre_points]
    return np.array([[1 if row[f.name] == f.levels[1] else -1 for f in design.factors] for row in factorial])


def _words(design: Design, treatments: Treatments) -> Iterator[str]:
    """Words counted from coincidences of runs, which knows nothing of generators."""
    if design.resolution is None:
        return
    signs = _signs(design, treatments)
    if np.any(signs.sum(axis=0)):
        yield "a factor is not balanced"
    pattern = generalised_word_length_pattern(signs, [2] * signs.shape[1])
    word_counts = {length: round(float(count), 6) for length, count in enumerate(pattern) if length and count > 1e-9}
    claimed = dict(design.word_length_pattern or {})
    # Partial words (a semifold) count as fractions: whole words are at most what is found.
    # Counts of very wide designs exceed what a float holds exactly.
    if any(count > word_counts.get(length, 0) * (1 + 1e-9) for length, count in claimed.items()):
        yield f"words {claimed} were claimed and {word_counts} found"
    if word_counts and not _is_partial(word_counts) and min(word_counts) != design.resolution:
        yield f"resolution {design.resolution} was claimed and {min(word_counts)} found"


def _is_partial(word_counts: dict[int, float]) -> bool:
    return any(count != int(count) for count in word_counts.values())


def _bounds(design: Design) -> Iterator[str]:
    if design.d_bound is not None and design.d_efficiency > design.d_bound * (1 + 1e-6):
        yield f"its efficiency {design.d_efficiency:.4f} exceeds the bound {design.d_bound:.4f}"
