"""Sampling with vLLM: dialogues by token ids, and the trainer's weights after every update."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from maineffect.contracts import CompanionHost, RunContext
from maineffect.errors import PluginError
from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.sampling.dialogues import Action, Dialogue, converse
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.sampling.vllm_engine import Engine, EnginePlan, RemoteEngine, VllmEngine
from maineffect.lab.sampling.weight_transport import mergeable
from maineffect.lab.world.turns import TextEpisode

__all__ = ["VllmSampler"]

_SEEDS = 2**31 - 1


class VllmSampler:
    """Samples with a copy of the weights, which is as old as the last :meth:`sync`.

    A request's noise has its own seed, but which requests run together still moves log-probabilities by rounding.

    Args:
        policy: Its weights become version 0; its settings say where the engine lives.
        context: The run, which starts a process for an engine of its own (``policy.placement: actor``).

    Attributes:
        version: Updates that the engine's weights have seen.

    Raises:
        PluginError: The engine did not start, or there is nothing to start it on.
        RunLost: It found too little memory, which a neighbour may be freeing.
    """

    rows = 1 << 30

    def __init__(self, policy: CausalPolicy, context: RunContext | None = None) -> None:
        self._text, self._room, self._settings = policy.text, policy.max_tokens, policy.settings
        plan = EnginePlan.of(policy)
        self._sleeps, self._asleep, self._folder = plan.sleeps, False, plan.folder
        self.engine: Engine = _beside(plan, context) if policy.settings.placement == "actor" else VllmEngine(plan)
        self.version = -1
        self.sync(policy, 0)

    def sync(self, policy: CausalPolicy, version: int) -> None:
        """Load a policy's weights; nothing happens if the engine has this version already, and did not sleep."""
        if self._asleep:
            self.engine.wake()
        elif version == self.version:
            return
        if isinstance(self.engine, RemoteEngine) and mergeable(self._folder, adapters := policy.adapters()):
            self.engine.load_adapters(adapters)
        elif policy.settings.weight_sync == "memory":
            dtype = getattr(torch, policy.settings.precision_name)
            self.engine.load((name, value.to(dtype)) for name, value in policy.whole_weights())
        else:
            with tempfile.TemporaryDirectory(prefix="maineffect-weights-") as folder:
                policy.save(Path(folder))
                self.engine.load_folder(folder)
        self.version, self._asleep = version, False

    @torch.no_grad()
    def play(self, episodes: Sequence[TextEpisode], generator: torch.Generator | None) -> Transcripts:
        """Play episodes to their ends at temperature 1; without a generator the likeliest tokens are taken."""

        def act(dialogues: Sequence[Dialogue]) -> list[Action]:
            seeds: list[int | None] = [None] * len(dialogues)
            if generator is not None:
                seeds = list(torch.randint(0, _SEEDS, (len(dialogues),), generator=generator).tolist())
            return [Action(*reply) for reply in self.engine.say([dialogue.ids for dialogue in dialogues], seeds)]

        return converse(episodes, self._text, self._room, self._settings.max_action_tokens, act)

    def sleep(self) -> None:
        """Free the GPU that the trainer shares, until the next :meth:`sync`; elsewhere there is nothing to free."""
        if self._sleeps:
            self.engine.sleep()
            self._asleep = True

    def close(self) -> None:
        """End the engine and free its memory."""
        self.engine.close()


def _beside(plan: EnginePlan, context: RunContext | None) -> RemoteEngine:
    if not isinstance(context, CompanionHost):
        hint = "submit the study, with resources.bundles: [{GPU: 1}], or set policy.placement to inline"
        raise PluginError("policy.placement actor needs a run that was submitted: nothing here starts processes", hint)
    return RemoteEngine(context.companion(VllmEngine, plan))
