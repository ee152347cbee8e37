"""A pretrained causal language model behind the interface of the tiny policy: tokens → hidden states → logits.

Shapes: B rows, T tokens, L cached columns, D width, V vocabulary, P tokens of several sequences in one row. Rows are
padded on the right, where a causal model cannot look, so whole sequences need no mask; packed ones do. R rank, I inputs
and O outputs of a LoRA adapter.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from maineffect.errors import PluginError
from maineffect.lab.policy.attention import one_by_one, tree_blocks, with_sequences, with_trees
from maineffect.lab.policy.chat import ChatText
from maineffect.lab.policy.pretrained import model_folder
from maineffect.lab.policy_settings import PolicySettings

__all__ = ["Adapter", "CausalPolicy", "load_causal"]

_LORA_PARTS = (".base_layer.", ".lora_")


class Adapter(NamedTuple):
    """A LoRA adapter: its layer's weight is W + scale · B·A (Hu et al. 2021, arXiv 2106.09685, sec. 4.1).

    Attributes:
        name: Of the layer's weight in the pretrained files.
        down_RI: A.
        up_OR: B.
        scale: What the product is multiplied by.
    """

    name: str
    down_RI: Tensor
    up_OR: Tensor
    scale: float


class CausalPolicy(nn.Module):
    """A Hugging Face causal language model in training.

    Args:
        model: The model, with or without LoRA adapters.
        text: Its tokeniser with its chat template.
        settings: Precision, device, limits.
        max_tokens: Longest transcript.
        folder: Where the pretrained files are.
    """

    def __init__(
        self, model: nn.Module, text: ChatText, settings: PolicySettings, max_tokens: int, folder: str
    ) -> None:
        super().__init__()
        self.model, self.text, self.settings = model, text, settings
        self.max_tokens, self.folder = max_tokens, folder

    @property
    def _causal(self) -> Any:
        """The language model itself, adapters inside."""
        return self.model.get_base_model() if self.settings.lora_rank else self.model  # type: ignore[operator]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Trained weights stay in float32; in bfloat16 only computations are, and what adapters are added to.

        Casts are kept until the outermost one ends.
        """
        if self.settings.precision_name == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Hidden states (B, T, D) of whole sequences, right-padded."""
        with self.precision():
            return cast(Tensor, self._causal.base_model(input_ids=tokens_BT, use_cache=False).last_hidden_state)

    @property
    def window(self) -> int | None:
        """Tokens that attention looks back, where that is limited."""
        config = self._causal.config
        limited = getattr(config, "use_sliding_window", True)
        return cast("int | None", getattr(config, "sliding_window", None)) if limited else None

    @property
    def vocabulary(self) -> int:
        """Tokens that can be written."""
        return len(self._causal.get_output_embeddings().weight)

    def masked(self, tokens_KP: Tensor, position_KP: Tensor, visible_KPP: Tensor) -> Tensor:
        """Hidden states (K, P, D) of tokens of which each sees what it is told to see: prefix trees.

        Args:
            tokens_KP: Tokens, or nodes of trees.
            position_KP: Position of each in its sequence.
            visible_KPP: Whether token (k, p) sees token (k, q).
        """
        return self._told(tokens_KP, position_KP, self._added(visible_KPP))

    @property
    def by_blocks(self) -> bool:
        """Whether prefix trees are attended to block by block, in depth-first order."""
        return self.settings.batching == "shared" and self.device.type == "cuda"

    def stretches(self, tokens_KP: Tensor, position_KP: Tensor, end_KP: Tensor) -> Tensor:
        """Hidden states (K, P, D) of prefix trees in depth-first order, as :meth:`PrefixTrees.tour` gives it.

        Args:
            tokens_KP: Nodes of trees.
            position_KP: Position of each in its sequences.
            end_KP: Token (k, q) sees token (k, p) where p ≤ q < end[k, p].
        """
        return self._told(tokens_KP, position_KP, tree_blocks(end_KP))

    def _told(self, tokens_KP: Tensor, position_KP: Tensor, mask: Any) -> Tensor:
        with self.precision():
            out = self._causal.base_model(
                input_ids=tokens_KP, position_ids=position_KP, attention_mask=mask, use_cache=False
            )
        return cast(Tensor, out.last_hidden_state)

    def packed(self, tokens_P: Tensor, position_P: Tensor, sizes: Sequence[int]) -> Tensor:
        """Hidden states (P, D) of whole sequences one after the other in one row, none of which sees another.

        Args:
            tokens_P: Tokens of all sequences.
            position_P: Position of each token in its own sequence.
            sizes: Tokens of each sequence.
        """
        with self.precision(), one_by_one():
            out = self._causal.base_model(
                input_ids=tokens_P[None], position_ids=position_P[None], use_cache=False, sequence_sizes=tuple(sizes)
            )
        return cast(Tensor, out.last_hidden_state[0])

    def grow(self, tokens_GB: Tensor, position_GB: Tensor, visible_GBL: Tensor, cache: Any) -> Tensor:
        """Hidden states (G, B, D) of new tokens after cached ones, each seeing the columns that it is told to see."""
        with self.precision():
            out = self._causal.base_model(
                input_ids=tokens_GB,
                position_ids=position_GB,
                attention_mask=self._added(visible_GBL),
                past_key_values=cache,
                use_cache=True,
            )
        return cast(Tensor, out.last_hidden_state)

    def _added(self, visible: Tensor) -> Tensor:
        # Added to the attention's scores: a form that both of torch's and transformers' own attention take.
        mask = torch.zeros(visible.shape, device=self.device)
        return mask.masked_fill(~visible, torch.finfo(torch.float32).min)[:, None]

    def logits(self, hidden_D: Tensor) -> Tensor:
        """Logits (…, V) in float32 of hidden states (…, D)."""
        with self.precision():
            return cast(Tensor, self._causal.get_output_embeddings()(hidden_D)).float()

    def whole_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight by its name in the pretrained files, adapters added in; tied ones once."""
        if not self.settings.lora_rank:
            yield from ((name, value.detach()) for name, value in self._causal.named_parameters())
            return
        for path, module in self._causal.named_modules():
            if hasattr(module, "base_layer"):
                delta = module.get_delta_weight(module.active_adapters[0])
                yield f"{path}.weight", (module.base_layer.weight + delta).detach()
                if module.base_layer.bias is not None:
                    yield f"{path}.bias", module.base_layer.bias.detach()
        for name, value in self._causal.named_parameters():
            if not any(part in name for part in _LORA_PARTS):
                yield name, value.detach()

    def adapters(self) -> list[Adapter]:
        """The LoRA adapters; none where there are none, or where a layer's weight is kept the other way round."""
        found = []
        for path, module in self._causal.named_modules() if self.settings.lora_rank else ():
            if hasattr(module, "base_layer"):
                name = module.active_adapters[0]
                down, up = module.lora_A[name].weight.detach(), module.lora_B[name].weight.detach()
                found.append(Adapter(f"{path}.weight", down, up, float(module.scaling[name])))
                if getattr(module, "fan_in_fan_out", False):
                    return []
        return found

    def save(self, folder: Path) -> None:
        """Write the whole model where transformers and vLLM can load it, in the precision of computations."""
        dtype = getattr(torch, self.settings.precision_name)
        self._causal.save_pretrained(folder, state_dict={name: w.to(dtype) for name, w in self.whole_weights()})

    def __deepcopy__(self, memo: dict[int, Any]) -> CausalPolicy:
        """A copy that shares what is never trained."""
        frozen = {id(value): value for value in self.parameters() if not value.requires_grad}
        memo.update(frozen)
        twin = CausalPolicy(copy.deepcopy(self.model, memo), self.text, self.settings, self.max_tokens, self.folder)
        memo[id(self)] = twin
        return twin


def load_causal(settings: PolicySettings, max_tokens: int, seed: int, cache_dir: Path) -> CausalPolicy:
    """Load a pretrained model to be trained.

    Args:
        settings: With ``model`` set.
        max_tokens: Longest transcript.
        seed: Seeds LoRA's initial weights; nothing else is random.
        cache_dir: Shared by runs on this machine.

    Raises:
        PluginError: It cannot be loaded, is too short for the transcripts, or computes its logits in another way than
            by its output layer.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    assert settings.model is not None
    folder = model_folder(settings.model, cache_dir)
    try:
        config = AutoConfig.from_pretrained(folder)
        for name in vars(config):
            # Dropout would make the trainer another policy than the sampler.
            if "dropout" in name and isinstance(getattr(config, name), float):
                setattr(config, name, 0.0)
        # Under adapters the pretrained weights are only read, so they need no more precision than computations have.
        dtype = getattr(torch, settings.precision_name) if settings.lora_rank else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        hint = "name a folder with a Hugging Face model, or allow the hub"
        raise PluginError(f"policy.model {settings.model!r} cannot be loaded: {first}", hint) from error
    longest = getattr(config, "max_position_embeddings", max_tokens)
    if longest < max_tokens:
        hint = f"set episode.max_tokens to at most {longest}"
        raise PluginError(f"policy.model reads {longest} tokens, transcripts have up to {max_tokens}", hint)
    if settings.lora_rank:
        model = _with_lora(model, settings.lora_rank, seed)
    policy = CausalPolicy(model.to(settings.device), ChatText(tokenizer), settings, max_tokens, folder)
    _check_logits(policy)
    if settings.batching == "packed":
        _open_packing(policy)
    if policy.by_blocks:
        with_trees(policy._causal)
    if settings.gradient_checkpointing:
        policy._causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return policy.train()


def _with_lora(model: Any, rank: int, seed: int) -> Any:
    from peft import LoraConfig, get_peft_model

    plan = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, plan, autocast_adapter_dtype=True)  # adapters and their gradients in float32


@torch.no_grad()
def _check_logits(policy: CausalPolicy) -> None:
    """Some models scale or cap their logits outside the output layer: better refused than trained wrongly."""
    tokens = torch.tensor([policy.text.opening("Who is it?")[:16]], device=policy.device)
    with policy.precision():
        theirs = policy._causal(input_ids=tokens).logits.float()
    if not torch.allclose(policy.logits(policy(tokens)), theirs, atol=1e-3):
        raise PluginError(
            f"policy.model {policy.settings.model!r} changes its logits after the output layer",
            "use a model whose logits are its output layer's",
        )


@torch.no_grad()
def _open_packing(policy: CausalPolicy) -> None:
    """Let a model take packed rows, and hold it to what it was before.

    Some models see further than a mask lets them (states that are carried on) or less far (windows), or attend in a way
    of their own: refused.

    Raises:
        PluginError: The model's numbers change.
    """
    hint = "set policy.batching to padded"
    if policy.window is not None and policy.window < policy.max_tokens:
        raise PluginError(
            f"policy.model attends to {policy.window} tokens only, which packed rows would not heed", hint
        )
    first, second = (policy.text.opening(text)[:16] for text in ("Who is it?", "What became of the other one?"))
    parts = [torch.tensor(ids, device=policy.device) for ids in (first, second)]
    sizes = [len(first), len(second)]
    position_P = torch.cat([torch.arange(size) for size in sizes]).to(policy.device)
    apart = torch.cat([policy(part[None])[0] for part in parts])
    with_sequences(policy._causal)
    tolerance = 1e-3 if policy.settings.precision_name == "float32" else 0.1
    if not torch.allclose(policy.packed(torch.cat(parts), position_P, sizes), apart, atol=tolerance, rtol=tolerance):
        raise PluginError(f"policy.model {policy.settings.model!r} mixes sequences that are packed in one row", hint)
