"""The frozen battery: the same items for every run of a sweep, from the study's evaluation seed.

Each probe is a small world of its own. Questions never occur in training: their seeds descend from the evaluation
seed, not from a run's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.graph import Question, draw_question
from maineffect.seeds import derive_seed

__all__ = ["PROBES", "Battery", "Item", "Probe", "build_battery"]


@dataclass(frozen=True)
class Probe:
    """A probe: which world, and which capability it speaks of.

    Attributes:
        hops: Exact path length; None for the mix.
        budget: Searches allowed; None for the default.
        miss_first: The retriever fails on the first search.
        score: ``correct`` (the gold answer) or ``abstain`` (declining is right).
    """

    name: str
    capability: str
    hops: int | None = 1
    conflict: bool = False
    unanswerable: bool = False
    miss_first: bool = False
    budget: int | None = None
    score: str = "correct"


PROBES: tuple[Probe, ...] = (
    Probe("one_hop", "reading"),
    Probe("two_hop", "composition", hops=2),
    Probe("conflict", "source weighting", conflict=True),
    Probe("unanswerable", "abstention", hops=None, unanswerable=True, score="abstain"),
    Probe("retriever_failure", "persistence", miss_first=True),
    Probe("closed_book", "abstention", budget=0, score="abstain"),
)


@dataclass(frozen=True)
class Item:
    """One evaluation question."""

    item_id: str
    probe: Probe
    question: Question
    settings: LabSettings

    def episode(self) -> SearchEpisode:
        """A fresh episode on the item."""
        return SearchEpisode(self.question, self.settings, miss_first=self.probe.miss_first)


@dataclass(frozen=True)
class Battery:
    """Frozen items and the hash of their content."""

    items: tuple[Item, ...]
    digest: str


def build_battery(settings: LabSettings, evaluation_seed: int) -> Battery:
    """Build the battery of a study.

    Args:
        settings: Only ``evaluation``, ``reward`` and the transcript length matter; the run's world must not.
        evaluation_seed: The same for every run of the study.
    """
    items = tuple(
        _item(settings, evaluation_seed, probe, i) for probe in PROBES for i in range(settings.evaluation.items)
    )
    content = "\n".join(f"{item.item_id} {item.question}" for item in items)
    return Battery(items, hashlib.sha256(content.encode()).hexdigest()[:16])


def _item(settings: LabSettings, evaluation_seed: int, probe: Probe, index: int) -> Item:
    world = {
        "hops": probe.hops or 2,
        "distractors": 2,
        "conflict_rate": float(probe.conflict),
        "reliability_gap": 1.0,
        "unanswerable_share": float(probe.unanswerable),
    }
    base = LabSettings()
    episode = {
        "max_tokens": settings.episode.max_tokens,
        "budget": base.episode.budget if probe.budget is None else probe.budget,
    }
    own = base.model_copy(
        update={
            "world": base.world.model_copy(update=world),
            "episode": base.episode.model_copy(update=episode),
            "reward": settings.reward,
        }
    )
    # Reject questions of the wrong length: the world draws 1 to ``hops`` of them.
    attempt = 0
    while True:
        question = draw_question(derive_seed(evaluation_seed, probe.name, index, attempt), own.world)
        if probe.hops is None or len(question.relations) == probe.hops:
            return Item(f"{probe.name}-{index:03}", probe, question, own)
        attempt += 1
