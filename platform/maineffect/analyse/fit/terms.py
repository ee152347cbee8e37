"""Which terms a study's analysis fits: those it asks for, and its hypotheses' own."""

from __future__ import annotations

from maineffect.design.model.terms import expand_terms
from maineffect.spec.study import StudySpec

__all__ = ["fitted_terms", "registered_terms"]


def registered_terms(study: StudySpec) -> tuple[str, ...]:
    """Canonical terms of the hypotheses."""
    return expand_terms(tuple(study.factors.values()), tuple(h.term for h in study.hypotheses))


def fitted_terms(study: StudySpec) -> tuple[str, ...]:
    """Canonical terms of the analysis: those asked for, and the hypotheses' own."""
    factors = tuple(study.factors.values())
    return expand_terms(factors, (*expand_terms(factors, study.analysis.terms), *registered_terms(study)))
