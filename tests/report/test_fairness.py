"""Was tuning fair? The card's numbers are the record's, and what is to be distrusted is said."""

from __future__ import annotations

from typing import Any

from maineffect.analyse.record.result import AnalysisResult, RunRow, SweepFacts
from maineffect.analyse.record.tuning import GroupError, NuisanceCurve, NuisanceInteraction, Tuned, TunedGroup
from maineffect.report.cards.fairness import fairness_card
from maineffect.report.cards.sensitivity import tuning_card
from maineffect.report.charts.drawing import draw_svg
from maineffect.report.content.blocks import Card, Figure, Say, Table
from maineffect.report.content.wording import plain

GROUP = TunedGroup(
    group="c1-r1",
    runs=1,
    trials=8,
    diverged=1,
    seconds=80.0,
    values={"rate": 0.002},
    predicted=0.7,
    std_error=0.05,
    default_score=0.5,
    obtained=0.66,
)


def card(*groups: TunedGroup, **more: Any) -> Card:
    said = {
        "scope": "replicate",
        "response": "skill",
        "goal": "maximize",
        "sampler": "sobol",
        "select": "smooth",
        "nuisance": {"rate": (1e-4, 1e-2)},
        "defaults": {"rate": 1e-3},
        **more,
    }
    tuned = Tuned(groups=list(groups), **said)
    facts = SweepFacts(tuning=tuned)
    return fairness_card(AnalysisResult(study="s", n_runs=1, n_missing=0, responses={}, facts=facts))


def sentences(made: Card, tone: str = "warn") -> list[str]:
    return [
        "".join(bit.text for bit in block.phrase)
        for block in made.blocks
        if isinstance(block, Say) and block.tone == tone
    ]


def rows(made: Card) -> list[tuple[Any, ...]]:
    table = next(block for block in made.blocks if isinstance(block, Table))
    return [tuple(table.columns), *table.rows]


def test_a_fair_tuning_has_a_table_and_no_warning() -> None:
    made = card(GROUP)
    assert sentences(made) == []
    head, row = rows(made)
    assert dict(zip(head[1:], row[1:], strict=True)) == {
        "runs": "1",
        "trials": "8",
        "without score": "1",
        "cost": "80.0\u202fs",
        "rate": "0.002000",
        "default: skill": "0.500",
        "predicted": "0.700",
        "standard error": "0.050",
        "obtained": "0.660",
    }
    assert "effects are those of training under this tuning procedure" in sentences(made, "")[0]


def test_what_is_to_be_distrusted_is_said() -> None:
    edge = GROUP.model_copy(
        update={"group": "c2-r1", "on_edge": ["rate"], "trials": 6, "predicted": 0.4, "diverged": 4}
    )
    open_group = GROUP.model_copy(update={"group": "c3-r1", "values": None, "predicted": None, "obtained": None})
    said = sentences(card(GROUP, edge, open_group))
    assert said == [
        "Groups have between 6 and 8 trials: they are not compared fairly.",
        "Nothing is chosen yet for c3-r1.",
        "rate lies on the edge of its range for c2-r1: the best value may lie beyond.",
        "The chosen values are predicted to be no better than the default was for c2-r1.",
        "More than half of the trials have no score for c2-r1: the range is too wide.",
    ]
    worse = GROUP.model_copy(update={"predicted": 0.7, "default_score": 0.5})
    assert "no better than the default" in sentences(card(worse, goal="minimize"))[0]


def test_groups_are_called_by_their_levels_and_their_error_stands_beside_that_of_runs() -> None:
    group = GROUP.model_copy(update={"group": "c1", "levels": {"a": 0.5, "b": "on"}, "runs": 3})
    error = GroupError(
        response="skill", term="a", contrast="1 − 0", std_error=0.4, df=4, std_error_runs=0.25, df_runs=20
    )
    made = card(group, scope="cell", errors=[error])
    assert "One value of rate serves every cell: these groups of runs are the units" in sentences(made, "")[0]
    _, row = rows(made)
    assert plain(row[0]) == "a = 0.5, b = on"
    table = [block for block in made.blocks if isinstance(block, Table)][1]
    assert table.columns[3:] == ("with the groups", "df", "without", "df without")
    assert table.rows[0][3:] == ("0.40", "4.0", "0.25", "20.0")
    some = card(group, scope=["a", "b"])
    assert "One value of rate serves every combination of a, b" in sentences(some, "")[0]


def test_a_best_value_that_moves_with_a_level_is_unfair_where_levels_share_one() -> None:
    moved = NuisanceInteraction(
        factor="a", nuisance="rate", F=9.0, df=1, df_error=50, p_value=0.004, p_adjusted=0.008, compromise=True
    )
    quiet = moved.model_copy(update={"factor": "b", "p_adjusted": 0.3})
    curves = [
        NuisanceCurve(
            factor="a", level=value, nuisance="rate", points=[(1e-4, 0.1), (1e-3, 0.4), (1e-2, 0.2 + value)],
            x=[1e-4, 1e-3, 1e-2], fitted=[0.1, 0.4, 0.2 + value],
        )
        for value in (0.0, 1.0)
    ]  # fmt: skip
    made = card(GROUP, scope="shared", interactions=[moved, quiet], curves=curves, log=["rate"])
    (said,) = sentences(made)
    assert said.startswith("The best rate differs between the levels of a (p = 0.008, Holm), and they share one value")
    (figure,) = (block for block in made.blocks if isinstance(block, Figure))
    assert [panel.label for panel in figure.panels] == ["skill over rate by a; best value by level: p = 0.008 (Holm)"]
    assert len(figure.records) == 6
    assert "<svg" in draw_svg(figure.panels[0].spec)
    own = moved.model_copy(update={"compromise": False})
    made = card(GROUP, interactions=[own, quiet.model_copy(update={"compromise": False})])
    assert sentences(made) == [], "each level has a value that suits it"
    assert sentences(made, "")[1:] == [
        "The best rate differs between the levels of a (p = 0.008, Holm). They had values of their own, so this favours "
        "none of them."
    ]


def test_the_card_of_equal_effort_counts_the_trials() -> None:
    runs = [RunRow(run_id="c1-r1", cell_id="c1", levels={"a": 0.0}, replicate=1, status="finished", attempts=1)]

    def said(**facts: Any) -> str:
        result = AnalysisResult(study="s", n_runs=1, n_missing=0, responses={}, runs=runs, facts=SweepFacts(**facts))
        return sentences(tuning_card(result), "")[0]

    more = {"scope": "replicate", "response": "skill", "goal": "maximize", "sampler": "sobol", "select": "smooth"}
    tuned = Tuned(groups=[GROUP, GROUP], nuisance={"rate": (1e-4, 1e-2)}, defaults={"rate": 1e-3}, **more)
    assert said(tuning=tuned) == "16 tuning trials for 2 groups came before; “Was tuning fair?” has them."
    assert said(registered_hash="0" * 64).startswith("Nothing was tuned; what is not a factor has one registered value")


def test_one_shared_value_is_named_and_a_study_without_tuning_says_so() -> None:
    made = card(GROUP, scope="shared")
    assert (
        sentences(made, "")[0]
        == "One value of rate serves all runs (rate = 0.002): every effect is the effect at this value."
    )
    plain = fairness_card(AnalysisResult(study="s", n_runs=1, n_missing=0, responses={}))
    assert plain.not_applicable is not None
