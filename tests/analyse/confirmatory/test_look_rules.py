"""What a look is asked, and what looks do to verdicts: each rule on results that are written down."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from maineffect.analyse.confirmatory.interim import (
    complete_waves,
    first_look,
    hold_verdicts,
    interim_looks,
    look_at,
    stopping,
)
from maineffect.analyse.confirmatory.sequential import interim_look
from maineffect.analyse.record.result import HypothesisResult, Look
from maineffect.design.build import build_design

WAITING = "the bound of the last look was not crossed"


def _result(**more: Any) -> HypothesisResult:
    return HypothesisResult(
        **{
            "id": "H1", "response": "y", "term": "A", "verdict": "supported", "direction": "increase", "estimate": 0.7,
            "std_error": 0.4, "df": 20.0, "p_zero": 0.095, "p_value": 0.095, "replicates_needed": 9, **more,
        }
    )  # fmt: skip


def _look(look: int = 4, decision: str = "end", **more: Any) -> Look:
    common = {"hypothesis": "H1", "looks": 4, "spending": "pocock", "registered": True, "alpha": 0.025}
    return Look(look=look, decision=decision, **{**common, "level": 0.02, "estimate": 0.7, "ci_low": -0.3, **more})


def _study(make_study: Any, count: int = 1, correction: str = "holm", **design: Any) -> Any:
    claims = [{"id": f"H{i + 1}", "term": "ABC"[i], "response": "y"} for i in range(count)]
    return make_study(
        design={"kind": "full", "replicates": 4, **design},
        hypotheses=claims,
        analysis={"terms": "main", "correction": correction, "sequential": {"spending": "pocock", "futility": 0.2}},
    )


def _looks(study: Any, *results: HypothesisResult, look: int = 1) -> list[Look]:
    return look_at(study, pd.DataFrame(), look, 2, lambda _: list(results))


def test_complete_waves_are_those_of_the_design(make_study: Any) -> None:
    design = build_design(make_study("A", design={"kind": "full", "replicates": 3}))
    for replicates, complete in (
        ([], 0), ([1], 0), ([1, 1], 1), ([1, 1, 2], 1), ([1, 1, 2, 2], 2), ([2, 2], 0), ([1, 1, 1, 2], 1),
        ([1, 1, 3, 3], 1), ([1, 1, 2, 2, 3, 3], 3), ([1, 1, 2, 2, 2, 3], 2),
    ):  # fmt: skip
        assert complete_waves(replicates, design) == complete, replicates
    assert complete_waves([1, 2, 4], None) == 2, "a wave without runs is not complete"
    assert complete_waves([1, 1, 2, 2, 2], None) == 2


@pytest.mark.parametrize("beyond", ["zero", "smallest_effect"])
@pytest.mark.parametrize("direction", ["increase", "decrease", "different"])
@pytest.mark.parametrize("estimate", [0.7, -0.7, 0.0])
@pytest.mark.parametrize("sesoi", [0.5, None])
def test_a_look_takes_bar_and_assumed_effect_on_the_claimed_side(
    make_study: Any, beyond: str, direction: str, estimate: float, sesoi: float | None
) -> None:
    """Beyond a bar: the bar with its sign, the effect as estimated. Beyond zero: the smallest effect is assumed."""
    p_beyond = None if sesoi is None else 0.3
    result = _result(
        direction=direction, beyond=beyond, sesoi=sesoi, estimate=estimate, p_beyond=p_beyond,
        p_equivalence=None if sesoi is None else 0.7,
    )  # fmt: skip
    (found,) = _looks(_study(make_study), result)
    positive = {"increase": True, "decrease": False}.get(direction, estimate >= 0)
    signed = None if sesoi is None else sesoi if positive else -sesoi
    barred = beyond == "smallest_effect" and sesoi is not None
    against = {"increase": estimate < 0, "decrease": estimate > 0}.get(direction, False)
    expected = interim_look(
        estimate, 0.4, 20.0, look=1, looks=2, alpha=0.05, kind="pocock", futility=0.2,
        bar=signed if barred and signed is not None else 0.0, assumed=None if barred else signed,
        p_value=0.3 if barred and not against else 0.095,
    )  # fmt: skip
    assert (found.hypothesis, found.look, found.looks, found.spending, found.registered) == ("H1", 1, 2, "pocock", True)
    for name in ("level", "p_value", "decision", "ci_low", "ci_high", "conditional_power"):
        assert getattr(found, name) == getattr(expected, name), name
    assert (found.estimate, found.verdict) == (estimate, "inconclusive")


@pytest.mark.parametrize(("estimate", "verdict"), [(2.0, "supported"), (-2.0, "refuted"), (0.0, "supported")])
def test_the_verdict_of_a_look_is_on_the_side_of_its_estimate(make_study: Any, estimate: float, verdict: str) -> None:
    (found,) = _looks(_study(make_study), _result(estimate=estimate, p_zero=1e-6))
    assert (found.verdict, found.decision) == (verdict, "efficacy")
    level = found.level or 0.0
    (at,) = _looks(_study(make_study), _result(estimate=estimate, p_zero=level))
    assert (at.verdict, at.decision) == (verdict, "efficacy")
    (above,) = _looks(_study(make_study), _result(estimate=estimate, p_zero=level + 1e-9))
    assert above.verdict == "inconclusive"


def test_negligibility_is_not_found_at_a_look(make_study: Any) -> None:
    tiny = {"estimate": 0.01, "p_zero": 0.9, "p_beyond": 1.0, "p_equivalence": 1e-6, "sesoi": 0.5}
    (found,) = _looks(_study(make_study), _result(**tiny))
    assert found.verdict == "inconclusive"
    assert _looks(_study(make_study), _result(**tiny, direction="negligible")) == []


@pytest.mark.parametrize("missing", ["estimate", "std_error", "df", "p_zero"])
def test_without_an_error_estimate_a_look_decides_nothing(make_study: Any, missing: str) -> None:
    study, result = _study(make_study), _result(**{missing: None})
    for look, decision in ((1, "continue"), (2, "end")):
        (found,) = _looks(study, result, look=look)
        assert (found.decision, found.reason, found.level) == (decision, "there is no error estimate", None)
    (said,) = _looks(study, result.model_copy(update={"reason": "A is not estimable"}))
    assert said.reason == "A is not estimable"


def test_each_hypothesis_spends_its_share(make_study: Any) -> None:
    for count, correction, share in ((1, "holm", 0.05), (2, "holm", 0.025), (3, "max_t", 0.05 / 3), (3, "none", 0.05)):
        (found,) = _looks(_study(make_study, count, correction), _result())
        assert found.alpha == pytest.approx(share)
        expected = interim_look(0.7, 0.4, 20.0, look=1, looks=2, alpha=share, kind="pocock", futility=0.2)
        assert found.level == expected.level
    assert _looks(make_study(hypotheses=[]), _result())[0].alpha == 0.05


def test_looks_without_registration_take_the_defaults(make_study: Any) -> None:
    study = make_study(hypotheses=[{"id": "H1", "term": "A", "response": "y"}])
    (found,) = _looks(study, _result())
    assert (found.registered, found.spending) == (False, "obrien_fleming")


def test_over_shared_seeds_the_first_look_is_after_four_waves(make_study: Any) -> None:
    claims = {"hypotheses": [{"id": "H1", "term": "A", "response": "y"}]}
    crn = {"kind": "full", "replicates": 6, "common_random_numbers": True}
    seeds = make_study(design=crn, analysis={"terms": "main", "inference": "seeds"}, **claims)
    assert first_look(seeds) == 4
    assert first_look(make_study(design=crn, analysis={"terms": "main", "inference": "these_seeds"}, **claims)) == 1
    assert first_look(make_study(design={**crn, "common_random_numbers": False}, **claims)) == 1
    assert _looks(seeds, _result(), look=3) == []
    assert [look.look for look in look_at(seeds, pd.DataFrame(), 4, 6, lambda _: [_result(df=None)])] == [4]


def test_looks_go_on_after_those_that_were_made_and_end_with_the_last(make_study: Any) -> None:
    study, table = _study(make_study), pd.DataFrame({"wave": [1, 2, 1, 2, 3, 3]})
    seen: list[list[int]] = []

    def judge(part: pd.DataFrame) -> list[HypothesisResult]:
        seen.append(part["wave"].tolist())
        return [_result(std_error=None)]

    waves = table["wave"].tolist()
    looks = interim_looks(study, table, waves, judge)
    assert [(look.look, look.looks) for look in looks] == [(1, 4), (2, 4), (3, 4)]
    assert seen == [[1, 1], [1, 2, 1, 2], [1, 2, 1, 2, 3, 3]], "a look takes the runs of its own waves"
    made = [_look(1, "continue"), _look(2, "continue")]
    assert [look.look for look in interim_looks(study, table, waves, judge, made=made)] == [1, 2, 3]
    assert interim_looks(study, table, waves, judge, made=made, last=2) == made
    assert [look.look for look in interim_looks(study, table, waves, judge, last=1)] == [1]
    more = pd.DataFrame({"wave": [1, 2, 3, 4, 5]})
    assert [look.looks for look in interim_looks(study, more, more["wave"].tolist(), judge)] == [5] * 5


@pytest.mark.parametrize(
    ("direction", "estimate", "verdict"),
    [
        ("increase", 0.3, "supported"), ("increase", -0.3, "refuted"), ("decrease", -0.3, "supported"),
        ("decrease", 0.3, "refuted"), ("different", 0.3, "supported"), ("different", -0.3, "supported"),
    ],
)  # fmt: skip
def test_the_first_bound_that_was_crossed_decides(direction: str, estimate: float, verdict: str) -> None:
    looks = [
        _look(1, "continue"), _look(1, "efficacy", hypothesis="H2"),
        _look(2, "efficacy", estimate=estimate, ci_low=0.1, ci_high=0.5, level=0.01),
        _look(3, "efficacy", estimate=9.0), _look(4, "end", estimate=-9.0),
    ]  # fmt: skip
    (held,) = hold_verdicts([_result(direction=direction, verdict="inconclusive", estimate=-9.0)], looks)
    assert (held.verdict, held.estimate, held.ci_low, held.ci_high, held.level) == (verdict, estimate, 0.1, 0.5, 0.01)
    said = "efficacy bound crossed at look 2 of 4"
    assert held.reason == (said if verdict == "supported" else f"the effect has the opposite direction; {said}")
    assert held.replicates_needed is None


@pytest.mark.parametrize("decision", ["continue", "futility"])
def test_before_the_last_look_nothing_is_decided(decision: str) -> None:
    (held,) = hold_verdicts([_result()], [_look(2, "continue"), _look(3, decision, ci_low=-1.0, ci_high=2.0)])
    assert (held.verdict, held.reason) == ("inconclusive", f"look 3 of 4: {decision}")
    assert (held.ci_low, held.ci_high, held.level) == (-1.0, 2.0, 0.02)


def test_at_the_last_look_only_negligibility_is_left_to_find() -> None:
    """Held to the claim's share of the error, .025; that the test against zero is significant alone is no matter."""
    effect = {"estimate": 0.1, "p_zero": 0.001, "p_beyond": 1.0, "sesoi": 0.5, "std_error": 0.03}
    for p_equivalence, verdict in ((0.025, "negligible"), (0.0251, "inconclusive")):
        (held,) = hold_verdicts([_result(**effect, p_equivalence=p_equivalence)], [_look(4, "end", level=0.0005)])
        assert held.verdict == verdict
        assert held.level == 0.0005
    assert held.reason == WAITING
    (beyond,) = hold_verdicts([_result(**{**effect, "p_beyond": 0.001}, p_equivalence=0.9)], [_look(4, "end")])
    assert (beyond.verdict, beyond.reason) == ("inconclusive", WAITING)
    (held,) = hold_verdicts([_result(**effect, p_equivalence=0.01)], [_look(4, "end")])
    assert held.finding == ["between −δ and 0", "zero", "between 0 and δ"]
    assert held.reason is None
    (plain,) = hold_verdicts([_result(p_zero=0.001)], [_look(4, "end")])
    assert (plain.verdict, plain.reason) == ("inconclusive", WAITING), "without a margin nothing is left"


def test_a_claim_of_negligibility_waits_for_the_last_look_and_is_held_to_its_share() -> None:
    claim = {
        "direction": "negligible", "id": "H2", "estimate": 0.01, "p_zero": 0.9, "p_beyond": 1.0, "sesoi": 0.5,
        "verdict": "negligible", "reason": "as it was",
    }  # fmt: skip
    early = hold_verdicts([_result(**claim, p_equivalence=0.001)], [_look(3, "continue")])[0]
    assert (early.verdict, early.reason) == ("inconclusive", "equivalence is decided at the last look")
    for p_equivalence, verdict in ((0.025, "negligible"), (0.03, "inconclusive")):
        (held,) = hold_verdicts(
            [_result(**claim, p_equivalence=p_equivalence)], [_look(1, "continue"), _look(4, "end")]
        )
        assert (held.verdict, held.level) == (verdict, 0.025)
    (alone,) = hold_verdicts([_result(**claim, p_equivalence=0.001)], [_look(4, "end")])
    assert (alone.verdict, alone.level) == ("negligible", 0.025), "the last look may be the only one"
    untouched = _result(**claim, p_equivalence=0.04)
    assert hold_verdicts([untouched], []) == [untouched]
    blank = _result(**{**claim, "std_error": None, "verdict": "inconclusive"})
    assert hold_verdicts([blank], [_look(4, "end")]) == [blank]


def test_without_an_error_estimate_the_last_look_leaves_the_verdict() -> None:
    blank = _result(std_error=None, verdict="inconclusive", reason="there is no error estimate")
    (held,) = hold_verdicts([blank], [_look(4, "end", level=None, ci_low=None, estimate=None)])
    assert (held.verdict, held.reason) == ("inconclusive", "there is no error estimate")


NONE_FOUND = ["at most −δ", "between −δ and 0", "zero", "between 0 and δ", "at least δ"]


@pytest.mark.parametrize(
    ("low", "high", "left"),
    [
        (-0.3, 2.0, NONE_FOUND), (-0.3, 0.3, NONE_FOUND), (None, None, NONE_FOUND), (0.0, 0.4, NONE_FOUND),
        (-0.4, 0.0, NONE_FOUND), (0.1, 0.9, NONE_FOUND[3:]), (0.1, 0.3, NONE_FOUND[3:]), (0.5, 2.0, NONE_FOUND[4:]),
        (-0.9, -0.1, NONE_FOUND[:2]), (-0.3, -0.1, NONE_FOUND[:2]), (-2.0, -0.5, NONE_FOUND[:1]), (-2.0, -0.7, NONE_FOUND[:1]), (0.7, 2.0, NONE_FOUND[4:]),
    ],
)  # fmt: skip
def test_the_finding_is_what_the_repeated_interval_leaves(
    low: float | None, high: float | None, left: list[str]
) -> None:
    """Beyond zero, beyond ±.5 at its ends; inside is found at the last look only, at the claim's share, .025."""
    ends = {"ci_low": low, "ci_high": high}
    for decision in ("efficacy", "continue"):
        for p_equivalence in (0.001, 0.9):
            result = _result(sesoi=0.5, p_beyond=0.9, p_equivalence=p_equivalence, finding=["zero"])
            (held,) = hold_verdicts([result], [_look(2, decision, **ends)])
            assert held.finding == left
    for p_equivalence, inside in ((0.025, True), (0.026, False)):
        result = _result(sesoi=0.5, p_beyond=0.9, p_equivalence=p_equivalence, finding=["zero"])
        (held,) = hold_verdicts([result], [_look(4, "end", **ends)])
        beyond = left in (NONE_FOUND[4:], NONE_FOUND[:1])
        assert held.finding == [state for state in left if beyond or not inside or state in NONE_FOUND[1:4]]
    (plain,) = hold_verdicts([_result(finding=["zero"])], [_look(2, "continue", **ends)])
    side = ["positive"] if (low or 0) > 0 else ["negative"] if (high or 0) < 0 else ["negative", "zero", "positive"]
    assert plain.finding == side
    assert hold_verdicts([_result()], [_look(2, "continue", **ends)])[0].finding == []


def test_a_claim_of_negligibility_leaves_everything_open_until_the_last_look() -> None:
    for sesoi, left in ((0.5, NONE_FOUND), (None, ["negative", "zero", "positive"])):
        result = _result(
            direction="negligible", id="H2", sesoi=sesoi, finding=["zero"], p_beyond=1.0, p_equivalence=0.001
        )
        assert hold_verdicts([result], [_look(3, "continue")])[0].finding == left
    blank = _result(direction="negligible", id="H2", sesoi=0.5)
    assert hold_verdicts([blank], [_look(3, "continue")])[0].finding == []


def test_a_hypothesis_without_the_latest_look_is_open(make_study: Any) -> None:
    assert stopping(_study(make_study), [_look(1, "efficacy")], 1) == "interim look 1 of 4: H1 efficacy"
    study, other = _study(make_study, 2), {"hypothesis": "H2"}
    early = [_look(1, "continue"), _look(1, "futility", **other), _look(2, "efficacy")]
    assert stopping(study, early, 2) is None
    assert (
        stopping(study, [*early, _look(2, "futility", **other)], 2) == "interim look 2 of 4: H1 efficacy, H2 futility"
    )
    assert stopping(study, [*early, _look(2, "end", **other)], 2) is None
    assert stopping(make_study(hypotheses=[]), [], 1) is None
