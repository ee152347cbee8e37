"""Verdicts and p-values of small tables that once gave a wrong or misleading answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from maineffect.analyse.confirmatory.caveats import MEAN_OVER, other_tests
from maineffect.analyse.record.result import AnalysisResult, HypothesisResult
from maineffect.cli.app import app
from maineffect.report.page import render_report

Analysed = Callable[[str], AnalysisResult]
Judged = Callable[[str, str], HypothesisResult]


@pytest.mark.parametrize("name", ["dose_cont", "cross", "i3", "mult_negligible"])
def test_no_adjusted_p_value_lies_below_its_raw_one(name: str, analysed: Analysed) -> None:
    result = analysed(name)
    for effect in (e for response in result.responses.values() for e in response.effects):
        if effect.p_adjusted is not None and effect.p_value is not None:
            assert effect.p_adjusted >= effect.p_value - 1e-12
    for h in result.hypotheses:
        assert h.p_adjusted is None or h.p_value is None or h.p_adjusted >= h.p_value - 1e-12


def test_only_the_contrast_that_decided_carries_the_claims_p_value(analysed: Analysed) -> None:
    """Degree 4 has p = .64; it was shown with the linear trend's 2.5e-5."""
    result = analysed("dose_cont")
    claim = next(h for h in result.hypotheses if h.contrast == "linear")
    effects = {e.contrast: e for e in result.responses[claim.response].effects if e.term == claim.term}
    assert effects["linear"].p_adjusted == claim.p_adjusted
    assert effects["degree 4"].p_adjusted is not None
    assert effects["degree 4"].p_adjusted >= 0.6


def test_a_mean_that_hides_a_crossover_says_so(analysed: Analysed, judged: Judged) -> None:
    """A's simple effects are +1 and −1: its mean is negligible, and A matters."""
    h = judged("cross", "H1")
    assert h.verdict == "negligible"
    assert h.p_equivalence is not None
    assert h.p_value is not None
    assert h.p_equivalence < 0.05 < h.p_value
    (caveat,) = [text for text in h.caveats if text.startswith(MEAN_OVER)]
    assert "at B = b1" in caveat
    assert "at B = b2" in caveat
    assert h.answer == "Yes: the effect is within ±0.1 on average."
    page = render_report(analysed("cross"))
    assert "does not matter" not in page
    assert MEAN_OVER in page


def test_a_directed_interaction_of_three_levels_is_last_minus_first(judged: Judged) -> None:
    assert judged("i3", "H1").verdict == "refuted"


@pytest.mark.parametrize("name", ["mult_negligible", "mult_different"])
def test_six_claims_on_the_same_data_find_the_same_however_they_are_worded(name: str, analysed: Analysed) -> None:
    """Each alone is equivalent (p .029); in a family of six none is (.176)."""
    results = analysed(name).hypotheses
    assert {h.verdict for h in results} == {"inconclusive"}
    assert [h.p_equivalence for h in results] == pytest.approx([0.02941] * 6, abs=1e-4)
    assert [h.p_equivalence_adjusted for h in results] == pytest.approx([0.17647] * 6, abs=1e-4)
    assert all(len(h.finding) == 5 for h in results)
    assert all("not within the registered family" in (h.reason or "") for h in results)


def test_type_two_rules_the_anova_and_says_that_it_does_not_rule_the_verdict(analysed: Analysed) -> None:
    result = analysed("anc_II")
    assert any("Type II rules the ANOVA only" in warning for warning in result.warnings)


def test_clean_small_data_raise_no_alarm(analysed: Analysed) -> None:
    """The smallest p-value that ten runs can give is 2/252."""
    result = analysed("fmt_plain")
    assert result.hypotheses[0].caveats == []
    assert not any("residuals" in warning for warning in result.warnings)


def test_another_test_that_would_change_the_verdict_stands_beside_it(analysed: Analysed) -> None:
    (h,) = analysed("welch_ols").hypotheses
    assert any("would" in caveat and "p = " in caveat for caveat in h.caveats)
    assert h.verdict == "inconclusive"
    assert h.p_value == pytest.approx(0.29, abs=0.01)


@pytest.mark.parametrize(
    ("p", "other", "smallest", "decided", "said"),
    [
        (0.018, 0.29, 0.0, True, True),
        (0.04, 0.06, 0.0, True, False),  # not twofold
        (0.0001, 0.02, 0.02, True, False),  # as small as it can be, and below the level
        (0.001, 0.1, 0.1, True, False),  # as small as it can be
        (0.2, 0.01, 0.0, False, True),
        (0.2, 0.3, 0.0, False, False),
    ],
)
def test_when_another_test_is_told(p: float, other: float, smallest: float, decided: bool, said: bool) -> None:
    found = other_tests(p, 0.05, {"the wild bootstrap": (other, smallest)}, decided=decided)
    assert bool(found) == said


def test_the_terminal_says_answer_and_caveat(case: Callable[[str], object]) -> None:
    study = case("cross")
    words = ["analyse", "--study", str(study), "--table", str(study).replace(".yaml", ".csv")]
    said = CliRunner().invoke(app, words).output
    assert "Yes: the effect is within ±0.1 on average." in said
    assert "this is the mean over B" in said
    assert "post hoc: no registration stands behind this table" in said
