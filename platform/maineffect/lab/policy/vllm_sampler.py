"""vLLM in the trainer's own process: dialogues by token ids, and the trainer's weights after every update."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from maineffect.errors import PluginError
from maineffect.lab.policy.causal import CausalPolicy
from maineffect.lab.policy.chat import STOPS
from maineffect.lab.policy.dialogues import Action, Dialogue, converse
from maineffect.lab.policy.torch_sampler import Transcripts
from maineffect.lab.world.turns import TextEpisode

__all__ = ["VllmSampler"]

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # One process per core: vLLM must not bind this one's threads to cores that other runs have.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
_SEEDS = 2**31 - 1
_CPU_BATCHED_TOKENS = 4096


class VllmSampler:
    """Samples with a copy of the weights, which is as old as the last :meth:`sync`.

    A request's noise has its own seed, but which requests run together still moves log-probabilities by rounding.

    Args:
        policy: Its weights become version 0.

    Attributes:
        version: Updates that the engine's weights have seen.

    Raises:
        PluginError: The engine did not start.
    """

    rows = 1 << 30

    def __init__(self, policy: CausalPolicy) -> None:
        self._text, self._room, self._settings = policy.text, policy.max_tokens, policy.settings
        self._shares_gpu = policy.device.type == "cuda"
        self._asleep = False
        self._engine = _start(policy)
        self.version = -1
        self.sync(policy, 0)

    def sync(self, policy: CausalPolicy, version: int) -> None:
        """Take over a policy's weights; nothing happens if the engine has this version already."""
        if self._asleep:
            self._engine.wake_up()
            self._asleep = False
        if version == self.version:
            return
        if policy.settings.weight_sync == "memory":
            dtype = getattr(torch, policy.settings.dtype)
            weights = ((name, value.to(dtype)) for name, value in policy.whole_weights())
            self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        else:
            with tempfile.TemporaryDirectory(prefix="maineffect-weights-") as folder:
                policy.save(Path(folder))
                self._engine.collective_rpc("reload_weights", kwargs={"weights_path": folder})
        self._engine.apply_model(_tie_head)
        # What was computed with the old weights must not be continued with the new ones.
        self._engine.reset_prefix_cache()
        self.version = version

    @torch.no_grad()
    def play(self, episodes: Sequence[TextEpisode], generator: torch.Generator | None) -> Transcripts:
        """Play episodes to their ends at temperature 1; without a generator the likeliest tokens are taken."""

        def act(dialogues: Sequence[Dialogue]) -> list[Action]:
            return self._act(dialogues, generator)

        return converse(episodes, self._text, self._room, self._settings.max_action_tokens, act)

    def _act(self, dialogues: Sequence[Dialogue], generator: torch.Generator | None) -> list[Action]:
        from vllm import SamplingParams, TokensPrompt

        seeds: list[int | None] = [None] * len(dialogues)
        if generator is not None:
            seeds = list(torch.randint(0, _SEEDS, (len(dialogues),), generator=generator).tolist())
        params = [
            SamplingParams(
                temperature=0.0 if generator is None else 1.0,
                seed=seed,
                max_tokens=self._settings.max_action_tokens,
                stop=list(STOPS),
                include_stop_str_in_output=True,
                stop_token_ids=[] if self._text.eos_id is None else [self._text.eos_id],
                logprobs=0,
                skip_special_tokens=False,
            )
            for seed in seeds
        ]
        prompts = [TokensPrompt(prompt_token_ids=list(dialogue.ids)) for dialogue in dialogues]
        outputs = [request.outputs[0] for request in self._engine.generate(prompts, params, use_tqdm=False)]
        return [
            Action(
                list(output.token_ids),
                [seen[token].logprob for token, seen in zip(output.token_ids, output.logprobs, strict=True)],
            )
            for output in outputs
        ]

    def sleep(self) -> None:
        """Free the GPU that the trainer shares, until the next :meth:`sync`; on a CPU there is nothing to free."""
        if self._shares_gpu:
            self._engine.sleep(level=1)
            self._asleep = True

    def close(self) -> None:
        """End the engine and free its memory."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._engine.llm_engine.engine_core.shutdown()
        del self._engine
        cleanup_dist_env_and_memory()
        gc.collect()


def _start(policy: CausalPolicy) -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from vllm import LLM

    on_gpu = policy.device.type == "cuda"
    options: dict[str, Any] = {
        "model": policy.folder,
        "dtype": policy.settings.dtype,
        "max_model_len": policy.max_tokens,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "seed": 0,
    }
    if on_gpu:
        options |= {"gpu_memory_utilization": policy.settings.sampler_memory, "enable_sleep_mode": True}
    else:
        # A prompt cut in two makes vLLM wind a seeded request's generator back, which a CPU's cannot do.
        batched = max(policy.max_tokens, _CPU_BATCHED_TOKENS)
        options |= {"enforce_eager": True, "enable_chunked_prefill": False, "max_num_batched_tokens": batched}
    try:
        return LLM(**options)
    except (RuntimeError, ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise PluginError(f"vLLM did not start: {first}", "policy.sampler: torch samples without it") from error


def _tie_head(model: Any) -> None:
    """Give the new embeddings to an output layer that is tied to them.

    Reloading weights renews the embeddings but keeps what the output layer had made of the old ones: vLLM then reports
    success and samples from a mixture of two versions.
    """
    head = getattr(model, "lm_head", None)
    if head is None or not getattr(model.config, "tie_word_embeddings", False):
        return
    head.weight = model.model.embed_tokens.weight
    head.quant_method.process_weights_after_loading(head)
