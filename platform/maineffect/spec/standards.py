"""Experimental standards as code: what a careful reader would ask of a study before it costs GPU-hours."""

from __future__ import annotations

from collections.abc import Iterator

from maineffect.errors import Problem
from maineffect.spec.study import Correction, StudySpec

__all__ = ["standards"]


def standards(study: StudySpec) -> list[Problem]:
    """Warnings about a valid study; none of them stops it."""
    return list(_replication(study)) + list(_margins(study)) + list(_claims(study)) + list(_confounders(study))


def _replication(study: StudySpec) -> Iterator[Problem]:
    if study.design.replicates == 1 and study.design.kind not in {"definitive_screening"}:
        yield Problem(
            "no replicates: seed variance cannot be told from effects",
            "design.replicates",
            hint="set replicates: 2 or more, or read effects by Lenth's method as exploration",
        )


def _margins(study: StudySpec) -> Iterator[Problem]:
    used = {hypothesis.response for hypothesis in study.hypotheses}
    for name, response in study.responses.items():
        if response.smallest_effect is None and (name in used or not used):
            yield Problem(
                f"response {name!r} states no smallest effect of interest: an effect can never be called negligible",
                f"responses.{name}.smallest_effect",
                hint="state the smallest effect that would change a decision",
            )


def _claims(study: StudySpec) -> Iterator[Problem]:
    if not study.hypotheses:
        yield Problem("no hypotheses: every finding will be exploratory", "hypotheses", hint="register what you expect")
    if len(study.hypotheses) > 1 and study.analysis.correction is Correction.NONE:
        yield Problem(
            f"{len(study.hypotheses)} hypotheses without correction for multiplicity",
            "analysis.correction",
            hint="use holm",
        )


def _confounders(study: StudySpec) -> Iterator[Problem]:
    train = study.settings.get("train")
    varies_world = any(factor.setting.startswith("world.") for factor in study.factors.values())
    if isinstance(train, dict) and train.get("advantage") in {"std", "batch"} and varies_world:
        yield Problem(
            "advantages are divided by their spread, so a world factor also changes the step size",
            "settings.train.advantage",
            hint="use advantage: mean, or make it a factor",
        )
