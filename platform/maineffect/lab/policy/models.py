"""The tiny causal transformer, with a key–value cache for trees that grow.

Shapes: B rows, T tokens, D width, H heads, K = D / H, V vocabulary; G trees of which each has B new nodes and C columns
in the cache.

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
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.world.vocabulary import VOCABULARY

__all__ = ["WINDOW", "Cache", "Seen", "TinyTransformer"]

WINDOW = 4
_ROPE_BASE = 1000.0


class Cache(NamedTuple):
    """Keys and values of every layer, each (G, H, C, K)."""

    keys: list[Tensor]
    values: list[Tensor]

    def rows(self, index_G: Tensor) -> Cache:
        """A copy of some rows."""
        return Cache([k[index_G] for k in self.keys], [v[index_G] for v in self.values])

    def wider(self, columns: int) -> Cache:
        """A copy with room for more columns."""
        more = (0, 0, 0, columns - self.keys[0].shape[2])
        return Cache([functional.pad(k, more) for k in self.keys], [functional.pad(v, more) for v in self.values])


class Seen(NamedTuple):
    """Where new nodes stand in a cache.

    Attributes:
        row_G: Row of each tree that grows.
        column_GB: Columns of its new nodes.
        all_rows: Whether these are all rows, in their order.
    """

    row_G: Tensor
    column_GB: Tensor
    all_rows: bool


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
        embedded = self._own(tokens_KP)
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

    def grow(
        self, tokens_GB: Tensor, before_GBW: Tensor, depth_GB: Tensor, seen: Seen, visible_GBC: Tensor, cache: Cache
    ) -> Tensor:
        """Hidden states (G, B, D) of new nodes of trees; their keys and values are written into the cache.

        Args:
            tokens_GB: New tokens, padding among them.
            before_GBW: The WINDOW tokens before each, the nearest first (padding where there are none).
            depth_GB: Positions of the new tokens.
            seen: Where in the cache they belong.
            visible_GBC: Which columns of the cache each sees.
        """
        embedded_GBWD = self._own(before_GBW)
        x = self._own(tokens_GB)
        for back, shift in enumerate(self.shifts):
            x = x + embedded_GBWD[:, :, back] @ shift
        turn, columns = self._turn(depth_GB), visible_GBC.shape[2]
        for i, block in enumerate(self._blocks()):
            q, k, v = block.project(x)
            keys, values = cache.keys[i], cache.values[i]
            keys[seen.row_G[:, None], :, seen.column_GB] = _rotate(k, turn).transpose(1, 2)
            values[seen.row_G[:, None], :, seen.column_GB] = v.transpose(1, 2)
            if not seen.all_rows:
                keys, values = keys[seen.row_G, :, :columns], values[seen.row_G, :, :columns]
            attended = functional.scaled_dot_product_attention(
                _rotate(q, turn), keys[:, :, :columns], values[:, :, :columns], attn_mask=visible_GBC[:, None]
            )
            x = block.finish(x, attended)
        return cast(Tensor, self.norm(x))

    def logits(self, hidden_D: Tensor) -> Tensor:
        """Logits (…, V) of hidden states (…, D)."""
        return hidden_D @ self.embedding.weight.T

    def empty_cache(self, rows: int, columns: int) -> Cache:
        """A cache of so many trees with so many columns."""
        shape = (rows, self.settings.heads, columns, self.settings.width // self.settings.heads)
        return Cache(
            [torch.zeros(shape) for _ in range(self.settings.layers)],
            [torch.zeros(shape) for _ in range(self.settings.layers)],
        )

    def _blocks(self) -> list[_Block]:
        return [cast(_Block, block) for block in self.blocks]

    def _own(self, tokens: Tensor) -> Tensor:
        # Padding is nothing: a sequence's first tokens have nothing before them, cached or not.
        return cast(Tensor, self.embedding(tokens) * (tokens != PAD_ID)[..., None])

    def _embed(self, tokens_BT: Tensor) -> Tensor:
        embedded = x = self._own(tokens_BT)
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
