"""Effects against size, held to statsmodels, closed forms and the strata of the design."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from maineffect.analyse.over_sizes import asked_sizes
from maineffect.analyse.record.scaling import EffectOverSizes
from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec

WIDTHS = (16, 32, 64, 256)


def study_of(
    widths: Any = WIDTHS, covariate: dict[str, Any] | None = None, more: dict[str, Any] | None = None, **top: Any
) -> StudySpec:
    """A two-level factor crossed with a size."""
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "scaled",
            "factors": {
                "noise": {"name": "noise", "levels": [0.0, 0.5]},
                "width": {"name": "width", "levels": list(widths)},
                **(more or {}),
            },
            "design": {"kind": "full", "replicates": 3},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "two_way"},
            "scaling": {"covariates": {"width": {"extrapolate": [512], **(covariate or {})}}},
            **top,
        }
    )


def table_of(
    widths: Any = WIDTHS, replicates: int = 3, seed: int = 1, bend: float = 0.0, sd: float = 0.3, blocks: bool = False
) -> pd.DataFrame:
    """The effect of noise is 1 at width 16 and grows by .4 a doubling; ``bend`` adds a square."""
    rng = np.random.default_rng(seed)
    rows = []
    for replicate, noise, width in product(range(1, replicates + 1), (0.0, 0.5), widths):
        doublings = np.log2(width / 16)
        y = 2 + 0.2 * doublings + 2 * noise * (1 + 0.4 * doublings + bend * doublings**2) + sd * rng.standard_normal()
        rows.append({"replicate": replicate, "noise": noise, "width": width, "y": y})
    table = pd.DataFrame(rows)
    return table if blocks else table.drop(columns="replicate")


def read(study: StudySpec, table: pd.DataFrame) -> EffectOverSizes:
    (effect,) = analyse(study, table, draws=19).over_sizes
    return effect


def test_line_effects_and_lack_of_fit_are_statsmodels() -> None:
    """Cell-means regression: each number is a contrast of its parameters, on its residual degrees of freedom."""
    table = table_of(bend=0.1)
    effect = read(study_of(), table)
    fit = smf.ols("y ~ 0 + C(width) + C(width):noise", table).fit()
    x = np.log2(WIDTHS)
    slopes = [f"C(width)[{w}]:noise" for w in WIDTHS]
    half = 0.5  # an effect is from noise 0 to noise .5

    def asked(weights: Any) -> Any:
        row = np.zeros(len(fit.params))
        for name, weight in zip(slopes, weights, strict=True):
            row[list(fit.params.index).index(name)] = half * weight
        return fit.t_test(row)

    line = np.linalg.pinv(np.column_stack([np.ones(4), x]))
    wanted = {
        "at": [asked(row) for row in np.eye(4)],
        "beyond": [asked(np.array([1, 9.0]) @ line)],
    }
    for part, expected in wanted.items():
        for point, oracle in zip(getattr(effect, part), expected, strict=True):
            ends = oracle.conf_int()[0]
            assert point.estimate == pytest.approx(oracle.effect.item(), rel=1e-9)
            assert (point.ci_low, point.ci_high) == pytest.approx(tuple(ends), rel=1e-9)
            assert point.df == oracle.df_denom == 16
    trend = asked(line[1])
    assert effect.slope == pytest.approx(trend.effect.item())
    assert effect.p_value == pytest.approx(float(trend.pvalue))
    assert effect.slope_std_error == pytest.approx(trend.sd.item())
    # Lack of fit: the model that is linear in log2 width, against effects at every width.
    straight = smf.ols("y ~ C(width) + noise + noise:np.log2(width)", table).fit()
    compared = fit.compare_f_test(straight)
    assert effect.linearity is not None
    assert (effect.linearity.F, effect.linearity.p_value, effect.linearity.df) == pytest.approx(compared)
    assert effect.linearity.df_error == 16
    # Balanced: the line is that of the model that is linear in log2 width, with the error of the whole model.
    at_512 = 0.5 * (straight.params["noise"] + 9 * straight.params["noise:np.log2(width)"])
    assert effect.beyond[0].estimate == pytest.approx(at_512)


def test_the_closed_form_of_the_extrapolated_error() -> None:
    """Var = σ²·2/n·(1/K + (x₀ − x̄)²/Sxx): two means of n runs at each of K sizes."""
    table = table_of(widths=(16, 32, 64), replicates=4)
    result = analyse(study_of(widths=(16, 32, 64)), table, draws=19)
    (effect,), sigma = result.over_sizes, result.responses["y"].model.sigma
    assert sigma is not None
    x = np.array([4.0, 5.0, 6.0])
    for size in (16, 32, 64, 512):
        at = next(point for point in effect.line if point.size == size)
        away = (np.log2(size) - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2)
        assert at.std_error == pytest.approx(sigma * np.sqrt(2 / 4 * (1 / 3 + away)))
        assert at.extrapolated is (size == 512)
    assert effect.slope_std_error == pytest.approx(sigma * np.sqrt(2 / 4 / 2))
    assert effect.slope_df == effect.beyond[0].df == 24 - 6
    assert effect.linearity is not None
    assert effect.linearity.df == 1


@pytest.mark.parametrize(("scale", "per"), [("log2", 0.4), ("log10", 0.4 * np.log2(10))])
def test_without_noise_the_line_is_found_in_its_base(scale: str, per: float) -> None:
    effect = read(study_of(covariate={"scale": scale}), table_of(sd=1e-9))
    assert effect.slope == pytest.approx(per, rel=1e-6)
    assert [point.estimate for point in effect.at] == pytest.approx([1.0, 1.4, 1.8, 2.6], rel=1e-6)
    assert effect.beyond[0].estimate == pytest.approx(3.0, rel=1e-6)
    assert [point.level for point in effect.at] == list(WIDTHS)


def test_a_line_in_the_sizes_themselves_is_another_one() -> None:
    effect = read(study_of(covariate={"scale": "linear"}), table_of(sd=1e-9))
    slope, start = np.polyfit(WIDTHS, [1.0, 1.4, 1.8, 2.6], 1)
    assert effect.slope == pytest.approx(slope, rel=1e-6)
    assert effect.beyond[0].estimate == pytest.approx(start + 512 * slope, rel=1e-6)


def test_sizes_of_words_are_those_that_are_stated() -> None:
    """A list of models in any order, with their parameters."""
    sizes = {"large": 64e6, "small": 16e6, "middle": 32e6}
    table = table_of(widths=(16, 32, 64), sd=1e-9)
    table["width"] = table["width"].map({16: "small", 32: "middle", 64: "large"})
    effect = read(
        study_of(widths=list(sizes), covariate={"sizes": sizes, "extrapolate": [128e6], "unit": "parameters"}), table
    )
    assert [(point.level, point.size) for point in effect.at] == [("small", 16e6), ("middle", 32e6), ("large", 64e6)]
    assert (effect.slope, effect.beyond[0].estimate) == pytest.approx((0.4, 2.2), rel=1e-6)
    assert effect.unit == "parameters"


def test_an_effect_that_bends_is_said_and_one_that_does_not_is_not() -> None:
    bent = analyse(study_of(), table_of(bend=0.3), draws=19)
    said = [warning for warning in bent.warnings if "no straight line in log2 width" in warning]
    assert len(said) == 1
    assert "what it says at 512 rests on one" in said[0]
    straight = analyse(study_of(), table_of(), draws=19)
    assert not [warning for warning in straight.warnings if "straight line" in warning]


def test_two_sizes_test_no_line() -> None:
    effect = read(study_of(widths=(16, 32)), table_of(widths=(16, 32)))
    assert effect.linearity is not None
    assert effect.linearity.p_value is None
    assert "two sizes lie on every straight line" in (effect.linearity.reason or "")
    assert effect.notes == ["512 is farther from the sizes that were run than these are from each other"]


def test_an_effect_beyond_what_the_limits_permit_is_said() -> None:
    study = study_of(responses={"y": {"name": "y", "limits": [0, 2.5]}})
    assert any("larger than its limits permit (2.5) at 512" in w for w in analyse(study, table_of(), draws=19).warnings)


def plots(seed: int = 3, spread: float = 2.0) -> pd.DataFrame:
    """Width is hard to change: three whole plots of each of three widths, two runs of each noise within one."""
    rng = np.random.default_rng(seed)
    rows = []
    for plot, width in enumerate([16, 32, 64] * 3):
        shift = spread * rng.standard_normal()
        for noise in (0.0, 0.5, 0.0, 0.5):
            y = shift + 2 * noise + rng.standard_normal()
            rows.append({"whole_plot": f"p{plot}", "noise": noise, "width": width, "y": y})
    return pd.DataFrame(rows)


def split_study() -> StudySpec:
    return study_of(
        widths=(16, 32, 64),
        design={"kind": "split_plot", "hard_to_change": ["width"], "replicates": 6},
    )


def test_in_a_split_plot_the_effect_keeps_the_error_within_plots() -> None:
    """The plots' own effects drop out of an effect within them: paired differences give estimate, error and df."""
    table = plots()
    effect = read(split_study(), table)
    means = table.groupby(["whole_plot", "width", "noise"]).y.mean().unstack()
    differences = (means[0.5] - means[0.0]).reset_index()
    by_width = differences.groupby("width")[0].mean()
    x = np.array([4.0, 5.0, 6.0])
    weights = 1 / 3 + (9 - x.mean()) * (x - x.mean()) / 2
    assert effect.beyond[0].estimate == pytest.approx(float(weights @ by_width.to_numpy()))
    # Within plots: 36 runs − 9 plots − 3 (noise, and noise × width).
    fit = smf.ols("y ~ C(whole_plot) + noise + noise:C(width)", table).fit()
    assert fit.df_resid == 24
    se = np.sqrt(fit.mse_resid * np.sum(weights**2) * 2 / 6)
    assert effect.beyond[0].std_error == pytest.approx(se, rel=1e-6)
    assert effect.beyond[0].df == pytest.approx(24, rel=1e-6)
    one = analyse(study_of(widths=(16, 32, 64)), table.drop(columns="whole_plot"), draws=19).over_sizes[0]
    assert one.beyond[0].std_error is not None
    assert one.beyond[0].std_error > 1.5 * se, "one stratum for all would have been another answer"


def test_shared_seeds_give_each_contrast_its_own_error() -> None:
    """Claims about new seeds: t over the replicates' own extrapolations, on r − 1 degrees of freedom."""
    rng = np.random.default_rng(5)
    table = table_of(widths=(16, 32, 64), replicates=6, blocks=True)
    table["y"] += table["replicate"].map(dict(enumerate(rng.standard_normal(6), 1))) * table["noise"]
    study = study_of(
        widths=(16, 32, 64),
        design={"kind": "full", "replicates": 6, "common_random_numbers": True},
        analysis={"terms": "two_way", "inference": "seeds"},
    )
    effect = read(study, table)
    wide = table.pivot_table(index=["replicate", "width"], columns="noise", values="y")
    each = (wide[0.5] - wide[0.0]).unstack()
    weights = 1 / 3 + (9 - 5) * np.array([-1.0, 0.0, 1.0]) / 2
    beyond = each.to_numpy() @ weights
    expected = stats.t.interval(0.95, 5, beyond.mean(), beyond.std(ddof=1) / np.sqrt(6))
    assert (effect.beyond[0].ci_low, effect.beyond[0].ci_high) == pytest.approx(expected)
    assert effect.beyond[0].df == 5
    assert effect.inference == "seeds"
    bends = each.to_numpy() @ np.array([1.0, -2.0, 1.0])
    assert effect.linearity is not None
    assert effect.linearity.p_value == pytest.approx(stats.ttest_1samp(bends, 0).pvalue)


def test_shared_seeds_with_four_sizes_hold_the_bends_together_by_bonferroni() -> None:
    study = study_of(
        design={"kind": "full", "replicates": 6, "common_random_numbers": True},
        analysis={"terms": "two_way", "inference": "seeds"},
    )
    table = table_of(replicates=6, blocks=True)
    effect = read(study, table)
    wide = table.pivot_table(index=["replicate", "width"], columns="noise", values="y")
    each = (wide[0.5] - wide[0.0]).unstack().to_numpy()
    (sizes,) = asked_sizes(study)
    p_values = [stats.ttest_1samp(each @ bend, 0).pvalue for bend in sizes.bends]
    assert sizes.bends @ np.column_stack([np.ones(4), np.log2(WIDTHS)]) == pytest.approx(0, abs=1e-9)
    assert effect.linearity is not None
    assert effect.linearity.method == "Bonferroni"
    assert effect.linearity.p_value == pytest.approx(min(1, 2 * min(p_values)))


def test_categories_are_read_one_by_one_and_trends_are_adjusted_together() -> None:
    study = study_of(
        widths=(16, 32, 64),
        more={"reward": {"name": "reward", "levels": ["a", "b", "c"]}},
        hypotheses=[{"id": "H1", "term": "width:noise", "response": "y"}],
    )
    rng = np.random.default_rng(2)
    table = pd.concat([table_of(widths=(16, 32, 64), seed=i).assign(reward=r) for i, r in enumerate("abc")])
    table["y"] += 0.5 * (table["reward"] == "c") * np.log2(table["width"]) + 0.1 * rng.standard_normal(len(table))
    table["run_id"] = [f"r{i}" for i in range(len(table))]
    effects = analyse(study, table.reset_index(drop=True), draws=19).over_sizes
    assert [(e.factor, e.contrast) for e in effects] == [
        ("noise", "0.5 − 0.0"),
        ("reward", "b − a"),
        ("reward", "c − a"),
    ]
    assert effects[2].slope == pytest.approx(0.5, abs=0.15)
    assert [e.hypotheses for e in effects] == [["H1"], [], []]
    expected = stats.false_discovery_control([e.p_value for e in effects])
    assert [e.p_adjusted for e in effects] == pytest.approx(expected)


def test_lost_cells_leave_no_line_and_say_so() -> None:
    table = table_of()
    result = analyse(study_of(), table[(table.width != 64) | (table.noise != 0.5)], draws=19)
    (effect,) = result.over_sizes
    assert effect.slope is None
    assert effect.reason == "cells without runs leave no effect at 64"
    assert any("could not be read: cells without runs" in warning for warning in result.warnings)


def test_ratios_stand_beside_effects_on_a_log_scale() -> None:
    table = table_of()
    table["y"] = np.exp(table["y"])
    effect = read(study_of(responses={"y": {"name": "y", "scale": "log"}}), table)
    for point in (*effect.at, *effect.beyond, *effect.line):
        assert point.ratio == pytest.approx(np.exp(point.estimate))


def test_a_study_without_scaling_has_nothing_of_it() -> None:
    assert analyse(study_of(scaling=None), table_of(), draws=19).over_sizes == []
