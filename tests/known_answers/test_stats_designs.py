"""The analysis of published data sets, through the public function; each case carries its source in the JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.fit.mixed import fit_mixed, grouping
from maineffect.analyse.record.result import AnalysisResult, AnovaRow, Effect
from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "stats_cases.json").read_text(encoding="utf-8"))["doe"]


def _study(factors: dict[str, Any], terms: Any = "full", **more: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "known",
            "factors": {name: {"name": name, **spec} for name, spec in factors.items()},
            "design": {"kind": "full"},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": terms},
            **more,
        }
    )


def _two_level(names: str | list[str]) -> dict[str, Any]:
    return {name: {"levels": [-1, 1]} for name in names}


def _categories(**levels: list[Any]) -> dict[str, Any]:
    return {name: {"levels": values, "kind": "categorical"} for name, values in levels.items()}


def _table(case: str, part: str | None = None) -> pd.DataFrame:
    data = CASES[case]["data"] if part is None else CASES[case]["data"][part]
    return pd.DataFrame(data["rows"], columns=data["columns"])


def _effects(result: AnalysisResult) -> dict[str, Effect]:
    return {effect.term.replace(":", ""): effect for effect in result.responses["y"].effects}


def _anova(result: AnalysisResult) -> dict[str, AnovaRow]:
    return {row.term: row for row in result.responses["y"].anova}


def test_filtration_effects_and_lenth() -> None:
    """Montgomery DAE Example 6.2; Lenth (1989)."""
    case = CASES["lenth_filtration"]["expected"]
    result = analyse(_study(_two_level("ABCD")), _table("lenth_filtration"))
    for term, effect in _effects(result).items():
        assert effect.estimate == pytest.approx(case["effects"][term], abs=1e-9)
        assert effect.std_error is None
    lenth = result.responses["y"].lenth
    assert lenth is not None
    assert lenth.pse == pytest.approx(case["PSE"], abs=1e-6)
    assert lenth.margin_of_error / lenth.pse == pytest.approx(2.16, abs=0.03)
    assert lenth.simultaneous_margin / lenth.pse == pytest.approx(4.23, abs=0.03)
    active = {t for t, e in _effects(result).items() if e.p_value is not None and e.p_value < 0.05}
    assert active == set(case["active_by_ME"])
    assert {t for t, e in _effects(result).items() if abs(e.estimate) > lenth.simultaneous_margin} == {
        "A", "AC", "AD", "D"
    }  # fmt: skip


def test_blocked_filtration() -> None:
    """Montgomery DAE ch. 7: ABCD is confounded with blocks and must not appear as an effect."""
    case = CASES["blocks_and_centre"]["expected"]["blocked"]
    full = analyse(_study(_two_level("ABCD")), _table("blocks_and_centre", "blocked"))
    estimated = _effects(full)
    assert "ABCD" not in estimated
    for term, effect in estimated.items():
        assert effect.estimate == pytest.approx(case["effects"][term], abs=1e-8)
    assert [(e.term, e.reason) for e in full.responses["y"].not_estimable] == [("A:B:C:D", "confounded with blocks")]
    reduced = analyse(_study(_two_level("ABCD"), ["A", "C", "D", "A:C", "A:D"]), _table("blocks_and_centre", "blocked"))
    rows = _anova(reduced)
    assert rows["block"].sum_sq == pytest.approx(case["ANOVA"]["block_SS"], abs=1e-8)
    for term in ("A", "C", "D", "A:C", "A:D"):
        assert rows[term].sum_sq == pytest.approx(case["ANOVA"][term.replace(":", "")], abs=1e-8)
        assert rows[term].df_error == case["ANOVA"]["error_df"]
    model = reduced.responses["y"].model
    assert model.sigma is not None
    assert model.sigma**2 * 9 == pytest.approx(case["ANOVA"]["error_SS"], abs=1e-8)


def test_curvature_is_tested_against_pure_error() -> None:
    """Montgomery DAE ch. 6: four centre runs."""
    case = CASES["blocks_and_centre"]
    centre = pd.DataFrame({**dict.fromkeys("ABCD", 0.0), "y": case["data"]["centre_y"]})
    table = pd.concat([_table("lenth_filtration"), centre], ignore_index=True)
    study = _study(_two_level("ABCD"), design={"kind": "full", "centre_points": 4})
    row = _anova(analyse(study, table))["curvature"]
    expected = case["expected"]["centre"]
    assert row.sum_sq == pytest.approx(expected["SS_pure_quadratic"], rel=1e-8)
    assert row.df_error == expected["df_pure_error"]
    assert pytest.approx(expected["F"], rel=1e-8) == row.F
    assert row.p_value == pytest.approx(expected["p"], rel=1e-8)


def test_plasma_etch() -> None:
    """Montgomery DAE Example 6.1."""
    case = CASES["plasma_2x2x2_replicated"]["expected"]
    result = analyse(_study(_two_level("ABC")), _table("plasma_2x2x2_replicated"))
    for term, effect in _effects(result).items():
        assert effect.estimate == pytest.approx(case["effects"][term], rel=1e-6)
        assert effect.std_error == pytest.approx(case["se_effect"], rel=1e-6)
        assert effect.df == case["df_error"]
    for term, row in _anova(result).items():
        ss, f, p = case["ANOVA SS,F,p"][term.replace(":", "")]
        assert (row.sum_sq, row.F, row.p_value) == pytest.approx((ss, f, p), rel=1e-6)
        assert row.eta_sq == pytest.approx(ss / case["total_SS"], rel=1e-6)


def test_eddy_current_effects_are_full_differences() -> None:
    """NIST/SEMATECH 5.6.1: twice the regression coefficient."""
    case = CASES["nist_eddy"]["expected"]
    result = analyse(_study(_two_level(["X1", "X2", "X3"])), _table("nist_eddy"))
    found = {"X" + term.replace("X", ""): effect.estimate for term, effect in _effects(result).items()}
    assert found == pytest.approx(case["effects"], abs=1e-8)


def test_sonoluminescence_reports_chains() -> None:
    """NIST/SEMATECH 5.6.2: a 2^(7−3) of resolution IV."""
    case = CASES["nist_sono"]["expected"]
    result = analyse(_study(_two_level([f"X{i}" for i in range(1, 8)]), "two_way"), _table("nist_sono"))
    effects = result.responses["y"].effects
    mains = {effect.term: effect.estimate for effect in effects if effect.kind == "main"}
    assert mains == pytest.approx(case["main_effects"], abs=1e-8)
    assert all(not effect.aliased_with for effect in effects if effect.kind == "main")
    chains = {
        "+".join(term.replace(":", "") for term in (effect.term, *effect.aliased_with)): effect.estimate
        for effect in effects
        if effect.kind == "interaction"
    }
    assert chains == pytest.approx(case["2fi_chains"], abs=1e-8)


def test_battery_balanced() -> None:
    """Montgomery DAE Example 5.1."""
    case = CASES["battery_balanced_and_missing_cell"]["expected"]["balanced"]
    result = analyse(
        _study(_categories(mat=[1, 2, 3], temp=[15, 70, 125])), _table("battery_balanced_and_missing_cell")
    )
    for term, row in _anova(result).items():
        assert row.sum_sq == pytest.approx(case["SS"][term], rel=1e-6)
        assert pytest.approx(case["F"][term], rel=1e-6) == row.F
        assert row.p_value == pytest.approx(case["p"][term], rel=1e-6)


@pytest.fixture(scope="module")
def broken_battery() -> pd.DataFrame:
    table = _table("battery_balanced_and_missing_cell")
    return table[~((table["mat"] == 3) & (table["temp"] == 125))]


def test_an_empty_cell_refuses_type_three(broken_battery: pd.DataFrame) -> None:
    """Main effects have no Type III row, marginal means over the empty cell are refused (as emmeans' NA)."""
    case = CASES["battery_balanced_and_missing_cell"]["expected"]["missing_cell"]
    study = _study(_categories(mat=[1, 2, 3], temp=[15, 70, 125]))
    result = analyse(study, broken_battery)
    rows = _anova(result)
    assert set(rows) == {"mat:temp"}
    interaction = rows["mat:temp"]
    assert (interaction.sum_sq, interaction.df, interaction.F) == pytest.approx(case["interaction"][:3], rel=1e-6)
    assert interaction.df_error == case["error_df"]
    assert {entry.term for entry in result.responses["y"].not_estimable} == {"mat", "temp", "mat:temp"}
    assert any("Type III" in warning for warning in result.warnings)
    means = {f"{m.term} {next(iter(m.levels.values()))}": m for m in result.responses["y"].means if len(m.levels) == 1}
    for name, value in case["estimable_emm"].items():
        assert means[name].estimate == pytest.approx(value, rel=1e-6)
    for name in ("mat 3", "temp 125"):
        assert means[name].estimate is None
        assert means[name].reason
    cell = [m for m in result.responses["y"].means if m.levels == {"mat": 3, "temp": 125}]
    assert cell[0].estimate is None


def test_an_empty_cell_under_type_two(broken_battery: pd.DataFrame) -> None:
    """R car::Anova; statsmodels' typ=2 returns a sum of squares above the total on these rows."""
    case = CASES["battery_balanced_and_missing_cell"]["expected"]["missing_cell"]
    study = _study(_categories(mat=[1, 2, 3], temp=[15, 70, 125]), analysis={"terms": "full", "sum_of_squares": "II"})
    rows = _anova(analyse(study, broken_battery))
    for term in ("mat", "temp", "mat:temp"):
        assert (rows[term].sum_sq, rows[term].df) == pytest.approx(case["type_II"][term], rel=1e-6)


def test_an_empty_cell_in_an_additive_model(broken_battery: pd.DataFrame) -> None:
    case = CASES["battery_balanced_and_missing_cell"]["expected"]["missing_cell"]
    study = _study(_categories(mat=[1, 2, 3], temp=[15, 70, 125]), "main")
    result = analyse(study, broken_battery)
    means = [m for m in result.responses["y"].means if m.term == "mat"]
    assert [m.estimate for m in means] == pytest.approx([row[1] for row in case["additive_model_emm_mat"]], rel=1e-6)


def test_corrosion_split_plot() -> None:
    """Box, Hunter and Hunter (2005) ch. 9: one-stratum least squares reverses both conclusions."""
    case = CASES["corrosion_split_plot"]["expected"]
    study = _study(
        _categories(temp=[360, 370, 380], coat=[1, 2, 3, 4]),
        design={"kind": "split_plot", "hard_to_change": ["temp"]},
    )
    result = analyse(study, _table("corrosion_split_plot").rename(columns={"heat": "whole_plot"}))
    for term, row in _anova(result).items():
        assert (row.F, row.df, row.df_error, row.p_value) == pytest.approx(tuple(case["F"][term]), rel=1e-6)
        assert row.sum_sq == pytest.approx(case["ANOVA"][term][0], rel=1e-6)
    components = result.responses["y"].variance_components
    assert components is not None
    assert components["whole_plot"] == pytest.approx(case["REML"]["var_heat"], rel=1e-4)
    assert components["residual"] == pytest.approx(case["REML"]["var_resid"], rel=1e-4)
    from scipy import stats

    for term, df, expected in (("temp", 3, case["EMM_temp (KR df 3)"]), ("coat", 3.4768, case["EMM_coat (df 3.4768)"])):
        means = [m for m in result.responses["y"].means if m.term == term]
        for mean, (_, estimate, se) in zip(means, expected, strict=True):
            assert mean.estimate == pytest.approx(estimate, rel=1e-6)
            assert mean.ci_high is not None
            assert mean.estimate is not None
            assert (mean.ci_high - mean.estimate) / stats.t.isf(0.025, df) == pytest.approx(se, rel=1e-4)


def test_corrosion_reml_likelihood() -> None:
    """lme4 with sum contrasts: −64.16903794; Satterthwaite equals Kenward–Roger in this balanced case."""
    from maineffect.design.model.terms import model_matrix

    table = _table("corrosion_split_plot")
    study = _study(_categories(temp=[360, 370, 380], coat=[1, 2, 3, 4]))
    rows = {name: table[name].tolist() for name in ("temp", "coat")}
    model = model_matrix(tuple(study.factors.values()), rows, "full")
    y = table["y"].to_numpy(dtype=float)
    tests = {}
    for method in ("kenward_roger", "satterthwaite"):
        fit = fit_mixed(model.matrix, y, {"heat": grouping(table["heat"].tolist())}, method=method)
        assert fit.loglik == pytest.approx(
            CASES["corrosion_split_plot"]["expected"]["REML"]["loglik_sum_contrasts"], abs=1e-4
        )
        tests[method] = fit.f_test(np.eye(12)[model.spans["temp:coat"]])
    assert tests["kenward_roger"].df_error == pytest.approx(tests["satterthwaite"].df_error, rel=1e-6)
    assert pytest.approx(tests["satterthwaite"].F, rel=1e-6) == tests["kenward_roger"].F


@pytest.mark.parametrize("name", ["Dyestuff", "Dyestuff2"])
def test_dyestuff_variance_components(name: str) -> None:
    """Davies and Goldsmith (1972); the second has its REML estimate on the boundary."""
    case = CASES["dyestuff_variance_components"]
    table = _table("dyestuff_variance_components", name)
    y = table["Yield"].to_numpy(dtype=float)
    fit = fit_mixed(np.ones((30, 1)), y, {"Batch": grouping(table["Batch"].tolist())}, bounded=True)
    expected = case["expected"][name]
    assert fit.components["Batch"] == pytest.approx(expected["REML"]["Batch"], rel=1e-5, abs=1e-6)
    assert fit.components["residual"] == pytest.approx(expected["REML"]["resid"], rel=1e-5)
    mean = expected.get("mean", expected["REML"].get("mean"))
    se = expected.get("SE_mean", expected["REML"].get("SE_mean"))
    assert fit.beta[0] == pytest.approx(mean, rel=1e-5)
    assert np.sqrt(fit.phi[0, 0]) == pytest.approx(se, rel=1e-5)
    assert fit.on_boundary == (("Batch",) if name == "Dyestuff2" else ())
    if name == "Dyestuff2":
        free = fit_mixed(np.ones((30, 1)), y, {"Batch": grouping(table["Batch"].tolist())})
        assert free.theta[0] == pytest.approx(expected["ANOVA_EMS_estimate_Batch"], rel=1e-5)
