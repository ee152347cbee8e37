"""What could be run next: each kind of follow-up as a study, with the questions that it is for and the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from maineffect.analyse.follow_up.augment import CellRow, mirrors, optimal_cells, projected, with_middle
from maineffect.analyse.follow_up.new_phase import Cells, Scaled
from maineffect.analyse.follow_up.questions import Question, active_factors
from maineffect.analyse.record.result import AnalysisResult
from maineffect.design.model.model import Design
from maineffect.design.model.terms import expand_terms, term_factors
from maineffect.design.phases import new_runs
from maineffect.seeds import derive_seed
from maineffect.spec.requests import CentralCompositeRequest, ListRequest
from maineffect.spec.responses import Direction
from maineffect.spec.study import StudySpec

__all__ = ["Candidate", "candidates"]

Kind = Literal["replicates", "de-alias", "interactions", "curvature", "drop and project", "confirm", "optimise"]


@dataclass(frozen=True)
class Candidate:
    """A follow-up whose number of replicates is still open.

    Attributes:
        kind: Of the table.
        what: What it does, in a few words.
        why: The reason, in a sentence.
        study: The follow-up's study, but for replicates, hypotheses, and what it says of the sweep that it follows.
        questions: What it is for.
        knows: What its runs would know by themselves.
        cells: Of one replicate.
        fresh: Whether it has a seed of its own, so that no earlier run is a row of it.
        pooled: Whether both phases count for the registered claims, as error was kept back.
    """

    kind: Kind
    what: str
    why: str
    study: StudySpec
    questions: tuple[Question, ...]
    knows: Cells | Scaled
    cells: tuple[CellRow, ...]
    fresh: bool = False
    pooled: bool = False


def candidates(
    study: StudySpec, result: AnalysisResult, design: Design, questions: Sequence[Question]
) -> list[Candidate]:
    """Every follow-up that a textbook would name for what is open, the simplest first.

    Args:
        study: Of the finished sweep.
        result: Its analysis.
        design: As planned.
        questions: What it left open.
    """
    runs = new_runs(study, design.runs)
    first = min(run.replicate for run in runs)
    cells = tuple(dict(design.levels_of(run)) for run in runs if run.replicate == first)
    at_hand = _AtHand(study, result, design, questions, cells, len({run.replicate for run in runs}))
    return [
        *at_hand.replicates(),
        *at_hand.de_alias(),
        *at_hand.interactions(),
        *at_hand.curvature(),
        *at_hand.project(),
        *at_hand.confirm(),
        *at_hand.optimise(),
    ]


@dataclass(frozen=True)
class _AtHand:
    study: StudySpec
    result: AnalysisResult
    design: Design
    questions: Sequence[Question]
    cells: tuple[CellRow, ...]
    done: int

    def _of(self, *kinds: str) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if q.record.kind in kinds)

    @property
    def _distinct(self) -> tuple[CellRow, ...]:
        return tuple(dict(cell.levels) for cell in self.design.cells)

    @property
    def _plain(self) -> bool:
        """Whether a model of its rows shows what a design would know: no strata, no blocks within a replicate."""
        mixed = bool(self.design.hard_to_change) or self.study.analysis.blocks == "random"
        mixed |= getattr(self.study.design, "blocks", 1) > 1
        return not mixed and not self._over_seeds

    @property
    def _over_seeds(self) -> bool:
        return self.study.analysis.over_seeds and self.study.design.common_random_numbers

    @property
    def _reserve(self) -> bool:
        """Whether error is still kept back for a second phase."""
        return self.study.analysis.follow_up is not None and self.study.follow_up is None

    def _variant(self, cells: Sequence[CellRow] | None, *, terms: Sequence[str] = (), **changes: Any) -> StudySpec:
        """The study with other cells and terms; a changed model is a new registration, without the reserve."""
        analysis: dict[str, Any] = {"sequential": None}
        if terms or not self._reserve:
            analysis["follow_up"] = None
        if terms:
            factors = tuple(changes.get("factors", self.study.factors).values())
            analysis["terms"] = expand_terms(factors, tuple(terms))
        if cells is not None:
            own = self.study.design
            kept = {"common_random_numbers": own.common_random_numbers, "run_cost": own.run_cost}
            changes["design"] = ListRequest(kind="list", cells=tuple(dict(cell) for cell in cells), **kept)
        plan = self.study.analysis.model_copy(update=analysis)
        return self.study.model_copy(update={**changes, "analysis": plan, "follow_up": None})

    def _knows(self, study: StudySpec, cells: Sequence[CellRow]) -> Cells | Scaled:
        return Cells(study, tuple(cells)) if self._plain else Scaled(self.done, self._over_seeds)

    def replicates(self) -> Iterator[Candidate]:
        """Whole replicates, or only the cells that carry what is asked."""
        asked = self._of("registered")
        if not asked:
            return
        study = self._variant(None)
        names = ", ".join(q.record.id for q in asked)
        are = "is" if len(asked) == 1 else "are"
        yield Candidate(
            "replicates", "whole replicates of the design", f"{names} {are} inconclusive",
            study, asked, self._knows(study, self.cells), self.cells, pooled=self._reserve,
        )  # fmt: skip
        carrying = [cell for cell in self.cells if any(self._carries(cell, q) for q in asked)]
        if self._plain and 0 < len(carrying) < len(self.cells):
            part = self._variant(carrying)
            yield Candidate(
                "replicates", f"only the {len(carrying)} cells that carry {names}",
                f"the other cells say nothing of what is open in {names}",
                part, asked, Cells(part, tuple(carrying)), tuple(carrying), pooled=self._reserve,
            )  # fmt: skip

    def _carries(self, cell: CellRow, question: Question) -> bool:
        """Whether a cell lies at the ends of the factors of a directed claim."""
        if question.hypothesis.direction not in (Direction.INCREASE, Direction.DECREASE):
            return True
        levels = {name: self.study.factors[name].levels for name in term_factors(question.hypothesis.term)}
        return all(cell[name] in (ends[0], ends[-1]) for name, ends in levels.items())

    def de_alias(self) -> Iterator[Candidate]:
        """The smallest addition after which all rows together tell an effect from what it is aliased with.

        The new rows must see the effect by themselves, with error degrees of freedom: a semi-foldover of a small
        fraction does not, whatever its replicates. In a foldover a rival would show with the opposite sign.
        """
        asked = self._of("alias")
        if not asked or not self._plain:
            return
        rivals = [term for q in asked for term in q.rivals]
        terms = [*self._terms(), *(q.hypothesis.term for q in asked), *rivals]
        optimal = optimal_cells(self.study, [*self.study.factors, *(q.hypothesis.term for q in asked), *rivals])
        added = [*mirrors(self.study, self._distinct), *([("D-optimal cells", optimal)] if optimal else [])]
        able = []
        for label, cells in added:
            study = self._variant(cells, terms=terms)
            knows = Cells(study, tuple(cells))
            least = next((r for r in (1, 2, 3, 4) if all(knows.knows(q, r) is not None for q in asked)), None)
            if least is not None and all(knows.tells_apart(q, self._distinct) for q in asked):
                able.append((len(cells) * least, label, study, knows))
        if not able:
            return
        _, label, study, knows = min(able, key=lambda one: one[0])
        pairs = "; ".join(f"{q.record.term} from {' and '.join(q.rivals)} ({q.record.response})" for q in asked)
        yield Candidate(
            "de-alias", label, f"the smallest addition that tells {pairs} apart", study, asked, knows, knows.cells
        )

    def _terms(self) -> tuple[str, ...]:
        return expand_terms(tuple(self.study.factors.values()), self.study.analysis.terms)

    def interactions(self) -> Iterator[Candidate]:
        """Cells in which the interactions of the active factors can be estimated."""
        asked = self._of("interaction")
        if not asked or not self._plain:
            return
        pairs = [q.record.term for q in asked]
        terms = [*self._terms(), *pairs]
        cells = optimal_cells(self.study, [*self.study.factors, *pairs])
        if cells:
            study = self._variant(cells, terms=terms)
            yield Candidate(
                "interactions", f"D-optimal cells for {', '.join(pairs)}",
                "main effects are clear, and the design cannot show whether active factors change each other's effect",
                study, asked, Cells(study, cells), cells,
            )  # fmt: skip

    def curvature(self) -> Iterator[Candidate]:
        """A third level of the factors along which a response may bend."""
        asked = self._of("curvature")
        bent = {q.record.term.removesuffix("^2") for q in asked}
        middle = {name: with_middle(self.study.factors[name]) for name in bent}
        asked = tuple(q for q in asked if middle[q.record.term.removesuffix("^2")] is not None)
        if not asked or not self._plain:
            return
        factors = {name: middle.get(name) or factor for name, factor in self.study.factors.items()}
        squares = [q.record.term for q in asked]
        wide = self.study.model_copy(update={"factors": factors})
        cells = optimal_cells(wide, [*self.study.factors, *squares])
        if cells:
            study = self._variant(cells, terms=[*self._terms(), *squares], factors=factors)
            yield Candidate(
                "curvature", f"a third level of {', '.join(sorted(bent))}",
                "centre runs lie off the plane through the corners, and nothing says along which factor",
                study, asked, Cells(study, cells), cells,
            )  # fmt: skip

    def project(self) -> Iterator[Candidate]:
        """The design of the factors that remain when those shown negligible are held."""
        asked = self._of("registered")
        small = {h.term for h in self.result.hypotheses if h.verdict == "negligible" and ":" not in h.term}
        large = {
            name
            for response in self.result.responses.values()
            for effect in response.effects
            if (effect.p_value or 1.0) <= self.result.alpha
            for name in term_factors(effect.term)
        }
        needed = {name for q in asked for name in term_factors(q.hypothesis.term)}
        dropped = [name for name in self.study.factors if name in small - large - needed]
        if not asked or not dropped or not self._plain or len(dropped) > len(self.study.factors) - 2:
            return
        cells = projected(self.study, dropped, len(self.cells))
        if cells:
            study = self._variant(cells)
            yield Candidate(
                "drop and project", f"{', '.join(dropped)} held at the first level",
                f"{', '.join(dropped)} {'was' if len(dropped) == 1 else 'were'} shown negligible: the rest at higher "
                "resolution for the same runs",
                study, asked, Cells(study, cells), cells, pooled=self._reserve,
            )  # fmt: skip

    def confirm(self) -> Iterator[Candidate]:
        """The design again, with seeds and worlds that nothing was picked on."""
        asked = self._of("surprise")
        if asked:
            study = self._variant(None, seed=derive_seed(self.study.seed, "confirm") % 2**31)
            study = study.model_copy(update={"analysis": study.analysis.model_copy(update={"follow_up": None})})
            yield Candidate(
                "confirm", "the design on fresh seeds and fresh worlds",
                f"{', '.join(q.record.term for q in asked)} stood out and nobody had expected it: sized for the shrunk "
                "effect",
                study, asked, self._knows(study, self.cells), self.cells, fresh=True,
            )  # fmt: skip

    def optimise(self) -> Iterator[Candidate]:
        """A second-order design on the active numeric factors of a response that has a goal."""
        for name, response in self.study.responses.items():
            if response.goal.value == "none" or name not in self.result.responses:
                continue
            active = active_factors(self.result, name, self.result.alpha)
            wide = {f: with_middle(self.study.factors[f]) for f in active}
            numeric: Mapping[str, Any] = {f: factor for f, factor in wide.items() if factor is not None}
            if len(numeric) < 2:
                continue
            settings = _held(self.study, [f for f in self.study.factors if f not in numeric])
            plan = self.study.analysis.model_copy(
                update={"terms": "second_order", "sequential": None, "follow_up": None, "transport": {},
                        "attribution": "first_to_last", "inference": None}
            )  # fmt: skip
            request = CentralCompositeRequest(kind="central_composite", alpha="face_centred")
            study = self.study.model_copy(
                update={
                    "factors": dict(numeric), "settings": settings, "design": request, "analysis": plan,
                    "follow_up": None, "seed": derive_seed(self.study.seed, "optimise") % 2**31,
                }
            )  # fmt: skip
            yield Candidate(
                "optimise", f"a central composite design in {', '.join(numeric)}",
                f"they move {name}, which has a goal: where is its optimum? (decides no open question)",
                study, (), Scaled(1), (), fresh=True,
            )  # fmt: skip
            return


def _held(study: StudySpec, names: Sequence[str]) -> dict[str, Any]:
    """The settings with some factors held at their first level."""
    settings: dict[str, Any] = {**study.settings}
    for name in names:
        *path, last = study.factors[name].setting.split(".")
        node = settings
        for key in path:
            node[key] = {**node.get(key, {})}
            node = node[key]
        node[last] = study.factors[name].levels[0]
    return settings
