"""Responses on a log or logit scale: ratios, means in their own units, and what happens at a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse, analyse_with_fits
from maineffect.analyse.simulation.power_simulation import simulate_power
from maineffect.analyse.simulation.selftest import self_test
from maineffect.analyse.table.scales import back_transformed, on_scale
from maineffect.cli.render import analysis_text
from maineffect.design.build import build_design
from maineffect.errors import AnalysisError
from maineffect.register.plan import plan_document, plan_hash
from maineffect.report.page import render_report
from maineffect.spec.responses import Response

H1 = [{"id": "H1", "term": "A", "response": "y", "direction": "increase"}]


def _place(row: int) -> str:
    return f"runs.csv:{row + 2}"


@pytest.mark.parametrize(
    ("spec", "values", "right"),
    [
        ({"scale": "log"}, [1.0, np.e, np.nan], [0.0, 1.0, np.nan]),
        ({"scale": "log", "items": 40}, [0.0, 0.5], [np.log(0.5 / 41), np.log(0.5)]),
        ({"scale": "logit"}, [0.5, 0.75], [0.0, np.log(3)]),
        ({"scale": "logit", "items": 40}, [0.0, 1.0], [np.log(0.5 / 40.5), np.log(40.5 / 0.5)]),
        ({"scale": "logit", "limits": (0, 100)}, [50.0, 75.0], [0.0, np.log(3)]),
        ({}, [-1.0, 0.0], [-1.0, 0.0]),
    ],
)
def test_values_on_their_scale(spec: dict[str, Any], values: list[float], right: list[float]) -> None:
    """Odds of (x + 1/2)/(n + 1): (x + 1/2)/(n − x + 1/2)."""
    response = Response.model_validate(spec)
    found = on_scale(np.array(values), "y", response, _place)
    np.testing.assert_allclose(found, right, rtol=1e-12)
    if "items" not in spec:
        back = [back_transformed(value, response) for value in found]
        np.testing.assert_allclose(np.array(back, dtype=float), values, rtol=1e-12)


@pytest.mark.parametrize(
    ("spec", "value", "hint"),
    [
        ({"scale": "log"}, 0.0, "items"),
        ({"scale": "log", "items": 9}, -0.1, "correct the value"),
        ({"scale": "logit"}, 1.0, "items"),
        ({"scale": "logit", "items": 9}, 1.2, "limits"),
    ],
)
def test_what_has_no_logarithm_is_refused_by_row(spec: dict[str, Any], value: float, hint: str) -> None:
    with pytest.raises(AnalysisError, match=r"^runs.csv:3: y is .* which has no log") as caught:
        on_scale(np.array([0.5, value]), "y", Response.model_validate(spec), _place)
    assert hint in caught.value.hint


def _shares(make_study: Any, **response: Any) -> tuple[AnalysisResult, pd.DataFrame]:
    study = make_study("AB", terms="two_way", hypotheses=H1, response={"smallest_effect": 0.1, **response})
    rng = np.random.default_rng(5)
    rows = [{"A": a, "B": b, "y": 1 / (1 + np.exp(-a - rng.normal(0, 0.3)))} for a in (0, 1) for b in (0, 1)
            for _ in range(4)]  # fmt: skip
    table = pd.DataFrame(rows)
    return analyse(study, table, draws=19), table


def test_effects_are_odds_ratios_and_means_are_shares(make_study: Any) -> None:
    """The same by NumPy and SciPy on the logits."""
    result, table = _shares(make_study, scale="logit", limits=[0, 1])
    logits = np.log(table["y"] / (1 - table["y"]))
    difference = logits[table["A"] == 1].mean() - logits[table["A"] == 0].mean()
    effect = next(e for e in result.responses["y"].effects if e.term == "A")
    assert effect.estimate == pytest.approx(difference)
    assert effect.ratio == pytest.approx(np.exp(difference))
    assert effect.ratio_low == pytest.approx(np.exp(effect.ci_low))
    mean = next(m for m in result.responses["y"].means if m.levels == {"A": 0})
    assert mean.estimate == pytest.approx(1 / (1 + np.exp(-logits[table["A"] == 0].mean())))
    (h1,) = result.hypotheses
    assert (h1.scale, h1.ratio, result.responses["y"].effect_unit) == ("logit", effect.ratio, "log odds ratio")
    assert result.runs[0].responses["y"] == table["y"][0]


def test_a_ratio_of_geometric_means(make_study: Any) -> None:
    result, table = _shares(make_study, scale="log")
    gmeans = [stats.gmean(table["y"][table["A"] == a]) for a in (0, 1)]
    effect = next(e for e in result.responses["y"].effects if e.term == "A")
    assert effect.ratio == pytest.approx(gmeans[1] / gmeans[0])
    assert [m.estimate for m in result.responses["y"].means[:2]] == pytest.approx(gmeans)


def test_without_a_scale_there_are_no_ratios(make_study: Any) -> None:
    result, _ = _shares(make_study)
    assert result.responses["y"].scale is None
    assert result.responses["y"].effects[0].ratio is None


@pytest.mark.parametrize(
    "spec",
    [
        {"scale": "log", "limits": [-1, 1]},
        {"scale": "logit", "on_failure": 0.0},
        {"scale": "log", "on_failure": -1.0},
        {"scale": "square"},
    ],
)
def test_responses_that_fit_no_scale_are_invalid(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Response.model_validate(spec)
    assert Response.model_validate({"scale": "logit", "on_failure": 0.0, "items": 8}).items == 8


def test_an_unused_scale_leaves_the_hash_alone(make_study: Any) -> None:
    plain, scaled = make_study("AB"), make_study("AB", response={"scale": "log"})
    design = build_design(plain)
    document = plan_document(plain, design)
    assert not {"scale", "items"} & set(document["study"]["responses"]["y"])
    assert plan_hash(document) != plan_hash(plan_document(scaled, design))
    assert type(plain).model_validate(plain.model_dump(mode="json")) == plain


def test_simulated_studies_are_drawn_on_the_scale(make_study: Any) -> None:
    study = make_study("AB", hypotheses=H1, response={"scale": "log", "smallest_effect": 1.0}, terms="main",
                       design={"kind": "full", "replicates": 2})  # fmt: skip
    design = build_design(study)
    (power,) = simulate_power(study, design, {"H1": 2.0}, studies=4)
    assert power.studies == 4
    assert self_test(study, design, studies=4, draws=9).studies == 4


def test_what_is_asked_beyond_the_effects_comes_back_as_ratios(make_study: Any) -> None:
    """Without noise a mean of 10 doubles with A and is three times as large with B: the ratios are 2 and 3."""
    rows = pd.DataFrame([{"A": a, "B": b, "replicate": r} for r in (1, 2, 3) for a in (0, 1) for b in (0, 1)])
    jitter = np.exp(np.random.default_rng(1).normal(0, 0.01, len(rows)))
    rows["y"] = 10.0 * 2.0 ** rows["A"] * 3.0 ** rows["B"] * jitter
    analysis = {"terms": "main", "transport": {"B": {"0": 0.5, "1": 0.5}}}
    study = make_study("AB", response={"scale": "log"}, analysis=analysis)
    result, fits = analyse_with_fits(study, rows, draws=9)
    result = add_exploratory(result, study, rows, fits=fits)
    shares = {share.factor: share for share in result.attribution}
    assert (shares["A"].ratio, shares["B"].ratio) == (pytest.approx(2, rel=0.02), pytest.approx(3, rel=0.02))
    assert shares["A"].gap_ratio == pytest.approx(6, rel=0.02)
    assert shares["A"].ratio * shares["B"].ratio == pytest.approx(shares["A"].gap_ratio)  # type: ignore[operator]
    assert shares["A"].ratio_low == pytest.approx(np.exp(shares["A"].ci_low or 0))
    moved = {effect.factor: effect for effect in result.transported}
    assert (moved["A"].ratio, moved["A"].scale) == (pytest.approx(2, rel=0.02), "log")
    (aggregate, _) = result.aggregates
    # The middle half of each level's six runs on the logarithms: the geometric mean of 10 and 30.
    assert aggregate.iqm_first == pytest.approx(10 * 3**0.5, rel=0.05)
    assert aggregate.ratio == pytest.approx(2, rel=0.02)
    assert aggregate.ratio_low == pytest.approx(np.exp(aggregate.difference_low))
    assert result.profiler is not None
    trace = result.profiler.responses["y"]
    assert trace.estimate == pytest.approx([10, 30, 20, 60], rel=0.02)
    assert trace.low is not None
    assert trace.high is not None
    assert all(low < e < high for low, e, high in zip(trace.low, trace.estimate, trace.high, strict=True))  # type: ignore[operator]
    middle = [(low * high) ** 0.5 for low, high in zip(trace.low, trace.high, strict=True)]  # type: ignore[operator]
    assert middle == pytest.approx(trace.estimate), "limits are symmetric on the logarithms"
    page = render_report(result)
    assert "as ratio, which multiply" in page
    assert "as ratio on the target" in page
    assert f", ratio {moved['A'].ratio:.4g} [" in analysis_text(result)
