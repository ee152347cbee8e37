"""What comes first on planted truths, and that each proposal is a study that passes `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from maineffect.analyse.follow_up.propose import Planned, what_next
from maineffect.analyse.follow_up.written import Followed, follow_up_study, study_document
from maineffect.analyse.record.proposals import WhatNext
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.design.emit import design_rows
from maineffect.design.model.model import Design
from maineffect.journey.plan.check import check
from maineffect.spec.load import load_study
from maineffect.spec.study import StudySpec


def _study(factors: dict[str, Any] | str = "ABCD", **more: Any) -> StudySpec:
    named = factors if isinstance(factors, dict) else {name: {"levels": [-1, 1]} for name in factors}
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "study",
            "factors": {name: {"name": name, **spec} for name, spec in named.items()},
            "responses": {"y": {"name": "y", "smallest_effect": 1.0}},
            **more,
        }
    )


def _sweep(study: StudySpec, truth: Any, *, sd: float = 0.3, seed: int = 1) -> tuple[WhatNext, list[Planned], Design]:
    """Simulated runs, an hour each on one core; the truth is a function of a run's levels."""
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    noise = np.random.default_rng(seed).normal(0, sd, len(table))
    table["y"] = [truth(row) for row in table.to_dict("records")] + noise
    table["status"], table["seconds"] = "finished", 3600.0
    result = analyse(study, table, design=design, draws=0)
    shown, planned = what_next(study, result, design, "study-1")
    return shown, planned, design


def _checked(study: StudySpec, design: Design, planned: Planned, folder: Path) -> StudySpec:
    """The written file, loaded and checked."""
    followed = Followed("study-1", "0" * 64, "1" * 64, frozenset(run.run_id for run in design.runs))
    written = follow_up_study(study, design, planned, followed)
    path = folder / "follow-up.yaml"
    path.write_text(yaml.safe_dump(study_document(written), sort_keys=False))
    assert load_study(path) == written
    checked = check(path, plugins=False)
    assert len(checked.design.runs) == planned.proposal.runs + (0 if planned.candidate.fresh else len(design.runs))  # type: ignore[union-attr]
    return written


def _claim(term: str, **more: Any) -> dict[str, Any]:
    return {"id": f"H-{term}", "term": term, "response": "y", "direction": "increase", **more}


def test_an_effect_at_the_edge_gets_replicates(tmp_path: Path) -> None:
    study = _study(
        design={"kind": "fractional", "runs": 8, "replicates": 2}, hypotheses=[_claim("A", beyond="smallest_effect")],
        analysis={"terms": "main"},
    )  # fmt: skip
    shown, planned, design = _sweep(study, lambda row: 0.65 * row["A"], sd=1.0)
    assert [q.kind for q in shown.questions] == ["registered"]
    first = planned[0].proposal
    assert first.kind == "replicates"
    assert first.chances[0].question == "H-A"
    assert first.hours == pytest.approx(first.runs)
    assert first.per_hour == pytest.approx(first.decided / first.runs)
    written = _checked(study, design, planned[0], tmp_path)
    assert written.design.kind == "fractional"
    # Every size that was passed over decides less per hour.
    assert all(one.proposal.per_hour <= first.per_hour * (1 + 1e-3) for one in planned)


def test_an_aliased_interaction_gets_the_smallest_addition_that_separates_it(tmp_path: Path) -> None:
    """2^(4−1) with I = ABCD: A, B, C and D active, and AB = CD of size: folding on one factor breaks the word.

    Montgomery, Design and Analysis of Experiments (8th ed.), sec. 8.6.2: a single-factor foldover of a resolution IV
    design separates the two-factor interactions with that factor. A semi-foldover has too few rows to judge by itself.
    """
    claims = [_claim(name) for name in "ABCD"]
    study = _study(
        design={"kind": "fractional", "runs": 8, "replicates": 2}, hypotheses=claims, analysis={"terms": "two_way"}
    )
    truth = lambda row: sum(2 * row[f] for f in "ABCD") + 1.5 * row["A"] * row["B"]  # noqa: E731
    shown, planned, design = _sweep(study, truth)
    alias = [q for q in shown.questions if q.kind == "alias"]
    assert [q.term for q in alias] == ["A:B"]
    assert alias[0].shrunk is not None
    assert alias[0].raw is not None
    assert abs(alias[0].shrunk) < abs(alias[0].raw)
    (line,) = [one for one in planned if one.proposal.kind == "de-alias"]
    assert line.proposal.title.startswith("foldover on")
    assert line.proposal.runs == 16
    assert planned[0] is line
    assert line.proposal.chances[0].assurance > 0.9
    written = _checked(study, design, line, tmp_path)
    assert [h.suggested_by for h in written.hypotheses] == ["study-1"]
    for real, verdict in (("AB", "supported"), ("CD", "refuted")):
        both = build_design(written)
        table = pd.DataFrame(design_rows(both))
        table["y"] = sum(2 * table[f] for f in "ABCD") + 1.5 * table[real[0]] * table[real[1]]
        table["y"] += np.random.default_rng(3).normal(0, 0.3, len(table))
        judged = analyse(written, table, design=both, draws=0).hypotheses[0]
        assert judged.verdict == verdict, real
        assert "confounded" not in judged.label
        assert "cannot be told" not in str(judged.reason)
        assert any("all runs together tell them apart" in text for text in judged.caveats)


def test_curvature_at_the_centre_gets_a_third_level(tmp_path: Path) -> None:
    factors = {name: {"levels": [0.0, 2.0]} for name in "ABC"}
    design_request = {"kind": "full", "replicates": 2, "centre_points": 2}
    study = _study(factors, design=design_request, analysis={"terms": "main"})
    _, planned, design = _sweep(study, lambda row: 2 * row["A"] + 3 * row["A"] * (2 - row["A"]))
    kinds = [one.proposal.kind for one in planned]
    assert "curvature" in kinds
    line = planned[kinds.index("curvature")]
    written = _checked(study, design, line, tmp_path)
    assert written.factors["A"].levels == (0.0, 1.0, 2.0)
    assert "A^2" in [h.term for h in written.hypotheses]


def test_nothing_open_is_a_reason_to_stop() -> None:
    study = _study(
        design={"kind": "full", "replicates": 2}, hypotheses=[_claim("A"), _claim("B", direction="negligible")],
        analysis={"terms": "main"},
    )  # fmt: skip
    shown, planned, _ = _sweep(study, lambda row: 2.0 * row["A"])
    assert planned[0].proposal.kind == "stop"
    assert "everything registered is decided" in planned[0].proposal.why
    assert not shown.questions


def test_a_factor_shown_negligible_is_held(tmp_path: Path) -> None:
    claims = [_claim("A", beyond="smallest_effect"), _claim("D", direction="negligible")]
    study = _study(
        design={"kind": "fractional", "runs": 8, "replicates": 4}, hypotheses=claims, analysis={"terms": "main"}
    )
    _, planned, design = _sweep(study, lambda row: 0.6 * row["A"], sd=0.7, seed=4)
    line = next(one for one in planned if one.proposal.kind == "drop and project")
    written = _checked(study, design, line, tmp_path)
    cells = getattr(written.design, "cells", ())
    assert {cell["D"] for cell in cells} == {-1}
    assert len({tuple(cell.values()) for cell in cells}) == 8  # the full factorial of A, B and C


def test_a_surprise_is_confirmed_on_fresh_seeds(tmp_path: Path) -> None:
    study = _study(design={"kind": "full", "replicates": 2}, hypotheses=[_claim("A")], analysis={"terms": "two_way"})
    shown, planned, design = _sweep(study, lambda row: 2 * row["A"] + 1.5 * row["B"] * row["C"])
    assert [q.term for q in shown.questions if q.kind == "surprise"] == ["B:C"]
    line = next(one for one in planned if one.proposal.kind == "confirm")
    written = _checked(study, design, line, tmp_path)
    assert written.seed != study.seed
    assert written.follow_up is not None
    assert not written.follow_up.runs
    assert [h.term for h in written.hypotheses] == ["B:C"]


def test_hidden_interactions_of_active_factors_and_an_optimum_are_offered(tmp_path: Path) -> None:
    factors = {name: {"levels": [0.0, 1.0]} for name in "ABCDE"}
    study = _study(factors, design={"kind": "fractional", "runs": 8, "replicates": 2}, analysis={"terms": "main"})
    _, planned, design = _sweep(study, lambda row: 3.0 * row["A"] + 2.5 * row["B"])
    kinds = {one.proposal.kind: one for one in planned}
    assert {"interactions", "optimise"} <= set(kinds)
    assert [h.term for h in _checked(study, design, kinds["interactions"], tmp_path).hypotheses] == ["A:B"]
    second_order = _checked(study, design, kinds["optimise"], tmp_path)
    assert second_order.design.kind == "central_composite"
    assert second_order.settings == {"C": 0.0, "D": 0.0, "E": 0.0}


def test_with_a_reserve_both_phases_are_counted_and_all_claims_kept(tmp_path: Path) -> None:
    claims = [_claim("A", beyond="smallest_effect"), _claim("B", direction="different")]
    more: dict[str, Any] = {"design": {"kind": "full", "replicates": 2}, "hypotheses": claims}
    truth = lambda row: 0.7 * row["A"] + 1.5 * row["B"]  # noqa: E731
    kept = _study(analysis={"terms": "main", "follow_up": {"phases": 2}}, **more)
    shown, planned, design = _sweep(kept, truth, sd=1.0)
    assert shown.rule.startswith("Error was kept back")
    line = next(one for one in planned if one.proposal.kind == "replicates")
    written = _checked(kept, design, line, tmp_path)
    assert written.hypotheses == kept.hypotheses
    assert written.analysis.follow_up == kept.analysis.follow_up


def test_too_small_a_budget_says_what_would_be_needed() -> None:
    study = _study(
        design={"kind": "full", "replicates": 2}, hypotheses=[_claim("A", beyond="smallest_effect")],
        analysis={"terms": "main"},
    )  # fmt: skip
    design = build_design(study)
    table = pd.DataFrame(design_rows(design))
    table["y"] = 0.6 * table["A"] + np.random.default_rng(0).normal(0, 1, len(table))
    table["status"], table["seconds"] = "finished", 3600.0
    result = analyse(study, table, design=design, draws=0)
    shown, planned = what_next(study, result, design, "study-1", budget=3.0)
    assert planned[0].proposal.kind == "stop"
    assert "3 core-hours decide nothing" in planned[0].proposal.why
    assert all((p.hours or 0) <= 3 for p in shown.proposals)


@pytest.mark.parametrize(
    ("design", "analysis", "df"),
    [
        ({"kind": "split_plot", "hard_to_change": ["A"], "replicates": 6}, {"terms": "main"}, None),
        ({"kind": "full", "replicates": 6, "common_random_numbers": True}, {"terms": "main", "inference": "seeds"}, 1),
    ],
)
def test_strata_and_shared_seeds_scale_with_replicates(
    design: dict[str, Any], analysis: dict[str, Any], df: int | None, tmp_path: Path
) -> None:
    """Where a model of the rows does not show the error, new replicates are worth what the old ones were."""
    claims = [_claim("A", beyond="smallest_effect")]
    study = _study("AB", design=design, hypotheses=claims, analysis=analysis)
    _, planned, made = _sweep(study, lambda row: 0.55 * row["A"], sd=0.8)
    line = next(one for one in planned if one.proposal.kind == "replicates")
    assert line.candidate is not None
    known = line.candidate.knows.knows(line.questions[0], 12)
    assert known is not None
    assert known.variance == pytest.approx(0.5)
    assert known.df == pytest.approx(11 if df is not None else 2 * line.questions[0].claim.df)
    _checked(study, made, line, tmp_path)


def test_an_open_claim_without_an_error_is_named() -> None:
    """Two runs, two parameters: nothing is left for error, and not enough effects for Lenth's method."""
    study = _study("A", design={"kind": "full"}, hypotheses=[_claim("A")], analysis={"terms": "main"})
    shown, planned, _ = _sweep(study, lambda row: 2.0 * row["A"])
    assert planned[0].proposal.kind == "stop"
    assert shown.left_out[0].startswith("H-A: ")
    assert "replicate" in planned[0].proposal.why
