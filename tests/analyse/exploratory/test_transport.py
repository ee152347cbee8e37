"""Effects on a target: measured shares, factors that go together, and what stands beside a verdict."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from maineffect.analyse.exploratory.transport import targets_of, transported_effect
from maineffect.analyse.exploratory_report import add_exploratory
from maineffect.analyse.fit.responses import fit_responses
from maineffect.analyse.run import analyse
from maineffect.report.cards.target import target_card
from maineffect.report.page import render_report
from maineffect.spec.study import StudySpec


def _study(transport: dict[str, Any], hypotheses: list[dict[str, Any]] | None = None) -> StudySpec:
    return StudySpec.model_validate(
        {
            "schema_version": 1,
            "name": "carried",
            "factors": {name: {"name": name, "levels": [0, 1]} for name in "ABC"},
            "design": {"kind": "full", "replicates": 3},
            "responses": {"y": {"name": "y", "smallest_effect": 0.1}},
            "hypotheses": hypotheses or [],
            "analysis": {"terms": "full", "transport": transport},
        }
    )


def _table(seed: int, sd: float = 0.1) -> pd.DataFrame:
    """A helps where B is 0 (+1) and hurts where B is 1 (−1.6), and C adds 2 to A's effect where B is 1."""
    rng = np.random.default_rng(seed)
    cells = [dict(zip("ABC", cell, strict=True)) for cell in itertools.product([0, 1], repeat=3)]
    rows = []
    for r in (1, 2, 3):
        for cell in cells:
            a, b, c = cell["A"], cell["B"], cell["C"]
            y = a * (1.0 - 2.6 * b + 2.0 * b * c) + sd * rng.standard_normal()
            rows.append({**cell, "replicate": r, "y": y})
    return pd.DataFrame(rows)


def test_joint_shares_are_not_the_product_of_their_margins() -> None:
    """B and C go together: .5 at (0, 0) and .5 at (1, 1). A's effect is (1 + (1 − 2.6 + 2))/2 = .7; by margins .2."""
    together = [{"levels": {"B": 0, "C": 0}, "share": 0.5}, {"levels": {"B": 1, "C": 1}, "share": 0.5}]
    study = _study({"B:C": together})
    fitted = fit_responses(study, _table(1, sd=1e-9))["y"]
    assert transported_effect(fitted, "A", targets_of(study)).estimate == pytest.approx(0.7, abs=1e-6)
    margins = _study({"B": {"0": 0.5, "1": 0.5}, "C": {"0": 0.5, "1": 0.5}})
    assert transported_effect(fitted, "A", targets_of(margins)).estimate == pytest.approx(0.2, abs=1e-6)
    assert [left.names for t in targets_of(study) if (left := t.without("B"))] == [("C",)]


@pytest.mark.parametrize(
    ("transport", "words"),
    [
        ({"B:Z": [{"levels": {"B": 0, "Z": 0}, "share": 1}]}, "no factor 'Z'"),
        ({"B:C": [{"levels": {"B": 0}, "share": 1}]}, "one level of each"),
        ({"B:C": [{"levels": {"B": 0, "C": 7}, "share": 1}]}, "no level 7"),
        ({"B:C": [{"levels": {"B": 0, "C": 0}, "share": 1}] * 2}, "twice"),
        ({"B": {"0": 1}, "B:C": [{"levels": {"B": 0, "C": 0}, "share": 1}]}, "B occurs twice"),
        ({"B": {"0": {"share": 0.5, "std_error": -1}}}, "std_error"),
    ],
)
def test_a_target_is_checked(transport: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        _study(transport)


@pytest.mark.parametrize("studies", [60, pytest.param(150, marks=pytest.mark.slow)])
def test_measured_shares_widen_the_interval_so_that_it_covers(studies: int) -> None:
    """B's share is estimated from 40 transcripts; taken as known it covered .74."""
    rng = np.random.default_rng(9)
    share, truth = 0.3, 0.7 * 1.0 + 0.3 * (1.0 - 2.6 + 1.0)
    held, known_held = [], []
    for seed in range(studies):
        seen = rng.binomial(40, share) / 40
        error = float(np.sqrt(max(seen * (1 - seen), 0.01) / 40))
        measured = {"0": {"share": 1 - seen, "std_error": error}, "1": {"share": seen, "std_error": error}}
        fitted = fit_responses(_study({}), _table(seed))["y"]
        for target, into in ((measured, held), ({"0": 1 - seen, "1": seen}, known_held)):
            effect = transported_effect(fitted, "A", targets_of(_study({"B": target})))
            assert effect.half_width is not None
            into.append(abs(effect.estimate - truth) <= effect.half_width)
    assert np.mean(known_held) < 0.9
    assert np.mean(held) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / studies))


def test_another_sign_on_the_target_stands_beside_the_verdict_and_in_the_report() -> None:
    claim = {"id": "H1", "term": "A", "response": "y", "direction": "increase"}
    study = _study({"B": {"0": 0.1, "1": 0.9}, "C": {"0": 1.0, "1": 0.0}}, [claim])
    table = _table(4)
    result = add_exploratory(analyse(study, table, draws=19), study, table)
    (h,) = result.hypotheses
    assert h.verdict == "supported"
    assert h.transported is not None
    assert h.transported.estimate == pytest.approx(0.1 * 1.0 + 0.9 * -1.6, abs=0.15)
    assert h.transported_verdict == "refuted"
    assert any("the other sign" in caveat for caveat in h.caveats)
    assert any("the other sign" in warning for warning in result.warnings)
    page = render_report(result)
    assert "Does it hold where the policy will be used?" in page
    assert "the effect has the other sign" in page
    assert target_card(result).blocks


def test_without_a_target_nothing_is_said() -> None:
    table = _table(4)
    study = _study({}, [{"id": "H1", "term": "A", "response": "y"}])
    result = add_exploratory(analyse(study, table, draws=19), study, table)
    assert result.hypotheses[0].transported is None
    assert target_card(result).not_applicable
