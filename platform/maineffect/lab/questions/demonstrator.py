"""Who shows how questions of the generated world are answered: a naive searcher or a careful one."""

from __future__ import annotations

from functools import partial

from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import SearchEpisode
from maineffect.lab.world.protocol import Answer, Search, parse_action
from maineffect.lab.world.scripted import Naive, Policy, oracle, play
from maineffect.lab.world.vocabulary import ANSWER, END_ANSWER, END_SEARCH, ENTITIES, NUMBERS, SEARCH
from maineffect.seeds import generator

__all__ = ["demonstrated", "spoken"]

_NAMES = frozenset(ENTITIES)


def demonstrated(settings: LabSettings, seed: int, index: int, episode: SearchEpisode) -> list[tuple[str, bool]]:
    """An episode of the generated world by the demonstrator, as (text, written by the policy) pieces."""
    policy = _demonstrator(settings, seed, index)
    if episode.settings.world.language == "english":
        policy = partial(_in_english, policy)
    return play(episode, policy)[1]


def _in_english(policy: Policy, episode: SearchEpisode) -> str:
    return spoken(policy(episode))


def spoken(action: str) -> str:
    """A scripted policy's action in the format that the English world asks for."""
    move = parse_action(action)
    if isinstance(move, Search):
        return f"{SEARCH}{' '.join(_name(word) for word in move.words)}{END_SEARCH}"
    if isinstance(move, Answer):
        inner = action.removeprefix(ANSWER).removesuffix(END_ANSWER).split()
        # The demonstrators say value, confidence word, ids, in this order.
        fields = (_name(move.value), inner[1], ", ".join(move.cited))
        return f"{ANSWER}{' | '.join(field for field in fields if field)}{END_ANSWER}"
    return action


def _name(word: str) -> str:
    if word in NUMBERS:
        return word[1:]
    return word.capitalize() if word in _NAMES else word


def _demonstrator(settings: LabSettings, seed: int, index: int) -> Policy:
    """Who shows how: the naive one, or a careful one that weighs sources, retries once, abstains and is sure."""
    if settings.warmstart.demonstrator == "careful":
        return oracle
    return Naive(generator(seed, "demonstrator", index))
