"""Experimental standards as code: what a careful reader would ask of a study before it costs GPU-hours."""

from __future__ import annotations

import re
from collections.abc import Iterator

from maineffect.errors import Problem
from maineffect.spec.crosscheck import same_level
from maineffect.spec.factors import FactorKind
from maineffect.spec.requests import ListRequest
from maineffect.spec.responses import Direction
from maineffect.spec.study import SEEDS_TO_FLIP, Correction, StudySpec

__all__ = ["standards"]

_MANY = 10
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_ENVIRONMENT = ("world.", "retriever.", "episode.", "reward.")


def standards(study: StudySpec) -> list[Problem]:
    """Warnings about a valid study; none of them stops it."""
    warnings = [
        *_kinds_of_levels(study),
        *_replication(study),
        *_control(study),
        *_margins(study),
        *_claims(study),
        *_confounders(study),
    ]
    return [*warnings, *_seeds(study), *_sequential(study), *_budget(study)]


def _kinds_of_levels(study: StudySpec) -> Iterator[Problem]:
    """Levels that are not what they look like: a word among numbers, a number in quotes."""
    for name, factor in study.factors.items():
        kinds = [_kind(level) for level in factor.levels]
        first = {kind: factor.levels[kinds.index(kind)] for kind in dict.fromkeys(kinds)}
        if len(first) > 1:
            of = " and ".join(f"{level!r} is a {kind}" for kind, level in first.items())
            hint = "write them all as words, or all as numbers"
            yield Problem(f"levels are of different kinds: {of}", f"factors.{name}.levels", hint=hint)
        elif "word" in first and all(_NUMBER.fullmatch(str(level)) for level in factor.levels):
            said = f"{factor.levels[0]!r} in quotes is a word: there is no trend over {name}"
            yield Problem(said, f"factors.{name}.levels", hint="write numbers without quotes")


def _kind(level: object) -> str:
    return "truth value" if isinstance(level, bool) else "word" if isinstance(level, str) else "number"


def _replication(study: StudySpec) -> Iterator[Problem]:
    measured = {"definitive_screening", "central_composite", "box_behnken"}  # by centre runs
    if study.design.replicates == 1 and study.design.kind not in measured:
        yield Problem(
            "no replicates: seed variance cannot be told from effects",
            "design.replicates",
            hint="set replicates: 2 or more, or read effects by Lenth's method as exploration",
        )


def _seeds(study: StudySpec) -> Iterator[Problem]:
    """What verdicts are about where runs share seeds."""
    count = study.design.replicates
    if not study.design.common_random_numbers or count == 1:
        return
    if study.analysis.inference is None:
        yield Problem(
            "the runs of a replicate share their seed: verdicts hold for these seeds only",
            "design.common_random_numbers",
            hint="drop it, so that every run has its own seed, or state analysis.inference",
        )
    elif study.analysis.over_seeds and count < SEEDS_TO_FLIP:
        yield Problem(
            f"{count} replicates with shared seeds: a t with {count - 1} degrees of freedom finds large effects only, "
            "and there is no randomisation test",
            "design.replicates",
            hint=f"set replicates: {SEEDS_TO_FLIP} or more",
        )


def _control(study: StudySpec) -> Iterator[Problem]:
    """Hand-written cells need one that stands for "nothing changed"; factorials have low levels for that."""
    if not isinstance(study.design, ListRequest):
        return
    firsts = {name: factor.levels[0] for name, factor in study.factors.items()}
    if not any(all(same_level(cell.get(name), level) for name, level in firsts.items()) for cell in study.design.cells):
        yield Problem(
            "no cell holds every factor at its first level: nothing serves as a baseline",
            "design.cells",
            hint=f"add the cell {firsts}",
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
    count = len(study.hypotheses)
    if count > 1 and study.analysis.correction is Correction.NONE:
        yield Problem(
            f"{count} hypotheses without correction for multiplicity: a false finding has a chance of up to "
            f"{min(1.0, count * study.analysis.alpha):.0%}",
            "analysis.correction",
            hint="use holm",
        )
    if count > _MANY:
        yield Problem(
            f"{count} hypotheses: each is tested at a small share of alpha",
            "hypotheses",
            hint=f"register the {_MANY} or fewer that decide something; the rest is still reported, as exploration",
        )
    for i, hypothesis in enumerate(study.hypotheses):
        parts = [study.factors[name] for name in hypothesis.term.removesuffix("^2").split(":") if name in study.factors]
        directed = hypothesis.direction in {Direction.INCREASE, Direction.DECREASE}
        if directed and any(len(f.levels) > 2 and f.kind is FactorKind.CATEGORICAL for f in parts):
            yield Problem(
                f"{hypothesis.id} claims a direction over unordered levels",
                f"hypotheses.{i}.direction",
                hint="use two levels, kind: ordinal, or direction: different",
            )


def _sequential(study: StudySpec) -> Iterator[Problem]:
    """Looks that can never stop a sweep."""
    rule = study.analysis.sequential
    if rule is None or not rule.stop:
        return
    if study.design.replicates < 2:
        yield Problem(
            "one replicate is one wave: there is no interim look", "analysis.sequential", hint="add replicates"
        )
    if not study.hypotheses:
        yield Problem("no hypothesis that a look could decide", "analysis.sequential", hint="register one")
    same = [h.id for h in study.hypotheses if h.direction is Direction.NEGLIGIBLE]
    if same:
        yield Problem(
            f"looks never end the sweep, because {', '.join(same)} is decided at the last one only",
            "analysis.sequential.stop",
            hint="register what is to be negligible in a study of its own, or state stop: false",
        )


def _confounders(study: StudySpec) -> Iterator[Problem]:
    train = study.settings.get("train")
    varied = [name for name, factor in study.factors.items() if factor.setting.startswith(_ENVIRONMENT)]
    if isinstance(train, dict) and train.get("advantage") in {"std", "batch"} and varied:
        yield Problem(
            f"advantages are divided by their spread, so {', '.join(varied)} also change(s) the step size",
            "settings.train.advantage",
            hint="use advantage: mean, or make it a factor",
        )


def _budget(study: StudySpec) -> Iterator[Problem]:
    """A limit that can never be reached is no limit."""
    budget, resources = study.budget, study.resources
    gpus = resources.gpus + sum(bundle.get("GPU", 0.0) for bundle in resources.bundles)
    if budget.gpu_hours is not None and not gpus:
        yield Problem(
            "the budget limits GPU-hours, and no run uses a GPU: it never stops anything",
            "budget.gpu_hours",
            hint="limit cpu_hours, or state resources.gpus",
        )
    if budget.price is not None and not (resources.gpu_hour_price * gpus or resources.cpu_hour_price):
        yield Problem(
            "the budget limits the price, and an hour of a run costs nothing: it never stops anything",
            "budget.price",
            hint="state resources.gpu_hour_price or resources.cpu_hour_price",
        )
