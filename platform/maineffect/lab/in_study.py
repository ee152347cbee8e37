"""The built-in trainable in a study's folder: what it checks, reads and hashes there when a corpus is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from maineffect.contracts import RunContext, RunRequest, RunResult
from maineffect.errors import MaineffectError, Problem
from maineffect.lab.applicable import misplaced
from maineffect.lab.machine import check_resources, lacks
from maineffect.lab.settings import LabSettings
from maineffect.lab.start import clone_file, clones, start_seed
from maineffect.preparation import Preparation
from maineffect.seeds import derive_seed

__all__ = ["InStudy", "baselines", "code_files", "preparations", "response_names", "shortened"]


@dataclass(frozen=True)
class InStudy:
    """Trains search agents on what lies in one study's folder; implements :class:`maineffect.contracts.Trainable`."""

    folder: Path
    settings_model: ClassVar[type[LabSettings]] = LabSettings

    def __call__(self, request: RunRequest, context: RunContext, /) -> RunResult:
        """Train one search agent with one seed."""
        from maineffect.lab.training import train_in

        return train_in(self.folder, request, context)

    def preparations(self, request: RunRequest, /) -> tuple[Preparation, ...]:
        """See :func:`preparations`."""
        return preparations(request, self.folder)

    def prepare(self, request: RunRequest, context: RunContext, /) -> None:
        """Make a warm start, as a run of its own."""
        from maineffect.lab.training import make_warm_start

        make_warm_start(self.folder, request, context)

    def check_run(self, settings: Mapping[str, Any], drives: Mapping[str, str]) -> list[Problem]:
        """What is wrong with where a cell's questions come from, before anything runs."""
        valid = LabSettings.model_validate(dict(settings))
        if reason := misplaced(valid) or _unknown_probes(valid):
            return [Problem(reason, "settings")]
        if valid.world.corpus is None:
            return []
        return _corpus_problems(valid, drives, self.folder)

    def check_resources(self, settings: Mapping[str, Any], resources: Mapping[str, Any]) -> list[Problem]:
        """See :func:`maineffect.lab.machine.check_resources`."""
        return check_resources(settings, resources)

    def lacks(self, settings: Mapping[str, Any]) -> list[Problem]:
        """See :func:`maineffect.lab.machine.lacks`."""
        return lacks(settings)

    def pin(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings with the digest of their corpus, so that another corpus is another plan, and other runs."""
        if (named := _corpus(settings)) is None:
            return settings
        from maineffect.lab.corpus.load import load_corpus

        return {**settings, "world": {**settings["world"], "corpus_digest": load_corpus(self.folder / named).digest}}

    def code_files(self, settings: Mapping[str, Any]) -> list[Path]:
        """See :func:`code_files`."""
        return code_files(settings, self.folder)

    def response_names(self, settings: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """See :func:`response_names`."""
        return response_names(settings)

    def shortened(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """See :func:`shortened`."""
        return shortened(settings)

    def baselines(self, settings: Mapping[str, Any], evaluation_seed: int) -> list[dict[str, Any]]:
        """See :func:`baselines`."""
        return baselines(settings, evaluation_seed, self.folder)


def preparations(request: RunRequest, folder: Path | None = None) -> tuple[Preparation, ...]:
    """The clone that a run starts from, if it starts from one."""
    from maineffect.lab.questions.source import open_source

    settings = LabSettings.model_validate(dict(request.settings))
    if not clones(settings):
        return ()
    seed = start_seed(settings, request.base_seed, derive_seed(request.seed, "init"))
    file = clone_file(settings, seed, open_source(settings, folder, request.evaluation_seed))
    return (Preparation("warm start", file, request.settings, seed, (file,)),)


def response_names(settings: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The responses that a run with these settings returns."""
    from maineffect.lab.evaluate.metrics import REGIME_RESPONSES, given_by

    if _corpus(settings) is None:
        return (*given_by(_probes(settings)), *REGIME_RESPONSES)
    from maineffect.lab.corpus.battery import CORPUS_RESPONSES

    return (*CORPUS_RESPONSES, *REGIME_RESPONSES)


def shortened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that takes seconds and goes the whole way: few steps, few items, the same world."""
    most = {
        "warmstart": {"steps": 4, "batch": 8},
        "train": {"steps": 2, "prompts": 2, "group_size": 4},
        "evaluation": {"items": 4, "pairs": 2, "regime_episodes": 8, "transcripts": 1},
    }
    whole = LabSettings.model_validate(dict(settings)).model_dump()
    short = {name: dict(part) if isinstance(part, Mapping) else part for name, part in settings.items()}
    for section, limits in most.items():
        short[section] = short.get(section, {}) | {
            name: min(limit, whole[section][name]) for name, limit in limits.items()
        }
    return short


def baselines(settings: Mapping[str, Any], evaluation_seed: int, folder: Path | None = None) -> list[dict[str, Any]]:
    """Responses of scripted policies on a study's frozen items."""
    from maineffect.lab.questions.source import open_source

    valid = LabSettings.model_validate(dict(settings))
    return open_source(valid, folder, evaluation_seed).baselines(valid, evaluation_seed)


def code_files(settings: Mapping[str, Any], folder: Path | None = None) -> list[Path]:
    """Files of the study's folder that decide what a run does: the corpus, and modules that an embedding may be in.

    They are part of the version of the code, so a run on another corpus is never taken for one on this.
    """
    named = _corpus(settings)
    if named is None or folder is None:
        return []
    from maineffect.lab.corpus.load import corpus_files

    path = folder / named
    candidates = [*corpus_files(path), *folder.glob("*.py")]
    return sorted({file for file in candidates if file.is_file() and _inside(named)})


def _corpus(settings: Mapping[str, Any] | None) -> str | None:
    world = (settings or {}).get("world")
    named = world.get("corpus") if isinstance(world, Mapping) else None
    return named if isinstance(named, str) and named else None


def _probes(settings: Mapping[str, Any] | None) -> tuple[str, ...]:
    evaluation = (settings or {}).get("evaluation")
    named = evaluation.get("probes") if isinstance(evaluation, Mapping) else None
    return tuple(named or ())


def _unknown_probes(settings: LabSettings) -> str:
    """Which name in ``evaluation.probes`` no probe has, in one sentence; empty if there is none."""
    if not settings.evaluation.probes:
        return ""
    from maineffect.lab.evaluate.battery import KNOCK_OUT
    from maineffect.lab.evaluate.probes import PAIRED, SINGLE

    names = [probe.name for probe in (*SINGLE, *PAIRED, KNOCK_OUT)]
    unknown = [name for name in settings.evaluation.probes if name not in names]
    return f"evaluation.probes: no probe {unknown[0]!r}; there are {', '.join(names)}" if unknown else ""


def _inside(named: str) -> bool:
    path = PurePosixPath(named)
    return not path.is_absolute() and ".." not in path.parts


def _corpus_problems(settings: LabSettings, drives: Mapping[str, str], folder: Path) -> list[Problem]:
    from maineffect.lab.corpus.index import open_embedding
    from maineffect.lab.questions.source import open_source

    where, named = "settings.world.corpus", settings.world.corpus or ""
    for name, path in drives.items():
        if path in ("world.corpus", "evaluation.held_out", "evaluation.together", "evaluation.index"):
            hint = "all runs of a study are evaluated on the same questions; make two studies"
            return [Problem(f"{path} cannot be a factor", f"factors.{name}", hint=hint)]
    if not _inside(named):
        hint = "put it beside the study file and give the path from there, so that it travels with the study"
        return [Problem(f"the corpus {named!r} is outside the study's folder", where, hint=hint)]
    if settings.policy.model is None:
        hint = "name a language model: policy.model"
        return [Problem("the tiny policy knows a closed list of words and cannot read a corpus", where, hint=hint)]
    try:
        open_source(settings, folder)
        for index in (settings.retriever.index, settings.evaluation.index):
            where = "settings.retriever.index"
            open_embedding(index, folder)
    except MaineffectError as error:
        return [Problem(error.message, where, hint=error.hint)]
    return []
