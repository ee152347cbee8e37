"""What shortcuts score on a battery, beside the oracle: a probe on which they do as well does not discriminate."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from maineffect.lab.evaluate.battery import KNOCK_OUT, Battery, build_battery
from maineffect.lab.evaluate.metrics import responses
from maineffect.lab.evaluate.probes import PAIRED, SINGLE
from maineffect.lab.evaluate.scoring import Played, play_battery, scripted_player
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.scripted import FIXED_RULES, SCRIPTED, SHORTCUTS
from maineffect.seeds import generator

__all__ = ["HEADROOM", "baseline_records", "headroom", "played_by_scripts", "probe_scores", "rivals"]

HEADROOM = 0.3
"""Least lead of the oracle over the best shortcut on a probe that discriminates (EVALUATION.md)."""


def played_by_scripts(battery: Battery) -> dict[str, Played]:
    """Every scripted policy's play of the battery."""
    return {
        name: play_battery(battery, scripted_player(lambda i, make=make: make(generator(0, i))))  # type: ignore[misc]
        for name, make in SCRIPTED.items()
    }


def probe_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Probe → mean score of its items, or of its pairs."""
    pairs: dict[str, dict[str, float]] = {}
    for row in rows:
        pairs.setdefault(row["probe"], {})[row["pair_id"]] = row["pair_score"]
    return {name: sum(scores.values()) / len(scores) for name, scores in pairs.items()}


def rivals() -> dict[str, tuple[str, ...]]:
    """Probe → the scripted policies that are shortcuts on it: fixed rules only where something must be weighed."""
    probes = (*SINGLE, *PAIRED, KNOCK_OUT)
    return {probe.name: (*SHORTCUTS, *(FIXED_RULES if probe.weighs else ())) for probe in probes}


def headroom(
    scores: Mapping[str, Mapping[str, float]], shortcuts: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[float, str]]:
    """Probe → the oracle's lead over the best shortcut, and which one that is.

    Args:
        scores: Policy → probe → score.
        shortcuts: Probe → policies; left out, :func:`rivals`.
    """
    leads = {}
    for probe, names in (rivals() if shortcuts is None else shortcuts).items():
        best = max(names, key=lambda name: scores[name][probe])
        leads[probe] = (scores["oracle"][probe] - scores[best][probe], best)
    return leads


def baseline_records(settings: LabSettings, evaluation_seed: int) -> list[dict[str, Any]]:
    """Responses of every scripted policy on a study's battery, as records ``name, response, value, description``."""
    played = played_by_scripts(build_battery(settings, evaluation_seed))
    records = []
    for name, of in played.items():
        # Makers are lambdas; what a policy does is said where it is written.
        what = inspect.getdoc(SCRIPTED[name](generator(0))) or ""
        values = responses(of.rows)
        records += [
            {"name": name, "response": response, "value": values[response], "description": what} for response in values
        ]
    return records
