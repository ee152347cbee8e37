"""Where failures gather, held to SciPy's hypergeometric distribution and to simulated sweeps that fail by chance."""

from __future__ import annotations

from itertools import product
from math import sqrt

import numpy as np
import pytest
from scipy.stats import fisher_exact, hypergeom

from maineffect.analyse.inference.where_failed import where_failed
from maineffect.contracts import Level

CELLS = [dict(zip(("lr", "noise", "model"), levels, strict=True)) for levels in product((0.1, 0.8), (0.0, 0.2), "ab")]


def runs(fails, replicates: int = 3) -> list[tuple[dict[str, Level], bool]]:
    return [(cell, bool(fails(cell))) for cell in CELLS for _ in range(replicates)]


def test_a_pair_of_levels_is_found_with_the_probability_of_fishers_test() -> None:
    """6 of 24 runs fail, all at one of the 12 pairs; there are 6 levels besides."""
    place = where_failed(runs(lambda cell: cell["lr"] == 0.8 and cell["noise"] == 0.2))
    assert place is not None
    assert place.levels == {"lr": 0.8, "noise": 0.2}
    assert (place.failures, place.runs, place.all_failures) == (6, 6, 6)
    assert place.p_adjusted == pytest.approx(18 * hypergeom.sf(5, 24, 6, 6), rel=1e-12)
    assert place.p_adjusted == pytest.approx(18 * fisher_exact([[6, 0], [0, 18]], alternative="greater").pvalue)
    assert place.sentence.startswith("6 of 6 failures at lr = 0.8 and noise = 0.2: 6 of the 6 runs there failed (by")


def test_a_level_is_named_by_itself_where_it_says_as_much() -> None:
    place = where_failed(runs(lambda cell: cell["model"] == "b"))
    assert place is not None
    assert (place.levels, place.failures, place.runs) == ({"model": "b"}, 12, 12)


def test_failures_elsewhere_are_counted() -> None:
    lucky = iter([True] + 100 * [False])
    place = where_failed(runs(lambda cell: cell["lr"] == 0.8 or next(lucky), replicates=4))
    assert place is not None
    assert (place.levels, place.failures, place.all_failures) == ({"lr": 0.8}, 16, 17)
    assert place.p_adjusted == pytest.approx(18 * hypergeom.sf(15, 32, 17, 16), rel=1e-12)


def test_one_failure_and_failures_everywhere_say_nothing() -> None:
    assert where_failed([]) is None
    assert where_failed(runs(lambda cell: False)) is None
    assert where_failed(runs(lambda cell: True)) is None
    once = iter([True] + 100 * [False])
    assert where_failed(runs(lambda cell: next(once))) is None


def test_true_and_one_are_two_levels() -> None:
    mixed = [({"a": level}, level is True) for level in (True, 1) for _ in range(12)]
    place = where_failed(mixed)
    assert place is not None
    assert place.levels == {"a": True}
    assert place.levels["a"] is True


def test_failures_by_chance_are_rarely_placed() -> None:
    rng = np.random.default_rng(20261129)
    studies = 600
    found = 0
    for _ in range(studies):
        failed = rng.random(24) < 0.25
        found += where_failed([(cell, bool(f)) for cell, f in zip(CELLS * 3, failed, strict=True)]) is not None
    assert found / studies <= 0.05 + 3 * sqrt(0.05 * 0.95 / studies)
