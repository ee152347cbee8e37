"""Claims that a factor moves one capability more than another, and what stands beside them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.run import analyse
from maineffect.errors import AnalysisError, SpecError
from maineffect.register.claims import claims_of
from maineffect.report.cards.capability import dissociation_card
from maineffect.spec.load import load_study
from maineffect.spec.study import StudySpec

CLAIM: dict[str, Any] = {
    "id": "H1",
    "term": "A",
    "response": ["use", "resist"],
    "contrast": "difference",
    "direction": "increase",
    "smallest_effect": 0.3,
}


def _study(claim: dict[str, Any] | None = None, replicates: int = 4, **responses: dict[str, Any]) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "apart",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "AB"},
            "design": {"kind": "full", "replicates": replicates},
            "responses": {n: {"name": n, "limits": [0, 10], **responses.get(n, {})} for n in ("use", "resist")},
            "hypotheses": [CLAIM if claim is None else claim],
            "analysis": {"terms": "two_way"},
        }
    )


def _table(seed: int, on_use: float, on_resist: float, replicates: int = 4, correlation: float = 0.0) -> pd.DataFrame:
    """Runs have an SD of 1 on `use` and of 2 on `resist`; effects are in these."""
    rng = np.random.default_rng(seed)
    rows = []
    for r in range(1, replicates + 1):
        for a, b in itertools.product([0, 1], repeat=2):
            shared, e, f = rng.standard_normal(3)
            e, f = (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * x for x in (e, f))
            rows.append(
                {"A": a, "B": b, "replicate": r, "use": 5 + on_use * a + e, "resist": 4 + 2 * (on_resist * a + f)}
            )
    return pd.DataFrame(rows)


def test_the_difference_is_in_standard_deviations_of_a_run() -> None:
    table = _table(1, 3.0, 1.0, replicates=60)
    (h,) = analyse(_study(replicates=60), table, draws=19).hypotheses
    assert h.response == "use − resist"
    assert h.estimate == pytest.approx(2.0, abs=0.35)
    assert h.verdict == "supported"
    assert "SD of a run" in h.answer


def test_on_the_headroom_it_is_a_share_of_what_was_left_to_gain() -> None:
    """use: from 5 to 10; resist: from 4 to 10. A moves them by 2 and by 1.2: .4 − .2 of the headroom."""
    table = _table(2, 2.0, 0.6, replicates=200)
    (h,) = analyse(_study({**CLAIM, "common_scale": "headroom"}, 200), table, draws=19).hypotheses
    assert h.estimate == pytest.approx(2.0 / 5 - 1.2 / 6, abs=0.06)


@pytest.mark.parametrize(
    ("correlation", "studies"),
    [
        (0.7, 30),
        pytest.param(0.0, 400, marks=pytest.mark.slow),
        pytest.param(0.7, 400, marks=pytest.mark.slow),
    ],
)
def test_equal_effects_are_rarely_told_apart(correlation: float, studies: int) -> None:
    """Both responses move by one SD: a difference is found in 5 % of studies, correlated runs or not."""
    claim = {**CLAIM, "direction": "different", "smallest_effect": None}
    study = _study({k: v for k, v in claim.items() if v is not None})
    found = [
        analyse(study, _table(seed, 1.0, 1.0, correlation=correlation), draws=19).hypotheses[0].verdict == "supported"
        for seed in range(studies)
    ]
    assert np.mean(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)


def test_without_a_scale_there_is_no_claim() -> None:
    flat = _table(1, 0.0, 0.0, replicates=1)
    with pytest.raises(AnalysisError, match="no common scale"):
        analyse(_study(replicates=1), flat, draws=19)
    full = _table(1, 0.0, 0.0)
    full["use"] = 10.0
    with pytest.raises(AnalysisError, match="nothing left to gain"):
        analyse(_study({**CLAIM, "common_scale": "headroom"}), full, draws=19)


@pytest.mark.parametrize(
    "wrong",
    [
        {**CLAIM, "response": ["use"]},
        {**CLAIM, "response": ["use", "use"]},
        {**CLAIM, "response": "use"},
        {k: v for k, v in CLAIM.items() if k != "contrast"},
    ],
)
def test_a_difference_is_of_two_responses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _study(wrong)


def test_a_study_file_is_checked_and_keeps_its_claim(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = """\
schema_version: 1
name: apart
factors: {A: {levels: [0, 1]}}
design: {kind: full, replicates: REPLICATES}
responses: {use: {}, resist: {}}
hypotheses:
  - {id: H1, term: A, response: [use, OTHER], contrast: difference}
analysis: {terms: main}
"""
    path.write_text(text.replace("REPLICATES", "3").replace("OTHER", "resist"))
    study = load_study(path)
    assert study.hypotheses[0].pair == ("use", "resist")
    dumped = study.model_dump(mode="json")
    assert StudySpec.model_validate(dumped) == study
    assert claims_of(dumped)["H1"]["response"] == "use − resist"
    for other, replicates, words in (("resists", "3", "no response 'resists'"), ("resist", "1", "without replicates")):
        path.write_text(text.replace("REPLICATES", replicates).replace("OTHER", other))
        with pytest.raises(SpecError) as refused:
            load_study(path)
        assert words in str(refused.value)
        assert "study.yaml:7" in str(refused.value)


def test_claims_about_one_response_are_written_as_before() -> None:
    plain = _study({"id": "H1", "term": "A", "response": "use"}).model_dump(mode="json")
    assert "contrast" not in plain["hypotheses"][0]
    assert "common_scale" not in plain["hypotheses"][0]
    assert "capability" not in plain["responses"]["use"]


def test_capabilities_are_set_beside_each_other() -> None:
    study = _study(
        {"id": "H1", "term": "A", "response": "use"}, 12,
        use={"capability": "search", "reliability": 0.8}, resist={"capability": "trust"},
    )  # fmt: skip
    table = _table(5, 1.0, 0.0, replicates=12, correlation=0.8)
    result = add_exploratory(analyse(study, table, draws=19), study, table)
    (pair,) = result.capability_pairs
    assert (pair.first, pair.second, pair.same) == ("use", "resist", False)
    cells = table.groupby(["A", "B"])[["use", "resist"]]
    within = (table[["use", "resist"]] - cells.transform("mean")).sub(
        table.groupby("replicate")[["use", "resist"]].transform("mean") - table[["use", "resist"]].mean()
    )
    assert pair.runs_r == pytest.approx(np.corrcoef(within["use"], within["resist"])[0, 1])
    assert pair.first_reliability == 0.8
    assert dissociation_card(result).blocks
