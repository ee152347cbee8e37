"""Tuning before the registered runs leaves error rates as they are, and takes away the bias of not tuning.

A 2³ × 3 study in which nothing but the rate matters: score = −2 (rate − best)² + a run's noise of SD 1, trials alike.
Runs with one shared value, and runs each tuned by itself, are judged by the spread between runs, as the report does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from maineffect.analyse.record.result import Effect
from maineffect.analyse.run import analyse
from maineffect.design.build import build_design
from maineffect.execute.phases.choosing import choose
from maineffect.execute.phases.proposals import Dimension, Trial, sobol_points
from maineffect.spec.study import StudySpec

RATE = (Dimension("rate", -1.0, 1.0, False, 0.0),)
STUDY = StudySpec.model_validate(
    {
        "schema_version": 1,
        "name": "aa",
        "factors": {name: {"name": name, "levels": [0.0, 1.0]} for name in "abc"},
        "design": {"kind": "full", "replicates": 3},
        "responses": {"skill": {"name": "skill", "goal": "maximize", "smallest_effect": 0.5}},
        "analysis": {"terms": "main"},
    }
)
DESIGN = build_design(STUDY)
LEVELS = [DESIGN.levels_of(run)["a"] for run in DESIGN.runs]


def score(rate: float, level: float, shift: float, rng: np.random.Generator) -> float:
    """Factor a moves the best rate from −shift/2 to +shift/2 and does nothing else."""
    return -2 * (rate - shift * (level - 0.5)) ** 2 + rng.normal()


def tuned(levels: list[float], shift: float, trials: int, rule: str, rng: np.random.Generator) -> float:
    """The value of a group with these cells."""
    points = sobol_points(RATE, trials, 1)
    seen = [Trial(p, float(np.mean([score(p[0], level, shift, rng) for level in levels]))) for p in points]
    return choose(RATE, seen, rule).values[0]


def effect(scope: str, seed: int, shift: float = 0.0, trials: int = 8, rule: str = "smooth") -> Effect:
    """The effect of a, as analysed."""
    rng = np.random.default_rng(seed)
    if scope == "shared":
        rates = [tuned([0.0] * 4 + [1.0] * 4, shift, trials, rule, rng)] * len(LEVELS)
    elif scope == "replicate":
        rates = [tuned([level], shift, trials, rule, rng) for level in LEVELS]
    else:
        rates = [-0.4] * len(LEVELS)  # one arm's best value for all: what is done where nobody tunes
    runs = [{"run_id": run.run_id, "replicate": run.replicate, **DESIGN.levels_of(run)} for run in DESIGN.runs]
    table = pd.DataFrame(runs)
    table["skill"] = [score(rate, level, shift, rng) for rate, level in zip(rates, LEVELS, strict=True)]
    return analyse(STUDY, table, design=DESIGN, draws=19).responses["skill"].effects[0]


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["shared", "replicate"])
@pytest.mark.parametrize("rule", ["smooth", "best"])
def test_without_an_effect_one_study_in_twenty_finds_one(scope: str, rule: str) -> None:
    """600 studies: .05 ± 3 Monte Carlo errors of .0089."""
    found = sum(effect(scope, seed, rule=rule).p_value < 0.05 for seed in range(600)) / 600
    assert 0.023 < found < 0.077


def test_a_factor_that_moves_the_best_rate_is_judged_fairly_where_every_run_is_tuned() -> None:
    """True effect 0 for whoever tunes; with the best rate of one level for both it is −2 × .8² = −1.28."""
    seeds = range(24)
    bias = {
        scope: float(np.mean([effect(scope, seed, shift=0.8).estimate for seed in seeds]))
        for scope in ("none", "replicate")
    }
    error = 2 / np.sqrt(24 * len(seeds))
    assert bias["none"] == pytest.approx(-1.28, abs=4 * error)
    assert bias["replicate"] == pytest.approx(0.0, abs=4 * error)
