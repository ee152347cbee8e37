"""A claim counts as registered only if it stood there, as it is, before the first run that counts for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from maineffect.register.claims import claims_of, post_hoc, registered_claims

STUDY: dict[str, Any] = {
    "responses": {"y": {"smallest_effect": 0.05, "unit": "points"}},
    "analysis": {"alpha": 0.05, "correction": "holm", "terms": "two_way"},
    "hypotheses": [
        {"id": "H1", "term": "A:B", "response": "y", "direction": "increase", "beyond": "zero", "statement": "a"},
        {"id": "H2", "term": "B", "response": "y", "direction": "different", "beyond": "zero"},
    ],
}
BEFORE, RUN, AFTER = "2026-11-01T10:00:00+00:00", "2026-11-01T10:00:00.500000+00:00", "2026-11-01T12:00:00+00:00"


def _changed(**change: Any) -> dict[str, Any]:
    first, *others = STUDY["hypotheses"]
    return {**STUDY, "hypotheses": [{**first, **change}, *others]}


def _judged(now: dict[str, Any], first_run: str | None = RUN) -> dict[str, str]:
    registrations = [registered_claims(BEFORE, STUDY), registered_claims(AFTER, now)]
    return post_hoc(
        claims_of(now), registrations, None if first_run is None else datetime.fromisoformat(first_run).timestamp()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"direction": "decrease"}, "its direction was increase"),
        ({"beyond": "smallest_effect"}, "what it must lie beyond was zero"),
        ({"term": "A"}, "its term was A:B"),
        ({"smallest_effect": 0.01}, "its smallest effect of interest"),
    ],
)
def test_a_changed_claim_is_post_hoc_and_says_what_changed(change: dict[str, Any], words: str) -> None:
    reasons = _judged(_changed(**change))
    assert list(reasons) == ["H1"]
    assert words in reasons["H1"]


@pytest.mark.parametrize("change", [{"statement": "in other words"}, {"id": "H9"}, {"term": "B:A"}])
def test_other_words_are_the_same_claim(change: dict[str, Any]) -> None:
    assert _judged(_changed(**change)) == {}


@pytest.mark.parametrize(
    "now",
    [
        {**STUDY, "responses": {"y": {"smallest_effect": 0.01}}},
        {**STUDY, "analysis": {**STUDY["analysis"], "alpha": 0.1}},
        {**STUDY, "analysis": {**STUDY["analysis"], "correction": "none"}},
        {**STUDY, "analysis": {**STUDY["analysis"], "terms": "main"}},
    ],
)
def test_rules_of_the_whole_study_are_part_of_every_claim(now: dict[str, Any]) -> None:
    assert list(_judged(now)) == ["H1", "H2"]


def test_a_family_may_grow_but_not_shrink() -> None:
    first, second = STUDY["hypotheses"]
    grown = {**STUDY, "hypotheses": [first, second, {**second, "id": "H3", "term": "A"}]}
    assert list(_judged(grown)) == ["H3"]
    assert "family of 2 hypotheses, of which 1 are left" in _judged({**STUDY, "hypotheses": [first]})["H1"]


def test_before_the_first_run_anything_may_change() -> None:
    assert _judged(_changed(direction="decrease"), None) == {}
    assert _judged(_changed(direction="decrease"), "2026-11-01T12:00:00.100000+00:00") == {}


def test_a_replaced_registration_keeps_its_claims_and_one_that_kept_none_proves_nothing() -> None:
    now = datetime.fromisoformat(RUN).timestamp()
    kept = registered_claims(BEFORE, None, claims_of(STUDY))
    assert post_hoc(claims_of(STUDY), [kept], now) == {}
    bare = registered_claims(BEFORE, None, None)
    assert list(post_hoc(claims_of(STUDY), [bare], now)) == ["H1", "H2"]
    unknown = registered_claims("at an unknown time", STUDY)
    assert unknown.at > datetime.now(UTC).timestamp() - 60
