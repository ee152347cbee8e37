"""Interim looks after complete replicates, and the verdicts that heed them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.confirmatory.interim import complete_waves, stopping
from maineffect.analyse.confirmatory.sequential import nominal_levels
from maineffect.analyse.record.result import Look
from maineffect.analyse.run import analyse, analyse_with_fits
from maineffect.analyse.waves import look_after_wave
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows

H1 = {"id": "H1", "term": "A", "response": "y", "direction": "increase"}


def _study(make_study: Any, replicates: int = 4, hypotheses: Any = (H1,), **sequential: Any) -> Any:
    return make_study(
        design={"kind": "full", "replicates": replicates},
        hypotheses=list(hypotheses),
        analysis={"terms": "main", "sequential": sequential},
    )


def test_waves_are_complete_from_the_first_on() -> None:
    assert complete_waves([1, 1, 2, 2], None) == 2
    assert complete_waves([1, 1, 2], None) == 1
    assert complete_waves([1, 1, 3, 3], None) == 1
    assert complete_waves([], None) == 0


def test_a_large_effect_stops_early(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=2, effects={"A": 6.0})
    result = analyse(_study(make_study), table, draws=99)
    assert [look.look for look in result.looks] == [1, 2]
    last = result.looks[-1]
    assert (last.looks, last.decision, last.registered, last.alpha) == (4, "efficacy", True, 0.05)
    assert last.level == pytest.approx(nominal_levels([0.25, 0.5, 0.75, 1.0], 0.05)[1])
    (one,) = result.hypotheses
    assert one.verdict == "supported"
    crossed = next(look for look in result.looks if look.decision == "efficacy")
    assert (one.ci_low, one.ci_high) == (crossed.ci_low, crossed.ci_high)
    assert f"crossed at look {crossed.look} of 4" in (one.reason or "")


@pytest.mark.parametrize(("studies", "least"), [(10, 1), pytest.param(30, 3, marks=pytest.mark.slow)])
def test_what_would_be_significant_is_held_before_the_bound(
    make_study: Any, make_table: Any, studies: int, least: int
) -> None:
    """p between the look's level and alpha: supported without looks, inconclusive with them."""
    held = 0
    for seed in range(studies):
        table = make_table(replicates=2, seed=seed, effects={"A": 1.4})
        plain = analyse(make_study(hypotheses=[H1]), table, draws=99).hypotheses[0]
        result = analyse(_study(make_study), table, draws=99)
        crossed = any(look.decision == "efficacy" for look in result.looks)
        if plain.verdict == "supported" and not crossed:
            held += 1
            assert result.hypotheses[0].verdict == "inconclusive"
            assert "look 2 of 4" in (result.hypotheses[0].reason or "")
    assert held >= least


def test_an_unfinished_wave_does_not_count(make_study: Any, make_table: Any) -> None:
    study = _study(make_study)
    table = make_table(replicates=2, effects={"A": 6.0}).iloc[:-1]
    assert {look.look for look in analyse(study, table, draws=99).looks} == {1}


def test_waves_of_a_design(make_study: Any) -> None:
    study = _study(make_study, hypotheses=(H1, {**H1, "id": "H2", "term": "B"}))
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    table["y"] = np.random.default_rng(0).normal(size=len(table)) + 8.0 * table["A"]
    wave = {run.run_id: run.replicate for run in design.runs}
    part = table[[wave[run_id] <= 3 for run_id in table["run_id"]]]
    result = analyse(study, part, design=design, draws=99)
    assert {look.look for look in result.looks} == {1, 2, 3}
    assert {look.alpha for look in result.looks} == {0.025}
    assert {h.id: h.verdict for h in result.hypotheses}["H1"] == "supported"


def test_futility_is_said(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=3, effects={"A": -1.5})
    result = analyse(_study(make_study, hypotheses=({**H1, "smallest_effect": 0.5},)), table, draws=99)
    assert result.looks[-1].decision == "futility" or result.hypotheses[0].verdict == "refuted"
    assert result.looks[-1].conditional_power is not None


def test_unregistered_looks_leave_verdicts_alone(make_study: Any, make_table: Any) -> None:
    study = make_study(design={"kind": "full", "replicates": 4}, hypotheses=[H1])
    table = make_table(replicates=2, effects={"A": 2.0})
    plain, looked = analyse(study, table, draws=99), analyse(study, table, draws=99, look=True)
    assert plain.looks == []
    assert looked.looks
    assert not any(look.registered for look in looked.looks)
    assert plain.hypotheses == looked.hypotheses


def test_runs_without_replicates_get_no_look(make_study: Any, make_table: Any) -> None:
    result = analyse(_study(make_study), make_table().drop(columns="replicate"), draws=99)
    assert result.looks == []
    assert any("no interim look" in warning for warning in result.warnings)


@pytest.mark.parametrize("studies", [12, pytest.param(120, marks=pytest.mark.slow)])
def test_the_whole_procedure_keeps_its_error(make_study: Any, make_table: Any, studies: int) -> None:
    """Null studies of four waves, stopped at the first verdict: at most 5 % plus three Monte Carlo errors."""
    wrong = 0
    study = _study(make_study, hypotheses=({**H1, "direction": "different"},))
    for seed in range(studies):
        looks = analyse(study, make_table(replicates=4, seed=1_000 + seed), draws=99).looks
        wrong += any(look.decision == "efficacy" for look in looks)
    assert wrong / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert wrong > 0 or studies < 120, "of a dozen null studies none errs in more than half of all cases"


def test_unused_options_leave_the_plan_alone_and_used_ones_are_part_of_it(make_study: Any) -> None:
    from maineffect.register.plan import plan_document, plan_hash

    def hashed(**options: Any) -> str:
        study = make_study(analysis={"terms": "main", **options})
        return plan_hash(plan_document(study, build_design(study)))

    plain = hashed()
    assert hashed(transport={}, thresholds={}, sequential=None) == plain
    used = [{"sequential": {}}, {"sequential": {"spending": "pocock"}}, {"transport": {"A": {"0": 1}}}]
    assert len({plain, *(hashed(**options) for options in used), hashed(thresholds={"reward": 0.5})}) == 5


def test_the_command_line_looks(tmp_path: Any, make_table: Any) -> None:
    import json

    from typer.testing import CliRunner

    from maineffect.cli.app import app

    study = {
        "schema_version": 1,
        "name": "looked",
        "factors": {name: {"levels": [0, 1]} for name in "ABC"},
        "design": {"kind": "full", "replicates": 4},
        "responses": {"y": {}},
        "hypotheses": [H1],
        "analysis": {"terms": "main", "transport": {"B": {"0": 0.9, "1": 0.1}}},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study), encoding="utf-8")
    make_table(replicates=2, effects={"A": 6.0}).to_csv(tmp_path / "runs.csv", index=False)
    asked = ["analyse", "--study", str(tmp_path / "study.yaml"), "--table", str(tmp_path / "runs.csv")]
    said = CliRunner().invoke(app, [*asked, "--look"])
    assert said.exit_code == 0, said.output
    assert "look 2 of 4, H1: efficacy (obrien_fleming, not registered" in said.output
    assert "transported: A on y" in said.output
    document = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    assert document["looks"] == []
    assert len(document["transported"]) == 3


def _look(hypothesis: str, look: int, decision: str) -> Look:
    common = {"looks": 4, "spending": "pocock", "registered": True, "alpha": 0.05}
    return Look(hypothesis=hypothesis, look=look, decision=decision, **common)


def test_a_sweep_stops_when_every_hypothesis_is_decided(make_study: Any) -> None:
    study = _study(make_study, hypotheses=(H1, {**H1, "id": "H2", "term": "B"}))
    early = [_look("H1", 1, "efficacy"), _look("H2", 1, "continue")]
    assert stopping(study, early, 1) is None
    crossed = [*early, _look("H1", 2, "continue"), _look("H2", 2, "efficacy")]
    assert stopping(study, crossed, 2) == "interim look 2 of 4: H1 efficacy (look 1), H2 efficacy"
    hopeless = [*early, _look("H1", 2, "efficacy"), _look("H2", 2, "futility")]
    assert stopping(study, hopeless, 2) == "interim look 2 of 4: H1 efficacy (look 1), H2 futility"
    revived = [*hopeless, _look("H1", 3, "efficacy"), _look("H2", 3, "continue")]
    assert stopping(study, revived, 3) is None, "futility is not binding: only the latest look's counts"
    assert stopping(study, [], 1) is None


def test_equivalence_is_open_until_the_last_look(make_study: Any) -> None:
    same = {**H1, "id": "H2", "term": "B", "direction": "negligible", "smallest_effect": 0.5}
    study = _study(make_study, hypotheses=(H1, same))
    assert stopping(study, [_look("H1", 1, "efficacy")], 1) is None


def test_runs_that_are_still_to_come_make_no_wave_complete(make_study: Any) -> None:
    """A sweep's table has a row for every planned run: only those that ended count."""
    study = _study(make_study)
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    wave = {run.run_id: run.replicate for run in design.runs}
    table["y"] = np.random.default_rng(1).normal(size=len(table)) + 6.0 * table["A"]
    table["status"] = ["finished" if wave[run_id] <= 2 else "missing" for run_id in table["run_id"]]
    table.loc[table["status"] == "missing", "y"] = np.nan
    assert {look.look for look in analyse(study, table, design=design, draws=99).looks} == {1, 2}


def test_looks_that_were_made_stand_and_none_follows_the_one_that_stopped(make_study: Any, make_table: Any) -> None:
    study, table = _study(make_study), make_table(replicates=3, effects={"A": 0.2})
    made = look_after_wave(study, table, 1)
    assert {look.look for look in made.judged} == {1}
    moved = made.judged[0].model_copy(update={"estimate": 9.0, "decision": "efficacy", "ci_low": 8.0, "ci_high": 10.0})
    result, _ = analyse_with_fits(study, table, draws=99, made=[moved], last_look=1)
    assert result.looks == [moved]
    assert (result.hypotheses[0].estimate, result.hypotheses[0].verdict) == (9.0, "supported")
    further, _ = analyse_with_fits(study, table, draws=99, made=[moved])
    assert [look.look for look in further.looks] == [1, 2, 3]


def test_a_wave_that_cannot_be_analysed_decides_nothing(make_study: Any, make_table: Any) -> None:
    table = make_table(replicates=2).assign(y=np.nan)
    said = look_after_wave(_study(make_study), table, 1)
    assert (said.stop, said.judged) == (False, ())
    assert "nothing can be analysed" in said.said


def test_the_finding_is_what_the_interval_of_the_look_in_force_leaves(make_study: Any, make_table: Any) -> None:
    """Between the family's level and that of an early look nothing is found yet."""
    claims = ({**H1, "smallest_effect": 0.5}, {**H1, "id": "H2", "direction": "negligible", "smallest_effect": 9.0})
    study = _study(make_study, hypotheses=claims)
    everything = ["at most −δ", "between −δ and 0", "zero", "between 0 and δ", "at least δ"]
    seen = set()
    for seed, size in ((1, 1.0), (2, 1.2), (3, 6.0), (4, 2.0)):
        result = analyse(study, make_table(replicates=2, effects={"A": size}, seed=seed), draws=9)
        first, second = result.hypotheses
        assert first.ci_low is not None
        expected = everything[4:] if first.ci_low >= 0.5 else everything[3:] if first.ci_low > 0 else everything
        assert first.finding == expected
        assert (first.verdict == "supported") == (expected != everything)
        seen.add((first.verdict, (first.p_zero or 1.0) <= 0.025))
        assert (second.finding, second.verdict) == (everything, "inconclusive"), "equivalence waits for the last look"
    assert ("inconclusive", True) in seen, "one is significant at the family's level, and not at that of the look"
    end = analyse(study, make_table(replicates=4, effects={"A": 0.1}, seed=1, sd=0.1), draws=9)
    assert [h.verdict for h in end.hypotheses][1] == "negligible"
    assert set(end.hypotheses[0].finding) < set(everything)


@pytest.mark.parametrize(
    ("spending", "studies"),
    [
        ("obrien_fleming", 20),
        *(pytest.param(one, 60, marks=pytest.mark.slow) for one in ("obrien_fleming", "pocock")),
    ],
)
def test_stopping_at_looks_keeps_the_error(make_study: Any, make_table: Any, spending: str, studies: int) -> None:
    """Null studies of two hypotheses, looked at as a sweep does: a false finding in at most 5 % ± 3 errors."""
    wrong, stopped = 0, 0
    both = tuple({**H1, "id": f"H{n}", "term": term, "direction": "different"} for n, term in enumerate("AB"))
    study = _study(make_study, hypotheses=both, spending=spending)
    for seed in range(studies):
        table, made = make_table(replicates=4, seed=5_000 + seed), []
        for wave in range(1, 4):
            said = look_after_wave(study, table, wave, made)
            made += said.judged
            if said.stop:
                stopped += 1
                break
        last = made[-1].look if said.stop else None
        result, _ = analyse_with_fits(study, table, draws=99, made=made, last_look=last)
        wrong += any(one.verdict in ("supported", "refuted") for one in result.hypotheses)
    assert wrong / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert stopped > 0, "hopeless studies end early"


def _verdicts_of_looks(make_study: Any, make_table: Any, effect: float, direction: str, studies: int) -> list[str]:
    """Verdicts of claims beyond a bar of one standard deviation after four looks."""
    claim = {**H1, "direction": direction, "beyond": "smallest_effect", "smallest_effect": 1.0}
    study = make_study(terms="main", hypotheses=[claim], analysis={"terms": "main", "sequential": {}})
    study = study.model_copy(update={"design": study.design.model_copy(update={"replicates": 4})})
    found = []
    for seed in range(studies):
        table = make_table(replicates=4, effects={"A": effect}, sd=1.0, seed=seed)
        found.append(analyse(study, table, draws=19).hypotheses[0].verdict)
    return found


@pytest.mark.parametrize(
    ("direction", "studies"),
    [
        ("increase", 14),
        pytest.param("increase", 100, marks=pytest.mark.slow),
        pytest.param("different", 100, marks=pytest.mark.slow),
    ],
)
def test_no_effect_is_not_taken_for_one_beyond_or_against_the_bar(
    make_study: Any, make_table: Any, direction: str, studies: int
) -> None:
    """It was 52 refuted and 48 supported of 100: the estimate was held against the bar, and any distance counted."""
    found = _verdicts_of_looks(make_study, make_table, 0.0, direction, studies)
    wrong = sum(verdict in ("supported", "refuted") for verdict in found)
    assert wrong <= studies * 0.05 + 3 * np.sqrt(studies * 0.05 * 0.95)
    assert found.count("negligible") > studies / 2


def test_beyond_the_bar_is_supported_and_below_zero_is_refuted(make_study: Any, make_table: Any) -> None:
    assert _verdicts_of_looks(make_study, make_table, 3.0, "increase", 3) == ["supported"] * 3
    assert _verdicts_of_looks(make_study, make_table, -3.0, "increase", 3) == ["refuted"] * 3
