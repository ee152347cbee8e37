"""Groups that share a tuned value are whole plots of the design: degrees of freedom, power, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from maineffect.design.build import build_design
from maineffect.design.power.analytic import power_document
from maineffect.design.tuned_groups import check_groups, group_of
from maineffect.errors import DesignError
from maineffect.spec.study import StudySpec


def study(scope: Any, terms: Any = "main", replicates: int = 3, **tuning: Any) -> StudySpec:
    nuisance = {"rate": {"binds": "train.rate", "range": [-1.0, 1.0], "default": 0.0}}
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "groups",
            "factors": {name: {"name": name, "levels": [0.0, 1.0]} for name in "abc"},
            "design": {"kind": "full", "replicates": replicates},
            "responses": {"skill": {"name": "skill", "goal": "maximize"}},
            "analysis": {"terms": terms},
            "tuning": {"scope": scope, "nuisance": nuisance, "trials": 8, "response": "skill", **tuning},
        }
    )


def rows(asked: StudySpec) -> dict[str, dict[str, Any]]:
    return {row["term"]: row for row in power_document(asked, build_design(asked))["terms"]}


def test_the_replicates_of_a_cell_are_one_unit_of_what_was_tuned() -> None:
    """2³ × 3, main effects: error between 8 cell means, 8 − 4 = 4 degrees of freedom, variance (3η + 1)σ²/3 each."""
    asked = study("cell")
    design = build_design(asked)
    assert [run.whole_plot for run in design.runs] == [run.cell_id for run in design.runs]
    assert [run.order for run in design.runs] == [run.order for run in build_design(study("replicate")).runs]
    found = rows(asked)["a"]
    assert (found["stratum"], found["df_error"]) == ("whole plots", 4.0)
    # The smallest effect with 80 % power, from the noncentral t: SE² = 4/8 · (η + 1/3), η = .2 unless stated.
    for ratio, row in ((0.2, found), (1.0, rows(study("cell", variance_ratio=1.0))["a"])):
        error = np.sqrt(4 / 8 * (ratio + 1 / 3))
        delta = row["mde_sigma"] / error
        critical = stats.t.isf(0.025, 4)
        power = stats.nct.sf(critical, 4, delta) + stats.nct.cdf(-critical, 4, delta)
        assert power == pytest.approx(0.8, abs=1e-6)


def test_levels_that_share_a_value_are_tested_between_groups_and_the_others_within() -> None:
    """Four groups of six runs, main effects: 4 − 3 = 1 degree of freedom between, 24 − 4 − 1 = 19 within."""
    asked = study(["b", "a"])
    design = build_design(asked)
    groups = {run.whole_plot: tuple(design.levels_of(run)[name] for name in "ab") for run in design.runs}
    assert sorted(groups.values()) == [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
    found = rows(asked)
    assert [(found[name]["stratum"], found[name]["df_error"]) for name in "abc"] == [
        ("whole plots", 1.0),
        ("whole plots", 1.0),
        ("within whole plots", 19.0),
    ]
    (warning,) = check_groups(asked, design)
    assert warning.message == "the 4 tuned groups leave 1 degree(s) of freedom for the error between them"


@pytest.mark.parametrize(("scope", "terms"), [("cell", "full"), (["a"], "main"), (["a", "b"], "two_way")])
def test_groups_without_an_error_between_them_are_refused(scope: Any, terms: str) -> None:
    asked = study(scope, terms)
    with pytest.raises(DesignError, match="one tuning per arm compares these two tunings, not the factor") as caught:
        check_groups(asked, build_design(asked))
    assert "scope: replicate, or more cells" in str(caught.value)


def test_one_run_a_cell_is_tuned_run_by_run() -> None:
    """Then a cell is a run, and the spread between runs holds what tuning adds."""
    asked = study("cell", replicates=1)
    assert check_groups(asked, build_design(asked)) == []
    assert rows(asked)["a"]["stratum"] == "runs"


def test_groups_have_names_of_their_own_for_every_scope() -> None:
    levels = {"a": 0.0, "b": 1.0, "c": 1.0}
    assert [group_of(study(scope), "r1", levels) for scope in ("shared", "replicate")] == ["all", "r1"]
    assert group_of(study(["a"]), "r1", levels) == group_of(study(["a"]), "r2", {**levels, "b": 0.0})
    assert group_of(study("cell"), "r1", levels) == group_of(study(["c", "b", "a"]), "r1", levels)
