"""The tiny causal transformer, with a key–value cache for batches whose rows have unequal lengths.

Shapes: B rows, T tokens, D width, H heads, K = D / H, L cached length, V vocabulary.

Before the first block every token's embedding is joined by linear maps of the four before it (a causal convolution).
That gives the model what induction heads need (Olsson et al. 2022, arXiv 2209.11895) without a layer to learn it, so a
two-layer model learns to read documents in seconds instead of minutes.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from maineffect.lab.policy.tokens import PAD_ID
from maineffect.lab.settings import PolicySettings
from maineffect.lab.world.vocabulary import VOCABULARY

__all__ = ["WINDOW", "Cache", "TinyTransformer"]

WINDOW = 4
_ROPE_BASE = 1000.0


class Cache(NamedTuple):
    """Keys and values of every layer, each (B, H, L, K)."""

    keys: list[Tensor]
    values: list[Tensor]

    def rows(self, index_B: Tensor) -> Cache:
        """A copy of some rows."""
        return Cache([k[index_B] for k in self.keys], [v[index_B] for v in self.values])

    def store(self, index_B: Tensor, rows: Cache) -> None:
        """Write rows back."""
        for mine, new in zip((*self.keys, *self.values), (*rows.keys, *rows.values), strict=True):
            mine[index_B] = new


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, _ = x_BTD.shape
        qkv = self.qkv(self.norm_attention(x_BTD)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return qkv[0], qkv[1], qkv[2]

    def finish(self, x_BTD: Tensor, attended_BHTK: Tensor) -> Tensor:
        x_BTD = x_BTD + self.out(attended_BHTK.transpose(1, 2).reshape(x_BTD.shape))
        return cast(Tensor, x_BTD + self.down(functional.gelu(self.up(self.norm_mlp(x_BTD)))))


class TinyTransformer(nn.Module):
    """Decoder-only transformer with tied embeddings, rotary positions and a short causal convolution.

    Args:
        settings: Width, layers, heads.
        max_tokens: Longest sequence.
        seed: Seeds the initial weights; global random state is left alone.
    """

    def __init__(self, settings: PolicySettings, max_tokens: int, seed: int) -> None:
        super().__init__()
        self.settings, self.max_tokens = settings, max_tokens
        width, heads = settings.width, settings.heads
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(len(VOCABULARY), width)
            nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(width))
            self.shifts = nn.ParameterList(
                [nn.Parameter(nn.init.orthogonal_(torch.empty(width, width)) * 0.7) for _ in range(WINDOW)]
            )
            self.blocks = nn.ModuleList([_Block(width, heads) for _ in range(settings.layers)])
            self.norm = nn.RMSNorm(width)
        half = torch.arange(0, width // heads, 2) / (width // heads)
        angle_TK = torch.arange(max_tokens)[:, None] * _ROPE_BASE ** -half[None]
        self.register_buffer("cos", torch.cos(angle_TK), persistent=False)
        self.register_buffer("sin", torch.sin(angle_TK), persistent=False)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Hidden states (B, T, D) of whole sequences, right-padded."""
        turn = self._turn(torch.arange(tokens_BT.shape[1])[None])
        x = self._embed(tokens_BT)
        for block in self._blocks():
            q, k, v = block.project(x)
            x = block.finish(
                x, functional.scaled_dot_product_attention(_rotate(q, turn), _rotate(k, turn), v, is_causal=True)
            )
        return cast(Tensor, self.norm(x))

    @property
    def vocabulary(self) -> int:
        """Words that can be written."""
        return len(self.embedding.weight)

    def trees(self, tokens_KP: Tensor, depth_KP: Tensor, above_KPW: Tensor, visible_KPP: Tensor) -> Tensor:
        """Hidden states (K, P, D) of the nodes of prefix trees.

        Args:
            tokens_KP: Token of each node.
            depth_KP: Its position.
            above_KPW: The WINDOW nodes above it, the nearest first; P where there are none.
            visible_KPP: Which nodes it sees.
        """
        embedded = self.embedding(tokens_KP) * (tokens_KP != PAD_ID)[..., None]
        # Node P is nothing: what stands before a sequence's first tokens.
        nodes = functional.pad(embedded, (0, 0, 0, 1))
        tree_K11 = torch.arange(len(tokens_KP), device=tokens_KP.device)[:, None]
        x: Tensor = embedded
        for back, shift in enumerate(self.shifts):
            x = x + nodes[tree_K11, above_KPW[..., back]] @ shift
        turn = self._turn(depth_KP)
        for block in self._blocks():
            q, k, v = block.project(x)
            attended = functional.scaled_dot_product_attention(
                _rotate(q, turn), _rotate(k, turn), v, attn_mask=visible_KPP[:, None]
            )
            x = block.finish(x, attended)
        return cast(Tensor, self.norm(x))

    def extend(self, tokens_BT: Tensor, before_BW: Tensor, position_BT: Tensor, cache: Cache) -> Tensor:
        """Hidden states of new tokens; their keys and values are written into the cache.

        Args:
            tokens_BT: New tokens; rows may end in padding, whose cache entries are overwritten later.
            before_BW: The WINDOW tokens before each row's first new token (padding where there are none).
            position_BT: Positions of the new tokens.
        """
        batch, length = tokens_BT.shape
        x = self._embed(torch.cat([before_BW, tokens_BT], 1))[:, -length:]
        row = torch.arange(batch)[:, None]
        end = int(position_BT.max()) + 1
        turn = self._turn(position_BT)
        visible_B1TL = (torch.arange(end)[None, None] <= position_BT[:, :, None])[:, None]
        for i, block in enumerate(self._blocks()):
            q, k, v = block.project(x)
            cache.keys[i][row, :, position_BT] = _rotate(k, turn).transpose(1, 2)
            cache.values[i][row, :, position_BT] = v.transpose(1, 2)
            attended = functional.scaled_dot_product_attention(
                _rotate(q, turn),
                cache.keys[i][:, :, :end],
                cache.values[i][:, :, :end],
                attn_mask=visible_B1TL,
            )
            x = block.finish(x, attended)
        return cast(Tensor, self.norm(x))

    def logits(self, hidden_D: Tensor) -> Tensor:
        """Logits (…, V) of hidden states (…, D)."""
        return hidden_D @ self.embedding.weight.T

    def empty_cache(self, batch: int) -> Cache:
        """A cache for a batch of episodes."""
        shape = (batch, self.settings.heads, self.max_tokens, self.settings.width // self.settings.heads)
        return Cache(
            [torch.zeros(shape) for _ in range(self.settings.layers)],
            [torch.zeros(shape) for _ in range(self.settings.layers)],
        )

    def _blocks(self) -> list[_Block]:
        return [cast(_Block, block) for block in self.blocks]

    def _embed(self, tokens_BT: Tensor) -> Tensor:
        # Padding is nothing: a row's first tokens have nothing before them, cached or not.
        embedded = self.embedding(tokens_BT) * (tokens_BT != PAD_ID)[..., None]
        x: Tensor = embedded
        for back, shift in enumerate(self.shifts, start=1):
            x = x + functional.pad(embedded, (0, 0, back, 0))[:, : embedded.shape[1]] @ shift
        return x

    def _turn(self, position_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (B, 1, T, K / 2) of positions, looked up once for all layers."""
        return cast(Tensor, self.cos)[position_BT][:, None], cast(Tensor, self.sin)[position_BT][:, None]


def _rotate(x_BHTK: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864, eq. 34)."""
    cos, sin = turn
    a, b = x_BHTK.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
