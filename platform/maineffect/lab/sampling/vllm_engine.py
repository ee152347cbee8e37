"""vLLM itself, wherever it lives: token ids come in → sampled actions go out, with weights that can be renewed."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maineffect.contracts import Companion, RunLost
from maineffect.errors import PluginError
from maineffect.lab.policy.causal import Adapter, CausalPolicy
from maineffect.lab.policy.chat import STOPS
from maineffect.lab.sampling.weight_transport import Packed, kept, merged, pack, parts, unpack

__all__ = ["Engine", "EnginePlan", "RemoteEngine", "VllmEngine", "tie_head"]

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # One process per core: vLLM must not bind this one's threads to cores that other runs have.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
_CPU_BATCHED_TOKENS = 4096
_WANT_OF_MEMORY = ("Free memory on device", "Error in memory profiling", "CUDA out of memory")
"""Of vLLM 0.32 at its start, where others hold memory or free it just then (v1/worker/utils.py, gpu_worker.py)."""

Said = tuple[list[int], list[float]]
"""Tokens of an action, and their log-probabilities."""


@dataclass(frozen=True)
class EnginePlan:
    """What an engine has to know. Picklable.

    Attributes:
        folder: The pretrained files.
        dtype: Precision of weights and computations.
        max_tokens: Longest transcript.
        max_action_tokens: Longest action.
        eos_id: Token that ends an action, beside the closing tags.
        on_gpu: Whether it runs on a GPU.
        memory: Share of that GPU's memory.
        sleeps: Whether it shares the GPU with the trainer and can make room.
    """

    folder: str
    dtype: str
    max_tokens: int
    max_action_tokens: int
    eos_id: int | None
    on_gpu: bool
    memory: float
    sleeps: bool

    @classmethod
    def of(cls, policy: CausalPolicy) -> EnginePlan:
        """What a policy's engine has to know."""
        settings, on_gpu = policy.settings, policy.device.type == "cuda"
        return cls(
            policy.folder,
            settings.precision_name,
            policy.max_tokens,
            settings.max_action_tokens,
            policy.text.eos_id,
            on_gpu,
            settings.sampler_memory,
            on_gpu and settings.placement == "inline",
        )


class VllmEngine:
    """One vLLM engine in this process.

    Raises:
        PluginError: It did not start.
        RunLost: It found too little memory.
    """

    def __init__(self, plan: EnginePlan) -> None:
        self._plan = plan
        self._engine = _start(plan)
        self._asleep = False
        self._taken: Packed = {}

    def say(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int | None]) -> list[Said]:
        """One action per prompt at temperature 1; where the seed is None the likeliest tokens."""
        from vllm import SamplingParams, TokensPrompt

        params = [
            SamplingParams(
                temperature=0.0 if seed is None else 1.0,
                seed=seed,
                max_tokens=self._plan.max_action_tokens,
                stop=list(STOPS),
                include_stop_str_in_output=True,
                stop_token_ids=[] if self._plan.eos_id is None else [self._plan.eos_id],
                logprobs=0,
                skip_special_tokens=False,
            )
            for seed in seeds
        ]
        asked = [TokensPrompt(prompt_token_ids=list(ids)) for ids in prompts]
        outputs = [request.outputs[0] for request in self._engine.generate(asked, params, use_tqdm=False)]
        return [
            (
                list(output.token_ids),
                [seen[token].logprob for token, seen in zip(output.token_ids, output.logprobs, strict=True)],
            )
            for output in outputs
        ]

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Load weights, by their names in the pretrained files."""
        self._renew(weights_iterator=iter(weights))

    def take(self, weights: Packed) -> None:
        """Keep a part of the weights that come from another process."""
        self._taken |= kept(weights)

    def load_taken(self) -> None:
        """Load what was taken, which must be all weights."""
        taken, self._taken = self._taken, {}
        self.load(unpack(taken))

    def load_adapters(self, packed: Packed, scales: Sequence[tuple[str, float]]) -> None:
        """Load the pretrained files with adapters added in.

        Args:
            packed: ``name:A`` and ``name:B`` of each.
            scales: Name and scale of each.
        """
        tensors = dict(unpack(packed))
        adapters = [Adapter(name, tensors[f"{name}:A"], tensors[f"{name}:B"], scale) for name, scale in scales]
        self.load(merged(self._plan.folder, adapters, getattr(torch, self._plan.dtype)))

    def load_folder(self, folder: str) -> None:
        """Load weights that were written to disk."""
        self._renew(weights_path=folder)

    def _renew(self, **source: Any) -> None:
        self._engine.collective_rpc("reload_weights", kwargs=source)
        self._engine.apply_model(tie_head)
        if self._asleep:
            self._engine.wake_up(tags=["kv_cache"])
            self._asleep = False
        # What was computed with the old weights must not be continued with the new ones.
        self._engine.reset_prefix_cache()

    def sleep(self) -> None:
        """Free the GPU's memory. The weights are dropped, not kept on the host: they are loaded again in any case."""
        self._engine.sleep(level=2)
        self._asleep = True

    def wake(self) -> None:
        """Take room for weights again, which must be loaded next; only then for the cache (vLLM's guide on sleep mode).

        What the trainer's last update left to torch's allocator goes back first.
        """
        if self._plan.on_gpu:
            torch.cuda.empty_cache()
        self._engine.wake_up(tags=["weights"])

    def process(self) -> int:
        """The process that it lives in."""
        return os.getpid()

    def close(self) -> None:
        """End the engine and free its memory."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._engine.llm_engine.engine_core.shutdown()
        del self._engine
        cleanup_dist_env_and_memory()
        gc.collect()


class RemoteEngine:
    """A :class:`VllmEngine` in a process beside the run, on its own bundle; it never shares the trainer's GPU."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion

    def say(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int | None]) -> list[Said]:
        """One action per prompt."""
        actions: list[Said] = self._companion.call("say", [list(ids) for ids in prompts], list(seeds))
        return actions

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Load weights, part by part through the memory that processes of a node share."""
        for part in parts(weights):
            self._companion.call("take", pack(part))
        self._companion.call("load_taken")

    def load_adapters(self, adapters: Sequence[Adapter]) -> None:
        """Load the pretrained files, which both see, with adapters added in: nothing else travels."""
        named = (((f"{one.name}:A", one.down_RI), (f"{one.name}:B", one.up_OR)) for one in adapters)
        tensors = [pair for both in named for pair in both]
        self._companion.call("load_adapters", pack(tensors), [(one.name, one.scale) for one in adapters])

    def load_folder(self, folder: str) -> None:
        """Load weights that were written where both see them."""
        self._companion.call("load_folder", folder)

    def sleep(self) -> None:
        """Nothing is shared."""

    def wake(self) -> None:
        """It never slept."""

    def process(self) -> int:
        """The process that it lives in."""
        return int(self._companion.call("process"))

    def close(self) -> None:
        """End its process."""
        self._companion.close()


Engine = VllmEngine | RemoteEngine


def _start(plan: EnginePlan) -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from vllm import LLM

    _keep_llvmlite_plain()
    options: dict[str, Any] = {
        "model": plan.folder,
        "dtype": plan.dtype,
        "max_model_len": plan.max_tokens,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "seed": 0,
    }
    if plan.on_gpu:
        options |= {"gpu_memory_utilization": plan.memory, "enable_sleep_mode": plan.sleeps}
    else:
        # A prompt cut in two makes vLLM wind a seeded request's generator back, which a CPU's cannot do.
        batched = max(plan.max_tokens, _CPU_BATCHED_TOKENS)
        options |= {"enforce_eager": True, "enable_chunked_prefill": False, "max_num_batched_tokens": batched}
    try:
        return LLM(**options)
    except (RuntimeError, ValueError, OSError, AssertionError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if any(words in str(error) for words in _WANT_OF_MEMORY):
            said = "vLLM found too little memory at its start, which a neighbour may be freeing"
            hint = f"if it happens again, lower policy.sampler_memory ({plan.memory:g})"
            raise RunLost(f"{said}; {hint}: {first}") from error
        raise PluginError(f"vLLM did not start: {first}", "policy.sampler: torch samples without it") from error


def _keep_llvmlite_plain() -> None:
    """Let vLLM look through all modules where numba was imported before it, as a corpus's search does.

    vLLM 0.32 asks every module's values for their ``__dict__``; llvmlite's library looks any name up in C, and gives
    back a function.
    """
    ffi = sys.modules.get("llvmlite.binding.ffi")
    library: Any = type(getattr(ffi, "lib", None))
    look_up = getattr(library, "__getattr__", None)
    if look_up is None or getattr(look_up, "plain", False):
        return

    def plain(self: Any, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return look_up(self, name)

    plain.plain = True  # type: ignore[attr-defined]
    library.__getattr__ = plain


def tie_head(model: Any) -> None:
    """Give the new embeddings to an output layer that is tied to them.

    Reloading weights renews the embeddings but keeps what the output layer had made of the old ones: vLLM then reports
    success and samples from a mixture of two versions.
    """
    head = getattr(model, "lm_head", None)
    if head is None or not getattr(model.config, "tie_word_embeddings", False):
        return
    # Wrapped models (of pictures and text, say) keep their embeddings deeper down.
    embeddings = [module for name, module in model.named_modules() if name.rpartition(".")[2] == "embed_tokens"]
    if len(embeddings) != 1:
        raise PluginError(
            f"the output layer of {type(model).__name__} is tied to one of {len(embeddings)} embeddings",
            "policy.sampler: torch samples without vLLM",
        )
    head.weight = embeddings[0].weight
    head.quant_method.process_weights_after_loading(head)
