"""Settings of the policy: which model, where, in which precision. Imports no torch until a device is asked for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["PolicySettings", "Section"]


class Section(BaseModel):
    """A part of the settings: no unknown keys, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicySettings(Section):
    """The tiny transformer, or a pretrained language model."""

    width: int = Field(default=64, ge=16, description="Model width of the tiny policy.")
    layers: int = Field(default=2, ge=1, description="Blocks of the tiny policy.")
    heads: int = Field(default=4, ge=1, description="Attention heads of the tiny policy.")
    model: str | None = Field(
        default=None,
        min_length=1,
        description="A Hugging Face causal language model instead of the tiny policy: a folder, a hub name, a .gguf "
        "file, or package:file for a .gguf file inside an installed Python package.",
    )
    sampler: Literal["torch", "vllm"] = Field(default="torch", description="What the language model samples with.")
    placement: Literal["inline", "actor"] = Field(
        default="inline",
        description="Where vLLM lives: in the trainer's process, or in one of its own on a bundle that the run "
        "reserves (resources.bundles: [{GPU: 1}]), whose weights come through Ray's object store.",
    )
    weight_sync: Literal["memory", "disk"] = Field(
        default="memory", description="How vLLM gets the trainer's weights after an update."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="float32",
        description="Of the computations, and of the weights under LoRA; trained weights are kept in float32. auto: "
        "bfloat16 where the GPU or the processor multiplies in it, else float32, and the run says which.",
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="Where the language model is trained.")
    lora_rank: int = Field(default=0, ge=0, description="Rank of LoRA adapters on all linear layers; 0 trains all.")
    gradient_checkpointing: bool = Field(default=False, description="Compute activations twice to save memory.")
    batching: Literal["shared", "padded", "packed"] = Field(
        default="shared",
        description="How sequences are read in training: shared reads what several begin with once (prefix trees; "
        "checked against padded at a run's first batch); padded to the longest of a pass; packed into one row, each "
        "seeing only itself, which needs a token_budget.",
    )
    max_action_tokens: int = Field(default=48, ge=8, description="Longest action of the language model.")
    rollout_rows: int = Field(default=64, ge=1, description="Episodes that the torch sampler plays at once.")
    sampler_memory: float = Field(
        default=0.35, gt=0, lt=1, description="Share of a GPU's memory for vLLM; on a CPU its cache takes 1 GiB."
    )
    peak_tflops: float | None = Field(
        default=None,
        gt=0,
        description="Peak of the device in TFLOP/s, for the model-FLOPs utilisation; common GPUs are known by name.",
    )

    @property
    def precision_name(self) -> str:
        """The precision of the computations on this machine."""
        if self.dtype != "auto":
            return self.dtype
        return "bfloat16" if _has_fast_bfloat16(self.device) else "float32"

    @property
    def slow_here(self) -> str:
        """What of these settings is needlessly slow on this machine, and what is not; empty if nothing is known."""
        if self.model is None or self.dtype == "auto":
            return ""
        fast = _has_fast_bfloat16(self.device)
        if self.dtype == "bfloat16" and not fast:
            return f"policy.dtype bfloat16 is slow on this {self.device}, which has no instructions for it: set auto"
        if self.dtype == "float32" and fast and self.device == "cuda":
            return "policy.dtype float32 leaves this GPU's fast bfloat16 unused: set auto"
        return ""

    @property
    def lacking_here(self) -> str:
        """What runs with these settings need and this machine has not, with the way out; empty if nothing."""
        if self.model is None:
            return (
                "" if find_spec("torch") else "torch not installed, which the lab needs: pip install 'maineffect[lab]'"
            )
        needs = {"torch": "lab", "transformers": "lm", "accelerate": "lm"}
        needs |= {"gguf": "lm"} if self.model.endswith(".gguf") else {}
        needs |= {"peft": "lm"} if self.lora_rank else {}
        needs |= {"vllm": "vllm"} if self.sampler == "vllm" else {}
        missing = [name for name in needs if find_spec(name) is None]
        absent = []
        if missing:
            extras = ",".join(sorted({needs[name] for name in missing}))
            absent.append(
                f"{', '.join(missing)} not installed, which policy.model needs: pip install 'maineffect[{extras}]'"
            )
        if self.device == "cuda" and not _has_gpu():
            absent.append("no GPU that torch can use is here: set policy.device to cpu, or run where there is one")
        return "; ".join(absent)

    @model_validator(mode="after")
    def _fits_together(self) -> PolicySettings:
        """The form alone: whether packages and GPUs are there is asked where a run is to be."""
        if self.model is None:
            if self.sampler == "vllm":
                raise ValueError("sampler vllm needs policy.model: the tiny policy is sampled with torch")
            if self.placement == "actor":
                raise ValueError("placement actor needs policy.model: the tiny policy is sampled where it is trained")
            if self.batching == "packed":
                raise ValueError("batching packed needs policy.model: the tiny policy reads shared or padded batches")
            if self.device == "cuda":
                raise ValueError("device cuda needs policy.model: the tiny policy is trained on a processor")
            return self
        if self.placement == "actor" and (self.sampler != "vllm" or self.weight_sync != "memory"):
            raise ValueError("placement actor is for sampler vllm with weight_sync memory: the engine's process")
        return self


def _has_fast_bfloat16(device: str) -> bool:
    """Whether a device multiplies in bfloat16; a processor without such instructions is several times slower in it."""
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16") or can.get("bf16"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
