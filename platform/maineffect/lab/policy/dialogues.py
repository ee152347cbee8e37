"""Multi-turn dialogues of a language model with its episodes: token in, token out, append only.

What was sampled is what is trained on: an action's tokens are never encoded again, and the segment mask says which
tokens the policy wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from maineffect.errors import PluginError
from maineffect.lab.policy.chat import ChatText
from maineffect.lab.policy.torch_sampler import Transcripts
from maineffect.lab.world.turns import TextEpisode

__all__ = ["Action", "Dialogue", "converse"]


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
    """One transcript in the making."""

    episode: TextEpisode
    ids: list[int]
    written: list[bool]
    logp: list[float]
    reward: float = 0.0
    turns: int = 0
    truncated: bool = False
    done: bool = False
    components: dict[str, float] = field(default_factory=dict)

    def tell(self, ids: Sequence[int]) -> None:
        """Append what the world said."""
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
    text: ChatText,
    room: int,
    longest_action: int,
    act: Callable[[Sequence[Dialogue]], Sequence[Action]],
) -> Transcripts:
    """Play every episode to its end.

    Args:
        room: Tokens of the longest transcript; an episode that has no room for another action is truncated.
        act: Samples one action for each of the dialogues that go on.

    Raises:
        PluginError: A question alone fills the transcript.
    """
    dialogues = []
    for episode in episodes:
        ids = text.opening(episode.reset()[0])
        if len(ids) + longest_action > room:
            hint = f"raise episode.max_tokens above {len(ids) + longest_action}"
            raise PluginError(f"a question of {len(ids)} tokens leaves no room for an action in {room}", hint)
        dialogues.append(Dialogue(episode, ids, [False] * len(ids), [0.0] * len(ids)))
    alive = dialogues
    while alive:
        for dialogue, action in zip(alive, act(alive), strict=True):
            _take(dialogue, action, text, room - longest_action)
        alive = [dialogue for dialogue in alive if not dialogue.done]
    return _transcripts(dialogues, text)


def _take(dialogue: Dialogue, action: Action, text: ChatText, room: int) -> None:
    dialogue.say(action)
    observation, reward, done, cut, info = dialogue.episode.step(text.said(action.ids))
    reply: list[int] = []
    if not done and not cut:
        reply = text.observation(observation, action.ids[-1])
        if len(dialogue.ids) + len(reply) > room:
            _, reward, done, cut, info = dialogue.episode.truncate()
    if done or cut:
        dialogue.reward, dialogue.truncated, dialogue.done = reward, cut, True
        dialogue.components = info["reward_components"]
        return
    dialogue.tell(reply)


def _transcripts(dialogues: Sequence[Dialogue], text: ChatText) -> Transcripts:
    lengths = [len(dialogue.ids) for dialogue in dialogues]
    shape = (len(dialogues), max(lengths))
    tokens, written = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.bool)
    logp = torch.zeros(shape)
    for row, (dialogue, length) in enumerate(zip(dialogues, lengths, strict=True)):
        tokens[row, :length] = torch.tensor(dialogue.ids)
        written[row, :length] = torch.tensor(dialogue.written)
        logp[row, :length] = torch.tensor(dialogue.logp)
    return Transcripts(
        tokens_BT=tokens,
        written_BT=written,
        logp_BT=logp,
        lengths_B=torch.tensor(lengths),
        rewards_B=torch.tensor([dialogue.reward for dialogue in dialogues]),
        components=[dialogue.components for dialogue in dialogues],
        turns_B=torch.tensor([dialogue.turns for dialogue in dialogues]),
        truncated_B=torch.tensor([dialogue.truncated for dialogue in dialogues]),
        decode=text.decode,
    )
