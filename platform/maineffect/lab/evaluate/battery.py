"""The frozen battery: the same items for every run of a sweep, from the study's evaluation seed.

Questions never occur in training: their seeds descend from the evaluation seed, not from a run's. Whatever a cell
changes about world, retriever or budget, it does not change the battery.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from maineffect.lab.evaluate.edits import keeping
from maineffect.lab.evaluate.probes import PAIRED, SINGLE, Member, Probe, members
from maineffect.lab.settings import EpisodeSettings, LabSettings, RetrieverSettings, WorldSettings
from maineffect.lab.world.episode import SearchEpisode

__all__ = ["KNOCK_OUT", "VERSION", "WIDEST", "Battery", "Item", "build_battery", "knock_outs"]

VERSION = 2
_DISTRACTORS = 3
_WORLD = WorldSettings(distractors=_DISTRACTORS, reliability_gap=1.0)
WIDEST = LabSettings(world=_WORLD.model_copy(update={"distractors": 5, "staleness": 1.0, "adversary": "instruction"}))
"""Settings of the longest transcript of any probe."""

KNOCK_OUT = Probe(
    "knock_out",
    "attribution",
    "Does the answer survive when only what was cited is kept, and is it declined when what was cited is gone?",
    lambda draw: [Member("a", draw())],
    hops=1,
    fails={"always abstain": 0.02, "closed book": 0.1, "mode": 0.1, "first document": 0.55},
)
"""Its further worlds depend on what the policy cited: see :func:`knock_outs`."""


@dataclass(frozen=True)
class Item:
    """One world of one evaluation question.

    Attributes:
        item_id: Probe, number, world.
        pair_id: Probe and number: what its worlds share.
    """

    item_id: str
    pair_id: str
    probe: Probe
    member: Member
    settings: LabSettings

    def episode(self) -> SearchEpisode:
        """A fresh episode on the item."""
        member = self.member
        return SearchEpisode(member.question, self.settings, miss_first=member.miss_first, ranks=member.ranks)


@dataclass(frozen=True)
class Battery:
    """Frozen items and the hash of their content."""

    items: tuple[Item, ...]
    digest: str


def build_battery(settings: LabSettings, evaluation_seed: int) -> Battery:
    """Build the battery of a study.

    Args:
        settings: Only ``evaluation``, ``reward`` and the language matter; the run's world must not.
        evaluation_seed: The same for every run of the study.
    """
    plan = settings.evaluation
    base = _WORLD.model_copy(update={"language": settings.world.language})
    items: list[Item] = []
    for probes, count in ((SINGLE, plan.items), ((*PAIRED, KNOCK_OUT), plan.pairs)):
        for probe in probes:
            for index in range(count):
                pair_id = f"{probe.name}-{index:03}"
                worlds = members(probe, evaluation_seed, index, base)
                items += [_item(settings, probe, pair_id, member) for member in worlds]
    content = "\n".join(f"{item.item_id} {item.member}" for item in items)
    return Battery(tuple(items), hashlib.sha256(content.encode()).hexdigest()[:16])


def knock_outs(item: Item, episode: SearchEpisode) -> list[Item]:
    """The worlds that follow from what a policy cited on a knock-out item: only that kept, and only that gone."""
    answer = episode.record.answer
    if answer is None or answer.abstained:
        return []
    documents = range(len(item.member.question.documents))
    cited = {episode.shown[name] for name in answer.cited if name in episode.shown}
    worlds = {"b": cited, "c": set(documents) - cited}
    made = []
    for letter, kept in worlds.items():
        question = keeping(item.member.question, kept)
        # What is expected is the policy's own answer, or declining: the truth of the first world decides in the score.
        expected = answer.value if letter == "b" else "none"
        made.append(_item(item.settings, item.probe, item.pair_id, Member(letter, question, expected=expected)))
    return made


def _item(settings: LabSettings, probe: Probe, pair_id: str, member: Member) -> Item:
    budget = EpisodeSettings().budget if member.budget is None else member.budget
    world = _WORLD.model_copy(update={"language": settings.world.language})
    own = LabSettings(
        world=world,
        retriever=RetrieverSettings(),
        episode=EpisodeSettings(budget=budget, max_tokens=settings.episode.max_tokens),
        reward=settings.reward,
    )
    return Item(f"{pair_id}{member.world}", pair_id, probe, member, own)
