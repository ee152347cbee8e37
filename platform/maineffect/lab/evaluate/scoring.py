"""Played items → tidy rows: what was asked, what was done, and how it scored alone and with its pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from maineffect.lab.evaluate.battery import KNOCK_OUT, Battery, Item, knock_outs
from maineffect.lab.evaluate.probes import PAIRED
from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.protocol import Answer
from maineffect.lab.world.scripted import Policy, play

__all__ = ["Played", "play_battery", "scripted_player", "stated_confidence"]

Player = Callable[[Sequence[SearchEpisode]], Sequence[int]]
"""Plays fresh episodes to their ends; returns the tokens of each."""

_UNSTATED = float("nan")
_SQUEEZED = frozenset(probe.name for probe in PAIRED if probe.squeezed)


class Played:
    """A battery that one policy has played.

    Attributes:
        items: The battery's, then those that follow from what the policy cited.
        episodes: Finished, in the same order.
        rows: One tidy row per item.
    """

    def __init__(self, items: Sequence[Item], episodes: Sequence[SearchEpisode], tokens: Sequence[int]) -> None:
        self.items, self.episodes = items, episodes
        self.rows = [_row(*played) for played in zip(items, episodes, tokens, strict=True)]
        _score_pairs(self.rows)


def play_battery(battery: Battery, player: Player) -> Played:
    """Let a policy play every item, and then the worlds that follow from its citations."""
    items = list(battery.items)
    episodes = [item.episode() for item in items]
    tokens = list(player(episodes))
    later = [
        new
        for item, episode in zip(items, episodes, strict=True)
        if item.probe is KNOCK_OUT
        for new in knock_outs(item, episode)
    ]
    more = [item.episode() for item in later]
    tokens += player(more) if more else []
    return Played([*items, *later], [*episodes, *more], tokens)


def scripted_player(make: Callable[[int], Policy]) -> Player:
    """A player from the maker of a scripted policy for the i-th episode."""

    def player(episodes: Sequence[SearchEpisode]) -> Sequence[int]:
        return [sum(len(text.split()) for text, _ in play(e, make(i))[1]) for i, e in enumerate(episodes)]

    return player


def stated_confidence(answer: Answer | None) -> float:
    """The confidence that an answer states; not a number where there is none, or none could be read."""
    return _UNSTATED if answer is None or answer.confidence is None else answer.confidence


def _row(item: Item, episode: SearchEpisode, tokens: int) -> dict[str, Any]:
    record, answer, member = episode.record, episode.record.answer, item.member
    value = answer.value if answer is not None else ""
    score = float(answer is not None and value == member.right)
    return {
        "item_id": item.item_id,
        "probe": item.probe.name,
        "pair_id": item.pair_id,
        "world": member.world,
        "capability": item.probe.capability,
        "regime": "battery",
        "score": score,
        "pair_score": score,
        "correct": episode.question.answerable and value == episode.question.answer,
        "abstained": answer is not None and answer.abstained,
        "answer": value,
        "gold": member.right,
        "confidence": stated_confidence(answer),
        "cited": " ".join(answer.cited) if answer is not None else "",
        "gold_docs": " ".join(episode.gold_ids),
        "gold_statements": "; ".join(" ".join(sorted(names)) for names in episode.gold_statements),
        "hops": len(member.question.relations),
        "searches": len(record.searches),
        "tokens": tokens,
        "stop": record.stop.value if record.stop is not None else "",
    }


def _score_pairs(rows: Sequence[dict[str, Any]]) -> None:
    """Write on every row whether all worlds of its pair went as they should."""
    pairs: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        pairs.setdefault(row["pair_id"], []).append(row)
    for worlds in pairs.values():
        whole = float(all(row["score"] == 1 for row in worlds))
        if worlds[0]["probe"] in _SQUEEZED:
            whole = float(_squeezed_well(worlds))
        elif worlds[0]["probe"] == KNOCK_OUT.name and len(worlds) == 1:
            whole = 0.0  # declined although the answer was there: nothing was cited that could be knocked out
        for row in worlds:
            row["pair_score"] = whole


def _squeezed_well(worlds: Sequence[dict[str, Any]]) -> bool:
    """Right with enough searches; without, declining, or right and less sure."""
    base, tight = worlds
    # What states no confidence asserts without a hedge.
    before, now = (1.0 if np.isnan(row["confidence"]) else row["confidence"] for row in (base, tight))
    modest = tight["correct"] and now < before
    return bool(base["score"] == 1 and (tight["abstained"] or modest))
