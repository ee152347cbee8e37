"""Packed or padded, recomputed or kept, at once or in parts: the same gradient. A small random Llama, no weights needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from maineffect.lab.policy.attention import with_sequences, with_trees
from maineffect.lab.policy.causal import CausalPolicy, _open_packing, _with_lora
from maineffect.lab.policy.chat import ChatText
from maineffect.lab.policy.reading import read_batch
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.questions.generated import Generated
from maineffect.lab.sampling.sampler import twin
from maineffect.lab.sampling.transcripts import Transcripts
from maineffect.lab.settings import LabSettings, TrainSettings
from maineffect.lab.train.cloning import clone
from maineffect.lab.train.demonstrations import demonstrations
from maineffect.lab.train.grpo import Update, update
from maineffect.lab.train.passes import passes

pytestmark = pytest.mark.lm

PROMPTS, GROUP, LONGEST = 4, 4, 70


def llama(vocabulary: int = 97, attention: str = "sdpa", **changes: Any) -> Any:
    """Two layers of width 32, grouped heads, tied embeddings; always the same weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=vocabulary,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        **sizes,
        **changes,
    )
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = LlamaForCausalLM(config)
        for value in model.parameters():
            if value.dim() > 1:
                torch.nn.init.normal_(value, std=0.15)
    return model.float()


def policy_of(model: Any, text: Any = None, *, checkpointing: bool = False, **settings: Any) -> CausalPolicy:
    plan = PolicySettings(model="a/llama", gradient_checkpointing=checkpointing, **settings)
    if plan.lora_rank:
        model = _with_lora(model, plan.lora_rank, 3)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "lora_B" in name:  # zero at first, so that the adapters would not matter
                    value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    policy = CausalPolicy(model, text, plan, 512, "")
    if checkpointing:
        policy._causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if plan.batching == "packed":
        with_sequences(policy._causal)
    return policy.train()


@pytest.fixture(scope="module")
def transcripts() -> Transcripts:
    """Random dialogues of unequal lengths in which the policy wrote several stretches."""
    noise = torch.Generator().manual_seed(2)
    count = PROMPTS * GROUP
    lengths = torch.randint(12, LONGEST + 1, (count,), generator=noise)
    real = torch.arange(LONGEST)[None] < lengths[:, None]
    tokens = torch.randint(1, 97, (count, LONGEST), generator=noise) * real
    written = (torch.rand((count, LONGEST), generator=noise) < 0.4) & real
    written[:, :4] = False
    written[:, 5] = True
    logp = -4.5 * written + 0.3 * torch.randn((count, LONGEST), generator=noise) * written
    rewards = torch.rand(count, generator=noise)
    flat = torch.zeros(count, dtype=torch.long)
    return Transcripts(tokens, written, logp, lengths, rewards, [{}] * count, flat, flat.bool())


def learnt(policy: CausalPolicy, played: Transcripts, **changes: Any) -> tuple[dict[str, Tensor], Update]:
    """Gradients after one update with a step of size 0, and the update's numbers."""
    plan = TrainSettings.model_validate(
        {"prompts": PROMPTS, "group_size": GROUP, "grad_clip": 1e9, "kl": 0.1, "likelihood_guard": 0.05, **changes}
    )
    initial = twin(policy)
    with torch.no_grad():
        for value in policy.parameters():
            if value.requires_grad:
                value.mul_(1.01)
    trained = [value for value in policy.parameters() if value.requires_grad]
    seen = update(policy, initial, torch.optim.SGD(trained, lr=0.0), played, plan)
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}, seen


def close(ours: dict[str, Tensor], theirs: dict[str, Tensor], atol: float = 1e-5) -> None:
    assert ours.keys() == theirs.keys()
    assert max(float(gradient.abs().max()) for gradient in theirs.values()) > 1e-2
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=atol, rtol=0, msg=name)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", [{}, {"epochs": 2, "minibatches": 2}, {"length": "sequence"}], ids=str)
def test_packed_rows_have_the_padded_batchs_loss_and_gradient(transcripts, attention: str, variant) -> None:
    padded, one = learnt(policy_of(llama(attention=attention), batching="padded"), transcripts, **variant)
    for budget in (200, 4096):
        model = policy_of(llama(attention=attention), batching="packed")
        packed, other = learnt(model, transcripts, token_budget=budget, **variant)
        close(packed, padded)
        for name in ("loss", "entropy", "kl", "mismatch_mean", "positive_logp", "grad_norm", "trained_tokens"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-5), name


@pytest.mark.parametrize("rank", [0, 4], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", [{}, {"epochs": 2, "minibatches": 2}, {"length": "sequence"}], ids=str)
def test_shared_prefixes_have_the_padded_batchs_loss_and_gradient(alike, attention: str, variant, rank: int) -> None:
    """Over rollouts that begin alike, in one tree and in many."""
    made = {"lora_rank": rank}
    padded, one = learnt(policy_of(llama(attention=attention), batching="padded", **made), alike, **variant)
    for budget in (120, None):
        model = policy_of(llama(attention=attention), batching="shared", **made)
        shared, other = learnt(model, alike, token_budget=budget, **variant)
        close(shared, padded)
        for name in ("loss", "entropy", "kl", "mismatch_mean", "positive_logp", "grad_norm"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-5), name
    assert other.trained_tokens < 0.7 * one.trained_tokens


@pytest.mark.parametrize("rank", [0, 4], ids=["all weights", "LoRA"])
def test_trees_attended_to_by_blocks_say_the_same(alike, monkeypatch, rank: int) -> None:
    """Torch's FlexAttention as it is used on CUDA; on a CPU it goes forward only."""
    policy = policy_of(llama(), batching="shared", lora_rank=rank)
    told = (policy, "shared", alike.tokens_BT, alike.lengths_B, alike.written_BT)
    with torch.no_grad():
        dense = read_batch(*told).written(policy)
        with_trees(policy._causal)
        as_before = read_batch(*told).written(policy)
        monkeypatch.setattr(CausalPolicy, "by_blocks", True)
        blocks = read_batch(*told).written(policy)
    assert torch.equal(as_before.logp_S, dense.logp_S), "a dense mask is still taken"
    torch.testing.assert_close(blocks.logp_S, dense.logp_S, atol=1e-5, rtol=0)
    torch.testing.assert_close(blocks.entropy_S, dense.entropy_S, atol=1e-5, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="FlexAttention has its backward pass on CUDA alone")
def test_trees_attended_to_by_blocks_have_the_padded_gradient(alike) -> None:
    padded, _ = learnt(policy_of(llama().cuda(), batching="padded", device="cuda"), alike)
    policy = policy_of(llama().cuda(), batching="shared", device="cuda")
    assert policy.by_blocks
    with_trees(policy._causal)
    close(learnt(policy, alike)[0], padded, atol=1e-4)


def test_bfloat16_shared_prefixes_point_the_same_way(alike) -> None:
    padded, _ = learnt(policy_of(llama(), batching="padded", dtype="bfloat16"), alike)
    shared, _ = learnt(policy_of(llama(), batching="shared", dtype="bfloat16"), alike)
    one, two = (torch.cat([part.flatten() for part in parts.values()]) for parts in (shared, padded))
    assert float(torch.nn.functional.cosine_similarity(one, two, dim=0)) > 0.999


@pytest.fixture(scope="module")
def alike(transcripts) -> Transcripts:
    """The same dialogues, each with the first tokens of its group's first, and all with the same very first ones."""
    tokens, written = transcripts.tokens_BT.clone(), transcripts.written_BT.clone()
    tokens[:, :9] = tokens[0, :9]
    written[:, :9] = written[0, :9]
    for start in range(0, len(tokens), GROUP):
        tokens[start : start + GROUP, 9:12] = tokens[start, 9:12]
        written[start : start + GROUP, 9:12] = written[start, 9:12]
    for source, copy, length in ((1, 2, 40), (4, 6, 30), (9, 11, 70)):
        length = min(length, int(transcripts.lengths_B[source]), int(transcripts.lengths_B[copy]))
        tokens[copy, :length], written[copy, :length] = tokens[source, :length], written[source, :length]
    logp = torch.where(written, torch.where(transcripts.written_BT, transcripts.logp_BT, -4.5), 0.0)
    return replace(transcripts, tokens_BT=tokens, written_BT=written, logp_BT=logp)


def test_packing_takes_fewer_and_shorter_passes(transcripts) -> None:
    rows, lengths = torch.arange(len(transcripts.lengths_B)), transcripts.lengths_B
    plan = TrainSettings(token_budget=200)
    padded, packed = passes(rows, lengths, plan), passes(rows, lengths, plan, packed=True)
    assert len(packed) < len(padded)
    assert sum(int(lengths[p].max()) * len(p) for p in padded) > int(lengths.sum())


def test_a_packed_sequence_sees_only_itself(transcripts) -> None:
    """Other tokens in the second sequence change nothing in the first or third, not in the last digit."""
    policy = policy_of(llama(), batching="packed")
    tokens, written, lengths = transcripts.tokens_BT[:3], transcripts.written_BT[:3], transcripts.lengths_B[:3]
    other = tokens.clone()
    other[1, : int(lengths[1])] = other[1, : int(lengths[1])].remainder(90) + 3
    of_row = torch.nonzero(written[:, 1:])[:, 0]
    with torch.no_grad():
        one, two = (read_batch(policy, "packed", ids, lengths, written).hidden(policy) for ids in (tokens, other))
    assert torch.equal(one[of_row != 1], two[of_row != 1])
    assert not torch.allclose(one[of_row == 1], two[of_row == 1], atol=1e-2)


class _Words:
    """What the packing check asks of a tokeniser."""

    def opening(self, text: str) -> list[int]:
        return [1 + ord(letter) % 90 for letter in text]


def test_models_that_packing_would_change_are_refused() -> None:
    from maineffect.errors import PluginError

    policy = policy_of(llama(), _Words(), batching="packed")
    _open_packing(policy)
    policy._causal.config.sliding_window = 64
    with pytest.raises(PluginError, match="attends to 64 tokens only"):
        _open_packing(policy)
    policy._causal.config.sliding_window = None
    whole = policy.packed
    policy.packed = lambda tokens, position, sizes: whole(tokens, position, [sum(sizes)])  # type: ignore[method-assign]
    with pytest.raises(PluginError, match="mixes sequences"):
        _open_packing(policy)


@pytest.mark.parametrize("rank", [0, 4], ids=["all weights", "LoRA"])
@pytest.mark.parametrize("batching", ["padded", "packed", "shared"])
def test_recomputed_activations_give_the_same_gradient(transcripts, rank: int, batching: str) -> None:
    """Gradient checkpointing runs every layer twice and changes no gradient."""
    calls: dict[bool, int] = {}
    gradients = {}
    for checkpointing in (False, True):
        policy = policy_of(llama(), checkpointing=checkpointing, lora_rank=rank, batching=batching)
        layer = policy._causal.base_model.layers[0].self_attn
        count = [0]
        layer.register_forward_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))
        gradients[checkpointing], _ = learnt(policy, transcripts, token_budget=300)
        calls[checkpointing] = count[0]
    assert calls[True] > calls[False], "nothing was recomputed"
    close(gradients[True], gradients[False], atol=1e-6)


def test_gradients_of_parts_add_up_to_the_whole(transcripts) -> None:
    """Accumulation: many passes under a token budget, or slices, against all sequences at once."""
    whole, _ = learnt(policy_of(llama(), batching="padded"), transcripts, slices=1)
    for parts in ({"slices": 1, "token_budget": 128}, {"slices": 3}):
        close(learnt(policy_of(llama(), batching="padded"), transcripts, **parts)[0], whole)


def test_adapters_alone_are_trained(transcripts) -> None:
    policy = policy_of(llama(), lora_rank=4)
    gradients, seen = learnt(policy, transcripts)
    assert seen.grad_norm > 0
    assert gradients
    assert all("lora_" in name for name in gradients)
    frozen = [value for name, value in policy.named_parameters() if "lora_" not in name]
    assert all(value.grad is None and not value.requires_grad for value in frozen)


@pytest.mark.parametrize("batching", ["padded", "packed", "shared"])
def test_bfloat16_computes_what_float32_does_but_for_rounding(transcripts, batching: str) -> None:
    """Weights and gradients stay float32; the gradient's direction is the exact one's."""
    exact, one = learnt(policy_of(llama(), batching=batching), transcripts, token_budget=300)
    policy = policy_of(llama(), batching=batching, dtype="bfloat16")
    rounded, other = learnt(policy, transcripts, token_budget=300)
    assert {value.dtype for value in (*policy.parameters(), *rounded.values())} == {torch.float32}
    a, b = (torch.cat([part[name].flatten() for name in exact]) for part in (exact, rounded))
    assert torch.isfinite(b).all()
    assert not torch.equal(a, b)
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.995
    assert other.loss == pytest.approx(one.loss, abs=0.02)


def test_cloning_in_any_way_is_cloning_padded(settings, cache) -> None:
    """The warm start on SmolLM2's own tokens, with a small model: the same weights after two steps."""
    from transformers import AutoTokenizer

    from maineffect.lab.policy.pretrained import model_folder

    text = ChatText(AutoTokenizer.from_pretrained(model_folder(settings()["policy"]["model"], cache)))
    weights = []
    for batching in ("padded", "packed", "shared"):
        plan = LabSettings.model_validate(
            settings(policy={"batching": batching}, warmstart={"steps": 2, "batch": 6, "ramp": 1, "token_budget": 900})
        )
        shown = demonstrations(plan, 5, 0, Generated(), text)
        assert len(passes(torch.arange(6), shown.lengths_B, plan.warmstart)) > 1
        policy = policy_of(llama(vocabulary=49152), text, batching=batching)
        start = policy.model.model.layers[0].mlp.up_proj.weight.detach().clone()
        clone(policy, plan, 5, Generated())
        weights.append(dict(policy.named_parameters()))
        assert not torch.allclose(policy.model.model.layers[0].mlp.up_proj.weight, start, atol=1e-5)
    for (name, value), other in [(item, w) for w in weights[1:] for item in weights[0].items()]:
        # Adam divides by the gradient's size, so rounding shows where a gradient is nearly 0.
        assert ((value - other[name]).abs() > 1e-5).float().mean() < 0.01, name
