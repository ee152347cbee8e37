"""Multi-turn dialogues of a language model with its episodes: token in, token out, append only.

What was sampled is what is trained on: an action's tokens are never encoded again, and the segment mask says which
tokens the policy wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import torch

from maineffect.errors import PluginError
from maineffect.lab.sampling.transcripts import Transcripts, padded
from maineffect.lab.world.turns import TextEpisode

__all__ = ["Action", "Dialogue", "DialogueText", "converse"]


class DialogueText(Protocol):
    """A world's text ↔ a policy's tokens."""

    def opening(self, text: str) -> list[int]:
        """Tokens of a dialogue's beginning, up to where the policy speaks."""

    def observation(self, text: str, last: int) -> list[int]:
        """Tokens that follow an action, up to where the policy speaks again; ``last`` is the action's last token."""

    def said(self, ids: Sequence[int]) -> str:
        """An action as text."""

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether an action is complete."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens."""


@dataclass(frozen=True)
class Action:
    """What a policy wrote in one turn.

    Attributes:
        ids: Its tokens.
        logp: Their log-probabilities under the sampler.
    """

    ids: Sequence[int]
    logp: Sequence[float]


@dataclass
class Dialogue:
    """One transcript in the making.

    Attributes:
        told: What the world said last; dialogues that share a history share this list.
        thread: Equal for dialogues in the same world that have said the same: one of them is played for all.
    """

    episode: TextEpisode
    told: list[int]
    thread: int
    ids: list[int]
    written: list[bool]
    logp: list[float]
    reward: float = 0.0
    turns: int = 0
    truncated: bool = False
    done: bool = False
    components: dict[str, float] = field(default_factory=dict)

    def tell(self, ids: list[int]) -> None:
        """Append what the world said."""
        self.told = ids
        self.ids += ids
        self.written += [False] * len(ids)
        self.logp += [0.0] * len(ids)

    def say(self, action: Action) -> None:
        """Append what the policy said."""
        self.ids += action.ids
        self.written += [True] * len(action.ids)
        self.logp += action.logp
        self.turns += 1


def converse(
    episodes: Sequence[TextEpisode],
    text: DialogueText,
    room: int,
    longest_action: int,
    act: Callable[[Sequence[Dialogue]], Sequence[Action]],
) -> Transcripts:
    """Play every episode to its end. Of dialogues in the same world that have said the same, one is played.

    Args:
        room: Tokens of the longest transcript; an episode that has no room for another action is truncated.
        act: Samples one action for each of the dialogues that go on.

    Raises:
        PluginError: A question alone fills the transcript.
    """
    dialogues = _opened(episodes, text, room - longest_action)
    alive, threads = dialogues, count(len(dialogues))
    while alive:
        turn: dict[tuple[int, tuple[int, ...]], tuple[Dialogue, _Reply]] = {}
        for dialogue, action in zip(alive, act(alive), strict=True):
            key = (dialogue.thread, tuple(action.ids))
            dialogue.say(action)
            if key in turn:
                first, reply = turn[key]
                dialogue.episode.follow(first.episode)
                dialogue.thread = first.thread
            else:
                reply = _step(dialogue, action, text, room - longest_action)
                dialogue.thread = next(threads)
                turn[key] = (dialogue, reply)
            _hear(dialogue, reply)
        alive = [dialogue for dialogue in alive if not dialogue.done]
    return _transcripts(dialogues, text)


def _opened(episodes: Sequence[TextEpisode], text: DialogueText, room: int) -> list[Dialogue]:
    threads: dict[Any, Dialogue] = {}
    dialogues = []
    for number, episode in enumerate(episodes):
        world = episode.world
        first = threads.get(world) if world is not None else None
        if first is None:
            ids = text.opening(episode.reset()[0])
            if len(ids) > room:
                longest = room + len(ids)
                hint = f"raise episode.max_tokens by {len(ids) - room} or more"
                raise PluginError(f"a question of {len(ids)} tokens leaves no room for an action in {longest}", hint)
        else:
            ids = first.told
            episode.follow(first.episode)
        dialogue = Dialogue(episode, ids, number if first is None else first.thread, [], [], [])
        dialogue.tell(ids)
        if first is None and world is not None:
            threads[world] = dialogue
        dialogues.append(dialogue)
    return dialogues


@dataclass(frozen=True)
class _Reply:
    """What the world made of an action: what it said, or how it ended."""

    told: list[int]
    reward: float = 0.0
    done: bool = False
    truncated: bool = False
    components: dict[str, float] = field(default_factory=dict)


def _step(dialogue: Dialogue, action: Action, text: DialogueText, room: int) -> _Reply:
    observation, reward, done, cut, info = dialogue.episode.step(text.said(action.ids))
    if not done and not cut:
        told = text.observation(observation, action.ids[-1])
        if len(dialogue.ids) + len(told) <= room:
            return _Reply(told)
        _, reward, done, cut, info = dialogue.episode.truncate()
    return _Reply([], reward, True, cut, info["reward_components"])


def _hear(dialogue: Dialogue, reply: _Reply) -> None:
    if reply.done:
        dialogue.reward, dialogue.truncated, dialogue.done = reply.reward, reply.truncated, True
        dialogue.components = reply.components
    else:
        dialogue.tell(reply.told)


def _transcripts(dialogues: Sequence[Dialogue], text: DialogueText) -> Transcripts:
    return Transcripts(
        tokens_BT=padded([dialogue.ids for dialogue in dialogues], 0),
        written_BT=padded([dialogue.written for dialogue in dialogues], False),
        logp_BT=padded([dialogue.logp for dialogue in dialogues], 0.0),
        lengths_B=torch.tensor([len(dialogue.ids) for dialogue in dialogues]),
        rewards_B=torch.tensor([dialogue.reward for dialogue in dialogues]),
        components=[dialogue.components for dialogue in dialogues],
        turns_B=torch.tensor([dialogue.turns for dialogue in dialogues]),
        truncated_B=torch.tensor([dialogue.truncated for dialogue in dialogues]),
        decode=text.decode,
    )
