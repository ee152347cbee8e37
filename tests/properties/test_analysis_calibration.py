"""Error rates and coverage by simulation through the public function, on the designs that the platform makes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from maineffect.analyse.selftest import self_test, simulate_table
from maineffect.analyse.sequential import interim_look, nominal_levels
from maineffect.design.build import build_design
from maineffect.design.model import Cell, Design, PlannedRun, cell_id
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

# Fewer, and the Monte Carlo error is itself a guess: studies whose effects all look alike come in clusters.
STUDIES = 120


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
            runs.append(PlannedRun(f"{key}-{plot}", key, 1, None, f"w{plot}", 0, len(runs)))
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


@pytest.mark.parametrize("name", NAMES)
def test_error_rate_and_coverage(name: str) -> None:
    study, design, lost = _case(name)
    result = self_test(study, design, studies=STUDIES, lost=lost, seed=11, draws=99)
    assert result.calibrated, result.document()
    assert result.family_error is not None
    assert result.family_error.value <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)
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
    from maineffect.analyse.run import analyse

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
