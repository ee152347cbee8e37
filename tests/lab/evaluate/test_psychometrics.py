"""Psychometrics of a battery: by hand, on simulated sweeps with known faults, and for every run that can happen."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.irt import response_probability
from maineffect.lab.evaluate.itemtable import item_rest_correlation, item_table, negative_items
from maineffect.lab.evaluate.psychometrics import psychometrics
from maineffect.lab.evaluate.reliability import internal_consistency

Floats = NDArray[np.float64]


def rows(scores: Floats, probe: str = "edit", prefix: str = "run", baseline: bool = False) -> pd.DataFrame:
    """(R, N) scores as a tidy table."""
    runs, items = np.asarray(scores).shape
    names = [f"{prefix}{i}" for i in range(runs)] if prefix == "run" else [prefix]
    return pd.DataFrame(
        {
            "run": np.repeat(names, items),
            "item_id": np.tile([f"{probe}-{j}" for j in range(items)], runs),
            "probe": probe,
            "score": np.asarray(scores, dtype=float).ravel(),
            "baseline": baseline,
        }
    )


def scripted(name: str, share: float, items: int, probe: str = "edit") -> pd.DataFrame:
    return rows((np.arange(items) < round(share * items))[None, :].astype(float), probe, name, True)


def sweep(runs: int, items: int, seed: int, *, hard: float = 0.0) -> Floats:
    rng = np.random.default_rng(seed)
    theta, a, b = rng.normal(size=runs), rng.uniform(0.7, 1.8, items), rng.normal(hard, 1, items)
    return (rng.random((runs, items)) < response_probability(theta[:, None], a, b)).astype(float)


def only(table: pd.DataFrame, **more: Any) -> Any:
    (probe,) = psychometrics(table, **more).probes
    return probe


def test_by_hand() -> None:
    """Four runs, four items, everything countable: shares 1, 3/4, 1/4, 0; floor 1/4, oracle 1."""
    scores = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=float)
    table = pd.concat([rows(scores), scripted("oracle", 1, 4), scripted("newest", 0.25, 4), scripted("first", 0, 4)])
    probe = only(table)
    assert (probe.items, probe.runs, probe.p, probe.lowest, probe.highest) == (4, 4, 0.5, 0.0, 1.0)
    assert (probe.oracle, probe.shortcut, probe.floor, probe.headroom) == (1.0, "newest", 0.25, 0.75)
    assert probe.discriminates is True
    assert probe.corrected == pytest.approx((0.5 - 0.25) / 0.75)
    assert probe.corrected_best == 1.0
    assert (probe.model, probe.best_run) == ("rasch", "run0")
    assert probe.sem == internal_consistency(scores).sem
    assert probe.smallest_detectable_change == pytest.approx(1.96 * np.sqrt(2) * probe.sem, rel=1e-4)
    assert (probe.saturated, probe.floored, probe.faulty) == (0.0, 0.0, ())


@pytest.mark.parametrize(("share", "judged"), [(0.65, True), (0.7, True), (0.71, False), (0.95, False)])
def test_headroom_below_three_tenths_does_not_discriminate(share: float, judged: bool) -> None:
    table = pd.concat([rows(sweep(12, 100, 1)), scripted("oracle", 1, 100), scripted("majority", share, 100)])
    probe = only(table)
    assert probe.discriminates is judged
    assert any("not discriminating: majority" in flag for flag in probe.flags) is not judged


def test_saturation_and_floor_are_told_apart() -> None:
    easy = psychometrics(rows(sweep(40, 80, 2, hard=-5), "easy")).probes[0]
    hard = psychometrics(rows(sweep(40, 80, 3, hard=5), "hard")).probes[0]
    assert easy.saturated > 0.5 > easy.floored
    assert hard.floored > 0.5 > hard.saturated
    assert [flag.split(":")[0] for flag in easy.flags] == ["saturated"]
    assert [flag.split(":")[0] for flag in hard.flags] == ["floored"]


def test_information_is_highest_where_items_are_as_difficult_as_runs_are_able() -> None:
    fitting = psychometrics(rows(sweep(60, 100, 4), "fit")).probes[0]
    easy = psychometrics(rows(sweep(60, 100, 4, hard=-3), "easy")).probes[0]
    assert fitting.information_at_best > 2 * easy.information_at_best
    assert easy.information_at_best <= easy.peak_information
    assert fitting.model == "2pl"


def test_faulty_items_are_named_and_good_ones_are_not() -> None:
    """The three most telling items of 200 are scored upside down; a probe without faults names none."""
    scores = sweep(60, 200, 5)
    assert psychometrics(rows(scores)).probes[0].faulty == ()
    telling = np.argsort(-item_rest_correlation(scores))[:3]
    scores[:, telling] = 1 - scores[:, telling]
    probe = psychometrics(rows(scores)).probes[0]
    assert set(probe.faulty) == {f"edit-{i}" for i in telling}
    assert probe.negative >= 3 / 200
    assert any(flag.startswith("faulty: better runs do worse on 3 items") for flag in probe.flags)


def test_abstaining_and_answering_are_not_one_scale() -> None:
    """The runs that answer more abstain less: read together, four items of ten run against the rest."""
    theta = np.random.default_rng(18).normal(size=60)
    rng = np.random.default_rng(19)
    answers = (rng.random((60, 60)) < response_probability(theta[:, None], 1.5, 0)).astype(float)
    abstains = (rng.random((60, 40)) < response_probability(-theta[:, None], 1.5, 0)).astype(float)
    summary = psychometrics(pd.concat([rows(answers, "answer"), rows(abstains, "abstain")]))
    assert any(flag.startswith("not one scale: 40%") for flag in summary.battery.flags)
    assert all(probe.flags == () for probe in summary.probes)


def test_luck_is_not_called_a_fault() -> None:
    """Items of pure noise: half correlate negatively, at most a few are named (false discovery rate 10 %)."""
    named = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(0, 2, (40, 60)).astype(float)
        correlation = item_rest_correlation(noise)
        assert 0.2 < np.mean(correlation < 0) < 0.9
        named += len(negative_items(correlation, 40)) > 0
    assert named <= 6


def test_item_rest_correlation_against_numpy() -> None:
    scores = sweep(30, 12, 6)
    expected = [np.corrcoef(scores[:, j], np.delete(scores, j, axis=1).mean(axis=1))[0, 1] for j in range(12)]
    assert item_rest_correlation(scores) == pytest.approx(expected, abs=1e-12)


def test_a_second_draw_brings_the_retest() -> None:
    rng = np.random.default_rng(9)
    theta, b = rng.normal(size=80), rng.normal(size=120)

    def draw() -> pd.DataFrame:
        return rows((rng.random((80, 120)) < response_probability(theta[:, None], 1.2, b)).astype(float))

    probe = only(draw(), again=draw().sample(frac=1, random_state=1))
    assert probe.retest_correlation == pytest.approx(probe.alpha, abs=0.03)
    assert probe.retest_sem == pytest.approx(probe.sem, rel=0.25)
    assert probe.retest_change == pytest.approx(1.96 * np.sqrt(2) * probe.retest_sem, rel=1e-4)


def test_a_probe_too_coarse_for_its_effect_is_flagged() -> None:
    few = only(rows(sweep(30, 20, 10)), smallest_effects={"edit": 0.05})
    many = only(rows(sweep(30, 2000, 10)), smallest_effects={"edit": 0.05})
    assert any(flag.startswith("too coarse") for flag in few.flags)
    assert many.flags == ()


def test_a_sweep_that_collapsed_is_summarised_not_refused() -> None:
    """Every run fails every item: floored, no item response model, and the note says what to do."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = psychometrics(rows(np.zeros((8, 30))))
    (probe,) = summary.probes
    assert (probe.p, probe.floored, probe.model, probe.best_theta) == (0.0, 1.0, None, None)
    assert any("scored alike" in note for note in probe.notes)
    assert any("no headroom" in note for note in probe.notes)
    json.dumps(summary.to_dict(), allow_nan=False)


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_small_sweeps(runs: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = psychometrics(rows(sweep(runs, 20, 11)))
    assert json.loads(json.dumps(summary.to_dict(), allow_nan=False))["battery"]["runs"] == runs
    assert len(summary.lines()) == 2


def test_gaps_between_runs_are_allowed() -> None:
    """One run took no item of the second probe, another only half of the first; policies took a probe no run took."""
    first, second = rows(sweep(10, 40, 12), "edit"), rows(sweep(10, 40, 13), "order")
    half = (first.run == "run3") & first.item_id.isin([f"edit-{i}" for i in range(20)])
    table = pd.concat(
        [first[~half], second[second.run != "run7"], scripted("oracle", 1, 40), scripted("oracle", 1, 40, "extra")]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = psychometrics(table)
    edit, order = summary.probes
    assert (edit.runs, order.runs, summary.battery.items) == (10, 9, 80)
    assert any("20 items that every run met" in note for note in edit.notes)


def test_the_order_of_rows_and_probes_does_not_matter() -> None:
    table = pd.concat([rows(sweep(12, 30, 14), "edit"), rows(sweep(12, 30, 15), "order"), scripted("oracle", 1, 30)])
    one = psychometrics(table).to_dict()
    other = psychometrics(table.sample(frac=1, random_state=3)).to_dict()
    by_name = {probe["name"]: probe for probe in other["probes"]}
    for probe in one["probes"]:
        for key, value in probe.items():
            if isinstance(value, float):
                assert by_name[probe["name"]][key] == pytest.approx(value, abs=1e-2), key


def test_lines_tell_shares_headroom_and_precision() -> None:
    table = pd.concat([rows(sweep(40, 50, 16)), scripted("oracle", 1, 50), scripted("newest", 0.9, 50)])
    battery, probe = psychometrics(table).lines()
    assert battery.startswith("battery: 50 items × 40 runs: ")
    assert "headroom 0.10 over newest (0.90)" in probe
    assert "\n  ! not discriminating: newest scores 0.90 without reasoning, the oracle 1.00" in probe
    assert "detectable from" in probe


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, maineffect.lab.evaluate.psychometrics, maineffect.lab.evaluate.calibration, "
        "maineffect.lab.evaluate.linking; "
        "print([m for m in ('torch', 'ray', 'mlflow', 'maineffect.spec', 'maineffect.analyse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _change(column: str, value: Any) -> pd.DataFrame:
    return rows(sweep(3, 4, 17)).assign(**{column: value})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows(sweep(3, 4, 17)).drop(columns="probe"), "no column probe"),
        (_change("score", 0.5), "other than 0 and 1"),
        (_change("score", np.nan), "failures are outcomes"),
        (_change("baseline", True), "no runs"),
        (_change("item_id", "same"), "has 4 scores of item same"),
        (_change("probe", list("ab" * 6)).assign(item_id="x"), "two probes"),
    ],
)
def test_bad_tables_say_the_way_out(table: pd.DataFrame, words: str) -> None:
    with pytest.raises(AnalysisError, match=words):
        item_table(table)
