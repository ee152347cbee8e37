"""Error rates and coverage by simulation through the public function, on the designs that the platform makes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maineffect.analyse.confirmatory.sequential import interim_look, nominal_levels
from maineffect.analyse.exploratory.simple_effects import scaling_trends
from maineffect.analyse.fit.responses import fit_responses
from maineffect.analyse.run import analyse
from maineffect.analyse.simulation.selftest import self_test, simulate_table
from maineffect.design.build import build_design
from maineffect.design.model.model import Cell, Design, PlannedRun, cell_id
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec


def _study(names: str, terms: Any, design: dict[str, Any]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "null",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in names},
            "design": design,
            "responses": {"y": {"name": "y"}},
            "hypotheses": [{"id": f"H{name}", "term": name, "response": "y"} for name in names[:3]],
            "analysis": {"terms": terms},
        }
    )


def _split_plot(study: StudySpec, plots: int) -> Design:
    """A hard to change: each whole plot is set up anew and holds every cell of the other factors."""
    factors = tuple(study.factors.values())
    cells: dict[str, dict[str, Any]] = {}
    runs = []
    for plot in range(plots):
        for rest in product([0, 1], repeat=len(factors) - 1):
            levels = dict(zip([f.name for f in factors], (plot % 2, *rest), strict=True))
            key = cell_id(levels)
            cells[key] = levels
            runs.append(PlannedRun(f"{key}-{plot}", key, 1, None, f"w{plot}", len(runs), len(runs)))
    found = tuple(Cell(key, levels) for key, levels in cells.items())
    return Design("null", "split_plot", factors, found, tuple(runs), ("A", "B"), hard_to_change=("A",))


def _case(name: str) -> tuple[StudySpec, Design, int]:
    if name == "fraction":
        study = _study("ABCDE", "main", {"kind": "fractional", "resolution": 5})
        return study, build_design(study), 0
    if name == "blocked with lost runs":
        study = _study("ABCD", "two_way", {"kind": "full", "replicates": 2})
        return study, build_design(study), 5
    if name == "unreplicated":
        study = _study("ABCD", "full", {"kind": "full"})
        return study, build_design(study), 0
    study = _study("ABC", "two_way", {"kind": "split_plot", "hard_to_change": ["A"]})
    return study, _split_plot(study, 8), 0


NAMES = ["fraction", "blocked with lost runs", "unreplicated", "split plot"]


# Studies without error degrees of freedom need 120: their effects all look alike, and their errors come in clusters.
@pytest.mark.parametrize(
    ("name", "studies"),
    [
        ("split plot", 30),
        *(pytest.param(name, 120, marks=pytest.mark.slow) for name in NAMES),
    ],
)
def test_error_rate_and_coverage(name: str, studies: int) -> None:
    study, design, lost = _case(name)
    result = self_test(study, design, studies=studies, lost=lost, seed=11, draws=99)
    assert result.calibrated, result.document()
    assert result.family_error is not None
    assert result.family_error.value <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert result.power is not None
    assert result.power.value > result.error_rate.value


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_error_rate_and_coverage_with_many_studies(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    study, design, lost = _case(name)
    result = self_test(study, design, studies=400, lost=lost, seed=12, draws=99)
    named = {
        "error rate": result.error_rate,
        "coverage": result.coverage,
        "family error": result.family_error,
        "power": result.power,
    }
    with capsys.disabled():
        rates = "; ".join(f"{what} {r.value:.4f} ± {r.std_error:.4f}" for what, r in named.items() if r is not None)
        print(f"\n{name} ({len(design.runs)} runs, {lost} lost, 400 studies): {rates} (Monte Carlo standard errors)")
    assert result.calibrated, result.document()
    assert result.family_error is not None
    assert result.family_error.value <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_ignoring_whole_plots_would_be_caught() -> None:
    """The self-test can fail: the same simulated split plots, analysed without their whole plots, reject far too often."""
    study, design, _ = _case("split plot")
    flat = study.model_copy(update={"design": _study("ABC", "two_way", {"kind": "full"}).design})
    rejected = []
    for i in range(60):
        table = simulate_table(study, design, i, whole_plot_sd=3.0).drop(columns=["whole_plot", "run_id"])
        effects = {e.term: e for e in analyse(flat, table.drop(columns="replicate"), draws=99).responses["y"].effects}
        rejected.append((effects["A"].p_value or 1.0) <= 0.05)
    assert np.mean(rejected) > 0.15


def test_nothing_to_calibrate_is_refused() -> None:
    study = _study("A", "full", {"kind": "full"}).model_copy(update={"hypotheses": ()})
    with pytest.raises(AnalysisError, match="no effect of this design"):
        self_test(study, build_design(study), studies=3)


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock"])
def test_sequential_t_tests_keep_their_total_error(kind: Any) -> None:
    """Waves of six paired runs, four looks: bounds on the p-value scale with t quantiles.

    The bounds are exact for Z. For t with 5, 11, 17 and 23 degrees of freedom 200,000 studies gave .0518
    (O'Brien–Fleming) and .0532 (Pocock), Monte Carlo error .0005: the excess allowed here is .0035.
    """
    studies, looks, wave = 40_000, 4, 6
    y = np.random.default_rng(5).standard_normal((studies, looks * wave))
    levels = nominal_levels([k / looks for k in range(1, looks + 1)], 0.05, kind)
    stopped = np.zeros(studies, dtype=bool)
    for look, level in enumerate(levels, start=1):
        part = y[:, : look * wave]
        se = part.std(axis=1, ddof=1) / np.sqrt(look * wave)
        p = 2 * stats.t.sf(np.abs(part.mean(axis=1)) / se, look * wave - 1)
        stopped |= p <= level
        # The decision of the public function is the same.
        for i in range(40):
            said = interim_look(part[i].mean(), se[i], look * wave - 1, look=look, looks=looks, kind=kind)
            assert (said.decision == "efficacy") == bool(p[i] <= level)
    error = 3 * np.sqrt(0.05 * 0.95 / studies)
    assert 0.05 - error <= stopped.mean() <= 0.05 + 0.0035 + error


def test_futility_stops_a_hopeless_study() -> None:
    look = interim_look(-0.2, 0.3, 20, look=2, looks=4, assumed=0.5)
    assert look.decision == "futility"
    assert interim_look(0.4, 0.3, 20, look=2, looks=4, assumed=0.5).decision == "continue"
    last = interim_look(0.1, 0.3, 20, look=4, looks=4)
    assert last.decision == "end"
    assert last.ci_low < 0.1 - stats.t.isf(0.025, 20) * 0.3


def _waves(kind: str) -> StudySpec:
    study = _study("ABC", "main", {"kind": "full", "replicates": 4})
    plan = {"terms": "main", "sequential": {"spending": kind}}
    return StudySpec.model_validate(
        study.model_dump(mode="json")
        | {"analysis": plan, "hypotheses": study.model_dump(mode="json")["hypotheses"][:1]}
    )


@pytest.mark.parametrize(
    ("kind", "studies"),
    [
        ("obrien_fleming", 25),
        *(pytest.param(kind, 600, marks=pytest.mark.slow) for kind in ("obrien_fleming", "pocock")),
    ],
)
def test_looks_of_whole_studies_keep_the_total_error(
    kind: str, studies: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four waves of a 2³ through the public function: a study errs if any look crosses, or the verdict says so.

    The first look has four degrees of freedom; bounds on the p-value scale are allowed the excess named above.
    """
    study = _waves(kind)
    design = build_design(study)
    crossed, decided, unadjusted = [], [], []
    for i in range(studies):
        result = analyse(study, simulate_table(study, design, 70_000 + i), design=design, draws=9)
        assert [look.look for look in result.looks] == [1, 2, 3, 4]
        crossed.append(any(look.decision == "efficacy" for look in result.looks))
        decided.append(result.hypotheses[0].verdict in ("supported", "refuted"))
        unadjusted.append(any(look.p_value is not None and look.p_value <= 0.05 for look in result.looks))
    error = float(np.sqrt(0.05 * 0.95 / studies))
    if studies > 500:
        with capsys.disabled():
            print(
                f"\nsequential, {kind}, 4 looks, {studies} studies: total error {np.mean(crossed):.4f} ± {error:.4f}; "
                f"with 5 % at every look {np.mean(unadjusted):.4f}"
            )
    assert crossed == decided
    assert np.mean(crossed) <= 0.05 + 0.0035 + 3 * error
    assert np.mean(unadjusted) >= np.mean(crossed)
    if studies > 500:
        assert np.mean(crossed) >= 0.05 - 3 * error
        assert np.mean(unadjusted) > 0.09


@pytest.mark.parametrize(
    ("scale", "studies"),
    [("log2", 40), ("linear", 40), *(pytest.param(one, 300, marks=pytest.mark.slow) for one in ("log2", "linear"))],
)
def test_intervals_of_trends_cover(scale: str, studies: int) -> None:
    """An effect that changes by 0.5 per doubling of the steps (or per unit), 24 runs with lost ones."""
    levels = [100, 200, 400, 800] if scale == "log2" else [4, 5, 6, 7]
    study = StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "trend",
            "factors": {"A": {"name": "A", "levels": ["off", "on"]}, "steps": {"name": "steps", "levels": levels}},
            "design": {"kind": "full", "replicates": 3},
            "responses": {"y": {"name": "y"}},
        }
    )
    rng = np.random.default_rng(21)
    cells = list(product(["off", "on"], levels)) * 3
    table = pd.DataFrame(cells, columns=["A", "steps"]).assign(replicate=np.repeat([1, 2, 3], 8))
    x = np.log2(table["steps"]) if scale == "log2" else table["steps"].astype(float)
    covered, rejected = [], []
    for i in range(studies):
        noise = rng.normal(size=24) + rng.normal(size=3)[table["replicate"] - 1]
        y = 0.3 * x + (table["A"] == "on") * (1 + 0.5 * x) + noise
        own = table.assign(y=y).drop(index=[] if i % 2 else [5, 14])
        (trend,) = [t for t in scaling_trends(fit_responses(study, own)["y"]) if t.factor == "A"]
        assert trend.scale == scale
        assert trend.ci_low is not None
        assert trend.ci_high is not None
        covered.append(trend.ci_low <= 0.5 <= trend.ci_high)
        flat = table.assign(y=noise)
        (none,) = [t for t in scaling_trends(fit_responses(study, flat)["y"]) if t.factor == "A"]
        rejected.append(none.p_value is not None and none.p_value <= 0.05)
    error = 3 * np.sqrt(0.05 * 0.95 / studies)
    assert np.mean(covered) == pytest.approx(0.95, abs=error)
    assert np.mean(rejected) == pytest.approx(0.05, abs=error)
