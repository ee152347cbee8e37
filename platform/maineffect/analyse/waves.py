"""The interim look that a running sweep makes after a complete wave: the same analysis, on the runs so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from maineffect.analyse.confirmatory.interim import first_look, look_at, stopping
from maineffect.analyse.record.result import Look
from maineffect.analyse.run import judge_of
from maineffect.errors import AnalysisError
from maineffect.spec.study import StudySpec

__all__ = ["WaveLook", "look_after_wave"]


@dataclass(frozen=True)
class WaveLook:
    """What a look says.

    Attributes:
        stop: Whether every registered hypothesis is decided, so that no further wave is needed.
        said: The decision in words.
        judged: One record per hypothesis that can be decided early; empty where the runs could not be analysed.
    """

    stop: bool
    said: str
    judged: tuple[Look, ...]


def look_after_wave(study: StudySpec, table: pd.DataFrame, wave: int, earlier: Sequence[Look] = ()) -> WaveLook:
    """Judge the registered hypotheses after a complete wave.

    Args:
        study: With `analysis.sequential`.
        table: Runs as collected, with their replicate; later waves are left aside.
        wave: 1-based.
        earlier: Looks at the waves before.
    """
    part = table[table["replicate"].astype(int) <= wave]
    looks = study.design.replicates
    if wave < first_look(study):
        return WaveLook(False, f"no interim look before wave {first_look(study)}: verdicts are about new seeds", ())
    try:
        judged = tuple(look_at(study, part, wave, looks, judge_of(study)))
    except AnalysisError as error:
        return WaveLook(False, f"interim look {wave} of {looks}: nothing can be analysed ({error.message})", ())
    why = stopping(study, [*earlier, *judged], wave)
    decisions = ", ".join(f"{look.hypothesis} {look.decision}" for look in judged)
    return WaveLook(
        why is not None, why or f"interim look {wave} of {looks}: {decisions or 'nothing to decide'}", judged
    )
