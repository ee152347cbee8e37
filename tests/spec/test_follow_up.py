"""A study in phases: what its file may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.errors import SpecError
from maineffect.register.claims import claims_of
from maineffect.spec.load import load_study
from maineffect.spec.study import StudySpec

STUDY = """\
schema_version: 1
name: s
factors:
  a: {{levels: [0, 1]}}
design: {{kind: full, replicates: 2}}
responses:
  y: {{smallest_effect: 0.1}}
hypotheses: [{{id: H, term: a, response: y{claim}}}]
analysis: {{{analysis}}}
{follow_up}
"""
FOLLOW_UP = "follow_up: {{from: s-1, plan: {plan}, results: {plan}{more}}}"
RUN = "{run: c0123456789-r1, levels: {a: 0}}"


def _study(folder: Path, claim: str = "", analysis: str = "", more: str | None = None) -> StudySpec:
    follow_up = "" if more is None else FOLLOW_UP.format(plan="0" * 64, more=more)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(claim=claim, analysis=analysis, follow_up=follow_up))
    return load_study(path)


def test_a_follow_up_is_read(tmp_path: Path) -> None:
    study = _study(tmp_path, ", suggested_by: s-1", "", f", runs: [{RUN}]")
    assert study.follow_up is not None
    assert study.follow_up.sweep == "s-1"
    assert study.follow_up.last_replicate == 1
    assert study.hypotheses[0].suggested_by == "s-1"


@pytest.mark.parametrize(
    ("claim", "analysis", "more", "words"),
    [
        (", suggested_by: s-1", "", None, "cannot be tested on the data it came from"),
        (", suggested_by: other-2", "", "", "suggested by sweep 'other-2'"),
        ("", "sequential: {}", "", "a study in phases has no interim looks"),
        ("", "sequential: {}, follow_up: {phases: 2}", None, "a study in phases has no interim looks"),
        ("", "follow_up: {phases: 2}", ", phase: 3", "is used up"),
        ("", "", f", runs: [{RUN}, {RUN}]", "listed twice"),
        ("", "", ", runs: [{run: c0123456789-r1, levels: {a: 2}}]", "has no level 2"),
        ("", "", ", runs: [{run: c0123456789-r1, levels: {}}]", "a level of 'a' is missing"),
        ("", "follow_up: {phases: 3}", None, "phases"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, claim: str, analysis: str, more: str | None, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        _study(tmp_path, claim, analysis, more)
    assert "study.yaml:" in str(caught.value)


def test_a_reserve_is_part_of_how_a_claim_is_tested(tmp_path: Path) -> None:
    """Keeping error back after the first run is another claim: it is then judged post hoc."""
    plain, kept = _study(tmp_path), _study(tmp_path, "", "follow_up: {phases: 2}")
    documents = [study.model_dump(mode="json") for study in (plain, kept)]
    assert claims_of(documents[0]) != claims_of(documents[1])
    assert "suggested_by" not in documents[0]["hypotheses"][0]
