"""Transcripts of a scripted demonstrator, in the tokens of the policy that is to learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maineffect.lab.applicable import world_of
from maineffect.lab.evaluate.battery import widest
from maineffect.lab.policy.chat import ChatText
from maineffect.lab.policy.tokens import PAD_ID, encode
from maineffect.lab.questions.contract import Source
from maineffect.lab.sampling.transcripts import padded
from maineffect.lab.settings import EpisodeSettings, LabSettings, RetrieverSettings
from maineffect.lab.world.words import longest_transcript
from maineffect.seeds import derive_seed

__all__ = ["Demonstrations", "demonstration_settings", "demonstrations", "room"]

_ENGLISH_TOKENS = 1024


@dataclass(frozen=True)
class Demonstrations:
    """A batch of transcripts.

    Attributes:
        tokens_BT: Right-padded.
        written_BT: True where the demonstrator wrote the token.
        lengths_B: Tokens per transcript.
    """

    tokens_BT: Tensor
    written_BT: Tensor
    lengths_B: Tensor


def demonstration_settings(settings: LabSettings, distractors: int) -> LabSettings:
    """Demonstrations come from one stated world whatever the cell, so that all cells start from the same policy."""
    world = world_of(settings.warmstart.world, settings).model_copy(update={"distractors": distractors})
    needed = world.hops + (world.vocabulary_gap == "alias") + 1
    return LabSettings(
        world=world,
        retriever=RetrieverSettings(recall=settings.warmstart.recall, index=settings.evaluation.index),
        episode=EpisodeSettings(budget=max(3, needed)),
    )


def room(settings: LabSettings, source: Source | None = None) -> int:
    """Tokens of the longest transcript: as stated, or as long as episodes, demonstrations and evaluation can need."""
    if settings.episode.max_tokens is not None:
        return settings.episode.max_tokens
    if source is not None and (longest := source.longest(settings)) is not None:
        return longest
    if settings.world.language == "english":
        return _ENGLISH_TOKENS
    shown = demonstration_settings(settings, settings.warmstart.world.distractors)
    asked = widest(settings.evaluation.difficulty)
    return max(map(longest_transcript, (settings, shown, asked)))


def demonstrations(
    settings: LabSettings,
    seed: int,
    step: int,
    source: Source,
    text: ChatText | None = None,
    limit: int | None = None,
) -> Demonstrations:
    """One batch of transcripts of the demonstrator.

    Args:
        source: Where questions come from.
        text: A language model's; the tiny policy's words without one.
        limit: Tokens that a transcript is cut to; left out, :func:`room` is computed again.
    """
    base = derive_seed(seed, "demonstrations")
    # Every demonstration has its own number of distractors, so that no cell meets a policy that never saw its crowd.
    counts = range(settings.warmstart.world.distractors + 1)
    worlds = [source.training(demonstration_settings(settings, count), base) for count in counts]
    limit = room(settings, source) if limit is None else limit
    rows: list[tuple[list[int], list[bool]]] = []
    for i in range(settings.warmstart.batch):
        index = step * settings.warmstart.batch + i
        shown = worlds[index % len(worlds)].episode(index)
        told, mask = _transcript(source.demonstration(settings, seed, index, shown), text)
        rows.append((told[:limit], mask[:limit]))
    ids, masks = zip(*rows, strict=True)
    return Demonstrations(padded(ids, PAD_ID), padded(masks, False), torch.tensor([len(row) for row in ids]))


def _transcript(pieces: Sequence[tuple[str, bool]], text: ChatText | None) -> tuple[list[int], list[bool]]:
    """Token ids, and which of them the demonstrator wrote."""
    ids: list[int] = []
    mask: list[bool] = []
    for piece_text, written in pieces:
        if text is None:
            piece = encode(piece_text)
        elif written:
            piece = text.action(piece_text)
        else:
            piece = text.observation(piece_text, ids[-1]) if ids else text.opening(piece_text)
        ids += piece
        mask += [written] * len(piece)
    return ids, mask
