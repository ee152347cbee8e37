"""Multi-turn rollouts of many episodes at once: token in, token out, append only.

Shapes: B episodes, T tokens. A transcript is never tokenised again: what was sampled is what is trained on, and the
segment mask says which tokens the policy wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maineffect.lab.policy.models import WINDOW, Cache, TinyTransformer
from maineffect.lab.policy.tokens import ACTION_ENDS, PAD_ID, decode, encode
from maineffect.lab.world.turns import TextEpisode
from maineffect.lab.world.words import LONGEST_ACTION

__all__ = ["MOST_ACTION_TOKENS", "Transcripts", "rollout"]

MOST_ACTION_TOKENS = LONGEST_ACTION


@dataclass
class Transcripts:
    """Finished episodes.

    Attributes:
        tokens_BT: Right-padded transcripts.
        written_BT: True where the policy wrote the token (the segment mask).
        logp_BT: Log-probability under the sampler of tokens that the policy wrote, 0 elsewhere.
        lengths_B: Tokens per transcript.
        rewards_B: Reward per episode.
        components: Reward components per episode.
        turns_B: Actions per episode.
        truncated_B: True where the transcript was full before an answer was given.
        decode: Token ids → text.
    """

    tokens_BT: Tensor
    written_BT: Tensor
    logp_BT: Tensor
    lengths_B: Tensor
    rewards_B: Tensor
    components: list[dict[str, float]]
    turns_B: Tensor
    truncated_B: Tensor
    decode: Callable[[Sequence[int]], str] = decode

    @classmethod
    def joined(cls, parts: Sequence[Transcripts]) -> Transcripts:
        """Batches one below the other, padded to the longest."""
        longest = max(part.tokens_BT.shape[1] for part in parts)

        def rows(name: str) -> Tensor:
            values = [getattr(part, name) for part in parts]
            if values[0].dim() == 2:
                values = [torch.nn.functional.pad(value, (0, longest - value.shape[1])) for value in values]
            return torch.cat(values)

        return cls(
            rows("tokens_BT"),
            rows("written_BT"),
            rows("logp_BT"),
            rows("lengths_B"),
            rows("rewards_B"),
            [components for part in parts for components in part.components],
            rows("turns_B"),
            rows("truncated_B"),
            parts[0].decode,
        )

    def text(self, row: int) -> list[tuple[str, bool]]:
        """A transcript as (text, written by the policy) pieces."""
        pieces: list[tuple[str, bool]] = []
        length = int(self.lengths_B[row])
        start = 0
        for i in range(1, length + 1):
            if i == length or bool(self.written_BT[row, i]) != bool(self.written_BT[row, start]):
                pieces.append((self.decode(self.tokens_BT[row, start:i].tolist()), bool(self.written_BT[row, start])))
                start = i
        return pieces


class _Batch:
    """Transcripts in the making."""

    def __init__(self, model: TinyTransformer, episodes: Sequence[TextEpisode]) -> None:
        shape = (len(episodes), model.max_tokens)
        self.model, self.episodes = model, episodes
        self.tokens = torch.full(shape, PAD_ID, dtype=torch.long)
        self.written = torch.zeros(shape, dtype=torch.bool)
        self.logp = torch.zeros(shape)
        self.length = torch.zeros(len(episodes), dtype=torch.long)
        self.cached = torch.zeros(len(episodes), dtype=torch.long)
        self.cache = model.empty_cache(len(episodes))
        self.rewards = torch.zeros(len(episodes))
        self.turns = torch.zeros(len(episodes), dtype=torch.long)
        self.truncated = torch.zeros(len(episodes), dtype=torch.bool)
        self.components: list[dict[str, float]] = [{} for _ in episodes]

    def append(self, row: int, ids: Sequence[int]) -> None:
        start = int(self.length[row])
        self.tokens[row, start : start + len(ids)] = torch.tensor(ids, dtype=torch.long)
        self.length[row] += len(ids)

    def before(self, rows: Tensor, position: Tensor) -> Tensor:
        """The WINDOW tokens before a position of each row."""
        back = position[:, None] - torch.arange(WINDOW, 0, -1)[None]
        return torch.where(back >= 0, self.tokens[rows[:, None], back.clamp(min=0)], PAD_ID)

    def prefill(self, rows: Tensor) -> tuple[Tensor, Cache]:
        """Run what was appended since the last turn through the model; hidden state of each row's last token."""
        fresh = self.length[rows] - self.cached[rows]
        offset = torch.arange(int(fresh.max()))[None]
        position = (self.cached[rows][:, None] + offset).clamp(max=self.model.max_tokens - 1)
        new = torch.where(offset < fresh[:, None], self.tokens[rows[:, None], position], PAD_ID)
        sub = self.cache.rows(rows)
        hidden = self.model.extend(new, self.before(rows, self.cached[rows]), position, sub)
        return hidden[torch.arange(len(rows)), fresh - 1], sub


@torch.no_grad()
def rollout(model: TinyTransformer, episodes: Sequence[TextEpisode], generator: torch.Generator | None) -> Transcripts:
    """Play every episode to its end.

    Args:
        model: The policy.
        episodes: Fresh episodes.
        generator: Source of sampling noise at temperature 1; None takes the likeliest token.
    """
    batch = _Batch(model, episodes)
    for row, episode in enumerate(episodes):
        observation, _ = episode.reset()
        batch.append(row, encode(observation))
    alive = list(range(len(episodes)))
    while alive:
        rows = torch.tensor(alive)
        actions = _sample_actions(batch, rows, generator)
        alive = [row for row, ids in zip(alive, actions, strict=True) if _act(batch, row, ids)]
    return Transcripts(
        tokens_BT=batch.tokens,
        written_BT=batch.written,
        logp_BT=batch.logp,
        lengths_B=batch.length,
        rewards_B=batch.rewards,
        components=batch.components,
        turns_B=batch.turns,
        truncated_B=batch.truncated,
    )


def _sample_actions(batch: _Batch, rows: Tensor, generator: torch.Generator | None) -> list[list[int]]:
    """Sample one action per row, up to its closing tag."""
    model = batch.model
    hidden, sub = batch.prefill(rows)
    start = batch.length[rows].clone()
    at = start.clone()
    open_ = torch.ones(len(rows), dtype=torch.bool)
    for _ in range(MOST_ACTION_TOKENS):
        logp = torch.log_softmax(model.logits(hidden), -1)
        if generator is None:
            token = logp.argmax(-1)
        else:
            token = torch.multinomial(logp.exp(), 1, generator=generator)[:, 0]
        live = rows[open_]
        batch.tokens[live, at[open_]] = token[open_]
        batch.written[live, at[open_]] = True
        batch.logp[live, at[open_]] = logp[open_].gather(1, token[open_][:, None])[:, 0]
        here = at.clamp(max=model.max_tokens - 1)
        at = at + open_.long()
        ended = torch.zeros_like(open_)
        for end in ACTION_ENDS:
            ended |= token == end
        open_ = open_ & ~ended & (at < model.max_tokens)
        if not bool(open_.any()):
            break
        hidden = model.extend(token[:, None], batch.before(rows, here), here[:, None], sub)[:, 0]
    batch.cache.store(rows, sub)
    # The last token of an action was never run through the model: it is the first of the next prefill.
    batch.cached[rows] = at - 1
    batch.length[rows] = at
    return [
        batch.tokens[row, s:e].tolist() for row, s, e in zip(rows.tolist(), start.tolist(), at.tolist(), strict=True)
    ]


def _act(batch: _Batch, row: int, ids: list[int]) -> bool:
    """Give an action to its episode; whether the episode goes on."""
    episode = batch.episodes[row]
    observation, reward, done, cut, info = episode.step(decode(ids))
    batch.turns[row] += 1
    answer = encode(observation)
    if not done and not cut and int(batch.length[row]) + len(answer) + MOST_ACTION_TOKENS > batch.model.max_tokens:
        observation, reward, done, cut, info = episode.truncate()
    if done or cut:
        batch.rewards[row], batch.truncated[row] = reward, cut
        batch.components[row] = info["reward_components"]
        return False
    batch.append(row, answer)
    return True
