"""Intervals of ω², a term's share of all variance: the exact limits where they exist, coverage through the analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special

from maineffect.analyse.fit.anova import share_interval
from maineffect.analyse.inference.shares import _LARGE, Stratum, _noncentrality, shares_in_one_stratum
from maineffect.analyse.run import analyse
from maineffect.analyse.simulation.selftest import simulate_table
from maineffect.design.build import build_design
from maineffect.spec.study import StudySpec

STUDIES = [40, pytest.param(500, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("f", "df", "df_error", "runs"), [(6.3, 2, 20, 23), (30.0, 1, 8, 16), (2.0, 3, 40, 64)])
def test_of_a_single_term_they_are_steigers(f: float, df: int, df_error: int, runs: int) -> None:
    """With one term the share is λ/(λ + N): the limits of the noncentral F (Steiger 2004), up to the draws."""
    ((low, high),) = shares_in_one_stratum([(2 * f * df, df)], (2 * f * df, df), Stratum(2.0, df_error), runs, 0.05)
    exact = share_interval(f, df, df_error, 0.05, runs)
    assert (low, high) == (pytest.approx(exact[0], abs=0.006), pytest.approx(exact[1], abs=0.006))


@pytest.mark.parametrize("df", [1, 2, 5, 17, 60])
@pytest.mark.parametrize("ratio", [0.3, 2.0, 20.0, 290.0])
def test_noncentralities_are_those_of_scipys_search(df: int, ratio: float) -> None:
    """By Newton's method, from where λ is 0 to where the normal distribution takes over."""
    assert ratio < _LARGE
    u = np.linspace(0.0005, 0.9995, 101)
    searched = np.nan_to_num(special.chndtrinc(ratio, df, 1 - u))
    searched[special.chdtrc(df, ratio) >= u] = 0.0
    assert _noncentrality(np.full(101, ratio), df, u) == pytest.approx(searched, rel=1e-9, abs=1e-9)


def study(kind: str) -> StudySpec:
    design = {
        "full": {"kind": "full", "replicates": 2},
        "split plot": {"kind": "split_plot", "hard_to_change": ["A"], "whole_plots": 8},
    }[kind]
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "shares",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABC"},
            "design": design,
            "responses": {"y": {"name": "y"}},
            "analysis": {"terms": "main"},
        }
    )


@pytest.mark.parametrize("studies", STUDIES)
@pytest.mark.parametrize("kind", ["full", "split plot"])
def test_they_cover_the_share_of_all_variance(kind: str, studies: int) -> None:
    """Effects of 3, 1 and 0 run SDs: a quarter of their squares over that, the variance of a run and of whole plots."""
    asked = study(kind)
    design = build_design(asked)
    effects = {"A": 3.0, "B": 1.0, "C": 0.0}
    plots = 1.0 if kind == "split plot" else 0.0
    whole = sum(size**2 / 4 for size in effects.values()) + 1 + plots
    covered = dict.fromkeys(effects, 0)
    for i in range(studies):
        table = simulate_table(asked, design, 1000 * studies + i, block_sd=0.0, whole_plot_sd=plots**0.5)
        table["y"] += sum(size * table[name] for name, size in effects.items())
        for row in analyse(asked, table, draws=9).responses["y"].anova:
            if row.term in covered:
                assert row.omega_low is not None
                assert row.omega_high is not None
                assert row.omega_sq is not None
                covered[row.term] += row.omega_low - 1e-9 <= effects[row.term] ** 2 / 4 / whole <= row.omega_high
    print(kind, studies, {name: count / studies for name, count in covered.items()})
    for name, count in covered.items():
        nominal = 0.975 if effects[name] == 0 else 0.95  # a share of 0 is only missed from above
        assert abs(count / studies - nominal) <= 3 * np.sqrt(0.05 * 0.95 / studies), (name, count / studies)


def test_where_a_stratum_has_no_error_there_are_none() -> None:
    asked = study("full").model_copy(update={"design": study("full").design.model_copy(update={"replicates": 1})})
    full = asked.model_copy(update={"analysis": asked.analysis.model_copy(update={"terms": "full"})})
    rows = pd.DataFrame(simulate_table(full, build_design(full), 1))
    assert all(row.omega_low is None for row in analyse(full, rows, draws=9).responses["y"].anova)
    seeds = study("full").model_dump(mode="json")
    seeds["design"].update(replicates=6, common_random_numbers=True)
    seeds["analysis"]["inference"] = "seeds"
    shared = StudySpec.model_validate(seeds)
    rows = simulate_table(shared, build_design(shared), 2)
    assert all(row.omega_high is None for row in analyse(shared, rows, draws=9).responses["y"].anova)
