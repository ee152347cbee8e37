"""The family's level: Holm's method without margins, and its error rate for every verdict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from maineffect.analyse.confirmatory.family import adjusted_evidence, claim_levels, family_of
from maineffect.analyse.confirmatory.findings import Evidence, evidence_of, finding
from maineffect.analyse.confirmatory.verdicts import Claim, decide

P = st.floats(0.0, 1.0)


@given(st.lists(P, min_size=1, max_size=8))
def test_without_margins_it_is_holms_method(p: list[float]) -> None:
    adjusted = adjusted_evidence(family_of([Evidence(1, value) for value in p], "holm"))
    assert [evidence.zero for evidence in adjusted if evidence] == pytest.approx(
        multipletests(p, method="holm")[1], abs=1e-12
    )


@given(st.lists(st.tuples(P, P, P), min_size=1, max_size=6), st.sampled_from(["holm", "bh", "none", "max_t"]))
def test_adjusted_is_never_below_raw_and_agrees_with_the_level(
    p: list[tuple[float, float, float]], method: str
) -> None:
    raw = [Evidence(1, zero, max(zero, beyond), inside) for zero, beyond, inside in p]
    family = family_of(raw, method, df=12.0)
    levels = claim_levels(family, 0.05)
    for given_, held, level in zip(raw, adjusted_evidence(family), levels, strict=True):
        assert held is not None
        assert level is not None
        for one, other in zip(
            (given_.zero, given_.beyond, given_.equivalence), (held.zero, held.beyond, held.equivalence), strict=True
        ):
            assert one is not None
            assert other is not None
            assert other >= one - 1e-12
            if method in ("holm", "none"):
                assert (other <= 0.05) == (one <= level * (1 + 1e-12))


def test_a_claim_without_a_test_does_not_count() -> None:
    adjusted = adjusted_evidence(family_of([Evidence(1, 0.02), None, Evidence(1, 0.04)], "holm"))
    assert adjusted[1] is None
    assert [evidence.zero for evidence in adjusted if evidence] == pytest.approx([0.04, 0.04])


def test_a_claim_with_a_margin_leaves_the_family_only_when_nothing_more_can_be_found() -> None:
    """Not zero, but inside or beyond ±δ is open: an error about that is still possible (Shaffer 1986)."""
    half_known = [Evidence(1, 0.001, 0.5, 0.5), Evidence(1, 0.03, 1.0, 0.5)]
    assert claim_levels(family_of(half_known, "holm"), 0.05) == pytest.approx([0.025, 0.025])
    known = [Evidence(1, 0.001, 0.002, 1.0), Evidence(1, 0.03, 1.0, 0.5)]
    assert claim_levels(family_of(known, "holm"), 0.05) == pytest.approx([0.025, 0.05])


def test_max_t_of_independent_claims() -> None:
    """Upper 5 % point of the studentised maximum modulus, 3 means, 20 df: 2.594 (Stoline and Ury 1979, table 2)."""
    from scipy import stats

    (level, *_) = claim_levels(family_of([Evidence(1, 0.5)] * 3, "max_t", df=20.0), 0.05)
    assert level is not None
    assert stats.t.isf(level / 2, 20) == pytest.approx(2.594, abs=2e-3)


def _verdicts(effects: np.ndarray, direction: str, beyond: str, method: str, studies: int, seed: int) -> np.ndarray:
    """(studies, m) verdicts on independent claims with standard error 1, margin 3 and 20 degrees of freedom."""
    rng = np.random.default_rng(seed)
    found = np.empty((studies, len(effects)), dtype=object)
    for i in range(studies):
        scale = np.sqrt(rng.chisquare(20) / 20)
        estimates = effects + rng.standard_normal(len(effects))
        family = family_of([evidence_of(e, scale, 20.0, 3.0) for e in estimates], method, df=20.0)
        for j, evidence in enumerate(adjusted_evidence(family)):
            assert evidence is not None
            claim = Claim(direction, beyond, 3.0, float(estimates[j]), scale, 20.0, 2.086)
            found[i, j] = decide(claim, finding(evidence, 0.05))[0]
    return found


CASES = [
    ("all at the margin", np.full(10, 3.0), "different", "zero", "negligible"),
    ("all at the margin, claimed negligible", np.full(10, 3.0), "negligible", "zero", "negligible"),
    ("all at the margin, claimed negligible: refuted", np.full(10, 3.0), "negligible", "zero", "refuted"),
    ("all null", np.zeros(10), "different", "zero", "supported"),
    ("all null, claimed larger than the bar", np.zeros(10), "increase", "smallest_effect", "refuted"),
]


@pytest.mark.parametrize("method", ["holm", "max_t"])
@pytest.mark.parametrize(("name", "effects", "direction", "beyond", "wrong"), CASES)
def test_any_wrong_verdict_comes_in_five_of_a_hundred_studies(
    name: str, effects: np.ndarray, direction: str, beyond: str, wrong: str, method: str
) -> None:
    studies = 300
    share = np.mean((_verdicts(effects, direction, beyond, method, studies, 5) == wrong).any(axis=1))
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies), name


@pytest.mark.slow
@pytest.mark.parametrize("method", ["holm", "max_t"])
def test_in_a_mixed_family_all_kinds_of_errors_together(method: str) -> None:
    """Half without effect, half at the margin: a false effect or a false equivalence counts."""
    effects = np.repeat([0.0, 3.0], 5)
    found = _verdicts(effects, "different", "zero", method, 8_000, 7)
    wrong = ((found == "supported") & (effects == 0.0)) | ((found == "negligible") & (effects == 3.0))
    share = float(np.mean(wrong.any(axis=1)))
    assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 8_000)
