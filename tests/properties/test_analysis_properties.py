"""What must hold for every table: invariances, and agreement with statsmodels and SciPy on random designs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from maineffect.analyse.confirmatory.bootstrap import wild_cluster_test
from maineffect.analyse.confirmatory.randomisation import freedman_lane
from maineffect.analyse.fit.least_squares import OrdinaryInference, least_squares
from maineffect.analyse.fit.losses import missing_bounds
from maineffect.analyse.fit.mixed import fit_mixed, grouping
from maineffect.analyse.fit.robust import RobustInference
from maineffect.analyse.inference.multiplicity import adjust, max_t_critical, studentized_maximum_modulus
from maineffect.analyse.record.result import AnalysisResult
from maineffect.analyse.run import analyse
from maineffect.spec.study import StudySpec

FEW = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def _study(kinds: dict[str, int], terms: Any = "two_way", **analysis: Any) -> StudySpec:
    factors = {
        name: {"name": name, "levels": [f"l{i}" for i in range(count)], "kind": "categorical"}
        for name, count in kinds.items()
    }
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "random",
            "factors": factors,
            "design": {"kind": "full"},
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": terms, **analysis},
        }
    )


def _random_table(kinds: dict[str, int], n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: [f"l{i}" for i in rng.integers(0, count, n)] for name, count in kinds.items()})
    return table.assign(y=rng.normal(size=n))


def _all_cells(table: pd.DataFrame, kinds: dict[str, int]) -> bool:
    names = list(kinds)
    return all(len(table.groupby([a, b])) == kinds[a] * kinds[b] for i, a in enumerate(names) for b in names[i + 1 :])


def _by_term(result: AnalysisResult) -> dict[tuple[str, str], float]:
    return {(e.term, e.contrast): e.estimate for e in result.responses["y"].effects}


@FEW
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["II", "III"]))
def test_anova_agrees_with_statsmodels_on_unbalanced_tables(seed: int, kind: str) -> None:
    """statsmodels with sum contrasts (its default coding makes typ=3 depend on the reference level)."""
    kinds = {"A": 2, "B": 3, "D": 2}
    table = _random_table(kinds, 30, seed)
    assume(_all_cells(table, kinds))
    rows = {row.term: row for row in analyse(_study(kinds, sum_of_squares=kind), table).responses["y"].anova}
    fit = smf.ols("y ~ (C(A, Sum) + C(B, Sum) + C(D, Sum)) ** 2", table).fit()
    theirs = sm.stats.anova_lm(fit, typ={"II": 2, "III": 3}[kind])
    for term, row in rows.items():
        name = ":".join(f"C({part}, Sum)" for part in term.split(":"))
        assert row.sum_sq == pytest.approx(theirs.loc[name, "sum_sq"], rel=1e-8, abs=1e-10)
        assert row.df == theirs.loc[name, "df"]
        assert row.p_value == pytest.approx(theirs.loc[name, "PR(>F)"], rel=1e-7, abs=1e-12)


@FEW
@given(seed=st.integers(0, 10_000))
def test_effects_and_robust_errors_agree_with_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(25), rng.choice([-1.0, 1.0], (25, 4))])
    assume(np.linalg.matrix_rank(x) == 5)
    y = rng.normal(size=25)
    fit, theirs = least_squares(x, y[:, None]), sm.OLS(y, x).fit()
    found = OrdinaryInference(fit).contrasts(np.eye(5))
    assert found.estimate == pytest.approx(theirs.params, abs=1e-10)
    assert found.std_error == pytest.approx(theirs.bse, rel=1e-9)
    for kind in ("hc2", "hc3"):
        if np.max(np.sum(fit.basis**2, axis=1)) < 0.999:
            robust = RobustInference(fit, 0, kind).contrasts(np.eye(5))  # type: ignore[arg-type]
            expected = sm.OLS(y, x).fit(cov_type=kind.upper()).bse
            assert robust.std_error == pytest.approx(expected, rel=1e-8)


def test_bell_mccaffrey_equals_welch_like_degrees_of_freedom_in_two_groups() -> None:
    """HC2 in two groups is Welch's standard error; equal groups give n − 2 degrees of freedom (Imbens, Kolesár 2016)."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=6), rng.normal(2, 3, size=6)
    x = np.column_stack([np.ones(12), np.repeat([-1.0, 1.0], 6)])
    found = RobustInference(least_squares(x, np.concatenate([a, b])[:, None]), 0, "hc2").contrasts(
        np.array([[0.0, 2.0]])
    )
    assert found.std_error[0] == pytest.approx(np.sqrt(a.var(ddof=1) / 6 + b.var(ddof=1) / 6))
    assert found.df[0] == pytest.approx(10.0)


@FEW
@given(seed=st.integers(0, 10_000), shift=st.floats(-1e6, 1e6), factor=st.floats(1e-6, 1e6))
def test_shifting_and_scaling_the_response(seed: int, shift: float, factor: float) -> None:
    kinds = {"A": 2, "B": 3}
    table = _random_table(kinds, 24, seed)
    assume(_all_cells(table, kinds))
    study = _study(kinds)
    plain = analyse(study, table)
    moved = analyse(study, table.assign(y=table["y"] * factor + shift))
    tolerance = 1e-9 * max(factor, abs(shift))
    assert _by_term(moved) == pytest.approx({k: v * factor for k, v in _by_term(plain).items()}, abs=tolerance)
    for a, b in zip(plain.responses["y"].means, moved.responses["y"].means, strict=True):
        assert a.estimate is not None
        assert b.estimate == pytest.approx(a.estimate * factor + shift, abs=tolerance)


@FEW
@given(seed=st.integers(0, 10_000), order=st.randoms(use_true_random=False))
def test_rows_and_labels_do_not_matter(seed: int, order: Any) -> None:
    kinds = {"A": 2, "B": 3, "D": 2}
    table = _random_table(kinds, 36, seed)
    assume(_all_cells(table, kinds))
    rows = list(range(len(table)))
    order.shuffle(rows)
    plain, shuffled = analyse(_study(kinds), table), analyse(_study(kinds), table.iloc[rows])
    assert _by_term(shuffled) == pytest.approx(_by_term(plain), abs=1e-9)
    renamed = table.rename(columns={"A": "zeta", "B": "eta", "D": "iota"})
    relabelled = analyse(_study({"zeta": 2, "eta": 3, "iota": 2}), renamed)
    mine = [e.estimate for e in relabelled.responses["y"].effects]
    assert mine == pytest.approx([e.estimate for e in plain.responses["y"].effects], abs=1e-9)


@FEW
@given(seed=st.integers(0, 10_000))
def test_attribution_sums_to_the_gap(seed: int) -> None:
    kinds = {"A": 2, "B": 2, "D": 2}
    table = _random_table(kinds, 40, seed)
    assume(len(table.groupby(list(kinds))) == 8)
    result = analyse(_study(kinds, "full"), table)
    parts = result.attribution
    assert sum(part.contribution for part in parts) == pytest.approx(parts[0].gap, abs=1e-9)
    low = table[(table[list(kinds)] == "l0").all(axis=1)]["y"].mean()
    high = table[(table[list(kinds)] == "l1").all(axis=1)]["y"].mean()
    assert parts[0].gap == pytest.approx(high - low, abs=1e-9)


def test_shapley_by_brute_force() -> None:
    """Average marginal contribution over all orders of changing the factors."""
    from itertools import permutations

    kinds = {"A": 2, "B": 2, "D": 2}
    table = _random_table(kinds, 40, 3)
    means = table.groupby(list(kinds))["y"].mean()
    result = {part.factor: part.contribution for part in analyse(_study(kinds, "full"), table).attribution}
    expected = dict.fromkeys(kinds, 0.0)
    for order in permutations(kinds):
        state = dict.fromkeys(kinds, "l0")
        for name in order:
            before = means[tuple(state.values())]
            state[name] = "l1"
            expected[name] += (means[tuple(state.values())] - before) / 6
    assert result == pytest.approx(expected, abs=1e-9)


@FEW
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjustments_are_ordered_and_agree_with_their_closed_tests(p: list[float]) -> None:
    """Bonferroni ≥ Holm ≥ BH ≥ raw; SciPy is the oracle of BH."""
    found = {m: np.array(adjust(p, m), dtype=float) for m in ("none", "holm", "bh")}
    found["bonferroni"] = np.minimum(np.array(p) * len(p), 1.0)
    for larger, smaller in pairwise(["bonferroni", "holm", "bh", "none"]):
        assert np.all(found[larger] >= found[smaller] - 1e-12)
    assert found["bh"] == pytest.approx(stats.false_discovery_control(p, method="bh"))


def test_simultaneous_critical_values() -> None:
    """Integration against SciPy's multivariate t, and simulation against integration for nearly independent contrasts."""
    value = studentized_maximum_modulus(0.05, 3, 10)
    inside = stats.multivariate_t(np.zeros(3), np.eye(3), df=10).cdf(
        np.full(3, value), lower_limit=np.full(3, -value), random_state=0
    )
    assert inside == pytest.approx(0.95, abs=5e-4)
    nearly = np.eye(4) + 1e-4 * (np.ones((4, 4)) - np.eye(4))
    assert max_t_critical(nearly, 12.0, 0.05) == pytest.approx(studentized_maximum_modulus(0.05, 4, 12.0), rel=0.02)
    assert max_t_critical(np.ones((2, 2)), 12.0, 0.05) == pytest.approx(stats.t.isf(0.025, 12), rel=0.02)


def test_randomisation_enumerates_like_scipy() -> None:
    """Two groups of four: the permutation distribution of the difference of means."""
    y = np.array([1.2, 0.3, 2.2, 1.9, -0.4, 0.1, 0.6, 0.2])
    group = np.repeat([-1.0, 1.0], 4)
    ours = freedman_lane(y, group[:, None], np.ones((8, 1)), [1] * 8, draws=19_999)
    theirs = stats.permutation_test(
        (y[:4], y[4:]), lambda a, b: abs(a.mean() - b.mean()), alternative="greater", n_resamples=np.inf
    )
    assert ours is not None
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.005)
    # Six runs are enumerated: exact to the last digit.
    small = freedman_lane(y[1:7], group[1:7, None], np.ones((6, 1)), [1] * 6)
    exact = stats.permutation_test(
        (y[1:4], y[4:7]), lambda a, b: abs(a.mean() - b.mean()), alternative="greater", n_resamples=np.inf
    )
    assert small is not None
    assert small.p_value == pytest.approx(exact.pvalue)
    assert small.smallest == pytest.approx(0.1)


def test_blocks_restrict_the_exchange() -> None:
    """Within two blocks of two there are four arrangements, half of them mirror images."""
    y, group = np.array([0.0, 1.0, 10.0, 11.5]), np.array([-1.0, 1.0, -1.0, 1.0])
    others = np.column_stack([np.ones(4), [-1.0, -1.0, 1.0, 1.0]])
    found = freedman_lane(y, group[:, None], others, ["a", "a", "b", "b"])
    assert found is not None
    assert found.p_value == 0.5


@FEW
@given(seed=st.integers(0, 10_000))
def test_reml_agrees_with_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(8), 4)
    keep = rng.random(32) < 0.85
    x = np.column_stack([np.ones(32), rng.choice([-1.0, 1.0], 32)])[keep]
    y = (rng.normal(size=8)[groups] * 2 + rng.normal(size=32))[keep]
    ours = fit_mixed(x, y, {"group": grouping(groups[keep].tolist())}, bounded=True)
    theirs = sm.MixedLM(y, x, groups[keep]).fit(reml=True)
    assume(ours.components["group"] > 0.05)
    assert ours.components["group"] == pytest.approx(float(theirs.cov_re[0, 0]), rel=2e-3, abs=1e-3)
    assert ours.components["residual"] == pytest.approx(theirs.scale, rel=2e-3)
    assert ours.beta == pytest.approx(theirs.fe_params, rel=1e-2, abs=1e-2)


@FEW
@given(seed=st.integers(0, 10_000))
def test_balanced_mixed_tests_equal_classical_strata(seed: int) -> None:
    """Whole-plot factor over heats: F against heats within levels, whatever the sign of the variance estimate."""
    rng = np.random.default_rng(seed)
    heats, runs = 6, 4
    plot = np.repeat(np.arange(heats), runs)
    a = np.repeat([-1.0, 1.0], heats * runs // 2)
    b = np.tile([-1.0, 1.0], heats * runs // 2)
    y = rng.normal(size=heats)[plot] * rng.choice([0.0, 1.0]) + rng.normal(size=heats * runs)
    fit = fit_mixed(np.column_stack([np.ones(24), a, b, a * b]), y, {"heat": grouping(plot.tolist())})
    means = y.reshape(heats, runs).mean(axis=1)
    classical = stats.f_oneway(means[:3], means[3:])
    test = fit.f_test(np.array([[0.0, 1.0, 0.0, 0.0]]))
    assert pytest.approx(classical.statistic, rel=1e-5) == test.F
    assert test.df_error == pytest.approx(4.0, rel=1e-5)
    assert test.p_value == pytest.approx(classical.pvalue, rel=1e-4)


@pytest.mark.parametrize("groups", [8, 30])
def test_wild_cluster_test_keeps_its_error(groups: int) -> None:
    rng = np.random.default_rng(groups)
    clusters = np.repeat(np.arange(groups), 4).tolist()
    x = np.column_stack([np.ones(4 * groups), np.repeat(np.tile([-1.0, 1.0], groups // 2), 4)])
    p = [
        wild_cluster_test(
            x, rng.normal(size=groups).repeat(4) + rng.normal(size=4 * groups), np.array([0.0, 2.0]),
            clusters=clusters, draws=199, seed=i,
        )
        for i in range(400)
    ]  # fmt: skip
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 400))


def test_worst_case_bounds_hold_the_full_estimate() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(16), np.tile([-1.0, 1.0], 8), np.repeat([-1.0, 1.0], 8)])
    y = rng.random(16)
    full = 2 * np.linalg.lstsq(x, y, rcond=None)[0][1]
    lost = y.copy()
    lost[[0, 5, 9]] = np.nan
    low, high = missing_bounds(x, lost, np.array([0.0, 2.0, 0.0]), 0.0, 1.0)
    assert low <= full <= high
    assert high - low == pytest.approx(3 * 2 / 16)


def test_bell_mccaffrey_equals_its_definition() -> None:
    """tr(B)²/tr(B²) with the (n, n) matrices written out."""
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(20), rng.normal(size=(20, 3))])
    fit = least_squares(x, rng.normal(size=(20, 1)))
    row = np.array([0.0, 1.0, -0.5, 0.0])
    maker = np.eye(20) - x @ np.linalg.pinv(x)
    weights = (x @ np.linalg.inv(x.T @ x) @ row) ** 2 / np.diag(maker)
    b = maker @ np.diag(weights) @ maker
    found = RobustInference(fit, 0, "hc2").contrasts(row[None, :])
    assert found.df[0] == pytest.approx(np.trace(b) ** 2 / np.trace(b @ b))
