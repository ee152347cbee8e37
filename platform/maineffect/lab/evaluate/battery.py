"""The frozen battery: the same items for every run of a sweep, from the study's evaluation seed.

Questions never occur in training: their seeds descend from the evaluation seed, not from a run's. Whatever a cell
changes about world, retriever or budget, it does not change the battery.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from maineffect.lab.evaluate.edits import keeping
from maineffect.lab.evaluate.probes import PAIRED, SINGLE, Member, Probe, members
from maineffect.lab.settings import EpisodeSettings, LabSettings, RetrieverSettings, WorldSettings
from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.families import EVALUATION

__all__ = ["HARDEST", "KNOCK_OUT", "Battery", "Item", "build_battery", "knock_outs", "spoken_as", "widest"]


@dataclass(frozen=True)
class Difficulty:
    """Dials of one version of the battery: how crowded, how alike, how long.

    Attributes:
        hops: Longest path of probes that do not fix theirs.
        distractors: Fewest distractors per hop.
    """

    hops: int = 2
    distractors: int = 3
    kind: Literal["same_relation", "near_name"] = "same_relation"
    top_k: int = 4
    snippet: Literal["sourced", "padded"] = "sourced"
    budget: int = 3


_DIFFICULTIES = (
    Difficulty(),
    Difficulty(distractors=6, top_k=6),
    Difficulty(hops=3, distractors=9, kind="near_name", top_k=8, budget=4),
    Difficulty(hops=4, distractors=12, kind="near_name", top_k=8, snippet="padded", budget=5),
)
HARDEST = len(_DIFFICULTIES) - 1

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
        return SearchEpisode(
            member.question, self.settings, miss_first=member.miss_first, ranks=member.ranks, held_out=True
        )


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
    items: list[Item] = []
    shared: dict[tuple[int, int], LabSettings] = {}
    for probes, count in ((SINGLE, plan.items), ((*PAIRED, KNOCK_OUT), plan.pairs)):
        for probe in probes:
            if plan.probes and probe.name not in plan.probes:
                continue
            for index in range(count):
                level = 0 if index < plan.anchors else plan.difficulty
                pair_id = f"{probe.name}-{index:03}"
                worlds = members(probe, evaluation_seed, index, _world(level, settings), _DIFFICULTIES[level].hops)
                for member in worlds:
                    budget = _DIFFICULTIES[level].budget if member.budget is None else member.budget
                    if (level, budget) not in shared:
                        shared[level, budget] = _settings(settings, level, budget)
                    name = f"{pair_id}{member.world}"
                    items.append(Item(name, pair_id, probe, member, shared[level, budget]))
    content = "\n".join(f"{item.item_id} {item.member}" for item in items)
    if settings.world.language == "english":
        content += f"\n{EVALUATION}"  # the sentences in which the items are put
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
        member = Member(letter, question, expected=expected)
        made.append(replace(item, item_id=f"{item.pair_id}{letter}", member=member))
    return made


def widest(difficulty: int) -> LabSettings:
    """Settings of the longest transcript of any probe."""
    loudest = {"staleness": 1.0, "adversary": "instruction"}
    world = _world(difficulty, LabSettings()).model_copy(update=loudest)
    episode = EpisodeSettings(budget=_DIFFICULTIES[difficulty].budget)
    return LabSettings(world=world, retriever=_retriever(difficulty), episode=episode)


def _world(difficulty: int, settings: LabSettings) -> WorldSettings:
    dials = _DIFFICULTIES[difficulty]
    return WorldSettings(
        hops=dials.hops,
        distractors=dials.distractors,
        distractor_kind=dials.kind,
        reliability_gap=1.0,
        language=settings.world.language,
    )


def _retriever(difficulty: int) -> RetrieverSettings:
    dials = _DIFFICULTIES[difficulty]
    return RetrieverSettings(top_k=dials.top_k, snippet=dials.snippet)


def spoken_as(settings: LabSettings, budget: int) -> EpisodeSettings:
    """An evaluated episode: its own budget, and the form in which the run's policy was taught to act."""
    own = settings.episode
    return EpisodeSettings(
        budget=budget, form=own.form, reasoning=own.reasoning, counts=own.counts, max_tokens=own.max_tokens
    )


def _settings(settings: LabSettings, difficulty: int, budget: int) -> LabSettings:
    return LabSettings(
        world=_world(difficulty, settings),
        retriever=_retriever(difficulty),
        episode=spoken_as(settings, budget),
        reward=settings.reward,
    )
