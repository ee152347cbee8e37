"""Whether a design can answer what was registered."""

from __future__ import annotations

from maineffect.design.model.aliasing import chain_of, estimable_terms
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms
from maineffect.errors import DesignError, Problem
from maineffect.spec.study import StudySpec

__all__ = ["check_estimable", "confounded_claims"]


def check_estimable(design: Design, study: StudySpec) -> None:
    """Refuse a design that cannot answer a registered hypothesis.

    Raises:
        DesignError: A hypothesis' term is aliased with a main effect or another registered or named term, or there
            are too few runs for it.
    """
    named = {hypothesis.term for hypothesis in study.hypotheses}
    if isinstance(study.analysis.terms, tuple):
        named |= set(expand_terms(design.factors, study.analysis.terms))
    chains = {term: chain for chain in design.aliases for term in chain}
    for hypothesis in study.hypotheses:
        (term,) = expand_terms(design.factors, (hypothesis.term,))
        rivals = [
            other
            for other in chains.get(term, ())
            if other != term and (other == "1" or other in named or ":" not in other)
        ]
        if rivals:
            raise DesignError(
                f"{hypothesis.id}: {term} cannot be told from {', '.join(rivals)} in this design",
                "ask for a higher design.resolution, more design.runs, or drop one of them from the study",
            )
        rows = {name: [design.levels_of(run)[name] for run in design.runs] for name in study.factors}
        # Where the model has a quadratic, its factor is linear in all other terms: one column, not one per level.
        quadratics = [t for t in expand_terms(design.factors, study.analysis.terms) if "^" in t and ":" not in t]
        asked = expand_terms(design.factors, (*expand_terms(design.factors, "main"), *quadratics, term))
        if term not in estimable_terms(design.factors, rows, asked):
            raise DesignError(
                f"{hypothesis.id}: the runs cannot estimate {term}",
                "add runs or levels, or register another hypothesis",
            )


def confounded_claims(design: Design, study: StudySpec) -> list[Problem]:
    """Warnings about hypotheses whose effect the design cannot tell from interactions that nobody registered."""
    chains = {term: chain for chain in design.aliases for term in chain}
    problems = []
    for i, hypothesis in enumerate(study.hypotheses):
        (term,) = expand_terms(design.factors, (hypothesis.term,))
        others = [other for other in chains.get(term, ()) if other != term]
        if others:
            problems.append(
                Problem(
                    f"{hypothesis.id}: {term} cannot be told from {chain_of(others)}: whatever is found will be called "
                    "confounded",
                    f"hypotheses.{i}.term",
                    hint="ask for a higher design.resolution or more design.runs (a foldover doubles them), or say in "
                    "the study why the interaction cannot be there",
                )
            )
    return problems
