"""Finished episodes in tokens: what was sampled is what is trained on.

Shapes: B episodes, T tokens. A transcript is never tokenised again, and the segment mask says which tokens the policy
wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maineffect.lab.policy.tokens import decode

__all__ = ["Transcripts", "padded"]


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


def padded(rows: Sequence[Sequence[float]], filling: float) -> Tensor:
    """Rows of unequal length as one tensor (B, T), filled up on the right; made at once, for that is much quicker."""
    lengths_B = torch.tensor([len(row) for row in rows])
    values = torch.tensor([value for row in rows for value in row])
    made_BT = torch.full((len(rows), int(lengths_B.max())), filling, dtype=values.dtype)
    made_BT[torch.arange(made_BT.shape[1])[None] < lengths_B[:, None]] = values
    return made_BT
