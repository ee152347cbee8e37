"""What statistics cost that are computed many times or while somebody waits. CPU seconds of this process."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.confirmatory.assurance import NewPhase, assurance
from maineffect.analyse.confirmatory.verdicts import Claim
from maineffect.design.algebra.regular import minimum_aberration
from maineffect.lab.evaluate.irt import fit_irt
from maineffect.lab.evaluate.psychometrics import psychometrics

pytestmark = pytest.mark.benchmark

CLAIM = Claim("different", "zero", None, 0.3, 0.25, 20.0, 2.086)


def test_the_assurance_of_twelve_designs_for_twenty_claims() -> None:
    claims = [replace(CLAIM, estimate=0.02 * i) for i in range(20)]
    began = time.process_time()
    for claim in claims:
        for replicates in range(1, 13):
            assurance(claim, 0.05, NewPhase(3 / replicates, 8.0 * replicates))
    taken = time.process_time() - began
    print(f"\nassurance: {taken:.2f} s for 12 designs × 20 claims, {1000 * taken / 240:.1f} ms each")
    assert taken < 3.0


@pytest.mark.parametrize("k", [12, 17, 20])
def test_columns_of_a_fraction_in_128_runs(k: int) -> None:
    began = time.process_time()
    minimum_aberration.__wrapped__(k, 7)
    taken = time.process_time() - began
    print(f"\nminimum aberration, {k} factors in 128 runs: {taken:.2f} s")
    assert taken < 5.0


def _answers(runs: int, items: int, seed: int) -> np.ndarray:
    """(runs, items) right or wrong by a Rasch model with slopes."""
    rng = np.random.default_rng(seed)
    theta, a, b = rng.normal(size=(runs, 1)), rng.uniform(0.7, 1.8, items), rng.normal(size=items)
    return (rng.random((runs, items)) < 1 / (1 + np.exp(-a * (theta - b)))).astype(float)


def test_a_response_model_of_a_whole_sweep() -> None:
    scores = _answers(60, 1500, 24)
    began = time.process_time()
    fit = fit_irt(scores)
    taken = time.process_time() - began
    print(f"\nresponse model, 60 runs × 1,500 items: {taken:.2f} s")
    assert fit.converged
    assert taken < 3.0


def test_psychometrics_of_a_whole_sweep() -> None:
    """60 runs × 1,495 items in 13 probes, three scripted policies beside them."""
    parts = []
    for i in range(13):
        right = _answers(60, 115, 30 + i)
        shares = {"oracle": 1.0, "first": 0.3, "mode": 0.2}
        scripts = [(np.arange(115) < round(share * 115)).astype(float) for share in shares.values()]
        names = [f"run{j}" for j in range(60)] + list(shares)
        parts.append(
            pd.DataFrame(
                {
                    "run": np.repeat(names, 115),
                    "item_id": np.tile([f"probe{i}-{j}" for j in range(115)], len(names)),
                    "probe": f"probe{i}",
                    "score": np.vstack([right, *scripts]).ravel(),
                    "baseline": np.repeat([name in shares for name in names], 115),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    began = time.process_time()
    summary = psychometrics(table)
    taken = time.process_time() - began
    print(f"\npsychometrics, 60 runs × 1,495 items: {taken:.2f} s")
    assert len(summary.probes) == 13
    assert taken < 3.0
