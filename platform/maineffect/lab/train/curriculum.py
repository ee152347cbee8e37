"""The world at a step of training: as the study states it, or growing towards that."""

from __future__ import annotations

from maineffect.lab.settings import LabSettings

__all__ = ["RISE", "settings_at"]

RISE = 0.5
"""Share of the steps over which a rising curriculum reaches the world's levels."""


def settings_at(settings: LabSettings, step: int) -> LabSettings:
    """Settings of one step's questions.

    With ``curriculum: rising`` hops, distractors, conflict rate and unanswerable share grow linearly from their easiest
    values (1, 0, 0, 0) to the study's levels over the first :data:`RISE` of the steps and then stay there. Steps are
    stated by the study, so the world at a step is a function of the settings alone, and a resumed run meets the same.
    """
    if settings.train.curriculum == "fixed":
        return settings
    whole = max(1, round(RISE * settings.train.steps))
    share = min(1.0, (step + 1) / whole)
    world = settings.world
    grown = world.model_copy(
        update={
            "hops": 1 + int(share * (world.hops - 1)),
            "distractors": int(share * world.distractors),
            "conflict_rate": share * world.conflict_rate,
            "unanswerable_share": share * world.unanswerable_share,
        }
    )
    return settings.model_copy(update={"world": grown})
