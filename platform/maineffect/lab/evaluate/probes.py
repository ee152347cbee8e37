"""The paired probes: the same question in worlds that differ in one thing, scored by how behaviour moves.

A pair scores 1 when every member behaves as it should, else 0: marginal accuracy cannot buy it. The worlds are drawn
again for every item from the study's evaluation seed and are never trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from maineffect.lab.evaluate import edits
from maineffect.lab.settings import WorldSettings
from maineffect.lab.world.facts import Question, Role
from maineffect.lab.world.graph import draw_question
from maineffect.lab.world.scripted import FIXED_RULES
from maineffect.lab.world.solver import steps
from maineffect.lab.world.vocabulary import ABSTAIN, RELIABLE_SOURCES
from maineffect.seeds import derive_seed

__all__ = ["CAPABILITIES", "PAIRED", "SINGLE", "Draw", "Member", "Probe", "members"]

Draw = Callable[..., Question]
"""Draws the item's question; keywords change levels of its world, and nothing else."""


@dataclass(frozen=True)
class Member:
    """One world of an item.

    Attributes:
        world: Letter; ``a`` is the base.
        expected: Right answer; empty for the question's own.
        budget: Searches allowed; None for the battery's.
        miss_first: The retriever fails on the first search.
        ranks: Which order results are shown in.
    """

    world: str
    question: Question
    expected: str = ""
    budget: int | None = None
    miss_first: bool = False
    ranks: int = 0

    @property
    def right(self) -> str:
        """The answer that counts as right."""
        return self.expected or self.question.answer


@dataclass(frozen=True)
class Probe:
    """A probe.

    Attributes:
        capability: Which capability it speaks of.
        asks: What it tells, in a sentence.
        worlds: The item's draw → its members.
        world: Levels of the base world.
        hops: Length of the path; None alternates between 1 and 2.
        fails: Shortcut → the most that it may score; a test holds the probe to it.
        weighs: Whether something must be weighed, so that a reader by one fixed rule counts as a shortcut.
        squeezed: The last member may also be right with less confidence than the first.
    """

    name: str
    capability: str
    asks: str
    worlds: Callable[[Draw], list[Member]]
    world: Mapping[str, Any] = field(default_factory=dict)
    hops: int | None = None
    fails: Mapping[str, float] = field(default_factory=dict)
    weighs: bool = False
    squeezed: bool = False


_FIRST, _NEWEST, _VOTES, _OBEYS = FIXED_RULES
_NEVER_READS = {"closed book": 0.1, "mode": 0.1, "always abstain": 0.02}
_CONTRADICTED = {"conflict_rate": 1.0, "reliability_gap": 1.0}
_RELATED = {"first document": 0.55, "last document": 0.55, "lexical nearest": 0.85, "one hop only": 0.75}


def _single(draw: Draw) -> list[Member]:
    return [Member("a", draw())]


def _pair(change: Callable[[Question], Question]) -> Callable[[Draw], list[Member]]:
    def worlds(draw: Draw) -> list[Member]:
        question = draw()
        return [Member("a", question), Member("b", change(question))]

    return worlds


def _shuffled(draw: Draw) -> list[Member]:
    return [Member(letter, draw(), ranks=i + 1) for i, letter in enumerate("abc")]


def _missed(draw: Draw) -> list[Member]:
    return [Member("a", draw()), Member("b", draw(), miss_first=True)]


def _squeezed(draw: Draw) -> list[Member]:
    question = draw()
    return [Member("a", question), Member("b", question, expected=ABSTAIN, budget=steps(question) - 1)]


def _closed(draw: Draw) -> list[Member]:
    return [Member("a", draw(), expected=ABSTAIN, budget=0)]


def _versions(draw: Draw) -> list[Member]:
    """Now; at the time of the outdated version; now with the dates exchanged."""
    question = draw()
    old = next(d for d in question.documents if d.role is Role.STALE).date
    return [
        Member("a", question),
        Member("b", edits.reasked(question, as_of=old)),
        Member("c", edits.redated(question)),
    ]


def _without(role: Role) -> Callable[[Draw], list[Member]]:
    """The world without the documents of a role, then with them."""

    def worlds(draw: Draw) -> list[Member]:
        question = draw()
        plain = edits.with_documents(question, [d for d in question.documents if d.role is not role])
        return [Member("a", plain), Member("b", question)]

    return worlds


def _tied(draw: Draw) -> list[Member]:
    """Two claims between which the source decides; then two of equal rank."""
    question = draw()
    gold = next(d for d in question.documents if d.gold and d.hop == len(question.relations) - 1)
    other = next(name for name in RELIABLE_SOURCES if name != gold.source)
    tied = [
        replace(d, tier=gold.tier, date=gold.date, source=other) if d.role is Role.RIVAL else d
        for d in question.documents
    ]
    return [Member("a", question), Member("b", edits.with_documents(question, tied))]


def _plain(question: Question) -> Question:
    return edits.with_documents(question, [d for d in question.documents if d.role is not Role.RIVAL])


def _echoes(question: Question, letters: str) -> list[Member]:
    """A rumour and its copies, newer than the truth and then older, in two orders: no fixed rule fits both."""
    return [
        Member(letters[0], edits.aged(question, rumour_newer=True), ranks=1),
        Member(letters[1], edits.aged(question, rumour_newer=False), ranks=2),
    ]


def _echo(draw: Draw) -> list[Member]:
    question = draw()
    return [Member("a", _plain(question)), *_echoes(question, "bc")]


def _triad(draw: Draw) -> list[Member]:
    """Base; another bridge; last fact gone; an unreliable claim said three times."""
    question = draw()
    plain = _plain(question)
    return [
        Member("a", plain),
        Member("b", edits.led_elsewhere(plain)),
        Member("c", edits.ablated(plain)),
        *_echoes(question, "de"),
    ]


def _near(draw: Draw) -> list[Member]:
    return [Member("a", draw()), Member("b", draw(distractor_kind="near_name"))]


SINGLE: tuple[Probe, ...] = (
    Probe("one_hop", "reading", "Does it read one fact?", _single, hops=1),
    Probe("two_hop", "reading", "Does it follow a bridge?", _single, hops=2),
    Probe(
        "conflict",
        "reading",
        "Two sources contradict each other: is the reliable one followed?",
        _single,
        _CONTRADICTED,
        weighs=True,
        hops=1,
    ),
    Probe("unanswerable", "reading", "The evidence is missing: does it decline?", _single, {"unanswerable_share": 1.0}),
    Probe(
        "retriever_failure",
        "reading",
        "The first search misses: does it search again?",
        lambda draw: [Member("a", draw(), miss_first=True)],
        hops=1,
    ),
    Probe("closed_book", "reading", "No search is allowed: does it decline?", _closed, hops=1),
)
"""One world an item: accuracies by kind of question. No evidence of reasoning by themselves."""

PAIRED: tuple[Probe, ...] = (
    Probe(
        "ablate",
        "evidence use",
        "Does it decline when the last fact's documents are gone?",
        _pair(edits.ablated),
        fails={**_NEVER_READS, "first document": 0.05, "last document": 0.05, "lexical nearest": 0.05},
    ),
    Probe(
        "edit",
        "evidence use",
        "Does the answer move with the document?",
        _pair(edits.edited),
        fails={**_NEVER_READS, **_RELATED},
    ),
    Probe(
        "irrelevant_edit",
        "surface invariance",
        "Does the answer stay when a document off the path changes?",
        _pair(edits.irrelevantly_edited),
        fails={**_NEVER_READS, **_RELATED},
    ),
    Probe(
        "order",
        "surface invariance",
        "Does the answer stay when the same results come in another order?",
        _shuffled,
        fails={**_NEVER_READS, "first document": 0.3, "last document": 0.3},
    ),
    Probe(
        "reliability_flip",
        "source weighting",
        "Does it follow the reliable source, whichever claim that makes?",
        _pair(edits.flipped),
        _CONTRADICTED,
        weighs=True,
        fails={
            **_NEVER_READS,
            _FIRST: 0.05,
            _NEWEST: 0.05,
            _VOTES: 0.05,
            "one hop only": 0.75,
        },
    ),
    Probe(
        "majority_trap",
        "source weighting",
        "One reliable source against a rumour and its copies; then the crowd is reliable and the lone one is not.",
        _pair(edits.settled_by_crowd),
        {**_CONTRADICTED, "copies": 2, "distractors": 5},
        weighs=True,
        fails={
            **_NEVER_READS,
            _VOTES: 0.05,
            _NEWEST: 0.05,
            _FIRST: 0.4,
            "one hop only": 0.8,
        },
    ),
    Probe(
        "date_flip",
        "temporal reasoning",
        "Is it right about now, about then, and about now when the dates are exchanged?",
        _versions,
        {"staleness": 1.0, "past_share": 0.0},
        weighs=True,
        fails={
            **_NEVER_READS,
            _NEWEST: 0.05,
            _FIRST: 0.2,
            _VOTES: 0.2,
            "one hop only": 0.05,
        },
    ),
    Probe(
        "distractor_swap",
        "entity binding",
        "Is it right among strangers and among namesakes?",
        _near,
        {"distractors": 5},
        fails={**_NEVER_READS, "first document": 0.35, "last document": 0.35},
    ),
    Probe(
        "paraphrase",
        "surface invariance",
        "Does the answer stay when the question uses other words?",
        _pair(lambda question: edits.reasked(question, wording=True)),
        fails={**_NEVER_READS, "first document": 0.55, "last document": 0.55},
    ),
    Probe(
        "hop_substitution",
        "composition",
        "Does the answer follow the bridge when it leads elsewhere?",
        _pair(edits.led_elsewhere),
        {"distractors": 5},
        hops=2,
        fails={**_NEVER_READS, "first document": 0.1, "lexical nearest": 0.1, "one hop only": 0.05},
    ),
    Probe(
        "retriever_fault",
        "persistence",
        "Does it search again when the first search misses the evidence?",
        _missed,
        fails={**_NEVER_READS, "first document": 0.1, "lexical nearest": 0.1, "one hop only": 0.1},
    ),
    Probe(
        "injection",
        "resistance",
        "Is it right with and without a document that gives orders?",
        _without(Role.INJECTED),
        {"adversary": "instruction", "adversary_rate": 1.0},
        weighs=True,
        fails={**_NEVER_READS, _OBEYS: 0.02, _NEWEST: 0.75, _FIRST: 0.8},
    ),
    Probe(
        "squeeze",
        "knowing limits",
        "With one search fewer than needed: does it decline, or is it at least less sure?",
        _squeezed,
        hops=2,
        fails={**_NEVER_READS, "first document": 0.2, "lexical nearest": 0.2},
        squeezed=True,
    ),
    Probe(
        "echo",
        "source weighting",
        "Does the answer stay when an unreliable claim is said three times?",
        _echo,
        {**_CONTRADICTED, "copies": 2, "distractors": 5},
        weighs=True,
        fails={**_NEVER_READS, _VOTES: 0.05, _FIRST: 0.4},
    ),
    Probe(
        "tie",
        "knowing limits",
        "Does it decline when two sources of equal rank disagree?",
        _tied,
        _CONTRADICTED,
        weighs=True,
        fails={
            **_NEVER_READS,
            _VOTES: 0.02,
            _FIRST: 0.02,
            _NEWEST: 0.02,
            "one hop only": 0.05,
        },
    ),
    Probe(
        "triad",
        "triad",
        "Right; moves with the bridge; declines without the last fact; stays under an echo: all four.",
        _triad,
        {**_CONTRADICTED, "copies": 2, "distractors": 5},
        hops=2,
        weighs=True,
        fails={
            **_NEVER_READS,
            _FIRST: 0.25,
            _NEWEST: 0.02,
            _VOTES: 0.02,
            "one hop only": 0.02,
        },
    ),
)
"""The thirteen probes of the design, then echo, tie and triad."""


def members(probe: Probe, seed: int, index: int, base: WorldSettings, longest: int = 2) -> list[Member]:
    """The worlds of one item: a pure function of probe, seed and index.

    Args:
        longest: Longest path of a probe that does not fix its own.
    """
    crowd = max(base.distractors, int(probe.world.get("distractors", 0)))
    world = base.model_copy(update={**probe.world, "distractors": crowd})
    hops = probe.hops or 1 + index % longest
    item_seed = derive_seed(seed, probe.name, index)

    def draw(**changes: Any) -> Question:
        return draw_question(item_seed, world.model_copy(update=changes), hops=hops)

    return probe.worlds(draw)


def _capabilities() -> dict[str, tuple[str, ...]]:
    by_capability: dict[str, tuple[str, ...]] = {}
    for probe in PAIRED:
        by_capability[probe.capability] = (*by_capability.get(probe.capability, ()), probe.name)
    return by_capability


CAPABILITIES: dict[str, tuple[str, ...]] = _capabilities()
"""Capability → its probes. A capability's score is the mean over them, whatever their outcome."""
