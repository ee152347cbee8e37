"""All randomness of one question, drawn at once and by name, so that no factor moves another one's draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from maineffect.lab.settings import WorldSettings
from maineffect.lab.world.facts import RELIABLE, UNRELIABLE, UNSIGNED_TIER
from maineffect.lab.world.vocabulary import (
    ENTITIES,
    NEUTRAL_SOURCES,
    RELATIONS,
    RELIABLE_SOURCES,
    UNRELIABLE_SOURCES,
    UNSIGNED,
)
from maineffect.seeds import generator

__all__ = ["MOST_HOPS", "Draws", "Sources", "answer_order", "draw", "prior"]

MOST_HOPS = 4
_MOST_DISTRACTORS = 16


@dataclass(frozen=True)
class Draws:
    """Uniform numbers and orders of one question.

    Attributes:
        events: Which events happen (16).
        hop: Per hop: tiers, dates, sources (4, 16).
        crowd: Per hop and distractor (4, 16, 4).
        gumbel: One standard Gumbel number per entity, for the skewed order of answers.
        entities: Every entity, in this world's order.
        relations: Every relation, in this world's order.
        names: This world's order of neutral source names.
    """

    events: tuple[float, ...]
    hop: tuple[tuple[float, ...], ...]
    crowd: list[list[list[float]]]
    gumbel: NDArray[np.float64]
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    names: tuple[str, ...]


def draw(seed: int) -> Draws:
    """Draw everything that any question of this seed may need."""
    rng = np.random.Generator(np.random.PCG64(seed))
    flat = rng.random(16 + MOST_HOPS * 16 + MOST_HOPS * _MOST_DISTRACTORS * 4)
    head = 16 + MOST_HOPS * 16
    hop = flat[16:head].reshape(MOST_HOPS, 16).tolist()
    return Draws(
        events=tuple(flat[:16].tolist()),
        hop=tuple(tuple(row) for row in hop),
        crowd=flat[head:].reshape(MOST_HOPS, _MOST_DISTRACTORS, 4).tolist(),
        gumbel=rng.gumbel(size=len(ENTITIES)),
        entities=tuple(ENTITIES[i] for i in rng.permutation(len(ENTITIES)).tolist()),
        relations=tuple(RELATIONS[i] for i in rng.permutation(len(RELATIONS)).tolist()),
        names=tuple(NEUTRAL_SOURCES[i] for i in rng.permutation(len(NEUTRAL_SOURCES)).tolist()),
    )


@lru_cache(maxsize=len(RELATIONS))
def prior(relation: str) -> dict[str, str]:
    """The facts that are the same in every world: entity → value of a relation, a permutation without fixed points."""
    order = generator(0, "prior", relation).permutation(len(ENTITIES)).tolist()
    return {ENTITIES[a]: ENTITIES[b] for a, b in zip(order, order[1:] + order[:1], strict=True)}


def answer_order(draws: Draws, settings: WorldSettings, path: tuple[str, ...]) -> list[str]:
    """Entities that are not on the path, in the order in which they serve as values of the last relation.

    With a Zipf exponent s the k-th name has weight k^(−s); the order is a sample without replacement by the Gumbel
    trick (Yellott 1977, J. Math. Psychol. 15:109–144). Every value of the last hop comes from here, true or not, so
    that a frequent value does not tell the truth.
    """
    if settings.answers == len(ENTITIES) and settings.answer_skew == 0:
        return [name for name in draws.entities if name not in path]
    rank = np.arange(1, settings.answers + 1)
    keys = draws.gumbel[: settings.answers] - settings.answer_skew * np.log(rank)
    common = [ENTITIES[i] for i in np.argsort(-keys, kind="stable").tolist()]
    few = set(common)
    rest = [name for name in draws.entities if name not in few]
    return [name for name in common + rest if name not in path]


class Sources:
    """Names of this world's sources by tier."""

    def __init__(self, draws: Draws, settings: WorldSettings) -> None:
        fixed = settings.source_names == "fixed"
        self.reliable = RELIABLE_SOURCES if fixed else draws.names[:4]
        self.unreliable = UNRELIABLE_SOURCES if fixed else draws.names[4:]
        self.trusted = tuple(sorted(self.reliable)) if settings.source_names == "stated" else ()

    def name(self, tier: int, uniform: float, *, after: int = 0) -> str:
        """A source of a tier; ``after`` steps to another one than the same number gave."""
        if tier == UNSIGNED_TIER:
            return UNSIGNED
        names = {RELIABLE: self.reliable, UNRELIABLE: self.unreliable}[tier]
        return names[(int(uniform * len(names)) + after) % len(names)]
