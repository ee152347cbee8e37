"""Which settings are about an imported corpus, which are about the generated world, and which are about both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from maineffect.lab.settings import LabSettings, WorldSettings

__all__ = ["misplaced", "world_of"]

_BOTH = frozenset(
    {
        "language",
        "distractors",
        "conflict_rate",
        "unanswerable_share",
        "adversary",
        "adversary_rate",
        "corpus",
        "corpus_digest",
    }
)
"""Settings of the world that injection into a corpus follows as well."""
_OF_WORDS = (("tags", "allowed"), ("tags", "refused"))
_CORPUS_ONLY = (
    ("world", "corpus_digest"),
    ("retriever", "index"),
    ("evaluation", "index"),
    ("evaluation", "held_out"),
    ("evaluation", "together"),
)


def misplaced(settings: LabSettings) -> str:
    """Why the settings do not fit where the questions come from, in one sentence; empty if they fit.

    A setting at its default is never misplaced, whoever wrote it.
    """
    if settings.world.language == "words" and (settings.episode.form, settings.episode.reasoning) not in _OF_WORDS:
        return "episode.form tools and episode.reasoning asked cannot be said in words: set world.language to english"
    if settings.world.corpus is None:
        away = [f"{section}.{name}" for section, name in _CORPUS_ONLY if _away(getattr(settings, section), name)]
        return f"{', '.join(away)}: only for an imported corpus; set world.corpus, or leave it out" if away else ""
    if settings.world.language != "english":
        return "an imported corpus is in natural language: set world.language to english"
    away = [f"world.{name}" for name in type(settings.world).model_fields if name not in _BOTH]
    away = [path for path in away if _away(settings.world, path.partition(".")[2])]
    shown, usual = settings.warmstart.world, type(settings.warmstart)().world
    others = [name for name in type(shown).model_fields if name not in _BOTH - {"corpus"}]
    away += [f"warmstart.world.{name}" for name in others if getattr(shown, name) != getattr(usual, name)]
    away += ["retriever.snippet padded"] if settings.retriever.snippet == "padded" else []
    away += [f"evaluation.{name}" for name in ("anchors", "probes") if _away(settings.evaluation, name)]
    return f"{', '.join(away)}: not for an imported corpus; leave it out" if away else ""


def world_of(world: WorldSettings, settings: LabSettings) -> WorldSettings:
    """A world that is not the run's own (of the demonstrations, of the regimes) over the run's documents."""
    update: dict[str, Any] = {"language": settings.world.language}
    if settings.world.corpus is not None:
        fields = type(world).model_fields
        update |= {name: field.default for name, field in fields.items() if name not in _BOTH}
        update["corpus"] = settings.world.corpus
    return world.model_copy(update=update)


def _away(section: BaseModel, name: str) -> bool:
    return bool(getattr(section, name) != type(section).model_fields[name].default)
