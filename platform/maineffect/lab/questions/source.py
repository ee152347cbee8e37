"""Where questions come from: the generated world, or a corpus. The one place that tells the two apart."""

from __future__ import annotations

from pathlib import Path

from maineffect.errors import UsageError
from maineffect.lab.applicable import misplaced
from maineffect.lab.questions.contract import Questions, Source
from maineffect.lab.questions.generated import Generated
from maineffect.lab.settings import LabSettings

__all__ = ["open_source", "training_questions"]


def open_source(settings: LabSettings, folder: Path | None = None, evaluation_seed: int = 0) -> Source:
    """Where the settings say that questions come from.

    Args:
        settings: ``world.corpus`` names a corpus.
        folder: What its path is relative to: the study's folder; left out, the current one.
        evaluation_seed: Which of a corpus's questions are never trained on.

    Raises:
        UsageError: A setting is not about these questions.
        CorpusError: The corpus cannot be used.
        PluginError: There is no such embedding.
    """
    if reason := misplaced(settings):
        raise UsageError(reason, "`maineffect check STUDY` names the line")
    if settings.world.corpus is None:
        return Generated()
    from maineffect.lab.questions.corpus import open_corpus

    return open_corpus(settings, folder or Path.cwd(), evaluation_seed)


def training_questions(settings: LabSettings, seed: int, *, held_out: bool = False) -> Questions:
    """The sequence of questions that an environment elsewhere trains on; a corpus is named from the current folder.

    Questions that a study with evaluation seed 0 would keep for evaluation are not among them.

    Args:
        held_out: These instead: no question of any training sequence is among them.
    """
    source = open_source(settings)
    return source.held_out(settings, seed) if held_out else source.training(settings, seed)
