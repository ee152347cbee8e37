"""What a new phase would know of each question, by itself: contrast variances and degrees of freedom of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from maineffect.analyse.confirmatory.assurance import NewPhase, assurance
from maineffect.analyse.confirmatory.hypotheses import deciding_contrasts
from maineffect.analyse.fit.least_squares import LeastSquares, least_squares
from maineffect.analyse.fit.model import AnalysisModel, build_model
from maineffect.analyse.fit.surface import Surface
from maineffect.analyse.fit.terms import fitted_terms, registered_terms
from maineffect.analyse.follow_up.combination import deciding_rule
from maineffect.analyse.follow_up.questions import Question
from maineffect.contracts import Level
from maineffect.design.model.terms import expand_terms
from maineffect.design.phases import FEWEST_DF
from maineffect.spec.study import Reserve, StudySpec

__all__ = ["Cells", "Scaled", "chance", "rows_of"]


def rows_of(study: StudySpec, cells: Sequence[Mapping[str, Level]]) -> dict[str, list[Level]]:
    """Factor → its level in each cell."""
    return {name: [cell[name] for cell in cells] for name in study.factors}


@dataclass(frozen=True)
class Cells:
    """The cells of one replicate of a new phase, and the study that would be fitted to them.

    Attributes:
        study: With the hypotheses and terms of the follow-up.
        cells: One mapping a run.
    """

    study: StudySpec
    cells: tuple[Mapping[str, Level], ...]

    @cached_property
    def _fit(self) -> tuple[AnalysisModel, LeastSquares]:
        model = build_model(
            tuple(self.study.factors.values()),
            rows_of(self.study, self.cells),
            fitted_terms(self.study),
            first=registered_terms(self.study),
        )
        return model, least_squares(model.matrix, np.zeros((len(self.cells), 1)))

    def knows(self, question: Question, replicates: int) -> NewPhase | None:
        """Variance and degrees of freedom of a question's contrast after so many replicates; None: it is not seen."""
        model, fit = self._fit
        (term,) = expand_terms(model.factors, (question.hypothesis.term,))
        df = len(self.cells) * replicates - fit.rank
        if self.study.design.common_random_numbers:
            df -= replicates - 1
        if term not in model.terms or df < FEWEST_DF or question.sigma <= 0:
            return None
        rows = np.array([c.row for c in deciding_contrasts(Surface(model), term, question.hypothesis)])
        if not fit.estimable(rows).all():
            return None
        worst = float(np.max(np.einsum("ij,jk,ik->i", rows, fit.unscaled, rows)))
        return NewPhase(question.sigma**2 * worst / replicates / question.claim.std_error**2, df)

    def tells_apart(self, question: Question, earlier: Sequence[Mapping[str, Level]]) -> bool:
        """Whether all runs together, with the phase as a block, separate a question's term from its rivals."""
        factors = tuple(self.study.factors.values())
        wanted = expand_terms(factors, (question.hypothesis.term, *question.rivals))
        terms = expand_terms(factors, (*expand_terms(factors, "main"), *wanted))
        blocks = ["earlier"] * len(earlier) + ["new"] * len(self.cells)
        model = build_model(factors, rows_of(self.study, [*earlier, *self.cells]), terms, blocks=blocks)
        return set(wanted) <= set(model.terms) - set(model.partial)


@dataclass(frozen=True)
class Scaled:
    """Whole replicates of a design whose strata a model of its rows does not show: everything scales with them.

    Attributes:
        done: Replicates so far.
        over_seeds: Whether each replicate is one observation of every contrast.
    """

    done: int
    over_seeds: bool = False

    def knows(self, question: Question, replicates: int) -> NewPhase | None:
        """As :meth:`Cells.knows`."""
        df = replicates - 1.0 if self.over_seeds else question.claim.df * replicates / self.done
        return NewPhase(self.done / replicates, df) if df >= FEWEST_DF else None


def chance(question: Question, known: NewPhase | None, level: float, reserve: Reserve | None = None) -> float:
    """The chance that a new phase decides a question; 0 where it does not see it.

    Args:
        question: Open.
        known: What the phase would know.
        level: Two-sided level of the claim in its family.
        reserve: Error that was kept back, where both phases would count for it.
    """
    if known is None:
        return 0.0
    rule = None
    if reserve is not None and question.registered and question.belief is None:
        rule = deciding_rule(question.claim, level, reserve)
    return assurance(question.claim, level, known, belief=question.belief, rule=rule)
