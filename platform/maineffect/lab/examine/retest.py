"""Every response of a trained policy, measured again: same items with other sampling noise, and other items.

The battery is played **greedily**, so that with the tiny policy a repetition on the same items is exact; the scores in
the run's own regime and over the grid are **sampled at temperature 1**, as training samples, so theirs is not. What the
battery would be under sampling is measured beside.

Legend: R policies, K repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maineffect.errors import AnalysisError
from maineffect.lab.evaluate.battery import Battery, build_battery
from maineffect.lab.evaluate.metrics import BATTERY_RESPONSES, RESPONSES, responses
from maineffect.lab.evaluate.reliability import reliability, smallest_detectable_change
from maineffect.lab.evaluate.scoring import play_battery
from maineffect.lab.examine.regimes import played_regimes, regime_gains
from maineffect.lab.sampling.player import ModelPlayer
from maineffect.lab.settings import LabSettings
from maineffect.seeds import derive_seed

__all__ = ["Remeasured", "Repeatability", "remeasure", "repeatability"]

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Remeasured:
    """One policy's responses, again and again.

    Attributes:
        first: As its run measured them.
        resampled: Same items, other sampling noise; the battery greedily, as in a run.
        tempered: The battery's responses, same items, sampled at temperature 1.
        redrawn: Other items and other noise; the battery greedily, as in a run.
    """

    first: Scores
    resampled: Sequence[Scores]
    tempered: Sequence[Scores]
    redrawn: Sequence[Scores]


def remeasure(
    before: Any,
    after: Any,
    settings: LabSettings,
    *,
    held_out: int,
    evaluation_seed: int,
    repeats: int,
    tell: Callable[[int, int], None],
) -> Remeasured:
    """Measure a trained policy as its run did, then ``repeats`` times in each of three ways.

    Args:
        before: The warm start, which gains are counted from.
        after: The trained policy.
        settings: Of its run.
        held_out: Seed of the run's held-out questions.
        evaluation_seed: Of the study's battery.
        repeats: At least two.
        tell: Told how many measurements are done, of how many.

    Raises:
        AnalysisError: Fewer than two repetitions.
    """
    if repeats < 2:
        raise AnalysisError(f"{repeats} repetitions", "a spread needs at least two")
    battery = build_battery(settings, evaluation_seed)
    done = 0

    def told(scores: Scores) -> Scores:
        nonlocal done
        done += 1
        tell(done, 1 + 3 * repeats)
        return scores

    def regimes(questions: int, noise: int) -> Scores:
        return regime_gains(*(played_regimes(policy, settings, questions, noise) for policy in (before, after)))

    noise = derive_seed(held_out, "sampling")
    first = told({**_examined(after, battery), **regimes(held_out, noise)})
    resampled, tempered, redrawn = [], [], []
    for k in range(repeats):
        again = derive_seed(held_out, "sampled again", k)
        resampled.append(told({**_examined(after, battery), **regimes(held_out, again)}))
        tempered.append(told(_examined(after, battery, again)))
        other = build_battery(settings, derive_seed(evaluation_seed, "items again", k))
        items = derive_seed(held_out, "items again", k)
        redrawn.append(told({**_examined(after, other), **regimes(items, derive_seed(items, "sampling"))}))
    return Remeasured(first, resampled, tempered, redrawn)


def _examined(policy: Any, battery: Battery, noise: int | None = None) -> dict[str, float]:
    generator = None if noise is None else torch.Generator().manual_seed(noise)
    return responses(play_battery(battery, ModelPlayer(policy, generator)).rows)


@dataclass(frozen=True)
class Repeatability:
    """How repeatable one response is.

    Attributes:
        response: Its name.
        value: As measured by the first policy's run.
        resampled_sd: Standard deviation between samplings on the same items, pooled over policies; 0 where decoding is
            greedy.
        tempered: Mean under sampling at temperature 1 of the first policy; None for responses that are sampled anyway.
        tempered_sd: Standard deviation of that between samplings, pooled over policies.
        sem: Standard error of measurement of one run's score: its standard deviation between item draws, pooled over
            policies. Runs of a sweep share their items, so what a draw does to all of them alike is in it too, and
            differences between runs are a little surer than it says.
        observed_sd: Standard deviation over the sweep's runs.
        reliability: 1 − sem²/observed_sd²; None where the runs do not differ. Below 0 where the runs differ by
            less than their items let one policy differ: the differences between runs are noise then.
        detectable: Smallest detectable change, 1.96·√2·sem.
    """

    response: str
    value: float
    resampled_sd: float
    tempered: float | None
    tempered_sd: float | None
    sem: float
    observed_sd: float | None
    reliability: float | None
    detectable: float


def repeatability(policies: Sequence[Remeasured], over_runs: Mapping[str, Sequence[float]]) -> list[Repeatability]:
    """Summarise repetitions of some policies beside what all runs of their sweep scored.

    Args:
        policies: At least one; their variances are averaged.
        over_runs: Response → its value in every finished run; responses that are absent have no reliability.
    """
    return [_row(name, policies, over_runs.get(name, ())) for name in RESPONSES]


def _row(name: str, policies: Sequence[Remeasured], observed: Sequence[float]) -> Repeatability:
    battery = name in BATTERY_RESPONSES
    sem = _pooled_sd([[scores[name] for scores in policy.redrawn] for policy in policies])
    observed_sd = float(np.std(observed, ddof=1)) if len(observed) > 1 else None
    return Repeatability(
        response=name,
        value=policies[0].first[name],
        # The first measurement is one of the samplings of the same items.
        resampled_sd=_pooled_sd(
            [[scores[name] for scores in (policy.first, *policy.resampled)] for policy in policies]
        ),
        tempered=float(np.mean([scores[name] for scores in policies[0].tempered])) if battery else None,
        tempered_sd=_pooled_sd([[scores[name] for scores in policy.tempered] for policy in policies])
        if battery
        else None,
        sem=sem,
        observed_sd=observed_sd,
        reliability=reliability(observed_sd**2, sem**2) if observed_sd else None,
        detectable=smallest_detectable_change(sem),
    )


def _pooled_sd(values_RK: Sequence[Sequence[float]]) -> float:
    """Root of the mean variance within policies; exactly 0 where nothing varies, which a rounded mean would spoil."""
    return float(np.sqrt(np.mean([np.var(np.subtract(values, values[0]), ddof=1) for values in values_RK])))
