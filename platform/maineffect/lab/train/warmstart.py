"""Behaviour cloning of a scripted demonstrator, cached by the content of everything that decides it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from maineffect.lab.evaluate.battery import widest
from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.tokens import PAD_ID, encode
from maineffect.lab.settings import EpisodeSettings, LabSettings, RetrieverSettings
from maineffect.lab.world.episode import Episodes
from maineffect.lab.world.scripted import Naive, Policy, oracle, play
from maineffect.lab.world.words import longest_transcript
from maineffect.seeds import derive_seed, generator

__all__ = ["demonstration_settings", "demonstrations", "room", "warm_start"]

_VERSION = 3
_ENGLISH_TOKENS = 1024


def demonstration_settings(settings: LabSettings, distractors: int) -> LabSettings:
    """Demonstrations come from one stated world whatever the cell, so that all cells start from the same policy."""
    world = settings.warmstart.world.model_copy(update={"distractors": distractors})
    needed = world.hops + (world.vocabulary_gap == "alias") + 1
    return LabSettings(
        world=world,
        retriever=RetrieverSettings(recall=settings.warmstart.recall),
        episode=EpisodeSettings(budget=max(3, needed)),
    )


def room(settings: LabSettings) -> int:
    """Tokens of the longest transcript: as stated, or as long as episodes, demonstrations and evaluation can need."""
    if settings.episode.max_tokens is not None:
        return settings.episode.max_tokens
    if settings.world.language == "english":
        return _ENGLISH_TOKENS
    shown = demonstration_settings(settings, settings.warmstart.world.distractors)
    asked = widest(settings.evaluation.difficulty)
    return max(map(longest_transcript, (settings, shown, asked)))


def demonstrations(settings: LabSettings, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """One batch of transcripts of the demonstrator.

    Returns:
        Tokens (B, T), right-padded, and the mask of tokens that the demonstrator wrote.
    """
    base = derive_seed(seed, "demonstrations")
    # Every demonstration has its own number of distractors, so that no cell meets a policy that never saw its crowd.
    counts = range(settings.warmstart.world.distractors + 1)
    worlds = [Episodes(demonstration_settings(settings, count), base) for count in counts]
    limit = room(settings)
    rows: list[tuple[list[int], list[bool]]] = []
    for i in range(settings.warmstart.batch):
        index = step * settings.warmstart.batch + i
        _, pieces = play(worlds[index % len(worlds)].episode(index), _demonstrator(settings, seed, index))
        ids: list[int] = []
        mask: list[bool] = []
        for text, written in pieces:
            piece = encode(text)
            ids += piece
            mask += [written] * len(piece)
        rows.append((ids[:limit], mask[:limit]))
    longest = max(len(ids) for ids, _ in rows)
    tokens = torch.full((len(rows), longest), PAD_ID, dtype=torch.long)
    written_mask = torch.zeros((len(rows), longest), dtype=torch.bool)
    for i, (ids, mask) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        written_mask[i, : len(mask)] = torch.tensor(mask)
    return tokens, written_mask


def _demonstrator(settings: LabSettings, seed: int, index: int) -> Policy:
    """Who shows how: the naive one, or a careful one that weighs sources, retries once, abstains and is sure."""
    if settings.warmstart.demonstrator == "careful":
        return oracle
    return Naive(generator(seed, "demonstrator", index))


def warm_start(settings: LabSettings, seed: int, cache_dir: Path) -> TinyTransformer:
    """The cloned policy, from the cache if it was made before.

    Args:
        settings: Only policy, warm start and transcript length matter.
        seed: Seeds weights and demonstrations.
        cache_dir: Shared by runs on this machine; one of them trains, the others wait for it.
    """
    model = TinyTransformer(settings.policy, room(settings), derive_seed(seed, "weights"))
    if settings.warmstart.steps == 0 or settings.warmstart.demonstrator == "none":
        return model
    path = cache_dir / "warmstart" / f"{_content_key(settings, seed)}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            model.load_state_dict(torch.load(path, weights_only=True))
            return model
        _clone(model, settings, seed)
        aside = path.with_suffix(f".{os.getpid()}")
        torch.save(model.state_dict(), aside)
        aside.replace(path)
    return model


def _content_key(settings: LabSettings, seed: int) -> str:
    content = {
        "version": _VERSION,
        "seed": seed,
        "policy": settings.policy.model_dump(),
        "warmstart": settings.warmstart.model_dump(),
        "max_tokens": settings.episode.max_tokens,
        "torch": torch.__version__,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def _clone(model: TinyTransformer, settings: LabSettings, seed: int) -> None:
    plan = settings.warmstart
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(plan.steps):
        rate = plan.learning_rate * min(1.0, (step + 1) / 20) * (1 - 0.9 * step / plan.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        tokens, written = demonstrations(settings, seed, step)
        optimizer.zero_grad()
        for rows in _slices(tokens, plan.slices):
            length = int((tokens[rows] != PAD_ID).sum(1).max())
            own, target = tokens[rows, :length], written[rows, 1:length]
            logits = model.logits(model(own[:, :-1])[target])
            loss = functional.cross_entropy(logits, own[:, 1:][target]) * (target.sum() / written[:, 1:].sum())
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _slices(tokens: Tensor, slices: int) -> list[Tensor]:
    """Rows in parts of similar length; a single part keeps their order."""
    if slices == 1:
        return [torch.arange(len(tokens))]
    return list((tokens != PAD_ID).sum(1).argsort(stable=True).chunk(slices))
