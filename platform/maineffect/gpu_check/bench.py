"""What every check is given: a model, a device, sizes that fit them, and batches of real transcripts."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maineffect.gpu_check.game import Game
from maineffect.lab.policy.causal import CausalPolicy, load_causal
from maineffect.lab.policy.reading import Way, read_batch
from maineffect.lab.sampling.dialogues import Action, Dialogue, converse
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.settings import LabSettings

__all__ = ["Bench", "gradient"]

_ROOM, _ACTION = 640, 24
_TOKEN_BYTES = 4_000_000


@dataclass(frozen=True)
class Bench:
    """Where checks are made.

    Attributes:
        model: Folder of the model.
        folder: For whatever the checks write.
        device: ``cuda`` or ``cpu``.
    """

    model: str
    folder: Path
    device: str

    @property
    def large(self) -> bool:
        """Whether sizes are those of a GPU."""
        return self.device == "cuda"

    def tokens(self, on_gpu: int, on_cpu: int) -> int:
        """Tokens of a batch: as many as are wanted on a GPU, less where its memory is small.

        Args:
            on_gpu: Wanted on a GPU. 0.5 B keep some 2 MB a token for the backward pass; twice that is left to it.
            on_cpu: Without one.
        """
        if not self.large:
            return on_cpu
        return min(on_gpu, torch.cuda.get_device_properties(0).total_memory // _TOKEN_BYTES)

    def settings(self, **sections: Mapping[str, Any]) -> LabSettings:
        """Settings of a small training of the model in the game; sections are updated by keywords."""
        base: dict[str, dict[str, Any]] = {
            "world": {"language": "english", "hops": 1, "distractors": 2},
            "episode": {"budget": 2, "max_tokens": _ROOM},
            "policy": {
                "model": self.model,
                "device": self.device,
                "dtype": "auto" if self.large else "float32",
                "max_action_tokens": _ACTION,
            },
            "warmstart": {"steps": 0, "learning_rate": 1e-4},
            "train": {
                "steps": 3,
                "prompts": 16 if self.large else 2,
                "group_size": 8 if self.large else 4,
                "learning_rate": 1e-5,
                "token_budget": self.tokens(8192, 2048),
            },
        }
        return LabSettings.model_validate({name: {**base[name], **sections.get(name, {})} for name in base})

    def load(self, settings: LabSettings | None = None, **policy: Any) -> CausalPolicy:
        """The model in training, with changes of its settings."""
        plan = settings or self.settings(policy=policy)
        return load_causal(plan.policy, _ROOM, 3, self.folder / "cache")

    def rollouts(self, policy: CausalPolicy, tokens: int, size: int = 8, seed: int = 5) -> Transcripts:
        """Games in which random tokens are said, in groups on one question: about so many tokens, padding included.

        Args:
            policy: Its tokeniser is used, and its vocabulary.
            tokens: In all rollouts together.
            size: Rollouts of a question.
            seed: Of questions and tokens.
        """
        noise, even = random.Random(seed), -math.log(policy.vocabulary)

        def act(dialogues: Sequence[Dialogue]) -> list[Action]:
            said = [noise.choices(range(3, policy.vocabulary), k=noise.randint(8, _ACTION)) for _ in dialogues]
            return [Action(ids, [even] * len(ids)) for ids in said]

        settings, played, groups = self.settings(), 0, 1
        while True:
            games = Game().games(settings, seed, groups, size)
            out = converse(games, policy.text, _ROOM, _ACTION, act)
            played = out.tokens_BT.numel()
            if played >= tokens:
                rows = max(size, tokens // out.tokens_BT.shape[1] // size * size)
                return _first(out, rows)
            groups = max(groups + 1, math.ceil(groups * tokens / played))


def _first(out: Transcripts, rows: int) -> Transcripts:
    return Transcripts(
        out.tokens_BT[:rows],
        out.written_BT[:rows],
        out.logp_BT[:rows],
        out.lengths_B[:rows],
        out.rewards_B[:rows],
        out.components[:rows],
        out.turns_B[:rows],
        out.truncated_B[:rows],
        out.decode,
    )


def gradient(policy: CausalPolicy, way: Way, read: Transcripts) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probabilities of the written tokens, and the gradient of their mean by the names of the weights.

    Args:
        policy: In training.
        way: How the batch is read.
        read: The batch.
    """
    policy.zero_grad(set_to_none=True)
    logp_S = read_batch(policy, way, read.tokens_BT, read.lengths_B, read.written_BT).written(policy).logp_S
    torch.autograd.backward(logp_S.mean())
    grown = {name: value.grad for name, value in policy.named_parameters() if value.grad is not None}
    policy.zero_grad(set_to_none=True)
    return logp_S.detach(), grown
